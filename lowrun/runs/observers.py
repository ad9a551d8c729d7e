"""The recorders of one execution, each isolated: what one raises is a fault of the record, never the execution's end.

    start --> [parked: seize] --> started ... the tree is gone --> settle --> stop --> keep or discard

Whoever owns the execution (a run, a life of a supervised program) makes one of it, calls it in that order, and asks
`info` meanwhile what the recorders want of the spawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lowrun.core.loop import Loop
from lowrun.errors import explain
from lowrun.runs.recorder import Recorder, RunInfo
from lowrun.steps import tell
from lowrun.values import Usage

__all__ = ["Observers"]


class Observers:
    """See the module. `info` is what the recorders see of the execution."""

    def __init__(self, info: RunInfo, loop: Loop) -> None:
        self.info = info
        self._loop = loop
        self._recorders: list[Recorder] = []
        self._has_stopped = False
        #: How many are not through yet, when the tree is gone, and who waits for them.
        self._settling = 0
        self._settled: Callable[[], None] | None = None

    def __bool__(self) -> bool:
        return bool(self._recorders)

    def start(self, recorders: Sequence[Recorder]) -> None:
        """Begin with each of them; one that raises is left out."""
        for recorder in recorders:
            try:
                recorder.start(self.info, self._loop)
            except Exception as error:
                self._blame(recorder, error)
            else:
                self._recorders.append(recorder)
                tell("run", "run %d: recorder %s started", self.info.index, recorder.name)

    def _blame(self, recorder: Recorder, error: Exception) -> None:
        tell("run", "recorder %s failed", recorder.name, error=error)
        self.info.fault(f"{recorder.name}: {explain(error)}")

    def seize(self, pid: int) -> frozenset[int] | None:
        """Let them seize the command, which waits before its exec; return the calls to be stopped at, None: all."""
        stops = None
        for seize in self.info.seizers:
            try:
                stops = seize(pid)
            except Exception as error:
                self.info.fault(str(error))
        return stops

    def started(self, pid: int, keeper: int) -> None:
        """Tell them that the command has been executed."""
        for started in self.info.starters:
            try:
                started(pid, keeper)
            except Exception as error:
                self.info.fault(str(error))

    @property
    def settling(self) -> bool:
        """True from `settle` until all are through."""
        return self._settled is not None

    def settle(self, done: Callable[[], None]) -> None:
        """Tell them that the tree is gone; call `done()` when all are through with what it left behind.

        That is at once for an execution that was interrupted, and may be within this call.
        """
        settlers = [] if self.info.interrupted else self.info.settlers
        self._settling, self._settled = len(settlers), done
        for settle in settlers:
            try:
                settle(self._is_through)
            except Exception as error:
                self.info.fault(str(error))
                self._is_through()
        if not settlers:
            self.hurry()

    def _is_through(self) -> None:
        self._settling -= 1
        if self._settling == 0:
            self.hurry()

    def hurry(self) -> None:
        """Wait for none of them any more."""
        done, self._settled = self._settled, None
        if done is not None:
            done()

    def stop(self) -> None:
        """End the recording; the second time does nothing."""
        if self._has_stopped:
            return
        self._has_stopped = True
        for recorder in list(self._recorders):
            try:
                recorder.stop()
            except Exception as error:
                self._blame(recorder, error)
                self._discard(recorder)
                self._recorders.remove(recorder)

    def testimonies(self) -> list[Usage]:
        """Return what they know of the tree's usage; after `stop`."""
        found = []
        for witness in self.info.witnesses:
            try:
                found.append(witness())
            except Exception as error:
                self.info.fault(f"usage: {error}")
        return found

    def keep(self, into: Path) -> dict[str, Path]:
        """Name what was recorded, in the directory `into`; returns the artifacts' names and paths."""
        artifacts: dict[str, Path] = {}
        while self._recorders:
            recorder = self._recorders.pop(0)
            try:
                tell("run", "run %d: keep %s in %s", self.info.index, recorder.name, into)
                artifacts.update((artifact.name, artifact.path) for artifact in recorder.keep(into))
            except Exception as error:
                self._blame(recorder, error)
        return artifacts

    def discard(self) -> None:
        """Forget what was recorded."""
        while self._recorders:
            self._discard(self._recorders.pop(0))

    def _discard(self, recorder: Recorder) -> None:
        try:
            recorder.discard()
        except Exception as error:
            self._blame(recorder, error)
