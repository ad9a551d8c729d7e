"""One line that says how far the runs are, on a terminal only, from the second run on.

While COMMAND's output is shown the line cannot stay in place: it would be
torn by the next output. Then it is a heading that ends in a newline, above
the output of the run that follows. With -q it is drawn over itself and erased
before anything else is said.
"""

from __future__ import annotations

import os
import time

from lowrun import Result
from lowrun.cli.console import STDERR, is_terminal, show
from lowrun.cli.summary import duration

__all__ = ["Progress", "progress_line"]

#: Seconds between two drawings in place: more is not seen and costs time.
DRAWING_S = 0.1
#: Seconds between two headings: they stay, so they must be few.
HEADING_S = 1.0


class Progress:
    """Counts results and draws the line; does nothing when standard error is no terminal."""

    def __init__(self, planned: int, *, quiet: bool) -> None:
        self._planned = planned
        self._ok = self._failed = 0
        self._shown = planned > 1 and is_terminal(STDERR)
        self._in_place = quiet
        self._drawn = False
        self._began = time.monotonic()
        self._next = 0.0

    def add(self, result: Result) -> None:
        """Count a completed run that was asked for; draw when there is something new to see."""
        self._ok += result.ok
        self._failed += not result.ok
        now = time.monotonic()
        if not self._shown or now < self._next or self._ok + self._failed >= self._planned:
            return
        self._next = now + (DRAWING_S if self._in_place else HEADING_S)
        line = progress_line(self._ok, self._failed, self._planned, now - self._began)
        if self._in_place:
            show("\r\x1b[K" + line[: self._columns() - 1])
            self._drawn = True
        else:
            show(line + "\n")

    def erase(self) -> None:
        """Take the line away before something else is said."""
        if self._drawn:
            show("\r\x1b[K")
            self._drawn = False

    @staticmethod
    def _columns() -> int:
        try:
            return os.get_terminal_size(STDERR).columns or 80
        except OSError:
            return 80


def progress_line(ok: int, failed: int, planned: int, elapsed_s: float) -> str:
    """Return the line after `ok` + `failed` of `planned` runs."""
    done = ok + failed
    left = elapsed_s / done * (planned - done)
    return f"lowrun: {done} of {planned} runs, {ok} ok, {failed} failed, about {duration(left)} to go"
