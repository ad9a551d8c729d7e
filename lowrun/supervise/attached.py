"""The first life of a program that runs already: `lowrun start --attach PID`.

It is no child of ours and has no keeper: its end is told by its pidfd, or by a listening ptrace that passes on every
signal (core/watch.py). So there is no tree to speak of: signals go to the process itself, and what it leaves behind is
not ours. Nobody can promise that it ends, either: it may have become another user's (a setuid program), or be held by
the kernel. Then it is let go of, alive.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from lowrun.core.lineage import descends, hold
from lowrun.core.loop import Loop, Timer
from lowrun.core.watch import Watch
from lowrun.errors import DeniedError, GoneError, UsageError
from lowrun.supervise.life import Over
from lowrun.supervise.settings import Program
from lowrun.values import ExitStatus

__all__ = ["AttachedLife", "check_attached"]

INIT = 1
#: What has not ended so long after SIGKILL is let go of; seconds.
UNDYING_AFTER = 5.0


def check_attached(program: Program) -> None:
    """Raise UsageError when `program` begins with a process that lowrun cannot keep running and end: the first one of
    all, lowrun itself, what lowrun runs below, a thread of the kernel; DeniedError when it may not be sent signals;
    GoneError when there is none. To be asked before lowrun becomes a daemon: then it is nobody's child any more.
    """
    pid = program.attach
    if pid is None:
        return
    if pid == INIT:
        raise UsageError(f"process {pid} cannot be attached to: all others here end with it")
    if pid == os.getpid() or descends(os.getpid(), pid):
        raise UsageError(f"process {pid} cannot be attached to: lowrun itself runs in it or below it")
    with hold(pid) as held:
        if held.is_kernel_thread:
            raise UsageError(f"process {pid} cannot be attached to: it is a thread of the kernel")
        try:
            held.send_signal(0)
        except PermissionError as error:
            text = f"process {pid} may not be sent signals by you, so lowrun could not stop it; run lowrun as its user"
            raise DeniedError(text) from error


class AttachedLife:
    """See the module; the same to its owner as `Life`. Raises GoneError when there is no such process, DeniedError."""

    keeper_pid: int | None = None
    ready = True

    def __init__(
        self,
        pid: int,
        loop: Loop,
        *,
        on_main: Callable[[int], object],
        on_exit: Callable[[int, ExitStatus | None], object],
        on_ready: Callable[[], object],
        on_over: Callable[[Over], object],
    ) -> None:
        self._loop, self._on_exit, self._on_over = loop, on_exit, on_over
        self._timer: Timer | None = None
        with hold(pid) as held:
            self.start: int | None = held.start
            self._watch = Watch(loop, pid, held.start, self._ended)
        self.pid: int | None = pid
        on_main(pid)
        on_ready()

    def send_signal(self, number: int) -> bool:
        """Send it a signal; False when it has ended, or may not be sent one."""
        try:
            self._watch.send_signal(number)
        except OSError:
            return False
        return True

    def end(self, number: int) -> None:
        """Send it the signal `number`, which is to end it: it alone is ours."""
        try:
            self._watch.send_signal(number)
        except GoneError:  # its end will be told
            pass
        except PermissionError:
            self._loop.call_soon(lambda: self._let_go("it has become another user's, and may not be sent signals"))

    def kill(self) -> None:
        """SIGKILL."""
        if self._timer is None:
            text = f"it has not ended within {UNDYING_AFTER:g} s after SIGKILL"
            self._timer = self._loop.add_timer(UNDYING_AFTER, lambda: self._let_go(text))
        self.end(signal.SIGKILL)

    def _ended(self, status: ExitStatus | None) -> None:
        pid, self.pid = self.pid, None
        assert pid is not None
        self._on_exit(pid, status)
        self._on_over(Over(pid, status, time.monotonic(), self._watch.reason or ""))

    def _let_go(self, why: str) -> None:
        pid, self.pid = self.pid, None
        if pid is not None:
            self.close()
            self._on_over(Over(pid, None, time.monotonic(), f"proc {pid} is let go of and lives on: {why}"))

    def close(self) -> None:
        """Watch no more; the process lives on."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()
        self._watch.close()
