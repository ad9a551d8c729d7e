"""The verb `stop`: it comes back when nothing of the programs is left, nor of a supervisor that has no others."""

from __future__ import annotations

from lowrun import GoneError
from lowrun.cli.control import EXIT_UNKNOWN, ask, await_end, known
from lowrun.cli.control_options import StopRequest

__all__ = ["run"]


def run(request: StopRequest) -> int:
    """Stop all that are named; return the exit code."""
    return max(_stop(name, request.stop_timeout) for name in request.names)


def _stop(name: str, timeout: float | None) -> int:
    with known(name) as state:
        if state is None:
            return EXIT_UNKNOWN
        supervisor = state.supervisor()
        if supervisor is None:
            return 0
        try:
            answer = ask(state, {"do": "stop", "timeout": timeout})
        except GoneError:  # it has ended by itself meanwhile
            answer = {"ends": True}
        if answer["ends"]:
            await_end(*supervisor)
    return 0
