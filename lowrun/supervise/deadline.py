"""What happens to a program at a time that is known: the end of a delay, SIGKILL; one of them at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from lowrun.core.loop import Loop, Timer
from lowrun.supervise.policy import Event

__all__ = ["Deadline"]


class Deadline:
    """Calls `happened(event)` when its time has come; `at` is when, on CLOCK_MONOTONIC, in seconds."""

    def __init__(self, loop: Loop, happened: Callable[[Event], object]) -> None:
        self._loop, self._happened = loop, happened
        self._timer: Timer | None = None
        self.at = 0.0

    @property
    def armed(self) -> bool:
        """True while something is to come."""
        return self._timer is not None

    def arm(self, after: float, event: Event) -> None:
        """Let `event` happen after so many seconds; what was to come before does not."""
        self.disarm()
        self.at = time.monotonic() + after
        self._timer = self._loop.add_timer(max(0.0, after), lambda: self._come(event))

    def _come(self, event: Event) -> None:
        self.disarm()
        self._happened(event)

    def disarm(self) -> None:
        """Let nothing happen; the second time does nothing."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()
