"""Many programs in one loop: their order, their keepers, and one word for each change.

    after, needs:  idle ... the others are ready --> start       a needed one has failed, or was stopped --> left out
    stop:          those that come after it are gone --> stop it

Each program comes to an end, be it that it was never started; what is over is told by the program itself.

A program is owned by its group alone; who looks on from above is told by `on_change`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

from lowrun.core.keepers import Keepers
from lowrun.core.loop import Loop
from lowrun.errors import GoneError, explain
from lowrun.supervise.ahead import load_ahead
from lowrun.supervise.journal import Journal
from lowrun.supervise.order import check_distinct, start_order
from lowrun.supervise.policy import Phase
from lowrun.supervise.program import Supervised
from lowrun.supervise.resources import Resources
from lowrun.supervise.settings import Program

__all__ = ["Group", "Place"]


class Place(Protocol):
    """Where a program's lines and its output go, and what its lives share; `Resources` are closed by the group."""

    def journal(self, program: Program) -> Journal:
        """Where its lines go."""

    def resources(self, program: Program, keepers: Keepers) -> Resources:
        """What all its lives share. Raises OSError, UsageError, DeniedError."""


class Group:
    """Keeps `programs` running in `loop`.

    `start` begins; `on_change(supervised)` comes after each change of one of them, `on_end()` when all have come
    to their end. Close it in the end (a context manager). Raises UsageError: two of one name, an order that cannot
    be; OSError and others when what a program needs cannot be had.
    """

    def __init__(
        self,
        loop: Loop,
        programs: Sequence[Program],
        place: Place,
        *,
        on_change: Callable[[Supervised], object] = lambda _program: None,
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        load_ahead()
        check_distinct(programs)
        start_order(programs)
        self._on_change, self._on_end = on_change, on_end
        self._loop, self._keepers = loop, Keepers(loop)
        self._resources: list[Resources] = []
        self.programs: dict[str, Supervised] = {}
        self._stopping = False
        #: Programs that are to be started when those that they come after are ready, but for those that have come to
        #: their end meanwhile.
        self._due: dict[str, Supervised] = {}
        self._is_looking = False
        #: Names of those that are not over.
        self._active = {program.name for program in programs}
        #: Name -> those that come after it.
        self._leaning: dict[str, list[str]] = {program.name: [] for program in programs}
        for program in programs:
            for name in {*program.after, *program.needs}:
                self._leaning[name].append(program.name)
        try:
            for program in programs:
                resources = place.resources(program, self._keepers)
                self._resources.append(resources)
                self.programs[program.name] = Supervised(
                    program,
                    loop,
                    self._keepers,
                    resources,
                    place.journal(program),
                    on_change=self._changed,
                    on_finish=self._finished,
                )
        except BaseException:
            self.let_go()
            raise

    # -- starting, in order

    def start(self) -> None:
        """Start all, each when those that it comes after are ready; nothing when they were told to stop."""
        if self._stopping:
            return
        self._due = dict(self.programs)
        self._start_due()

    def _start_due(self) -> None:
        self._is_looking = False
        self._due = {name: each for name, each in self._due.items() if each.phase is Phase.IDLE}
        for supervised in list(self._due.values()):
            if missing := self._missing(supervised.program):
                del self._due[supervised.name]
                supervised.leave_out(f"it needs {missing}")
            elif self._is_turn(supervised.program):
                del self._due[supervised.name]
                supervised.start()

    def _missing(self, program: Program) -> str:
        """Tell which of those that it needs will not come, and why; ""."""
        for name in program.needs:
            state = self.programs[name].state
            if state.phase is Phase.DONE and (state.exit_code != 0 or state.stopped):
                return f"{name}, which {'was stopped' if state.stopped else 'has failed'}"
        return ""

    def _is_turn(self, program: Program) -> bool:
        if any(name in self._due for name in program.after):
            return False
        return all(self.programs[name].phase in (Phase.RUNNING, Phase.DONE) for name in program.needs)

    # -- stopping, in reverse order

    def stop(self) -> None:
        """Stop all, each when those that come after it are gone; the second time what is being stopped is killed."""
        if self._stopping:
            self._hurry()
        self._due = {}
        for supervised in self.programs.values():
            supervised.bar("all programs of its supervisor are being stopped")
            if supervised.phase is Phase.IDLE:
                supervised.stop()
        self._stopping = True
        for supervised in reversed(list(self.programs.values())):
            self._stop_unless_leant_on(supervised)

    def _stop_unless_leant_on(self, supervised: Supervised) -> None:
        if all(self.programs[name].over for name in self._leaning[supervised.name]):
            supervised.stop()

    def _hurry(self) -> None:
        for supervised in self.programs.values():
            supervised.hurry()

    # -- what else can be asked

    def restart(self) -> None:
        """Restart each that was started, by itself, whatever leans on it; none when they were told to stop."""
        for supervised in self.programs.values():
            if supervised.was_started and not self._stopping:
                supervised.restart()

    def restart_one(self, supervised: Supervised, done: Callable[[], object]) -> None:
        """Restart it (see Supervised). Raises GoneError when it has ended and one that it needs is not there."""
        if supervised.phase is Phase.DONE and (missing := self._missing(supervised.program)):
            raise GoneError(f'"{supervised.name}" is not started: it needs {missing}')
        supervised.restart(done)

    def reload(self) -> None:
        """Send each its reload signal."""
        for supervised in self.programs.values():
            supervised.reload()

    # -- what programs say

    def _changed(self, supervised: Supervised) -> None:
        if supervised.over:
            self._active.discard(supervised.name)
        else:
            self._active.add(supervised.name)
        self._on_change(supervised)
        if self._due and not self._is_looking:
            self._is_looking = True
            self._loop.call_soon(self._start_due)

    def _finished(self, supervised: Supervised) -> None:
        self._active.discard(supervised.name)
        supervised.journal.stopped()
        if self._stopping:
            for name in (*supervised.program.after, *supervised.program.needs):
                self._stop_unless_leant_on(self.programs[name])
        if self.ended:
            self._on_end()

    @property
    def ended(self) -> bool:
        """True when nothing runs and nothing will be started."""
        return not self._active

    @property
    def exit_code(self) -> int:
        """0 when all have ended normally, 1 when one has failed or was never started."""
        return max((supervised.state.exit_code for supervised in self.programs.values()), default=0)

    def close(self) -> None:
        """End all at once."""
        for supervised in self.programs.values():
            supervised.close()
        self._keepers.close()
        for resources in self._resources:
            resources.close()
        self._resources.clear()

    def fail(self, error: Exception) -> None:
        """Part from all for `error`, a defect of lowrun or its host."""
        for supervised in self.programs.values():
            if not supervised.over:
                supervised.journal.warn(f"its supervisor has failed: {type(error).__name__}: {explain(error)}")
        self.let_go()

    def let_go(self) -> None:
        """Part from what is to outlive its supervisor, as one that is killed does; end all others at once."""
        self._keepers.let_go()
        for supervised in self.programs.values():
            if supervised.outlives:
                supervised.let_go()
        for resources in self._resources:
            if resources.stay is not None:
                resources.let_go()
        self.close()

    def __enter__(self) -> Group:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.let_go()
        else:
            self.close()
