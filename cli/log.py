"""The verb `log`: what became of a program, or what it wrote."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from lowrun import Loop, supervise
from lowrun.cli.console import STDOUT, Stream
from lowrun.cli.control import EXIT_UNKNOWN, known
from lowrun.cli.control_options import LogRequest

__all__ = ["run"]


def run(request: LogRequest) -> int:
    """Show it; return the exit code."""
    (name,) = request.names
    with known(name) as state:
        if state is None:
            return EXIT_UNKNOWN
        names = supervise.output_names(state) if request.output else supervise.LOG_NAMES
        try:
            if request.follow:
                _follow(state, names, request.lines)
            else:
                out = Stream(STDOUT)
                for piece in supervise.tail(state, names, request.lines):
                    out.write(piece)
        except BrokenPipeError:  # the reader has seen enough
            pass
    return 0


def _follow(state: supervise.ProgramState, names: Sequence[str], lines: int | None) -> None:
    out = Stream(STDOUT)
    with Loop() as loop, loop.add_signals((signal.SIGINT, signal.SIGTERM), lambda _info: loop.stop()):
        follower = supervise.Follower(loop, state, names, lines, out.write)
        try:
            loop.run()
        finally:
            follower.close()
