"""Which process of a program is its main one: what follows from what happens. Pure.

    awaiting --named--> led --exited with 0, found, not named--> orphaned --found--> led
       |                 |                                          |
       |                 +--exited otherwise--> over <--tree ended--+
       +--the command fails, tree ended--------> over

A program without a pidfile is led by its command while that lives. When it has exited with 0 and left others behind,
it was a starter: of the keeper's children (every orphan becomes one) the oldest is the main process, and so on.
A program with a pidfile is led by the process it names and by no other; MAINPID= of sd_notify(3) names one as well.
Exits reach lowrun later than they happen: so a failure among the orphans while nobody leads is the program's,
unless another is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lowrun.values import ExitStatus

__all__ = ["Succession", "elders_first", "ended", "exited", "found", "named", "started"]


@dataclass(frozen=True, slots=True)
class Succession:
    """What is known of a program's main process. `awaits_name`: a pidfile is to name it."""

    awaits_name: bool = False
    #: The main process; None before there is one, and while nobody leads.
    pid: int | None = None
    command: int | None = None
    #: The main process was named, not found.
    is_named: bool = False
    #: The status of who led last, or of the first failure since.
    last: ExitStatus | None = None
    is_over: bool = False
    #: With what it is over; None when nobody can know.
    status: ExitStatus | None = None

    @property
    def orphaned(self) -> bool:
        """True when a successor is to be found among the keeper's children."""
        return not self.is_over and self.pid is None and self.last is not None and not self.awaits_name


def started(state: Succession, pid: int) -> Succession:
    """The command was executed; what it did at once, as to name another, can have come to be known before."""
    if state.is_named:
        return replace(state, command=pid)
    return replace(state, command=pid, pid=None if state.awaits_name else pid)


def named(state: Succession, pid: int) -> Succession:
    """A pidfile or a message has named the main process; it was checked."""
    return state if state.is_over else replace(state, awaits_name=False, pid=pid, is_named=True, last=None)


def found(state: Succession, pid: int) -> Succession:
    """A successor lives."""
    return replace(state, pid=pid, last=None) if state.orphaned else state


def exited(state: Succession, pid: int, status: ExitStatus | None) -> Succession:
    """A process of the tree has exited, whoever it was; None: it is not known how, which nobody takes for success."""
    if state.is_over:
        return state
    failed = status is None or status.code != 0
    if pid == state.pid:
        if failed or state.is_named:
            return _over(state, status)
        return replace(state, pid=None, last=status)
    if state.pid is not None:
        return state
    if pid == state.command and failed:
        return _over(state, status)
    if state.last is None or (failed and state.last.code == 0):
        return replace(state, last=status)
    return state


def ended(state: Succession) -> Succession:
    """Nothing is left of the tree."""
    return state if state.is_over else _over(state, state.last or ExitStatus(0))


def _over(state: Succession, status: ExitStatus | None) -> Succession:
    return replace(state, pid=None, is_over=True, status=status)


def elders_first(children: Iterable[tuple[int, int]]) -> list[int]:
    """Return the pids of (pid, start), the oldest first; those of one clock tick in the order given."""
    return [pid for pid, _ in sorted(children, key=lambda child: child[1])]
