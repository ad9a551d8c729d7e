"""The options of `lowrun show`: the table, and the values it makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowrun import UsageError, notation
from lowrun.cli.parser import Option, parse_mixed

__all__ = ["SHOW_OPTIONS", "ShowRequest", "help_text", "read"]


class ShowRequest(NamedTuple):
    """What the user asked for."""

    #: A directory of runs, or of one run, or the name of a supervised program.
    directory: str = ""
    #: None: the first that failed.
    run: int | None = None
    #: Lines of each kind; None: as many as fit on a screen.
    lines: int | None = None
    all: bool = False
    json: bool = False
    html: str | None = None
    debug: bool = False
    help: bool = False


SHOW_OPTIONS = (
    Option("lines", ("-n", "--lines"), "N lines of output, N failing calls ... (default: one screen)", "N",
           notation.count),
    Option("all", ("--all",), "all that there is, and no line cut"),
    Option("json", ("--json",), "the same as one JSON object"),
    Option("html", ("--html",), "write a page with the processes' timeline to FILE", "FILE",
           notation.some("a path")),
    Option("debug", ("-d", "--debug"), "log each step lowrun itself takes"),
    Option("help", ("-h", "--help"), "print this"),
)  # fmt: skip


def read(words: Sequence[str]) -> ShowRequest:
    """Return what `words` ask for. Raises UsageError with one line that says what is wrong."""
    parsed = parse_mixed(SHOW_OPTIONS, words, "lowrun show")
    request = ShowRequest(**parsed.values)
    if request.help:
        return request
    directory, *rest = parsed.words or ("",)
    if not directory:
        raise UsageError("DIR is needed: what lowrun -o DIR has kept, or one run's directory; see lowrun show --help")
    if len(rest) > 1:
        raise UsageError(f"{rest[1]}: one RUN is shown at a time")
    if request.all and request.lines is not None:
        raise UsageError("--all and -n exclude each other")
    return request._replace(directory=directory, run=_number(rest[0]) if rest else None)


def _number(word: str) -> int:
    try:
        return notation.whole(word.removeprefix("run-"))
    except ValueError:
        raise UsageError(f"RUN {word!r}: the number of a run is needed") from None


HEAD = """\
usage: lowrun show [OPTIONS] DIR [RUN]

Show on one screen why a run failed: how it ended and which process determined that, its last failing calls, the call
it hung in, what differs from runs that passed, its last output, peaks, hosts. DIR is a directory that lowrun kept runs
in, one of its run-NNNN, or the NAME of a program that lowrun start keeps running. RUN is a run's number: without it,
the first that failed (of a supervised program: the last).

options:
"""

TAIL = """
examples:
  lowrun -c 30 -ct -lt --keep failed+1 -o out ./flaky; lowrun show out
  lowrun show out 7                 run 7
  lowrun show --html why.html out   the same as a page, with a timeline of all processes
  lowrun show --json out | jq .why

exit: 0, 2 wrong usage or nothing kept there, 125 lowrun itself failed
"""


def help_text() -> str:
    """Return what --help prints."""
    from lowrun.cli.help import option_lines

    return HEAD + option_lines(SHOW_OPTIONS) + TAIL
