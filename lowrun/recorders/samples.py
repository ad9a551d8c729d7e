"""Records what a run and its machine did, tick by tick: processes, CPU, memory, disks, network cards.

    start -- sample 0 -- [exec] -- tick -- tick -- tick ... tree gone -- last sample -- tables, if kept
                            |
                            +-- from here on the tree below the run's keeper is looked at

Looks at the tree are C's alone (_native/sampler_due.c says when they are due); Python reads the machine's counters
after some of them. Records go to a file without a name; tables are made of them only when the run is kept. The last
row's totals are those of the run's usage: exact, or empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lowrun.core.loop import Loop, Source
from lowrun.core.sampling import ASKED, BROKEN, MORE, NativeSampler
from lowrun.core.tape import Tape
from lowrun.errors import UnsupportedError, UsageError
from lowrun.runs.recorder import RunInfo
from lowrun.runs.slices import Slices
from lowrun.values import Artifact, Usage

if TYPE_CHECKING:
    from lowrun.samples.files import Ending, SampleFiles
    from lowrun.samples.machine import Machine

__all__ = ["Samples"]

#: Seconds.
SHORTEST, LONGEST = 0.001, 86400.0
NOTHING_KNOWN = Usage(None, None, None, None)


class Samples:
    """Keeps `processes.csv`, `memory.csv`, `disk.csv`, `network.csv` (docs/samples.md).

    And a chart of them, `samples.svg`, with the extra `lowrun[plot]`.

    `interval` is the time between two samples in seconds, 0.001 or more. There is one at the start and one at the end
    in any case. Raises UsageError.
    """

    name = "samples"

    def __init__(self, interval: float = 0.1) -> None:
        if not SHORTEST <= interval <= LONGEST:
            raise UsageError(f"samples are taken every {SHORTEST:g} to {LONGEST:g} seconds")
        self._interval_ns = int(interval * 1e9)
        self._run: RunInfo | None = None
        self._looks: Source | None = None
        self._records: Tape | None = None
        self._sampler: NativeSampler | None = None
        self._machine: Machine | None = None
        self._ending: Ending | None = None
        self._files: SampleFiles | None = None
        self._slices: Slices | None = None
        self._loop: Loop | None = None
        self._executed = self._broken = self._drawn = False

    def start(self, run: RunInfo, loop: Loop) -> None:
        """Take the first sample. Raises OSError."""
        self.discard()
        try:
            self._begin(run, loop)
        except BaseException:
            self.discard()
            raise
        run.count_io()
        run.when_started(self._watch)
        run.settle(self._settle)

    def _begin(self, run: RunInfo, loop: Loop) -> None:
        from lowrun.samples.machine import Machine
        from lowrun.samples.records import file_header

        self._run, self._loop = run, loop
        self._slices = Slices(run, loop, self._make_tables)
        self._executed = self._broken = self._drawn = False
        self._machine = Machine()
        head = file_header(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        self._records = Tape(run.scratch, head, None if run.window is None else run.window.size)
        self._sampler = NativeSampler(self._records.fileno())
        self._looks = self._sampler.start(loop, self._interval_ns, partial(self._looked, self._sampler))
        self._read_machine(0, whole=True)

    def _watch(self, _pid: int, keeper: int) -> None:
        assert self._sampler is not None and self._run is not None
        self._executed = True
        try:
            self._sampler.watch(keeper)
        except (UnsupportedError, OSError) as error:
            self._end_looks()
            self._run.fault(f"samples: none between the start and the end: {error}")

    # -- looks

    def _read_machine(self, at_ns: int, whole: bool = False) -> None:
        assert self._sampler is not None and self._machine is not None
        self._sampler.append(self._machine.read(at_ns, whole))
        self._sampler.ask(self._machine.due_ns)

    def _looked(self, sampler: NativeSampler, news: int) -> None:
        assert self._loop is not None
        try:
            if news & BROKEN:
                sampler.flush()
            if news & ASKED:
                self._read_machine(sampler.last.time_ns, whole=self._turn_if_full(sampler))
        except OSError as error:
            self._break_off(error)
        if news & MORE:
            self._loop.call_soon(partial(self._go_on, sampler))

    def _turn_if_full(self, sampler: NativeSampler) -> bool:
        """Go on with another file when this one is full; tell whether that is so: it shall have all of the machine."""
        records = self._records
        if records is None or records.size is None or records.room:
            return False
        self._turn(records, sampler)
        return True

    @staticmethod
    def _turn(records: Tape, sampler: NativeSampler) -> None:
        records.turn()
        sampler.redirect(records.fileno())

    def _go_on(self, sampler: NativeSampler) -> None:
        if self._looks is None or self._sampler is not sampler:
            return  # the run has ended, or another has begun
        if sampler.go_on():
            assert self._loop is not None
            self._loop.call_soon(partial(self._go_on, sampler))

    def _break_off(self, error: OSError) -> None:
        """Record no more: the disk is full, or the like. Where only the last samples matter, a turn makes room."""
        assert self._run is not None and self._records is not None and self._sampler is not None
        if self._records.size is None:
            self._end_looks()
        else:
            self._turn(self._records, self._sampler)
        if not self._broken:
            self._broken = True
            where = f"in {self._run.scratch}; free some space or choose another directory"
            self._run.fault(f"samples: recorded only in part: {error.strerror} {where}")

    def _end_looks(self) -> None:
        looks, self._looks = self._looks, None
        if looks is not None:
            looks.close()

    def _take_ending(self) -> None:
        """Take the last sample: the tree is gone, or its run is cut short."""
        from lowrun.samples.files import Ending

        assert self._sampler is not None and self._machine is not None
        self._end_looks()
        if self._ending is None:
            now, last = self._sampler.elapsed_ns, self._sampler.last
            machine = self._machine.read(now, whole=True)
            self._ending = Ending(now, self._sampler.missed, last.cpu_ns, last.peak_kib, machine)
            try:
                self._sampler.flush()
            except OSError as error:
                self._break_off(error)

    # -- the tables

    def _settle(self, done: Callable[[], None]) -> None:
        """Make the tables in the loop, a slice at a time, if the run is to be kept: others go on meanwhile."""
        assert self._run is not None
        self._end_looks()
        if not (self._run.kept and self._executed):
            done()
            return
        self._take_ending()
        assert self._slices is not None
        self._slices.settle(done)

    def _make_tables(self, seconds: float) -> bool:
        """Go on with the tables for some time, and draw the chart then; True when all is there. Raises OSError."""
        whole = self._opened_files().step(seconds)
        if whole:
            self._draw()
        return whole

    def _draw(self) -> None:
        """Draw the chart, once, where the library is; one that cannot be drawn is a fault, and the tables are kept."""
        from shlex import join

        from lowrun.samples import chart

        assert self._run is not None and self._ending is not None
        if self._drawn or not chart.is_available():
            return
        self._drawn = True
        try:
            self._opened_files().draw(self._ending, join(self._run.command.argv))
        except OSError:
            raise
        except Exception as error:
            self._run.fault(f"samples: samples.svg is not drawn: {error}")

    def _opened_files(self) -> SampleFiles:
        from lowrun.samples.files import SampleFiles

        assert self._records is not None and self._run is not None
        if self._files is None:
            self._files = SampleFiles(self._records, self._run.scratch, self._since_ns)
        return self._files

    @property
    def _since_ns(self) -> int:
        """From when on samples are wanted: nanoseconds since the start."""
        assert self._run is not None and self._ending is not None
        window = self._run.window
        return 0 if window is None or window.seconds is None else self._ending.time_ns - int(window.seconds * 1e9)

    def stop(self) -> None:
        """Take the last sample, if it was not taken when the tree was gone."""
        assert self._machine is not None and self._run is not None and self._slices is not None
        self._slices.pause()
        if self._run.kept or self._run.interrupted:
            self._take_ending()
        self._end_looks()
        for text in self._machine.faults:
            self._run.fault(f"samples: {text}")

    def keep(self, into: Path) -> list[Artifact]:
        """Name the tables in `into`; [] when the command was not executed. Raises OSError."""
        assert self._run is not None and self._slices is not None
        try:
            if not self._executed:
                return []
            self._take_ending()
            assert self._ending is not None
            files = self._opened_files()
            self._slices.finish("the tables were")
            files.finish(self._ending, self._run.usage or NOTHING_KNOWN)
            size = None if self._run.window is None else self._run.window.size
            return [Artifact(name, path) for name, path in files.link(into, size).items()]
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget the records."""
        self._end_looks()
        if self._slices is not None:
            self._slices.pause()
        for closable in (self._files, self._sampler, self._records):
            if closable is not None:
                closable.close()
        self._files = self._sampler = self._records = self._ending = None
