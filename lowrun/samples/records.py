"""The sampler's binary records as values.

The layout is that of _native/sampler.h (little-endian, no padding but what is named there); a test compares the
sizes. A file is a header, then records, each a multiple of 8 bytes. The last one may be cut short (the disk was full):
reading ends before it. C writes what was seen of the tree, Python what the machine's counters were.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "HEADER_SIZE", "LAYOUT", "Card", "Disk", "Memory", "ProcessSample", "Record", "Tick", "card_record", "disk_record",
    "file_header", "memory_record", "read",
]  # fmt: skip

MAGIC = b"lrsample"
#: Magic, CLOCK_BOOTTIME in nanoseconds when the run began.
HEADER = struct.Struct("<8sq")
HEADER_SIZE = HEADER.size
#: Size of the whole record, kind.
RECORD = struct.Struct("<IHH")
TICK = struct.Struct("<qQIIIIQQQQQqq7Q")
PROCESS = struct.Struct("<iiIc3xqQQQQ16s")
MEMORY = struct.Struct("<qQQ")
DISK = struct.Struct("<q5Q")
CARD = struct.Struct("<q8Q")
#: C's name of the struct -> its layout here.
LAYOUT = {"lr_sample_record": RECORD, "lr_sample_tick": TICK, "lr_sample_process": PROCESS}
#: enum lr_sample_kind; the last three are Python's own.
KIND_TICK, KIND_PROCESS, KIND_MEMORY, KIND_DISK, KIND_CARD = 1, 2, 3, 4, 5
#: LR_SAMPLE_*
IO_KNOWN = 1


class Tick(NamedTuple):
    """What was seen of the tree at one moment. None: not known then. Sums over the tree's life, the dead included."""

    #: Since the run began.
    time_ns: int
    #: How long after it was due, and how many before it were left out.
    late_ns: int
    missed: int
    processes: int
    threads: int
    cpu_ns: int | None
    user_ns: int | None
    sys_ns: int | None
    rss_kib: int
    #: Of the largest process until now.
    peak_kib: int | None
    swap_kib: int | None
    pss_kib: int | None
    #: Bytes read and written, reads, writes, storage bytes read, written, cancelled; in IoUsage's order.
    io: tuple[int, ...] | None
    #: True for the tick of a run's end, whose sums are not sampled, ...
    last: bool = False
    #: ... and which alone knows how many processes the tree had.
    processes_total: int | None = None


class ProcessSample(NamedTuple):
    """One process at the tick before it."""

    pid: int
    ppid: int
    threads: int
    #: A letter of ps(1): R, S, D, T, Z...
    state: bytes
    #: On CLOCK_BOOTTIME, as /proc/PID/stat has it.
    start_ns: int
    #: Of its own threads, the dead ones included.
    cpu_ns: int
    user_ns: int
    sys_ns: int
    rss_kib: int
    #: With NULs behind it, as in the record.
    padded_name: bytes

    @property
    def name(self) -> bytes:
        """What ps(1) calls it."""
        return self.padded_name.rstrip(b"\0")


class Memory(NamedTuple):
    """The machine's memory, in bytes."""

    time_ns: int
    available: int
    total: int


class Disk(NamedTuple):
    """A block device's counters since the machine started; `busy_ms` is the time it had something to do."""

    time_ns: int
    name: bytes
    read_bytes: int
    written_bytes: int
    reads: int
    writes: int
    busy_ms: int


class Card(NamedTuple):
    """A network card's counters since it came up."""

    time_ns: int
    name: bytes
    received_bytes: int
    received_packets: int
    receive_errors: int
    receive_drops: int
    sent_bytes: int
    sent_packets: int
    send_errors: int
    send_drops: int


Record = Tick | ProcessSample | Memory | Disk | Card


def file_header(boot_ns: int) -> bytes:
    """Return what a file of records begins with."""
    return HEADER.pack(MAGIC, boot_ns)


def boot_ns(data: memoryview) -> int:
    """Return the time on CLOCK_BOOTTIME at which the run of the file `data` began, in nanoseconds."""
    return int(HEADER.unpack_from(data)[1])


def _named(kind: int, body: bytes, name: bytes) -> bytes:
    size = RECORD.size + len(body) + len(name)
    padding = -size % 8 or 8  # at least one NUL, which ends the name
    return RECORD.pack(size + padding, kind, 0) + body + name + bytes(padding)


def memory_record(memory: Memory) -> bytes:
    """Return the record of `memory`."""
    return RECORD.pack(RECORD.size + MEMORY.size, KIND_MEMORY, 0) + MEMORY.pack(*memory)


def disk_record(time_ns: int, name: bytes, *counters: int) -> bytes:
    """Return the record of a `Disk`, its counters in order."""
    return _named(KIND_DISK, DISK.pack(time_ns, *counters), name)


def card_record(time_ns: int, name: bytes, *counters: int) -> bytes:
    """Return the record of a `Card`, its counters in order."""
    return _named(KIND_CARD, CARD.pack(time_ns, *counters), name)


def _tick(data: memoryview, at: int) -> Tick:
    (time_ns, late_ns, missed, processes, threads, flags, cpu_ns, user_ns, sys_ns, rss_kib, peak_kib, swap_kib,
     pss_kib, *io) = TICK.unpack_from(data, at)  # fmt: skip
    return Tick(
        time_ns, late_ns, missed, processes, threads, cpu_ns, user_ns, sys_ns, rss_kib, peak_kib,
        None if swap_kib < 0 else swap_kib, None if pss_kib < 0 else pss_kib, tuple(io) if flags & IO_KNOWN else None,
    )  # fmt: skip


def read(data: memoryview) -> Iterator[Record]:
    """Yield the records in `data` (what follows the file's header); one that is not whole ends it."""
    at, end = 0, len(data)
    while at + RECORD.size <= end:
        size, kind, _ = RECORD.unpack_from(data, at)
        body, at = at + RECORD.size, at + size
        if size < RECORD.size or at > end:
            return
        if kind == KIND_PROCESS:
            yield ProcessSample._make(PROCESS.unpack_from(data, body))
        elif kind == KIND_TICK:
            yield _tick(data, body)
        elif kind == KIND_MEMORY:
            yield Memory(*MEMORY.unpack_from(data, body))
        elif kind == KIND_DISK:
            time_ns, *counters = DISK.unpack_from(data, body)
            yield Disk(time_ns, _name(data[body + DISK.size : at]), *counters)
        elif kind == KIND_CARD:
            time_ns, *counters = CARD.unpack_from(data, body)
            yield Card(time_ns, _name(data[body + CARD.size : at]), *counters)


def _name(padded: memoryview) -> bytes:
    return bytes(padded).partition(b"\0")[0]
