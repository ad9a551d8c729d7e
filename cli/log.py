"""The verb `log`: what became of a program, or what it wrote."""

from __future__ import annotations

from lowrun import supervise
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
        names = supervise.OUTPUT_NAMES if request.output else supervise.LOG_NAMES
        out = Stream(STDOUT)
        for piece in supervise.read_text(state, names, request.lines, request.follow):
            out.write(piece)
    return 0
