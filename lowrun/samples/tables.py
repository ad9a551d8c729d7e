"""Four CSV tables of a run's records. Pure: records in, bytes out.

RFC 4180, lines end with a newline. A cell is empty where a figure was not known, or is another kind of row's. Names
are in as they are, whatever bytes they have: only quoted where a comma, a quote or a line break is in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lowrun.samples.records import Card, Disk, Memory, ProcessSample, Record, Tick

__all__ = ["HEADERS", "Tables"]

#: The file's name without .csv -> its columns.
HEADERS = {
    "disk": (
        "time_s,row,device,call_read_bytes,call_written_bytes,call_reads,call_writes,storage_read_bytes,"
        "storage_written_bytes,storage_cancelled_bytes,storage_reads,storage_writes,busy_s"
    ),
    "memory": "time_s,rss_kib,pss_kib,peak_kib,swap_kib,machine_available_kib,machine_total_kib",
    "processes": (
        "time_s,row,pid,ppid,name,state,processes,threads,cpu_percent,cpu_s,user_s,sys_s,rss_kib,start_s,"
        "processes_total,late_s,missed_ticks"
    ),
    "network": (
        "time_s,card,received_bytes,received_packets,receive_errors,receive_drops,sent_bytes,sent_packets,"
        "send_errors,send_drops"
    ),
}
SPECIAL = re.compile('[,"\r\n]')


def quoted(name: bytes) -> str:
    """Return a cell that holds `name`; a character stands for the byte of its number."""
    text = name.decode("latin-1")
    return text if SPECIAL.search(text) is None else '"' + text.replace('"', '""') + '"'


def _seconds(ns: int | None) -> str:
    return "" if ns is None else f"{ns / 1e9:.6f}"


def _cell(value: int | None) -> str:
    return "" if value is None else str(value)


class _Counters:
    """A device's counters since the run began; one that starts anew from 0 goes on from where it was."""

    def __init__(self, first: Sequence[int]) -> None:
        self._last = list(first)
        self.values = [0] * len(first)

    def add(self, now: Sequence[int]) -> None:
        """Take the counters as they are now."""
        for i, (before, value) in enumerate(zip(self._last, now, strict=True)):
            self.values[i] += value - before if value >= before else value
        self._last = list(now)


class _Known:
    """A process as it was at the tick before, and the cells of its row that seldom change."""

    __slots__ = ("cpu_ns", "head", "head_of", "tail", "tail_of")

    def __init__(self) -> None:
        self.cpu_ns = 0
        self.head = self.tail = ""
        self.head_of: tuple[object, ...] = ()
        self.tail_of: tuple[object, ...] = ()


class Tables:
    """Makes the tables' text; `take` it now and then. `boot_ns` is when the run began, on CLOCK_BOOTTIME."""

    def __init__(self, boot_ns: int) -> None:
        self._boot_ns = boot_ns
        self._lines: dict[str, list[str]] = {name: [f"{header}\n"] for name, header in HEADERS.items()}
        self._processes = self._lines["processes"]
        self._time_ns = 0
        self._time_s = ""
        #: Percent of a core for a nanosecond of the processor, since the tick before.
        self._per_ns = 0.0
        self._cpu_ns: int | None = 0
        #: (pid, start) -> the process at the tick before, and at this one.
        self._before: dict[tuple[int, int], _Known] = {}
        self._met: dict[tuple[int, int], _Known] = {}
        #: The row of memory.csv, which the machine's figures may follow.
        self._memory: str | None = None
        self._devices: dict[tuple[type, bytes], _Counters] = {}
        #: What is new in a later one came to be during the run.
        self._first_reading = True

    def add(self, records: Iterable[Record]) -> None:
        """Take records, in their order."""
        for record in records:
            if isinstance(record, ProcessSample):
                self._process(record)
            elif isinstance(record, Tick):
                self._tick(record)
            elif isinstance(record, Memory):
                self._end_memory(f"{record.available // 1024},{record.total // 1024}")
            elif isinstance(record, Disk):
                self._disk(record)
            else:
                self._card(record)

    def end(self) -> None:
        """No more records will come."""
        self._end_memory(",")

    def take(self) -> dict[str, bytes]:
        """Return the text since the last time: the file's name without .csv -> bytes."""
        taken = {name: "".join(lines).encode("latin-1") for name, lines in self._lines.items()}
        for lines in self._lines.values():
            lines.clear()
        return taken

    def _tick(self, tick: Tick) -> None:
        self._end_memory(",")
        self._first_reading = self._first_reading and tick.time_ns == 0
        passed, self._time_ns = tick.time_ns - self._time_ns, tick.time_ns
        self._per_ns = 100 / passed if passed > 0 else 0.0
        self._before, self._met = self._met, {}
        self._time_s = time_s = _seconds(tick.time_ns)
        percent = ""
        if tick.cpu_ns is not None and self._cpu_ns is not None and not tick.last:
            percent = f"{max(0, tick.cpu_ns - self._cpu_ns) * self._per_ns:.1f}"
        self._cpu_ns = tick.cpu_ns
        cpu = f"{percent},{_seconds(tick.cpu_ns)},{_seconds(tick.user_ns)},{_seconds(tick.sys_ns)}"
        self._processes.append(
            f"{time_s},tree,,,,,{tick.processes},{tick.threads},{cpu},{tick.rss_kib},,"
            f"{_cell(tick.processes_total)},{_seconds(tick.late_ns)},{tick.missed}\n"
        )
        sizes = f"{_cell(tick.pss_kib)},{_cell(tick.peak_kib)},{_cell(tick.swap_kib)}"
        self._memory = f"{time_s},{tick.rss_kib},{sizes},"
        io = ",,,,,," if tick.io is None else ",".join(map(str, tick.io))
        self._lines["disk"].append(f"{time_s},tree,,{io},,,\n")

    def _end_memory(self, cells: str) -> None:
        """Write the row of memory.csv that waits for the machine's figures."""
        row, self._memory = self._memory, None
        if row is not None:
            self._lines["memory"].append(f"{row}{cells}\n")

    def _process(self, process: ProcessSample) -> None:
        pid, ppid, threads, state, start_ns, cpu_ns, user_ns, sys_ns, rss_kib, name = process
        key = pid, start_ns
        known = self._before.get(key) or _Known()
        self._met[key] = known
        head_of, tail_of = (ppid, threads, state, name), (user_ns, sys_ns, rss_kib)
        if known.head_of != head_of:
            known.head_of = head_of
            known.head = f",process,{pid},{ppid},{quoted(process.name)},{state.decode('latin-1')},,{threads},"
        if known.tail_of != tail_of:
            known.tail_of = tail_of
            start_s = max(0, start_ns - self._boot_ns) / 1e9
            known.tail = f",{user_ns / 1e9:.6f},{sys_ns / 1e9:.6f},{rss_kib},{start_s:.2f},,,\n"
        used, known.cpu_ns = cpu_ns - known.cpu_ns, cpu_ns
        percent = used * self._per_ns if used > 0 else 0.0
        self._processes.append(f"{self._time_s}{known.head}{percent:.1f},{cpu_ns / 1e9:.6f}{known.tail}")

    def _since_start(self, record: Disk | Card) -> list[int]:
        key = type(record), record.name
        now = record[2:]
        counters = self._devices.get(key)
        if counters is None:
            first = now if self._first_reading else (0,) * len(now)
            counters = self._devices[key] = _Counters(first)
        counters.add(now)
        return counters.values

    def _disk(self, disk: Disk) -> None:
        read, written, reads, writes, busy_ms = self._since_start(disk)
        cells = f"{read},{written},,{reads},{writes},{busy_ms / 1e3:.3f}"
        self._lines["disk"].append(f"{_seconds(disk.time_ns)},device,{quoted(disk.name)},,,,,{cells}\n")

    def _card(self, card: Card) -> None:
        cells = ",".join(map(str, self._since_start(card)))
        self._lines["network"].append(f"{_seconds(card.time_ns)},{quoted(card.name)},{cells}\n")
