"""The tables of a run and their chart as files, made a slice at a time: hours of samples take a while."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

from lowrun.core.fd import UnnamedFile, write_all
from lowrun.core.tape import Tape, copy_range, lines_behind
from lowrun.samples.chart import POINTS, draw, panels_of
from lowrun.samples.records import Record, Tick, boot_ns, read
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
    """The tables and the chart of a tape of records, which stays open and unchanged meanwhile.

    `step` until it is true, then `draw`, if a chart is wanted, and `finish`, then `link`; close it (a context manager).
    The files have no names before, and are in `directory`'s file system. Rows begin with the first sample of
    `since_ns` (nanoseconds since the start) that has one before it. Raises OSError.
    """

    def __init__(self, records: Tape, directory: Path, since_ns: int = 0) -> None:
        with contextlib.ExitStack() as stack:
            self._directory, self._since_ns = directory, since_ns
            #: The file's name -> the file.
            self._files = {f"{name}.csv": stack.enter_context(UnnamedFile(directory)) for name in HEADERS}
            parts = [self._mapped(part.fileno(), stack) for part in records.parts or [records.newer]]
            self._tables, self._series = Tables(boot_ns(parts[0][1])), SeriesMaker(POINTS)
            self._records: Iterator[Record] = itertools.chain.from_iterable(
                [self._read(*part, records.head) for part in parts]
            )
            stack.callback(self._forget)
            self._has_begun = self._whole = False
            #: A sample of the time before, which the figures between two begin with.
            self._seen_before = False
            self._write()
            self._stack = stack.pop_all()

    @staticmethod
    def _mapped(fd: int, stack: contextlib.ExitStack) -> tuple[mmap.mmap, memoryview]:
        mapped = stack.enter_context(mmap.mmap(fd, 0, prot=mmap.PROT_READ))
        return mapped, stack.enter_context(memoryview(mapped))

    @staticmethod
    def _read(mapped: mmap.mmap, data: memoryview, head: int) -> Generator[Record, None, None]:
        """Yield the records, and do not keep in memory what has been read of the file."""
        with data[head:] as body:
            records = read(body)
            while batch := list(itertools.islice(records, BATCH * BATCHES_IN_MEMORY)):
                yield from batch
                mapped.madvise(mmap.MADV_DONTNEED)

    def _forget(self) -> None:
        """Let go of the mapped files, which cannot be closed while they are read."""
        self._records = iter(())

    def step(self, seconds: float) -> bool:
        """Go on for some time; tell whether all but the ending is written."""
        until = time.monotonic() + seconds
        while not self._whole and time.monotonic() < until:
            batch = list(itertools.islice(self._records, BATCH))
            self._whole = len(batch) < BATCH
            self._add(batch if self._has_begun else self._begin(batch))
        return self._whole

    def _begin(self, batch: list[Record]) -> list[Record]:
        """Look for the first sample that is wanted, and return it and what follows; those before it are known then."""
        for place, record in enumerate(batch):
            if not isinstance(record, Tick):
                continue
            if self._since_ns <= record.time_ns and (self._seen_before or record.time_ns == 0):
                self._has_begun = True
                self._pass_over(batch[:place])
                return batch[place:]
            self._seen_before = True
        self._pass_over(batch)
        return []

    def _pass_over(self, batch: list[Record]) -> None:
        self._tables.add(batch)
        self._tables.end()
        self._tables.take()

    def _add(self, batch: list[Record]) -> None:
        self._tables.add(batch)
        self._series.add(batch)
        self._write()

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

    def link(self, into: Path, size: int | None = None) -> dict[str, Path]:
        """Name the files, or of each table its header and as many of its last lines as `size` bytes hold.

        Returns the artifacts' names and paths.
        """
        paths = {}
        for name, file in self._files.items():
            if name == CHART or size is None or os.fstat(file.fileno()).st_size <= size:
                file.link(into / name)
            else:
                self._link_end(file.fileno(), into / name, size)
            paths["samples" if name == CHART else name.removesuffix(".csv")] = into / name
        return paths

    def _link_end(self, table: int, path: Path, size: int) -> None:
        head, length = lines_behind(table, 1), os.fstat(table).st_size
        with UnnamedFile(self._directory) as end:
            copy_range(table, end.fileno(), 0, head)
            copy_range(table, end.fileno(), lines_behind(table, max(head, length - size + head)), length)
            end.link(path)

    def close(self) -> None:
        """Forget them; what was linked stays."""
        self._stack.close()

    def __enter__(self) -> SampleFiles:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
