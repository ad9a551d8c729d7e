"""The verb `stop`: it comes back when nothing of the programs is left, nor of a supervisor that has no others.

What has outlived its supervisor is stopped here.
"""

from __future__ import annotations

from contextlib import suppress

from lowrun import GoneError, supervise
from lowrun.cli.console import complain
from lowrun.cli.control import EXIT_UNKNOWN, ask, known
from lowrun.cli.control_options import StopRequest

__all__ = ["run"]

EXIT_LIVES_ON = 125


def run(request: StopRequest) -> int:
    """Stop all that are named; return the exit code."""
    return max(_stop(name, request.stop_timeout) for name in request.names)


def _stop(name: str, timeout: float | None) -> int:
    with known(name) as state:
        if state is None:
            return EXIT_UNKNOWN
        record = state.read()
        while (supervisor := state.supervisor()) is not None:
            with suppress(GoneError):  # it has ended by itself meanwhile, or was killed
                answer = ask(state, {"do": "stop", "timeout": timeout})
                if answer["ends"]:
                    supervisor.await_end()
                return _check_gone(name, record)
            supervisor.await_end()
        supervise.end_lost(state, timeout)
    return 0


def _check_gone(name: str, record: supervise.Record | None) -> int:
    """Return the exit code: there are processes that nobody can end."""
    if record is None or record.main is None or not record.main.alive:
        return 0
    complain(f"{name}: pid {record.main.pid} has not ended, and is supervised no more; lowrun log {name} says why")
    return EXIT_LIVES_ON
