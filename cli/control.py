"""What the verbs about started programs share: which are meant, and the words to their supervisors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lowrun import GoneError, supervise
from lowrun.cli.console import complain

__all__ = ["EXIT_UNKNOWN", "NOT_RUNNING", "ask", "demand", "known"]

EXIT_UNKNOWN = 4
NOT_RUNNING = 1


@contextmanager
def known(name: str) -> Iterator[supervise.ProgramState | None]:
    """Yield the state of `name`; None, and a line about it, when there is none."""
    with supervise.StateDirectory.open() as directory:
        state = directory.find(name)
        if state is None:
            names = ", ".join(directory.names())
            complain(f'no program "{name}" is known in {directory.path}' + (f"; known are {names}" if names else ""))
            yield None
            return
        with state:
            yield state


def ask(state: supervise.ProgramState, request: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
    """Ask its supervisor. Raises GoneError when there is none, or what it answers as an error."""
    answer = supervise.ask(state, request, timeout)
    if "error" in answer:
        raise GoneError(answer["error"])
    return answer


def demand(what: str, name: str) -> int:
    """Have a program restarted or reloaded; return the exit code."""
    with known(name) as state:
        if state is None:
            return EXIT_UNKNOWN
        try:
            ask(state, {"do": what})
        except GoneError as error:
            complain(str(error))
            return NOT_RUNNING
    return 0
