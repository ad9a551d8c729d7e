"""The options of the verbs about programs that were started: stop, status, restart, reload, log, wait.

Options may stand before and behind NAME. A NAME may be given as PROGRAM, whose base name it is then.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from lowrun import UsageError, notation, supervise
from lowrun.cli.parser import Option, parse_mixed

__all__ = ["VERBS", "LogRequest", "Request", "StatusRequest", "StopRequest", "WaitRequest", "help_text", "read_control"]


class Request(NamedTuple):
    """What the user asked for: of restart and reload."""

    names: tuple[str, ...] = ()
    #: As given by -p; "" without a value.
    pidfile: str | None = None
    debug: bool = False
    help: bool = False


class StopRequest(NamedTuple):
    """Of stop."""

    names: tuple[str, ...] = ()
    pidfile: str | None = None
    #: Seconds from the stop signal to SIGKILL; None: as `start` was told.
    stop_timeout: float | None = None
    debug: bool = False
    help: bool = False


class StatusRequest(NamedTuple):
    """Of status; without names all are meant."""

    names: tuple[str, ...] = ()
    pidfile: str | None = None
    json: bool = False
    debug: bool = False
    help: bool = False


class LogRequest(NamedTuple):
    """Of log."""

    names: tuple[str, ...] = ()
    #: What the program wrote, not lowrun's own lines.
    output: bool = False
    follow: bool = False
    #: The last so many; None: all.
    lines: int | None = None
    debug: bool = False
    help: bool = False


class WaitRequest(NamedTuple):
    """Of wait."""

    names: tuple[str, ...] = ()
    until: str = "running"
    #: Seconds; None: for ever.
    timeout: float | None = None
    debug: bool = False
    help: bool = False


class Verb(NamedTuple):
    """A verb's table, and what its words make."""

    request: type[Request | StopRequest | StatusRequest | LogRequest | WaitRequest]
    usage: str
    text: str
    table: tuple[Option, ...]
    exits: str
    #: How many names it takes: at least, at most.
    least: int = 1
    most: int = 1 << 16


PIDFILE = Option(
    "pidfile", ("-p", "--pidfile"), "accepted as in lowrun start", "[PIDFILE]", notation.absolute_path, False, "", True
)
COMMON = (
    Option("debug", ("-d", "--debug"), "log each step lowrun itself takes"),
    Option("help", ("-h", "--help"), "print this"),
)

#: What `wait` waits for.
STATES = ("running", "ready", "stopped")

VERBS = {
    "stop": Verb(
        StopRequest,
        "NAME...",
        "End programs and what keeps them running: the stop signal to the whole tree, SIGKILL after\n"
        "--stop-timeout. It comes back when nothing of them is left.",
        (
            PIDFILE,
            Option("stop_timeout", ("--stop-timeout",), "SIGKILL that much later (default as started)", "SEC",
                   notation.seconds),
            *COMMON,
        ),
        "0 stopped, or not running",
    ),
    "status": Verb(
        StatusRequest,
        "[NAME...]",
        "Tell whether programs run, their pids, times, restarts, last exits and what they use; without\n"
        "NAME a table of all.",
        (PIDFILE, Option("json", ("--json",), "one JSON object; without or with several NAMEs a list in it"), *COMMON),
        "0 running, 1 not running",
        least=0,
    ),
    "restart": Verb(
        Request,
        "NAME...",
        "End the present life of programs and start the next one at once; their respawns begin anew.",
        (PIDFILE, *COMMON),
        "0 restarted, 1 it is not running",
    ),
    "reload": Verb(
        Request,
        "NAME...",
        "Send programs their reload signal: SIGHUP, or what --reload-signal has said.",
        (PIDFILE, *COMMON),
        "0 sent, 1 it is not running",
    ),
    "log": Verb(
        LogRequest,
        "NAME",
        "Show what became of a program: its starts, exits and respawns.",
        (
            Option("output", ("--output",), "what the program wrote instead"),
            Option("follow", ("-f", "--follow"), "go on as more is written"),
            Option("lines", ("-n", "--lines"), "only the last N lines", "N", notation.whole),
            *COMMON,
        ),
        "0 shown",
        most=1,
    ),
    "wait": Verb(
        WaitRequest,
        "NAME",
        "Wait until a program is in a state.",
        (
            Option(
                "until",
                ("--until",),
                "running, ready or stopped (default running)",
                "STATE",
                notation.one_of(*STATES),
                offers=STATES,
            ),
            Option("timeout", ("-t", "--timeout"), "give up after SEC seconds", "SEC", notation.seconds),
            *COMMON,
        ),
        "0 it is so, 1 it cannot come to that any more, 124 not in time",
        most=1,
    ),
}  # fmt: skip


def read_control(verb: str, words: Sequence[str]) -> Request | StopRequest | StatusRequest | LogRequest | WaitRequest:
    """Return what the words after `verb` ask for. Raises UsageError with one line that says what is wrong."""
    row = VERBS[verb]
    program = f"lowrun {verb}"
    parsed = parse_mixed(row.table, words, program)
    names = tuple(supervise.check_name(os.path.basename(word) or word) for word in parsed.words)
    if not parsed.values.get("help"):
        if len(names) < row.least:
            raise UsageError(f"no NAME given; lowrun status lists them; see {program} --help")
        if len(names) > row.most:
            raise UsageError(f"{names[row.most]!r}: {verb} takes one NAME only")
    return row.request(names=names, **parsed.values)


EXAMPLES = {
    "stop": ("stop lighttpd",),
    "status": ("status", "status lighttpd --json"),
    "restart": ("restart lighttpd",),
    "reload": ("reload lighttpd",),
    "log": ("log lighttpd -f", "log --output -n 20 lighttpd"),
    "wait": ("wait lighttpd --until ready --timeout 10",),
}


def help_text(verb: str) -> str:
    """Return what --help prints."""
    from lowrun.cli.help import option_lines

    row = VERBS[verb]
    examples = "".join(f"  lowrun {example}\n" for example in EXAMPLES[verb])
    return (
        f"usage: lowrun {verb} [OPTIONS] {row.usage}\n\n{row.text}\n\noptions:\n{option_lines(row.table)}"
        f"\nexamples:\n{examples}\nexit: {row.exits},\n"
        "      4 there is no program of that name, 2 wrong usage, 125 lowrun itself failed\n"
    )
