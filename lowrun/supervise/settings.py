"""What is asked of a supervised program: frozen values, one field for each option of `lowrun start`. Pure.

Times are seconds, sizes bytes. The command line and a TOML file make them; nothing else is known of a program.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lowrun.errors import UsageError
from lowrun.values import Command, Word

__all__ = ["NAME_RULE", "Limits", "Program", "Recording", "Restart", "StartLimit", "check_name"]

#: A name is a directory's: no slash, not hidden, no blanks.
NAME_RULE = re.compile(r"[A-Za-z0-9_+@:,=%][A-Za-z0-9_+@:,=%.-]{0,127}")

OUTPUTS = ("file", "syslog", "pass")
ON_LOST = ("kill", "keep")


def check_name(name: str) -> str:
    """Return `name`. Raises UsageError when it can be no program's name."""
    if NAME_RULE.fullmatch(name) is None:
        raise UsageError(f"{name!r} can be no program's name: letters, digits and _+@:,=%.- are, up to 128 of them")
    return name


class StartLimit(NamedTuple):
    """At most `starts` starts within `seconds`."""

    starts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Restart:
    """When a program that has ended is started again.

    `when` is "never", "failure" or "always". `limit` counts respawns in a row, 0 is no limit; a life longer than
    `stable_after` begins a new row. Each respawn comes `delay` seconds after the end; with `backoff` that time
    doubles with each one in a row, up to `backoff` seconds. `start_limit` is (starts, seconds): no more starts within
    that time. Codes in `success` are a normal end; after one in `prevent` it is not started again. Raises UsageError.
    """

    when: str = "failure"
    limit: int = 0
    delay: float = 5.0
    backoff: float | None = None
    stable_after: float = 60.0
    start_limit: StartLimit | None = None
    success: frozenset[int] = frozenset({0})
    prevent: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.when not in ("never", "failure", "always"):
            raise UsageError(f"a program is respawned never, on failure or always, not {self.when!r}")
        if self.limit < 0 or self.delay < 0 or self.stable_after < 0 or (self.backoff or 0) < 0:
            raise UsageError("the limit and the times of a respawn are 0 or more")
        if self.start_limit is not None:
            object.__setattr__(self, "start_limit", StartLimit(*self.start_limit))
        for field in ("success", "prevent"):
            object.__setattr__(self, field, frozenset(getattr(self, field)))


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the whole tree, by a cgroup: bytes of memory, percent of one core; None: none."""

    memory: int | None = None
    cpu_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """What is recorded of each life, and kept of those that end in failure: the arguments of a run's recorders.

    Of each artifact the last `last` seconds (None: all) and at most `last_size` bytes are kept, of the last `keep` such
    lives.
    """

    calls: bool = False
    output: bool = False
    samples: bool = False
    packets: bool = False
    #: Of calls: the trace set, and whether the binary records are kept, too.
    only: str | None = None
    keep_binary: bool = False
    #: Of samples: the seconds between two.
    interval: float = 0.1
    #: Of packets.
    interfaces: tuple[str, ...] = ()
    filter: str | None = None
    ring_size: int | None = None
    snaplen: int | None = None
    last: float | None = None
    last_size: int = 64 << 20
    keep: int = 10


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised program.

    `pidfile`: it is a daemon that writes its main process's pid there. `ready` says how it tells that it serves:
    None, "notify", "fd=N", "pidfile", "tcp=HOST:PORT", "log=REGEX"; it and a pidfile may take `start_timeout`.
    `watchdog`: it has to send WATCHDOG=1 that often. `sockets` ("tcp:HOST:PORT", "unix:PATH", ...) are opened once and
    handed to each life (LISTEN_FDS). `output` is "file", "syslog" or "pass". `on_lost` is what becomes of it when
    lowrun is killed: "kill" or "keep". Hooks are argument lists. `attach` is the pid of a process that runs already
    and is the first life, whosever child it is. Raises UsageError.
    """

    name: str
    command: Command
    restart: Restart = Restart()
    pidfile: str | None = None
    ready: str | None = None
    start_timeout: float = 90.0
    watchdog: float | None = None
    stop_signal: int = signal.SIGTERM
    stop_timeout: float = 10.0
    reload_signal: int = signal.SIGHUP
    sockets: tuple[str, ...] = ()
    pre: tuple[str, ...] | None = None
    post: tuple[str, ...] | None = None
    on_exit: tuple[str, ...] | None = None
    output: str = "file"
    log_size: int = 10 << 20
    log_keep: int = 3
    on_lost: str = "kill"
    limits: Limits = Limits()
    oom_score_adj: int | None = None
    recording: Recording = Recording()
    attach: int | None = None
    #: Names of programs: started before it, ...
    after: tuple[str, ...] = ()
    #: ... and ready before it; without them it is not started.
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        for field, words in (("output", OUTPUTS), ("on_lost", ON_LOST)):
            if getattr(self, field) not in words:
                raise UsageError(f"{field} is one of {', '.join(words)}, not {getattr(self, field)!r}")
        for field in ("sockets", "pre", "post", "on_exit", "after", "needs"):
            value = getattr(self, field)
            if isinstance(value, str):
                raise UsageError(f"{field} is a sequence of texts, not one: ({value!r},)")
            if value is not None:
                object.__setattr__(self, field, tuple(value))
        for field in ("start_timeout", "stop_timeout", "watchdog", "log_size", "log_keep"):
            if (getattr(self, field) or 0) < 0:
                raise UsageError(f"{field} is 0 or more")

    @classmethod
    def of(cls, command: Command | Word | Sequence[Word], *, name: str | None = None, **settings: Any) -> Program:
        """Return the program that executes `command`; without `name` it has the base name of the file.

        `settings` are the fields of a Program. Raises UsageError.
        """
        command = Command.of(command)
        return cls(command.name if name is None else name, command, **settings)
