"""The verb `wait`: until a program is running, ready or stopped."""

from __future__ import annotations

from lowrun import GoneError
from lowrun.cli.console import complain
from lowrun.cli.control import EXIT_UNKNOWN, NOT_RUNNING, ask, known
from lowrun.cli.control_options import WaitRequest

__all__ = ["run"]

EXIT_LATE = 124


def run(request: WaitRequest) -> int:
    """Wait; return the exit code."""
    (name,) = request.names
    with known(name) as state:
        if state is None:
            return EXIT_UNKNOWN
        supervisor = state.supervisor()
        try:
            answer = ask(state, {"do": "wait", "until": request.until}, request.timeout)
        except TimeoutError:
            complain(f'"{name}" is not {request.until} within {request.timeout:g} s')
            return EXIT_LATE
        except GoneError as error:
            if request.until == "stopped" and not state.truth().running:
                return 0
            complain(str(error))
            return NOT_RUNNING
        if request.until == "stopped" and answer["ends"] and supervisor is not None:
            supervisor.await_end()
    return 0
