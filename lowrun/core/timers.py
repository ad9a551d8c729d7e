"""The timers of a loop: as many as there are, one timerfd.

It is armed for the first that is due and made with the loop, so no timer is refused when no descriptor is left, and
to add or close one costs a system call only if it is the first.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left, insort
from collections.abc import Callable
from types import TracebackType

from lowrun.core import kernel
from lowrun.errors import ClosedError

__all__ = ["Timer", "Timers"]

#: Timers that fire at a turn of the loop, as many as epoll gives events.
MOST = 64


class Timer:
    """Calls back once after a time, or again and again; whoever added it closes it (or uses `with`)."""

    __slots__ = ("_callback", "_due", "_every", "_timers")

    def __init__(self, timers: Timers, after: float, every: float, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback
        self._timers = timers
        #: Its entry among `timers`; None when it has called back, for good.
        self._due: tuple[int, int] | None = None
        self.set(after, every)

    @property
    def closed(self) -> bool:
        """True after `close()`."""
        return self._callback is None

    def set(self, after: float, every: float = 0.0) -> None:
        """Arm it anew: first after `after` seconds, then every `every` seconds (0: once)."""
        if self.closed:
            raise ClosedError("the timer is closed")
        self._every = int(every * 1e9)
        due = self._due
        self._due = self._timers.add(self, int(after * 1e9))
        if due is not None:
            self._timers.remove(due)

    def fire(self, now: int) -> None:
        """Call back: its entry is taken out. What it missed is not made up for."""
        due = self._due
        assert due is not None
        self._due = None
        if self._every:
            self._due = self._timers.add(self, self._every - (now - due[0]) % self._every)
        if self._callback is not None:
            self._callback()

    def close(self) -> None:
        """Forget the callback; the second time does nothing."""
        self._callback = None
        due, self._due = self._due, None
        if due is not None:
            self._timers.remove(due)

    def __enter__(self) -> Timer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Timers:
    """The timers of a loop, by when they are due (CLOCK_MONOTONIC, nanoseconds), and the timerfd for the first."""

    def __init__(self) -> None:
        self.fd = kernel.timer_create()
        #: (when it is due, which of all it is), sorted; and whose it is.
        self._entries: list[tuple[int, int]] = []
        self._timers: dict[tuple[int, int], Timer] = {}
        self._count = 0
        #: What the timerfd is armed for, None when it is not.
        self._armed: int | None = None

    def add(self, timer: Timer, after: int) -> tuple[int, int]:
        """Return its entry: `fire` is called after so many nanoseconds."""
        self._count += 1
        entry = time.monotonic_ns() + after, self._count
        insort(self._entries, entry)
        self._timers[entry] = timer
        self._arm()
        return entry

    def remove(self, entry: tuple[int, int]) -> None:
        """Take an entry out."""
        del self._timers[entry]
        del self._entries[bisect_left(self._entries, entry)]
        self._arm()

    def _arm(self) -> None:
        first = self._entries[0][0] if self._entries else None
        if first != self._armed and self.fd >= 0:
            self._armed = first
            if first is None:
                kernel.timer_stop(self.fd)
            else:
                kernel.timer_set(self.fd, (first - time.monotonic_ns()) / 1e9)

    def run(self) -> None:
        """Fire those that are due, in their order, but no more than MOST: other sources have their turn, too.

        What one raises comes out; the others follow next time.
        """
        if self._armed is None or not kernel.counter_take(self.fd):
            return
        now = max(time.monotonic_ns(), self._armed)  # the kernel's word counts
        self._armed = None
        last = now, self._count
        try:
            for _ in range(MOST):
                if not self._entries or self._entries[0] > last:
                    break
                self._timers.pop(self._entries.pop(0)).fire(now)
        finally:
            self._arm()

    def close(self) -> None:
        """Close the timerfd; what is armed will not fire."""
        fd, self.fd = self.fd, -1
        os.close(fd)
