"""Frozen values: what is run, how it ended, what it used.

Pure: no clock, no process, no descriptor. Times are seconds (float), sizes
KiB where the name says so. A raw wait status is turned into `ExitStatus` once
and goes no further (wait(2) gives its bits).
"""

from __future__ import annotations

import os
import signal as _signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lowrun.errors import UsageError

__all__ = [
    "CODE_NOT_EXECUTABLE",
    "CODE_NOT_FOUND",
    "CODE_TIMED_OUT",
    "Artifact",
    "Command",
    "ExitStatus",
    "IoUsage",
    "Result",
    "Summary",
    "Usage",
    "most_frequent_code",
]

CODE_TIMED_OUT = 124
CODE_NOT_EXECUTABLE = 126
CODE_NOT_FOUND = 127
CODE_SIGNAL_BASE = 128

Word = str | bytes | os.PathLike[str] | os.PathLike[bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """A program, its arguments and the state it starts in.

    `argv` may hold str, bytes and paths; it is kept as str in the file
    system's encoding with surrogateescape, so any bytes survive. A field that
    is None is inherited from the caller as it is when the command starts.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    umask: int | None = None
    #: Signals blocked in the command; None: as in the calling thread.
    blocked: frozenset[int] | None = None
    #: Signals ignored in the command; None: as in the caller, but SIGPIPE and
    #: SIGXFSZ, which Python ignores for itself, are default.
    ignored: frozenset[int] | None = None
    #: "inherit", "group" (own process group) or "session" (own session).
    group: str = "inherit"
    #: name of a RLIMIT_ constant's number -> (soft, hard), in the limit's unit.
    rlimits: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None
    chroot: str | None = None
    #: nice value, -20 to 19.
    nice: int | None = None
    #: processors it may run on.
    affinity: frozenset[int] | None = None
    #: how soon the kernel kills it when memory runs out, -1000 (never) to 1000 (proc_pid_oom_score_adj(5)).
    oom_score_adj: int | None = None
    #: names of up to four environment variables that hold the command's own pid, as LISTEN_PID does (sd_listen_fds(3)).
    pid_variables: tuple[str, ...] = ()
    #: descriptor in the command -> descriptor of the caller, beside 0 to 2.
    fds: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, command: Command | Word | Sequence[Word]) -> Command:
        """Return `command` as a Command.

        Raises UsageError when it is empty or holds a NUL character.
        """
        if isinstance(command, Command):
            return command
        words = [command] if isinstance(command, (str, bytes, os.PathLike)) else list(command)
        if not words:
            raise UsageError("the command is empty")
        argv = tuple(os.fsdecode(word) for word in words)
        if any("\0" in word for word in argv):
            raise UsageError("the command holds a NUL character")
        return cls(argv)

    @property
    def name(self) -> str:
        """The program's base name."""
        return os.path.basename(self.argv[0]) or self.argv[0]


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended, as a shell counts it.

    `code` is the exit code, 128+S after signal S, 124 after a timeout, 127 or
    126 when the program could not be executed; `signal` is S or None;
    `reason` is the text of a failed exec, else None.
    """

    code: int
    signal: int | None = None
    reason: str | None = None

    @classmethod
    def from_wait(cls, status: int) -> ExitStatus:
        """Return the value of a raw wait status (wait(2))."""
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return cls(CODE_SIGNAL_BASE + number, number)
        return cls(os.WEXITSTATUS(status))

    def __str__(self) -> str:
        if self.reason is not None:
            return self.reason
        if self.signal is not None:
            try:
                return f"killed by {_signal.Signals(self.signal).name}"
            except ValueError:
                return f"killed by signal {self.signal}"
        return f"exit {self.code}"


@dataclass(frozen=True, slots=True)
class IoUsage:
    """What a process tree read and wrote, in bytes and in calls, as /proc/PID/io counts (proc_pid_io(5)).

    `read_bytes` and `written_bytes` went through calls, whatever they were about: files, pipes, terminals.
    `storage_read_bytes` and `storage_written_bytes` are what had to be fetched from or was meant for a device;
    `cancelled_bytes` of these were never written, because the file was truncated before.
    """

    read_bytes: int
    written_bytes: int
    reads: int
    writes: int
    storage_read_bytes: int
    storage_written_bytes: int
    cancelled_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process tree used; None is "not known exactly on this machine"."""

    user_s: float | None
    sys_s: float | None
    max_rss_kib: int | None
    processes: int | None
    io: IoUsage | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a recorder kept: its short name ("stdout") and its path."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Result:
    """One run, as it ended."""

    index: int
    command: Command
    status: ExitStatus
    ok: bool
    timed_out: bool
    interrupted: bool
    #: None when the command could not be executed.
    pid: int | None
    #: Wall clock with time zone (UTC).
    started: datetime
    #: Seconds from the command's exec to its end, on CLOCK_MONOTONIC.
    wall_s: float
    usage: Usage
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    #: What could not be recorded or known, and why; one sentence each.
    faults: tuple[str, ...] = ()

    @property
    def completed(self) -> bool:
        """True unless the run was interrupted."""
        return not self.interrupted


def most_frequent_code(results: Iterable[Result]) -> int | None:
    """Return the exit code that speaks for many runs, None without a completed one.

    The most frequent code of the completed runs; a tie goes to the failing
    code, and among failing codes to that of the lowest run number.
    """
    count: dict[int, int] = {}
    first: dict[int, int] = {}
    good: dict[int, bool] = {}
    for result in sorted((r for r in results if r.completed), key=lambda r: r.index):
        code = result.status.code
        count[code] = count.get(code, 0) + 1
        first.setdefault(code, result.index)
        good[code] = good.get(code, True) and result.ok
    if not count:
        return None
    return min(count, key=lambda code: (-count[code], good[code], first[code]))


@dataclass(frozen=True, slots=True)
class Summary:
    """Many runs of one command."""

    command: Command
    started: datetime
    wall_s: float
    interrupted: bool
    #: The directory that holds artifacts, None when nothing was kept.
    output: Path | None
    results: tuple[Result, ...]
    #: The signal that interrupted it, None without one.
    signal: int | None = None

    @property
    def codes(self) -> dict[int, list[int]]:
        """Exit code -> numbers of the completed runs that had it, ascending."""
        table: dict[int, list[int]] = {}
        for result in sorted(self.results, key=lambda r: r.index):
            if result.completed:
                table.setdefault(result.status.code, []).append(result.index)
        return dict(sorted(table.items()))

    @property
    def exit_code(self) -> int:
        """The code lowrun exits with: see `most_frequent_code`.

        Without a completed run 128+signal of the interruption.
        """
        code = most_frequent_code(self.results)
        if code is not None:
            return code
        return CODE_SIGNAL_BASE + (self.signal if self.signal is not None else _signal.SIGINT)
