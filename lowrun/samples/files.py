"""The tables of a run and their chart as files, made a slice at a time: hours of samples take a while."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import time
from collections.abc import Generator
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

from lowrun.core.fd import UnnamedFile, write_all
from lowrun.samples.chart import POINTS, draw, panels_of
from lowrun.samples.records import HEADER_SIZE, Record, Tick, boot_ns, read
from lowrun.samples.series import SeriesMaker
from lowrun.samples.tables import HEADERS, Tables
from lowrun.values import Usage

__all__ = ["Ending", "SampleFiles"]

CHART = "samples.svg"
#: Records between two looks at the clock; a millisecond's worth or two.
BATCH = 256
#: Batches until the pages of the mapped file are given back.
BATCHES_IN_MEMORY = 64


class Ending(NamedTuple):
    """The sample when the tree was gone."""

    time_ns: int
    #: Ticks left out before it.
    missed: int
    #: The last that was seen: CPU time, the largest process.
    cpu_ns: int
    peak_kib: int
    #: Records of the machine's counters.
    machine: bytes

    def exact(self, usage: Usage) -> Tick:
        """Return the last tick: what the whole tree used, and None for what is not known."""
        user_ns = None if usage.user_s is None else round(usage.user_s * 1e9)
        sys_ns = None if usage.sys_s is None else round(usage.sys_s * 1e9)
        # The times of wait4 are cut to microseconds; what was seen is no less.
        cpu_ns = None if user_ns is None or sys_ns is None else max(user_ns + sys_ns, self.cpu_ns)
        io = None if usage.io is None else astuple(usage.io)
        sums = self.seen()._replace(cpu_ns=cpu_ns, user_ns=user_ns, sys_ns=sys_ns, peak_kib=usage.max_rss_kib, io=io)
        return sums._replace(last=True, processes_total=usage.processes)

    def seen(self) -> Tick:
        """Return the last tick as it was seen."""
        return Tick(self.time_ns, 0, self.missed, 0, 0, self.cpu_ns, None, None, 0, self.peak_kib, 0, 0, None)


class SampleFiles:
    """The tables and the chart of the file `records` (descriptor), which stays open and unchanged meanwhile.

    `step` until it is true, then `draw`, if a chart is wanted, and `finish`, then `link`; close it (a context manager).
    The files have no names before, and are in `directory`'s file system. Raises OSError.
    """

    def __init__(self, records: int, directory: Path) -> None:
        with contextlib.ExitStack() as stack:
            self._directory = directory
            #: The file's name -> the file.
            self._files = {f"{name}.csv": stack.enter_context(UnnamedFile(directory)) for name in HEADERS}
            self._mapped = stack.enter_context(mmap.mmap(records, 0, prot=mmap.PROT_READ))
            self._data = stack.enter_context(memoryview(self._mapped))
            self._tables, self._series = Tables(boot_ns(self._data)), SeriesMaker(POINTS)
            stack.callback(self._forget)
            self._records = self._read()
            self._whole = False
            self._stack = stack.pop_all()

    def _read(self) -> Generator[Record, None, None]:
        """Yield the records, and do not keep in memory what has been read of the file."""
        with self._data[HEADER_SIZE:] as body:
            records = read(body)
            while batch := list(itertools.islice(records, BATCH * BATCHES_IN_MEMORY)):
                yield from batch
                self._mapped.madvise(mmap.MADV_DONTNEED)

    def _forget(self) -> None:
        """Let go of the mapped file, which cannot be closed while it is read."""
        self._records.close()

    def step(self, seconds: float) -> bool:
        """Go on for some time; tell whether all but the ending is written."""
        until = time.monotonic() + seconds
        while not self._whole and time.monotonic() < until:
            batch = list(itertools.islice(self._records, BATCH))
            self._tables.add(batch)
            self._series.add(batch)
            self._write()
            self._whole = len(batch) < BATCH
        return self._whole

    def draw(self, ending: Ending, title: str) -> None:
        """Draw the chart, if it is not there yet. Raises UnsupportedError: there is nothing to draw with."""
        if CHART in self._files:
            return
        self._series.add([ending.seen(), *read(memoryview(ending.machine))])
        text = draw(panels_of(self._series.series()), title).encode()
        file = self._stack.enter_context(UnnamedFile(self._directory))
        write_all(file.fileno(), text)
        self._files[CHART] = file

    def finish(self, ending: Ending, usage: Usage) -> None:
        """Write the last rows."""
        self._tables.add([ending.exact(usage), *read(memoryview(ending.machine))])
        self._tables.end()
        self._write()

    def _write(self) -> None:
        for name, text in self._tables.take().items():
            write_all(self._files[f"{name}.csv"].fileno(), text)

    def link(self, into: Path) -> dict[str, Path]:
        """Name the files; returns the artifacts' names and paths."""
        paths = {}
        for name, file in self._files.items():
            file.link(into / name)
            paths["samples" if name == CHART else name.removesuffix(".csv")] = into / name
        return paths

    def close(self) -> None:
        """Forget them; what was linked stays."""
        self._stack.close()

    def __enter__(self) -> SampleFiles:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
