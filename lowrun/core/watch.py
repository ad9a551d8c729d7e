"""The end of a process that is no child of ours: one that ran before us, or a daemon that escaped its keeper.

Its pidfd polls readable when all of its threads have ended (pidfd_open(2)). Since Linux 6.15 that tells how, too,
once its parent has reaped it (`_native/pidfd.c`). On older kernels a keeper follows it by ptrace(2), which passes on
every signal unchanged (`_native/keeper/watch.c`); there a program of which another thread than the first executes a new
one is lost sight of. Where that is refused its end is noticed, but its status is known only if we come to see it before
its parent has: a zombie's is in /proc/PID/stat (proc(5)).
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable

from lowrun._native import ffi, lib
from lowrun.core import kernel
from lowrun.core.keeper import Keeper
from lowrun.core.lineage import hold, read_stat
from lowrun.core.loop import IoSource, Loop
from lowrun.core.procfs import effective_capabilities
from lowrun.errors import ClosedError, GoneError, SpawnError
from lowrun.steps import tell
from lowrun.values import ExitStatus

__all__ = ["Watch"]

#: What makes /proc tell us the exit code of another user's zombie.
CAP_SYS_PTRACE = 19


@functools.cache
def pidfds_tell_exits() -> bool:
    """Return True when this kernel tells by a pidfd how a process has ended; it is tried, once."""
    return int(lib.lr_pidfd_tells_exit()) == 1


def told_by_pidfd(pidfd: int) -> ExitStatus | None:
    """Return how the process ended, None while it is not reaped, or where the kernel does not tell."""
    out = ffi.new("int *")
    return ExitStatus.from_wait(out[0]) if lib.lr_pidfd_status(pidfd, out) == 1 else None


def _may_look() -> bool:
    with open("/proc/self/status", errors="surrogateescape") as file:
        return bool(effective_capabilities(file.read()) >> CAP_SYS_PTRACE & 1)


class Watch:
    """Calls `on_exit(status)` once, when the process `pid` has ended; with None when nobody can know how.

    `start_time` is that of /proc/PID/stat, in ticks: another process that has the pid by now is not watched. Nothing is
    ever done to the process, and it lives on when we end. `reason` says why a status is not known, or will not be.
    Raises GoneError when there is no such process any more, OSError.
    """

    def __init__(self, loop: Loop, pid: int, start_time: int, on_exit: Callable[[ExitStatus | None], object]) -> None:
        self.pid = pid
        self.reason: str | None = None
        self._on_exit = on_exit
        self._start_time = start_time
        self._keeper: Keeper | None = None
        self._held = hold(pid)
        self._source: IoSource | None = None
        if self._held.start != start_time:
            self._held.close()
            raise GoneError(errno.ESRCH, f"process {pid} has ended, its pid may be another's")
        if not pidfds_tell_exits():
            self._keeper = Keeper(loop)
            self._keeper.watch(pid, self)
        self._source = loop.add_io(self._held.fileno(), kernel.READ, self._ready)

    def send_signal(self, number: int) -> None:
        """Send it a signal. Raises GoneError, PermissionError."""
        try:
            self._held.send_signal(number)
        except ClosedError as error:
            raise GoneError("the process has ended") from error

    # -- by the pidfd

    def _ready(self, events: int) -> None:
        if self._keeper is not None and self._keeper.busy:
            self._drop_source()
            self._keeper.end()
            return
        status = self._known()
        if status is None and not events & kernel.HANGUP and pidfds_tell_exits():
            assert self._source is not None
            self._source.watch(0)  # a zombie: its parent has yet to reap it, which is a hang-up
            return
        if status is None:
            self.reason = self.reason or "this kernel does not tell how a process that is no child has ended"
        self._finish(status)

    def _known(self) -> ExitStatus | None:
        told = told_by_pidfd(self._held.fileno())
        if told is not None:
            return told
        stat = read_stat(self.pid)
        if stat is None or stat.start != self._start_time or stat.state != "Z":
            return None
        return ExitStatus.from_wait(stat.exit_code) if stat.exit_code or _may_look() else None

    # -- by a keeper (Watcher)

    def watched(self) -> None:
        """See Watcher."""
        tell("watch", "pid %d is followed by ptrace", self.pid)

    def failed(self, error: SpawnError) -> None:
        """See Watcher."""
        self.reason = (
            f"pid {self.pid} may not be traced ({error.strerror}), so how it ends is not known; run lowrun as root"
        )
        tell("watch", "%s", self.reason)
        self._finish_if_ended()

    def ended(self, status: int | None) -> None:
        """See Watcher."""
        if status is None:
            self.reason = "another thread than the process's first executed another program: it was lost sight of"
        self._finish(None if status is None else ExitStatus.from_wait(status))

    def lost(self) -> None:
        """See Watcher."""
        self.reason = "the keeper that followed it was killed"
        self._finish_if_ended()

    # -- the end

    def _finish_if_ended(self) -> None:
        """The keeper is of no more use; if the pidfd has told of the end already, nothing else will."""
        if self._source is None:
            self._finish(self._known())

    def _finish(self, status: ExitStatus | None) -> None:
        self.close()
        self._on_exit(status)

    def _drop_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def close(self) -> None:
        """Watch no more; the process goes on. The second time does nothing."""
        self._drop_source()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()
        self._held.close()
