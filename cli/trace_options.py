"""The options of `lowrun trace`: the table, and the values it makes; strace's names where strace has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowrun import UsageError, notation
from lowrun.cli.parser import Option, Parsed, parse

__all__ = ["TRACE_OPTIONS", "TraceOptions", "help_text", "read"]

SORTS = ("time", "calls", "errors", "name")


class TraceOptions(NamedTuple):
    """What the user asked for; the field's name is its row's in TRACE_OPTIONS."""

    output: str | None = None
    calls: str | None = None
    expressions: tuple[tuple[str, str], ...] = ()
    pids: tuple[tuple[int, ...], ...] = ()
    paths: tuple[str, ...] = ()
    user: str | None = None
    summary_only: bool = False
    summary_too: bool = False
    successful: bool = False
    failed: bool = False
    sort: str = "time"
    string_limit: int = 2048
    environment: tuple[tuple[str, str | None], ...] = ()
    engine: str = "auto"
    keep_binary: bool = False
    quiet: bool = False
    debug: bool = False
    help: bool = False

    @property
    def only(self) -> str | None:
        """The trace set: the last one given by -e trace=, or --calls; None is all."""
        sets = [value for name, value in self.expressions if name == "trace"]
        return sets[-1] if sets else self.calls

    @property
    def status(self) -> str | None:
        """How a call must have ended to be printed: the last one given by -e status=, or -z, -Z; None is all."""
        given = [value for name, value in self.expressions if name == "status"]
        return given[-1] if given else "successful" if self.successful else "failed" if self.failed else None

    @property
    def injections(self) -> list[tuple[str, str]]:
        """All `-e inject=WHAT` and `-e fault=WHAT`, in their order."""
        return [(name, value) for name, value in self.expressions if name in ("inject", "fault")]


#: What -e knows; strace's other names change what is printed in ways that lowrun does not.
EXPRESSIONS = ("trace", "inject", "fault", "status")


def _expression(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        return "trace", text
    name = {"t": "trace"}.get(name, name)
    if name not in EXPRESSIONS:
        raise ValueError(f"lowrun has {', '.join(EXPRESSIONS[:-1])} and {EXPRESSIONS[-1]}= of strace's")
    return name, value


def _pids(text: str) -> tuple[int, ...]:
    try:
        pids = tuple(notation.whole(word) for word in text.replace(",", " ").split())
    except ValueError:
        pids = ()
    if not pids or not all(0 < pid < 1 << 22 for pid in pids):
        raise ValueError("process ids are needed, comma separated")
    return pids


def _file(text: str) -> str:
    if text[:1] in ("", "|", "!"):
        raise ValueError("a path is needed; to pipe the trace: -o >(COMMAND) in bash, or a FIFO")
    return text


def _variable(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name:
        raise ValueError("NAME=VALUE or NAME is needed")
    return name, value if equals else None


TRACE_OPTIONS = (
    Option("output", ("-o", "--output"), "write the trace to FILE, not to standard error", "FILE", _file),
    Option("calls", ("--calls",), "trace these only: names, %file %process ..., /regex, ! negates", "SET"),
    Option("expressions", ("-e", "--expr"), "trace=SET, inject=SET:WHAT, status=failed ...", "EXPR", _expression,
           many=True),
    Option("pids", ("-p", "--attach"), "trace the running process PID, with all its threads", "PID", _pids, many=True),
    Option("successful", ("-z", "--successful-only"), "only calls that succeeded"),
    Option("failed", ("-Z", "--failed-only"), "only calls that failed"),
    Option("paths", ("-P", "--trace-path"), "only calls that PATH takes part in", "PATH", notation.some("a path"),
           many=True),
    Option("user", ("-u", "--user"), "run COMMAND as USER", "USER", notation.some("a name")),
    Option("summary_only", ("-c", "--summary-only"), "counts and times of calls, instead of lines, at the end"),
    Option("summary_too", ("-C", "--summary"), "counts and times beside the lines"),
    Option("sort", ("-S", "--summary-sort-by"), "sort them by time, calls, errors or name", "WHAT"),
    Option("string_limit", ("-s", "--string-limit"), "bytes shown of a string (default 2048)", "N", notation.whole),
    Option("environment", ("-E", "--env"), "set a variable of COMMAND's, or unset it", "NAME[=VALUE]", _variable,
           many=True),
    Option("engine", ("--engine",), "auto, ptrace or python (default auto)", "ENGINE"),
    Option("keep_binary", ("--keep-binary",), "write the binary records to FILE.records, too (with -o FILE)"),
    Option("quiet", ("-q", "--quiet"), "no word of processes attached and detached"),
    Option("debug", ("-d", "--debug"), "log each step lowrun itself takes"),
    Option("help", ("-h", "--help"), "print this"),
)  # fmt: skip
#: strace's options for what lowrun always does.
ALWAYS = frozenset(("-f", "-tt", "-T", "-y", "-yy", "--follow-forks", "--decode-fds"))


def read(words: Sequence[str]) -> tuple[TraceOptions, Parsed]:
    """Return the options at the beginning of `words`, and with them what was read.

    Raises UsageError with one line that says what is wrong.
    """
    always = tuple(Option("always", (name,), "") for name in ALWAYS)
    parsed = parse((*TRACE_OPTIONS, *always), words, "lowrun trace")
    parsed.values.pop("always", None)
    options = TraceOptions(**parsed.values)
    if options.sort not in SORTS:
        raise UsageError(f"-S {options.sort!r}: {', '.join(SORTS[:-1])} or {SORTS[-1]} is needed")
    return options, parsed


HEAD = """\
usage: lowrun trace [OPTIONS] [--] COMMAND [ARG...]
       lowrun trace [OPTIONS] -p PID...

Print every system call of COMMAND, or of a running process, with all that it starts, as
strace -f -tt -T -y -yy -s 2048 does.

options:
"""

TAIL = """
examples:
  lowrun trace -o calls.strace ./job           all calls, to a file
  lowrun trace -e trace=%network curl -s URL   calls about sockets; all others run at full speed
  lowrun trace -e status=failed ./job          what failed
  lowrun trace -c -p 4242                      counts and times, until ^C lets go of 4242
  lowrun trace -e inject=openat:error=ENOSPC:when=3+2 ./job

exit: COMMAND's own code, or death by the signal that it died of; 0 after -p;
      126 not executable, 127 not found, 2 wrong usage, 125 lowrun itself failed
"""


def help_text() -> str:
    """Return what --help prints."""
    from lowrun.cli.help import option_lines

    return HEAD + option_lines(TRACE_OPTIONS) + TAIL
