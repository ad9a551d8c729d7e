"""The options of `lowrun start`: the table, and the request that its words make.

Each row has the name that the setting has in the library and in a file; how its value is read stands there, too
(lowrun/supervise/options.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from lowrun import UsageError, notation, supervise
from lowrun.cli import words as command_words
from lowrun.cli.parser import GROUPS as ACCOUNT_GROUPS
from lowrun.cli.parser import USERS, Option, Parsed, parse

__all__ = ["START_OPTIONS", "StartRequest", "help_text", "read_start"]


class StartRequest(NamedTuple):
    """What the user asked for."""

    #: One, or all of `file`.
    programs: tuple[supervise.Program, ...] = ()
    #: Stay in the foreground.
    foreground: bool = False
    #: The file that the programs come from, an absolute path.
    file: str | None = None
    #: What their relative paths are from.
    directory: str = ""
    #: What to tell the user before all else.
    hints: tuple[str, ...] = ()
    debug: bool = False
    help: bool = False


#: Option -> what a shell offers as its value; `ready` has values that begin so.
OFFERS = {
    "respawn": ("failure", "always", "never"),
    "ready": ("notify", "fd=", "pidfile", "tcp=", "log="),
    "stop-signal": ("TERM", "INT", "QUIT", "HUP", "KILL", "USR1", "USR2", "WINCH"),
    "reload-signal": ("HUP", "USR1", "USR2", "WINCH"),
    "on-lost": ("kill", "keep"),
    "output": ("file", "syslog", "pass"),
    "user": (USERS,),
    "group": (ACCOUNT_GROUPS,),
    "groups": (ACCOUNT_GROUPS,),
}


def _row(name: str, text: str, value: str = "", short: tuple[str, ...] = ()) -> Option:
    """Return the row of a setting."""
    setting = supervise.SETTINGS[name]
    kind = setting.kind
    return Option(
        name,
        (*short, f"--{name}"),
        text,
        value,
        kind.read or str,
        setting.many,
        kind.bare if kind.read is not None else None,
        takes_path=name == "pidfile",
        offers=OFFERS.get(name, ()),
    )


def _pid(text: str) -> int:
    pid = notation.count(text)
    if pid >= 1 << 22:
        raise ValueError("a process id is needed")
    return pid


#: Title -> rows, as --help shows them.
GROUPS = {
    "start again": (
        _row("respawn", "start PROGRAM again when it fails, or always", "[=always]"),
        _row("respawn-limit", "at most NUM respawns in a row (default 0: no limit)", "NUM", ("-n",)),
        _row("respawn-timeout", "wait so long before a respawn (default 5)", "SEC", ("-t",)),
        _row("backoff", "double that time with each respawn in a row, up to MAX", "MAX"),
        _row("stable-after", "a life longer than that begins a new row (default 60)", "SEC"),
        _row("start-limit", "give up after N starts within SEC seconds", "N/SEC"),
        _row("success-exit-status", "codes that are a normal end (default 0)", "LIST", ("-e",)),
        _row("restart-prevent", "codes after which there is no respawn", "LIST"),
    ),
    "daemons, readiness, the end": (
        _row("pidfile", "PROGRAM is a daemon that writes PIDFILE (default /run/PROGRAM.pid)", "[PIDFILE]", ("-p",)),
        Option("attach", ("--attach",), "begin with the process PID that runs already", "PID", _pid),
        _row("ready", "it serves when: notify, fd=N, pidfile, tcp=HOST:PORT, log=REGEX", "HOW"),
        _row("start-timeout", "that long it may take until then (default 90)", "SEC"),
        _row("watchdog", "it sends WATCHDOG=1 at least that often, or hangs", "SEC"),
        _row("stop-signal", "what ends it (default TERM)", "SIG"),
        _row("stop-timeout", "from that to SIGKILL for its whole tree (default 10)", "SEC"),
        _row("reload-signal", "what `lowrun reload` sends it (default HUP)", "SIG"),
        _row("on-lost", "when lowrun is killed: kill it, or keep it (default kill)", "WHAT"),
    ),
    "what it starts in": (
        _row("user", "run it as this user, with its groups", "USER"),
        _row("group", "its group", "GROUP"),
        _row("groups", "its other groups", "LIST"),
        _row("chroot", "its root directory", "DIR"),
        _row("cwd", "its working directory (default /, with -D lowrun's own)", "DIR"),
        _row("env", "set a variable; can be given again", "NAME=VALUE"),
        _row("env-file", "set the variables that FILE has; can be given again", "FILE"),
        _row("umask", "its file mode creation mask, octal", "MASK"),
        _row("nice", "its nice value", "N"),
        _row("limit", "a resource limit: nofile=1024:4096; can be given again", "NAME=SOFT:HARD"),
        _row("oom-score-adj", "from -1000 (never killed for memory) to 1000", "N"),
        _row("memory-limit", "memory of its whole tree (a cgroup's)", "SIZE"),
        _row("cpu-limit", "CPU time of its whole tree, in percent of one processor", "PERCENT"),
        _row("socket", "listen at tcp:HOST:PORT or unix:PATH for it; can be given again", "WHERE"),
    ),
    "what it writes, and commands beside it": (
        _row("output", "file, syslog or pass (default file, see lowrun log --output)", "WHERE"),
        _row("pass-output", "with -D: its output is lowrun's"),
        _row("log-size", "size at which output.log is rotated (default 10M)", "SIZE"),
        _row("log-keep", "how many old ones are kept (default 3)", "N"),
        _row("pre", "run CMD before each life", "CMD"),
        _row("post", "run CMD once it serves", "CMD"),
        _row("on-exit", "run CMD after each life", "CMD"),
    ),
    "what is kept of lives that end in failure (in STATE/NAME/failures)": (
        _row("sys-trace", "disk, memory, process and network figures", short=("-st",)),
        _row("call-trace", "every system call", short=("-ct",)),
        _row("log-trace", "stdout and stderr", short=("-lt",)),
        _row("net-trace", "the packets", short=("-nt",)),
        _row("calls", "with -ct: these only: names, %file %process ..., ! negates", "SET"),
        _row("keep-binary", "with -ct: keep the binary records, too"),
        _row("interval", "with -st: time between samples (default 0.1)", "SEC"),
        _row("net-interface", "with -nt: here only; can be given again", "IFACE", ("-i",)),
        _row("net-filter", "with -nt: these packets only (pcap-filter(7))", "EXPR"),
        _row("net-ring-size", "with -nt: the kernel's room for an interface's packets (32M)", "SIZE"),
        _row("snaplen", "with -nt: keep that many bytes of a packet (default all)", "BYTES"),
        _row("last", "only the last SEC seconds of a life", "SEC"),
        _row("last-size", "only the last SIZE bytes of each file (default 64M)", "SIZE"),
        _row("keep-failures", "of the last N failures (default 10)", "N"),
    ),
    "lowrun itself": (
        Option("foreground", ("-D", "--foreground"), "stay in the foreground"),
        Option("name", ("--name",), "call it NAME (default PROGRAM's base name)", "NAME", supervise.check_name),
        Option("file", ("-f", "--file"), "start the programs of a TOML file", "FILE", notation.some("a path")),
        Option("debug", ("-d", "--debug"), "log each step lowrun itself takes"),
        Option("help", ("-h", "--help"), "print this"),
    ),
}
START_OPTIONS = tuple(row for rows in GROUPS.values() for row in rows)
#: What may stand beside -f; all else is said in the file.
BESIDE_FILE = frozenset(("foreground", "file", "debug", "help"))


def read_start(words: Sequence[str]) -> StartRequest:
    """Return what the words after `start` ask for. Raises UsageError with one line that says what is wrong."""
    parsed = parse(START_OPTIONS, words, "lowrun start")
    own = {name: parsed.values[name] for name in ("foreground", "debug", "help") if name in parsed.values}
    if parsed.values.get("help"):
        return StartRequest(**own)
    if "file" in parsed.values:
        file = os.path.abspath(parsed.values["file"])
        request = StartRequest(_of_file(parsed), file=file, directory=os.path.dirname(file), **own)
    else:
        argv, hints = _command(parsed)
        directory = os.getcwd()
        program = _program(parsed, argv, directory)
        hints = (*hints, *_hints_at_respawn(parsed, argv))
        request = StartRequest((program,), directory=directory, hints=hints, **own)
    if not request.foreground and any(program.output == "pass" for program in request.programs):
        raise UsageError("--pass-output needs -D: in the background there is nobody to pass output to")
    return request._replace(hints=(*request.hints, *_warnings(request)))


def _hints_at_respawn(parsed: Parsed, argv: Sequence[str]) -> list[str]:
    """`--respawn always PROGRAM`: what follows an option whose value can be left out is PROGRAM."""
    word = argv[0] if argv else ""
    if "respawn" not in parsed.values or word not in OFFERS["respawn"] or command_words.names_file(word):
        return []
    return [f"hint: there is no program {word}; if you mean when to respawn: --respawn={word}"]


def _warnings(request: StartRequest) -> list[str]:
    dashes, respawn = ("--", "--respawn") if request.file is None else ("", "respawn = true")
    found = ((program.name, supervise.unheeded(program)) for program in request.programs)
    return [
        f"warning: {name} is never respawned, so nothing comes of {', '.join(dashes + option for option in options)}; "
        f"give {respawn}, too"
        for name, options in found
        if options
    ]


def _of_file(parsed: Parsed) -> tuple[supervise.Program, ...]:
    for option in START_OPTIONS:
        if option.field in parsed.values and option.field not in BESIDE_FILE:
            raise UsageError(f"{option.names[-1]} beside -f: say it in the file, in a program's table")
    if parsed.words:
        raise UsageError(f"{parsed.words[0]!r} beside -f: the file says what is started")
    return tuple(supervise.load(parsed.values["file"]))


def _command(parsed: Parsed) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return PROGRAM with its arguments, () without one, and what to tell the user about it."""
    argv = parsed.words
    if argv[1:2] == ("--",) and not parsed.dashed:
        argv = (argv[0], *argv[2:])
    split = command_words.split(argv)
    operators = command_words.shell_words(argv[0]) if split != argv else []
    return split, (command_words.hint(argv[0], operators),) if operators else ()


def _program(parsed: Parsed, argv: tuple[str, ...], directory: str) -> supervise.Program:
    given = {name: value for name, value in parsed.values.items() if name in supervise.SETTINGS}
    name, attach = parsed.values.get("name"), parsed.values.get("attach")
    if not argv and attach is None:
        raise UsageError("no PROGRAM given; see lowrun start --help")
    if not argv and given.get("respawn", "never") != "never":
        raise UsageError("--attach with --respawn needs PROGRAM: what is started when the process has ended")
    if attach is not None:
        given["attach"] = attach
        running = supervise.running_command(attach)
        argv = argv or running.argv
        name = name or (running.name if argv is running.argv else None)
    if name is None:
        try:
            supervise.check_name(os.path.basename(argv[0]))
        except UsageError as error:
            raise UsageError(f"{error}; give one by --name") from None
    return supervise.make_program(name, argv, given, directory, dashes="--")


HEAD = """\
usage: lowrun start [OPTIONS] PROGRAM [[--] ARG...]
       lowrun start [-D] -f FILE.toml

Start PROGRAM and keep it running, in the background. It comes back when PROGRAM runs (with
--ready: serves), or says why it does not.
"""

TAIL = """
examples:
  lowrun start --respawn lighttpd -D -f /srv/web.conf
                                                     again 5 s after each failure
  lowrun start --respawn --cwd . lighttpd -D -f web.conf
                                                     the same; without --cwd it would look in /
  lowrun start --respawn -e 0,1 -p lighttpd -- -f /etc/lighttpd/lighttpd.conf
                                                     a daemon, with its pidfile
  lowrun start --respawn=always -t 0.5 --backoff 60 --start-limit 10/600 ./job
  lowrun start --user www-data --limit nofile=4096 --socket tcp:127.0.0.1:8080 ./server
  lowrun start -f /etc/lowrun.toml                   many programs in one process
  lowrun status; lowrun log server -f; lowrun stop server

exit: 0 it runs (with -D: it has ended normally), 1 it failed or was given up,
      2 wrong usage, 125 lowrun itself failed
"""


def help_text() -> str:
    """Return what --help prints."""
    from lowrun.cli.help import option_lines

    return HEAD + "".join(f"\n{title}:\n{option_lines(rows)}" for title, rows in GROUPS.items()) + TAIL
