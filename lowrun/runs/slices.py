"""Long work of a recorder, a slice at a time: other runs and a host's loop go on meanwhile."""

from __future__ import annotations

import errno
from collections.abc import Callable

from lowrun.core.loop import Loop
from lowrun.runs.recorder import RunInfo

__all__ = ["Slices"]

#: How long one slice is; seconds.
SLICE = 0.01


class Slices:
    """Calls `step(seconds)` until it returns True: all is made.

    From the loop with `settle`, and what is then left with `finish`. What `step` raises in the loop, it
    raises again when it is called by `finish`.
    """

    def __init__(self, run: RunInfo, loop: Loop, step: Callable[[float], bool]) -> None:
        self._run, self._loop, self._step = run, loop, step
        self._done: Callable[[], None] | None = None

    def settle(self, done: Callable[[], None]) -> None:
        """Work in the loop, then call `done()`; see RunInfo.settle."""
        self._done = done
        self._go_on()

    def _go_on(self) -> None:
        done = self._done
        if done is None:
            return
        try:
            whole = self._step(SLICE)
        except OSError:
            whole = True
        if whole:
            self._done = None
            done()
        else:
            self._loop.call_soon(self._go_on)

    def pause(self) -> None:
        """Do no more in the loop; `done` is not called any more."""
        self._done = None

    def finish(self, what: str) -> None:
        """Do the rest here and now. Raises what `step` does; InterruptedError when the run has no time left for it."""
        while not self._step(SLICE):
            if self._run.is_late():
                text = f"lowrun was told to end before {what} made; they are not kept: let it come to its end"
                raise InterruptedError(errno.EINTR, text)
