"""In which order programs are started: what they are `after` and what they need comes first. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from lowrun import notation
from lowrun.errors import UsageError
from lowrun.supervise.settings import Program

__all__ = ["check_distinct", "start_order"]


def check_distinct(programs: Iterable[Program]) -> None:
    """Raise UsageError when two programs have the same name."""
    names: set[str] = set()
    for program in programs:
        if program.name in names:
            raise UsageError(f"two programs have the name {program.name!r}")
        names.add(program.name)


def start_order(programs: Iterable[Program]) -> list[list[Program]]:
    """Return groups of programs: each group's can be started together, when the groups before it were.

    A group keeps the programs' order; they are stopped in reverse. Raises UsageError for a name that no program has and
    for programs that wait for each other, with their names.
    """
    by_name = {program.name: program for program in programs}
    before = {name: _before(program, by_name) for name, program in by_name.items()}
    groups = []
    started: set[str] = set()
    while before:
        group = [name for name, names in before.items() if names <= started]
        if not group:
            raise UsageError(f"these wait for each other (after, needs): {' -> '.join(_cycle(before))}")
        groups.append([by_name[name] for name in group])
        started.update(group)
        for name in group:
            del before[name]
    return groups


def _before(program: Program, by_name: dict[str, Program]) -> set[str]:
    for word, names in (("after", program.after), ("needs", program.needs)):
        for name in names:
            if name not in by_name:
                guess = notation.nearest(name, by_name)
                raise UsageError(
                    f"{program.name}: {word} {name!r}: there is no such program"
                    + (f"; did you mean {guess}?" if guess else "")
                )
    return {*program.after, *program.needs}


def _cycle(before: dict[str, set[str]]) -> list[str]:
    """Return names that lead back to the first one: each of `before` waits for another of them."""
    path = [next(iter(before))]
    while path[-1] not in path[:-1]:
        path.append(min(name for name in before[path[-1]] if name in before))
    return path[path.index(path[-1]) :]
