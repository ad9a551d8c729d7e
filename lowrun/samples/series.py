"""Series of figures for charts, of a run's records. Pure.

A run of hours has more ticks than a chart has room for, so at most `points` are kept: when there are more, every
second one goes and from then on only every second (fourth...) one is taken. Rates are made of the counters at the
points that are kept, so nothing that happened between them is lost; of sizes a point has the largest since the last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from lowrun.samples.records import Card, Disk, Memory, ProcessSample, Record, Tick

__all__ = ["Flow", "Series", "SeriesMaker", "series_of"]

NAN = math.nan
POINTS = 1000


@dataclass(slots=True)
class Flow:
    """Bytes per second in two directions; entry I is the mean from `times[I - 1]` to `times[I]`, NaN: not known.

    `read` is what was read or received, `written` what was written or sent.
    """

    times: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Series:
    """What a run did, for charts. Times are seconds since it began, ascending; lists of one group are equally long."""

    #: Of the tree. 100 is one core; the mean since the point before.
    times: list[float] = field(default_factory=list)
    cpu_percent: list[float] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    #: The largest sum since the point before.
    rss_kib: list[int] = field(default_factory=list)
    #: Bytes by calls, whatever they were about, and bytes of storage devices.
    calls: Flow = field(default_factory=Flow)
    storage: Flow = field(default_factory=Flow)
    #: Of the machine: memory that is available.
    machine_times: list[float] = field(default_factory=list)
    available_kib: list[float] = field(default_factory=list)
    #: Network cards and block devices that had traffic, by name, in the order in which they were met.
    cards: dict[str, Flow] = field(default_factory=dict)
    disks: dict[str, Flow] = field(default_factory=dict)


class _Points:
    """Rows that begin with a time in nanoseconds, thinned out. The columns `largest` keep their largest value."""

    def __init__(self, limit: int, largest: tuple[int, ...] = ()) -> None:
        self.rows: list[list[float]] = []
        self._limit, self._largest = limit, largest
        self._stride, self._waiting = 1, 0

    def add(self, row: list[float]) -> None:
        """Take a row."""
        if self._waiting:
            # The one before is not final: this one stands in its place, with the larger of the largest.
            self._merge(self.rows.pop(), row)
        self.rows.append(row)
        self._waiting = (self._waiting + 1) % self._stride
        if len(self.rows) > self._limit and not self._waiting:
            self._thin()

    def add_after(self, before: float, row: list[float]) -> None:
        """Take a row; what was not recorded at the moment `before` stood still until then."""
        if self.rows and self.rows[-1][0] < before:
            self.add([before, *self.rows[-1][1:]])
        self.add(row)

    def _merge(self, before: list[float], row: list[float]) -> None:
        for column in self._largest:
            row[column] = max(row[column], before[column])

    def _thin(self) -> None:
        """Keep the first row, and of the others every second."""
        first, others = self.rows[0], self.rows[1:]
        for before, row in zip(others[::2], others[1::2], strict=False):
            self._merge(before, row)
        odd = others[-1:] if len(others) % 2 else []
        self.rows = [first, *others[1::2], *odd]
        self._stride *= 2
        self._waiting = self._stride // 2 if odd else 0

    def rates(self, column: int) -> list[float]:
        """Return the growth of a counter per second, from each row's predecessor to it; 0 for the first."""
        found = [0.0] if self.rows else []
        for before, row in zip(self.rows, self.rows[1:], strict=False):
            seconds, growth = (row[0] - before[0]) / 1e9, row[column] - before[column]
            # What is not known stays so: no comparison with NaN is true.
            found.append(0.0 if seconds <= 0 or growth < 0 else growth / seconds)
        return found

    def column(self, column: int) -> list[float]:
        """Return a column."""
        return [row[column] for row in self.rows]

    def times(self) -> list[float]:
        """Return the times in seconds."""
        return [row[0] / 1e9 for row in self.rows]

    def flow(self, read: int, written: int) -> Flow:
        """Return two counters' rates."""
        return Flow(self.times(), self.rates(read), self.rates(written))


class SeriesMaker:
    """Makes series of records that come in batches."""

    def __init__(self, points: int = POINTS) -> None:
        self._limit = points
        self._ticks = _Points(points, largest=(4,))
        self._memory = _Points(points)
        self._cards: dict[bytes, _Points] = {}
        self._disks: dict[bytes, _Points] = {}
        #: The machine's reading before the last one, and the last one.
        self._before = self._now = 0.0

    def add(self, records: Iterable[Record]) -> None:
        """Take records, in their order."""
        for record in records:
            if isinstance(record, ProcessSample):
                continue
            if isinstance(record, Tick):
                self._ticks.add(_tick_row(record))
            elif isinstance(record, Memory):
                self._memory.add([record.time_ns, record.available / 1024])
                self._before, self._now = self._now, float(record.time_ns)
            elif isinstance(record, Card):
                self._device(self._cards, record.name, [record.time_ns, record.received_bytes, record.sent_bytes])
            elif isinstance(record, Disk):
                self._device(self._disks, record.name, [record.time_ns, record.read_bytes, record.written_bytes])

    def _device(self, devices: dict[bytes, _Points], name: bytes, row: list[float]) -> None:
        if name not in devices:
            devices[name] = _Points(self._limit)
        devices[name].add_after(self._before, row)

    def series(self) -> Series:
        """Return the series of all that was taken."""
        ticks = self._ticks
        return Series(
            times=ticks.times(),
            cpu_percent=[100 * rate / 1e9 for rate in ticks.rates(1)],
            processes=[int(value) for value in ticks.column(2)],
            threads=[int(value) for value in ticks.column(3)],
            rss_kib=[int(value) for value in ticks.column(4)],
            calls=ticks.flow(5, 6),
            storage=ticks.flow(7, 8),
            machine_times=self._memory.times(),
            available_kib=self._memory.column(1),
            cards=_flows(self._cards),
            disks=_flows(self._disks),
        )


def series_of(records: Iterable[Record], points: int = POINTS) -> Series:
    """Return the series of all `records`."""
    maker = SeriesMaker(points)
    maker.add(records)
    return maker.series()


def _tick_row(tick: Tick) -> list[float]:
    read = written = storage_read = storage_written = NAN
    if tick.io is not None:
        read, written, _, _, storage_read, storage_written, _ = tick.io
    cpu = NAN if tick.cpu_ns is None else tick.cpu_ns
    return [
        tick.time_ns, cpu, tick.processes, tick.threads, tick.rss_kib, read, written, storage_read, storage_written,
    ]  # fmt: skip


def _flows(found: dict[bytes, _Points]) -> dict[str, Flow]:
    """Return the flows of those that moved anything."""
    flows = {name.decode(errors="replace"): points.flow(1, 2) for name, points in found.items()}
    return {name: flow for name, flow in flows.items() if any(flow.read) or any(flow.written)}
