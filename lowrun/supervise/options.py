"""The options of a supervised program, by name: one table for the command line and for files, and what they make.

An option has one name, `respawn-limit`: `--respawn-limit 3`, and in a file `respawn-limit = 3`. Its value is read from
a text; what a file can say more aptly (numbers, arrays, tables) is brought into that form (`Kind.types`, `Kind.join`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lowrun import notation
from lowrun.errors import UsageError
from lowrun.supervise.environment import make_command, most_descriptors, resource_limit
from lowrun.supervise.readyspec import WAYS, check_descriptors, parse_ready
from lowrun.supervise.settings import Limits, Program, Recording, Restart, StartLimit
from lowrun.values import Command

__all__ = ["SETTINGS", "Kind", "Setting", "make_program", "unheeded"]


class Kind(NamedTuple):
    """What values an option takes."""

    #: What is asked for, in words.
    wanted: str
    #: Makes the value of a text; raises ValueError that says what is needed. None: it is a switch.
    read: Callable[[str], Any] | None
    #: What else than text a file may hold: it is read as if written out.
    types: tuple[type, ...] = ()
    #: Makes the value of an array of texts; None: no array is taken.
    join: Callable[[Sequence[str]], Any] | None = None
    #: The value of the name alone, and of `true` in a file; None: a value is needed.
    bare: object = None


class Setting(NamedTuple):
    """One option."""

    name: str
    kind: Kind
    #: It can be given again: its value is the tuple of all.
    many: bool = False


# -- what is particular to some


def _start_limit(text: str) -> StartLimit:
    starts, slash, time = text.partition("/")
    if not slash:
        raise ValueError("N/SEC is needed: at most N starts within SEC seconds")
    limit = StartLimit(notation.count(starts), notation.seconds(time))
    if not limit.seconds:
        raise ValueError("a time longer than 0 is needed")
    return limit


def _positive(text: str) -> float:
    number = notation.seconds(text)
    if not number:
        raise ValueError("a time longer than 0 is needed")
    return number


def _percent(text: str) -> float:
    try:
        number = notation.seconds(text.removesuffix("%"))
    except ValueError:
        number = 0.0
    if not number:
        raise ValueError("percent of one processor are needed")
    return number


def _memory(text: str) -> int:
    number = notation.size(text)
    if not number:
        raise ValueError("more than 0 bytes are needed")
    return number


def _argv(texts: Sequence[str]) -> tuple[str, ...]:
    if not texts or not texts[0]:
        raise ValueError("a command is needed")
    return tuple(texts)


def _ready(text: str) -> str:
    parse_ready(text)
    return text


def _socket(text: str) -> str:
    from lowrun.supervise.listening import parse_listening  # it loads the module socket

    parse_listening(text)
    return text


# -- kinds

SWITCH = Kind("true or false", None, bare=True)
TEXT = Kind("text", str)
PATH = Kind("a path", notation.some("a path"))
COMMAND = Kind("a command", notation.words, join=_argv)
COUNT = Kind("a whole number, at least 1,", notation.count, (int,))
WHOLE = Kind("a whole number", notation.whole, (int,))
SECONDS = Kind("a number of seconds", notation.seconds, (int, float))
POSITIVE = SECONDS._replace(read=_positive)
SIZE = Kind("a number of bytes, or of K, M or G as text,", notation.size, (int,))
SIGNAL = Kind("a signal", notation.signal_number, (int,))
CODES = Kind("codes from 0 to 255", notation.codes, (int,), lambda texts: notation.codes(",".join(texts)))
NAMES = Kind("an array of names", notation.names, (), lambda texts: notation.names(",".join(texts)))
ACCOUNT = Kind("a name or a number", notation.some("a name or a number"), (int,))


def one_of(*choices: str, bare: object = None) -> Kind:
    """Return the kind of what is one of `choices`."""
    wanted = f"{', '.join(choices[:-1])} or {choices[-1]}"
    return Kind(wanted, notation.one_of(*choices), bare=bare)


ALL = (
    # when it is started again
    Setting("respawn", one_of("failure", "always", "never", bare="failure")),
    Setting("respawn-limit", WHOLE),
    Setting("respawn-timeout", SECONDS),
    Setting("backoff", SECONDS),
    Setting("stable-after", SECONDS),
    Setting("start-limit", Kind("N/SEC", _start_limit)),
    Setting("success-exit-status", CODES),
    Setting("restart-prevent", CODES),
    # daemons, readiness, the end
    Setting("pidfile", Kind("a path", notation.absolute_path, bare="")),
    Setting("ready", Kind(WAYS, _ready)),
    Setting("start-timeout", POSITIVE),
    Setting("watchdog", POSITIVE),
    Setting("stop-signal", SIGNAL),
    Setting("stop-timeout", SECONDS),
    Setting("reload-signal", SIGNAL),
    Setting("on-lost", one_of("kill", "keep")),
    # what it starts in
    Setting("user", ACCOUNT),
    Setting("group", ACCOUNT),
    Setting("groups", NAMES._replace(types=(int,))),
    Setting("chroot", PATH),
    Setting("cwd", PATH),
    Setting("env", Kind("NAME=VALUE", notation.assignment), many=True),
    Setting("env-file", PATH, many=True),
    Setting("umask", Kind("an octal number as text", notation.umask)),
    Setting("nice", Kind("a whole number from -20 to 19", notation.between(-20, 19), (int,))),
    Setting("limit", Kind("NAME=SOFT:HARD", resource_limit), many=True),
    Setting("oom-score-adj", Kind("a whole number from -1000 to 1000", notation.between(-1000, 1000), (int,))),
    Setting("memory-limit", SIZE._replace(read=_memory)),
    Setting("cpu-limit", Kind("percent of one processor", _percent, (int, float))),
    Setting("socket", Kind("tcp:HOST:PORT or unix:PATH", _socket), many=True),
    # what it writes
    Setting("output", one_of("file", "syslog", "pass")),
    Setting("pass-output", SWITCH),
    Setting("log-size", SIZE),
    Setting("log-keep", Kind("a whole number up to 1000", notation.between(0, 1000), (int,))),
    # hooks
    Setting("pre", COMMAND),
    Setting("post", COMMAND),
    Setting("on-exit", COMMAND),
    # what is kept of lives that end in failure
    Setting("sys-trace", SWITCH),
    Setting("call-trace", SWITCH),
    Setting("log-trace", SWITCH),
    Setting("net-trace", SWITCH),
    Setting("calls", Kind("a set of calls", notation.some("a set of calls"))),
    Setting("keep-binary", SWITCH),
    Setting("interval", SECONDS),
    Setting("net-interface", Kind("an interface", notation.some("an interface")), many=True),
    Setting("net-filter", TEXT),
    Setting("net-ring-size", SIZE),
    Setting("snaplen", COUNT),
    Setting("last", POSITIVE),
    Setting("last-size", SIZE),
    Setting("keep-failures", COUNT),
    # other programs of the file
    Setting("after", NAMES),
    Setting("needs", NAMES),
)
#: By name.
SETTINGS = {setting.name: setting for setting in ALL}

#: Option -> field, for what goes into a value as it is.
RESTART = {
    "respawn": "when", "respawn-limit": "limit", "respawn-timeout": "delay", "backoff": "backoff",
    "stable-after": "stable_after", "start-limit": "start_limit",
}  # fmt: skip
RECORDING = {
    "sys-trace": "samples", "call-trace": "calls", "log-trace": "output", "net-trace": "packets", "calls": "only",
    "keep-binary": "keep_binary", "interval": "interval", "net-interface": "interfaces", "net-filter": "filter",
    "net-ring-size": "ring_size", "snaplen": "snaplen", "last": "last", "last-size": "last_size",
    "keep-failures": "keep",
}  # fmt: skip
PROGRAM = {
    "ready": "ready", "start-timeout": "start_timeout", "watchdog": "watchdog", "stop-signal": "stop_signal",
    "stop-timeout": "stop_timeout", "reload-signal": "reload_signal", "socket": "sockets", "pre": "pre", "post": "post",
    "on-exit": "on_exit", "output": "output", "log-size": "log_size", "log-keep": "log_keep", "on-lost": "on_lost",
    "oom-score-adj": "oom_score_adj", "attach": "attach", "after": "after", "needs": "needs",
}  # fmt: skip
LIMITS = {"memory-limit": "memory", "cpu-limit": "cpu_percent"}
#: What says how one recorder works -> the option that switches it on.
PARTICULARS = {
    "calls": "call-trace", "keep-binary": "call-trace", "interval": "sys-trace", "net-interface": "net-trace",
    "net-filter": "net-trace", "net-ring-size": "net-trace", "snaplen": "net-trace",
}  # fmt: skip
RECORDERS = ("call-trace", "log-trace", "sys-trace", "net-trace")
OF_FAILURES = ("last", "last-size", "keep-failures")


def make_program(
    name: str | None, argv: Sequence[str], given: Mapping[str, Any], directory: str, dashes: str = ""
) -> Program:
    """Return the program of `argv` with what is `given`, by option's name; relative paths are from `directory`.

    Without `name` it has the base name of what it executes. Raises UsageError with one line that says what is wrong,
    with `dashes` before the names of options.
    """
    _check(given, dashes)
    command = make_command(argv, given, directory)
    plain = Command.of(argv).name
    fields = _fields(PROGRAM, given)
    if given.get("pass-output"):
        fields["output"] = "pass"
    if "pidfile" in given:
        fields["pidfile"] = given["pidfile"] or f"/run/{plain}.pid"
    restart = {"when": "never", **_fields(RESTART, given)}
    for option, field in (("success-exit-status", "success"), ("restart-prevent", "prevent")):
        if option in given:
            restart[field] = frozenset(given[option])
    return Program(
        plain if name is None else name,
        command,
        restart=Restart(**restart),
        limits=Limits(**_fields(LIMITS, given)),
        recording=Recording(**_fields(RECORDING, given)),
        **fields,
    )


def unheeded(program: Program) -> list[str]:
    """Return the options of `program` that have no effect, because it is never respawned."""
    plain = Restart(program.restart.when)
    fields = {option: field for option, field in RESTART.items() if option != "respawn"} | {
        "restart-prevent": "prevent"
    }
    changed = [option for option, field in fields.items() if getattr(program.restart, field) != getattr(plain, field)]
    return changed if program.restart.when == "never" else []


def _fields(names: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    return {field: given[option] for option, field in names.items() if option in given}


def _check(given: Mapping[str, Any], dashes: str) -> None:
    """Raise UsageError for options that say nothing without another one."""
    for option, switch in PARTICULARS.items():
        if option in given and not given.get(switch):
            raise UsageError(f"{dashes}{option} says how {dashes}{switch} records: give {dashes}{switch}, too")
    for option in OF_FAILURES:
        if option in given and not any(given.get(name) for name in RECORDERS):
            known = ", ".join(dashes + name for name in RECORDERS)
            raise UsageError(f"{dashes}{option} says what is kept of failures: give one of {known}, too")
    if given.get("ready") == "pidfile" and "pidfile" not in given:
        raise UsageError(f"{dashes}ready pidfile needs one: give {dashes}pidfile, too")
    if given.get("pass-output") and given.get("output", "pass") != "pass":
        raise UsageError(f"give either {dashes}pass-output or {dashes}output, not both")
    ready = parse_ready(given["ready"]) if "ready" in given else None
    check_descriptors(ready, len(given.get("socket", ())))
    if ready is not None and ready.fd >= 0 and ready.fd >= (most := most_descriptors()):
        raise UsageError(f"{dashes}ready fd={ready.fd}: no descriptor here can be above {most - 1} (ulimit -Hn)")
    if ready is not None and ready.way == "log" and (given.get("pass-output") or given.get("output") == "pass"):
        raise UsageError(f"{dashes}ready log=... reads the output: not with {dashes}pass-output")
