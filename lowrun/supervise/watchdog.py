"""A program that has to say that it lives: WATCHDOG=1 every so often (sd_watchdog_enabled(3)).

The messages come by notify.py. WATCHDOG_PID is not set: it would tell every process but the command itself that the
watchdog is none of its business, a daemon's main process and one behind a shell included; without it, it is for all.
A timerfd is armed while a ready program runs, so one without a watchdog costs no wake-up.
"""

from __future__ import annotations

from collections.abc import Callable

from lowrun.core.loop import Loop, Timer
from lowrun.supervise.notify import Notice

__all__ = ["Watchdog"]


class Watchdog:
    """The watchdog of one program, for all its lives; `env` goes into its environment.

    `seconds` is the longest silence; a program may set another (WATCHDOG_USEC=) for the life it is in.
    """

    def __init__(self, loop: Loop, seconds: float) -> None:
        self.env = {"WATCHDOG_USEC": str(max(1, round(seconds * 1e6)))}
        self._loop = loop
        self._asked = self._seconds = seconds
        self._timer: Timer | None = None
        self._on_late: Callable[[str], object] | None = None

    def begin(self, on_late: Callable[[str], object]) -> None:
        """A life is ready: from now on it has to be heard. Call `on_late(reason)`, once, when it is not."""
        self.end()
        self._on_late = on_late
        self._timer = self._loop.add_timer(self._seconds, self._late)

    def heard(self, notice: Notice) -> None:
        """The program has said this, ready or not."""
        if notice.watchdog is not None:
            self._seconds = notice.watchdog
        if self._timer is None:
            return
        if notice.hangs:
            self._tell("it says itself that it hangs (WATCHDOG=trigger)")
        elif notice.alive or notice.watchdog is not None:
            self._timer.set(self._seconds)

    def end(self) -> None:
        """The life is over, or told to end."""
        self._on_late = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    def renew(self) -> None:
        """A new life begins, with the time that was asked for at first."""
        self.end()
        self._seconds = self._asked

    #: No life follows.
    close = end

    def _late(self) -> None:
        self._tell(f"its watchdog has heard nothing for {self._seconds:g} s")

    def _tell(self, reason: str) -> None:
        on_late = self._on_late
        self.end()
        if on_late is not None:
            on_late(reason)
