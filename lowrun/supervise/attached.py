"""The first life of a program that runs already: `lowrun start --attach PID`.

It is no child of ours and has no keeper: its end is told by its pidfd, or by a listening ptrace that passes on every
signal (core/watch.py). So there is no tree to speak of: signals go to the process itself, and what it leaves behind is
not ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lowrun.core.lineage import hold
from lowrun.core.loop import Loop
from lowrun.core.watch import Watch
from lowrun.errors import GoneError
from lowrun.supervise.life import Over
from lowrun.values import ExitStatus

__all__ = ["AttachedLife"]


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
        self._on_exit, self._on_over = on_exit, on_over
        with hold(pid) as held:
            self.start: int | None = held.start
            self._watch = Watch(loop, pid, held.start, self._ended)
        self.pid: int | None = pid
        on_main(pid)
        on_ready()

    def send_signal(self, number: int) -> bool:
        """Send it a signal; False when it has ended."""
        try:
            self._watch.send_signal(number)
        except GoneError:
            return False
        return True

    #: It alone is ours.
    end = send_signal

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(9)

    def _ended(self, status: ExitStatus | None) -> None:
        pid, self.pid = self.pid, None
        assert pid is not None
        self._on_exit(pid, status)
        self._on_over(Over(pid, status, time.monotonic(), self._watch.reason or ""))

    def close(self) -> None:
        """Watch no more; the process lives on."""
        self._watch.close()
