"""How far a longer work is: a line on a terminal, gone when it is done."""

from __future__ import annotations

import time

from lowrun.cli.console import STDERR, is_terminal, show

__all__ = ["Bar"]

#: Before a bar is drawn, and between two drawings; s.
QUIET_S = 0.7
DRAWING_S = 0.1


class Bar:
    """How far it is, on a terminal, when it takes longer than a moment; `what` is being done."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = time.monotonic() + QUIET_S
        self._shown = is_terminal(STDERR)
        self._drawn = False

    def draw(self, part: float) -> None:
        """Say how far it is, 0 to 1."""
        self.say(f"{100 * part:.0f} %")

    def say(self, how_far: str) -> None:
        """The same in other words."""
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + DRAWING_S
            self._drawn = True
            show(f"\r\x1b[Klowrun: {self._what}, {how_far}")

    def erase(self) -> None:
        """Take it away."""
        if self._drawn:
            show("\r\x1b[K")
