"""The options of `lowrun strace2csv`: the table, and the request that it makes; names as stracepy's strace2csv has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowrun import UsageError, notation
from lowrun.cli.parser import Option, parse_mixed

__all__ = ["STRACE2CSV_OPTIONS", "Strace2csvRequest", "help_text", "read"]

LEVELS = 3


class Strace2csvRequest(NamedTuple):
    """What the user asked for; the field's name is its row's in STRACE2CSV_OPTIONS."""

    log: str = ""
    out: str = "strace.csv"
    verbose: int = 1
    fixed: bool = False
    debug: bool = False
    help: bool = False


def _level(text: str) -> int:
    value = notation.whole(text)
    if value > LEVELS:
        raise ValueError(f"a number from 0 to {LEVELS} is needed")
    return value


STRACE2CSV_OPTIONS = (
    Option("out", ("--out",), "write FILE (default strace.csv); - is standard output", "FILE",
           notation.some("a file's name")),
    Option("fixed", ("--fixed",), "mend what stracepy gets wrong: files, programs, results"),
    Option("verbose", ("--verbose",), "0 says nothing; 2 and 3 add columns (default 1)", "LEVEL", _level),
    Option("debug", ("-d", "--debug"), "log each step lowrun itself takes"),
    Option("help", ("-h", "--help"), "print this"),
)  # fmt: skip


def read(words: Sequence[str]) -> Strace2csvRequest:
    """Return what `words` ask for. Raises UsageError with one line that says what is wrong."""
    parsed = parse_mixed(STRACE2CSV_OPTIONS, words, "lowrun strace2csv")
    request = Strace2csvRequest(**parsed.values)
    if request.help:
        return request
    if len(parsed.words) != 1:
        wrong = "no LOG given" if not parsed.words else f"one LOG is needed, not {len(parsed.words)}"
        raise UsageError(f"{wrong}; see lowrun strace2csv --help")
    return request._replace(log=parsed.words[0])


HEAD = """\
usage: lowrun strace2csv LOG [--out FILE] [--fixed] [--verbose LEVEL]

Make a CSV table of a log of system calls, one row for each call that returned, as
bmwcarit/stracepy's strace2csv does. LOG is what strace -f -tt -T -y -yy -s 2048 wrote, or
lowrun; it may be compressed (gzip, xz, bzip2); - is standard input.

options:
"""

TAIL = """
examples:
  lowrun strace2csv calls.strace --out calls.csv
  lowrun strace2csv --fixed --out - calls.strace | head

exit: 1 no line of LOG has a pid and a time, 2 wrong usage, 125 lowrun itself failed
"""


def help_text() -> str:
    """Return what --help prints."""
    from lowrun.cli.help import option_lines

    return HEAD + option_lines(STRACE2CSV_OPTIONS) + TAIL
