"""The tracer's binary records as values, and back.

The layout is that of _native/records.h (little-endian, no padding but what is
named there); a test compiles that header and compares. A reader walks a mapped
file: every record is a multiple of 8 bytes. The last record may be cut short
(the tracer was killed while it wrote): reading ends before it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from lowrun.trace.arch import AUDIT_ARCH_X86_64

__all__ = [
    "LAYOUT", "Buffer", "Chunk", "Detached", "Enter", "Exec", "Exit", "Exited", "Exiting", "Fork", "Lost", "Path",
    "Record", "Signal", "Stopped", "encode", "read",
]  # fmt: skip

Buffer = bytes | bytearray | memoryview

HEADER = struct.Struct("<IHHIIQ")
ENTER = struct.Struct("<7QII")
EXIT = struct.Struct("<qQHHI")
STATUS = struct.Struct("<iI")
FORK = struct.Struct("<IIQ")
EXEC = struct.Struct("<II")
PATH = struct.Struct("<iIIIQ")
LOST = struct.Struct("<iI")
CHUNK = struct.Struct("<BBBBI")
SIGINFO_SIZE = 128
#: C's name of the struct -> its layout here.
LAYOUT = {
    "lr_record": HEADER, "lr_rec_enter": ENTER, "lr_rec_exit": EXIT, "lr_rec_status": STATUS, "lr_rec_fork": FORK,
    "lr_rec_exec": EXEC, "lr_rec_path": PATH, "lr_rec_lost": LOST, "lr_chunk": CHUNK,
}  # fmt: skip

UNKNOWN_DURATION = (1 << 64) - 1
# LR_EXIT_*
INJECTED, DELAYED = 1, 2


@dataclass(slots=True)
class Chunk:
    """What was copied out of the tracee for one argument."""

    #: enum lr_capture: how to read `data`.
    what: int
    data: bytes = b""
    #: There was more than was copied.
    cut: bool = False
    #: The pointer could not be read.
    bad: bool = False


NO_CHUNKS: Mapping[int, Chunk] = {}


@dataclass(slots=True)
class Record:
    """What all records have: the thread, its process, the wall clock in nanoseconds."""

    tid: int
    tgid: int
    time_ns: int


@dataclass(slots=True)
class Enter(Record):
    """A thread enters a system call."""

    number: int = 0
    arguments: tuple[int, ...] = (0, 0, 0, 0, 0, 0)
    arch: int = AUDIT_ARCH_X86_64
    chunks: Mapping[int, Chunk] = field(default_factory=dict)


@dataclass(slots=True)
class Exit(Record):
    """A thread leaves a system call; `value` is -errno when `failed`. `duration_ns` None is unknown."""

    value: int = 0
    duration_ns: int | None = None
    failed: bool = False
    chunks: Mapping[int, Chunk] = field(default_factory=dict)
    #: An injection or a hook kept the call from being executed as it was made, or changed its result;
    injected: bool = False
    #: or held it up.
    delayed: bool = False


@dataclass(slots=True)
class Signal(Record):
    """A signal is about to be delivered; `siginfo` is the kernel's siginfo_t."""

    siginfo: bytes = bytes(SIGINFO_SIZE)


@dataclass(slots=True)
class Exited(Record):
    """A thread is gone; `status` is its raw wait status."""

    status: int = 0


@dataclass(slots=True)
class Fork(Record):
    """A thread made a task, by clone with `flags` (0: fork)."""

    child: int = 0
    event: int = 0
    flags: int = 0


@dataclass(slots=True)
class Exec(Record):
    """A thread executed a program: `former` was its tid, which is the tgid now."""

    former: int = 0


@dataclass(slots=True)
class Stopped(Record):
    """A thread is in a group-stop by `signal`."""

    signal: int = 0


@dataclass(slots=True)
class Detached(Record):
    """A thread is traced no more and goes on."""


@dataclass(slots=True)
class Path(Record):
    """What a descriptor is (AT_FDCWD, -100: the working directory), for all threads that share it.

    `kind` is an enum lr_path_kind, which says what `text` and `number` are; a LINK without text is closed.
    """

    fd: int = 0
    text: bytes = b""
    kind: int = 0
    number: int = 0


@dataclass(slots=True)
class Lost(Record):
    """Recording ended here though the command went on: a write failed with `error` (errno)."""

    error: int = 0


@dataclass(slots=True)
class Exiting(Record):
    """A thread ends, by itself or killed, and will not return from the call that it is in."""


def _chunks(data: Buffer, at: int, end: int, count: int) -> Mapping[int, Chunk]:
    chunks = {}
    for _ in range(count):
        if at + 8 > end:
            break
        argument, what, cut, bad, size = CHUNK.unpack_from(data, at)
        at += 8
        chunks[argument] = Chunk(what, bytes(data[at : min(at + size, end)]), cut != 0, bad != 0)
        at += (size + 7) & ~7
    return chunks


def _enter(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    number, a, b, c, d, e, f, arch, count = ENTER.unpack_from(data, at)
    chunks = _chunks(data, at + 64, end, count) if count else NO_CHUNKS
    return Enter(tid, tgid, time_ns, number, (a, b, c, d, e, f), arch, chunks)


def _exit(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    value, duration, failed, marks, count = EXIT.unpack_from(data, at)
    chunks = _chunks(data, at + 24, end, count) if count else NO_CHUNKS
    known = None if duration == UNKNOWN_DURATION else duration
    return Exit(tid, tgid, time_ns, value, known, failed != 0, chunks, marks & INJECTED != 0, marks & DELAYED != 0)


def _signal(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    return Signal(tid, tgid, time_ns, bytes(data[at : at + SIGINFO_SIZE]))


def _exited(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    return Exited(tid, tgid, time_ns, STATUS.unpack_from(data, at)[0])


def _fork(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    return Fork(tid, tgid, time_ns, *FORK.unpack_from(data, at))


def _exec(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    return Exec(tid, tgid, time_ns, EXEC.unpack_from(data, at)[0])


def _stopped(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    return Stopped(tid, tgid, time_ns, STATUS.unpack_from(data, at)[0])


def _detached(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    return Detached(tid, tgid, time_ns)


def _path(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    fd, size, kind, _, number = PATH.unpack_from(data, at)
    return Path(tid, tgid, time_ns, fd, bytes(data[at + 24 : min(at + 24 + size, end)]), kind, number)


def _lost(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    return Lost(tid, tgid, time_ns, LOST.unpack_from(data, at)[0])


def _exiting(data: Buffer, at: int, end: int, tid: int, tgid: int, time_ns: int) -> Record:
    return Exiting(tid, tgid, time_ns)


Reader = Callable[[Buffer, int, int, int, int, int], Record]
#: enum lr_record_kind -> its type, its reader, the bytes its body has at least.
KINDS: dict[int, tuple[type[Record], Reader, int]] = {
    1: (Enter, _enter, 64), 2: (Exit, _exit, 24), 3: (Signal, _signal, SIGINFO_SIZE), 4: (Exited, _exited, 8),
    5: (Fork, _fork, 16), 6: (Exec, _exec, 8), 7: (Stopped, _stopped, 8), 8: (Path, _path, 24), 9: (Lost, _lost, 8),
    10: (Exiting, _exiting, 8), 11: (Detached, _detached, 8),
}  # fmt: skip
NUMBERS = {row[0]: kind for kind, row in KINDS.items()}
_READERS = {kind: row[1] for kind, row in KINDS.items()}
_LEAST = {kind: 24 + row[2] for kind, row in KINDS.items()}


def read(data: Buffer) -> Iterator[Record]:
    """Yield the records in `data` (bytes, an mmap's memoryview, ...).

    A kind that is not known is passed over; the first record that is cut short
    or whose size makes no sense ends it.
    """
    at, end = 0, len(data)
    unpack, readers, least = HEADER.unpack_from, _READERS, _LEAST
    while at + 24 <= end:
        size, kind, _, tid, tgid, time_ns = unpack(data, at)
        after = at + size
        if size < 24 or size & 7 or after > end:
            return
        reader = readers.get(kind)
        if reader is not None:
            if size < least[kind]:
                return
            yield reader(data, at + 24, after, tid, tgid, time_ns)
        at = after


def _encode_chunks(chunks: Mapping[int, Chunk]) -> bytes:
    parts = []
    for argument, chunk in chunks.items():
        parts.append(CHUNK.pack(argument, chunk.what, chunk.cut, chunk.bad, len(chunk.data)))
        parts.append(chunk.data + bytes(-len(chunk.data) % 8))
    return b"".join(parts)


def _body(record: Record) -> bytes:
    match record:
        case Enter():
            head = ENTER.pack(record.number, *record.arguments, record.arch, len(record.chunks))
            return head + _encode_chunks(record.chunks)
        case Exit():
            duration = UNKNOWN_DURATION if record.duration_ns is None else record.duration_ns
            marks = INJECTED * record.injected | DELAYED * record.delayed
            head = EXIT.pack(record.value, duration, record.failed, marks, len(record.chunks))
            return head + _encode_chunks(record.chunks)
        case Signal():
            return record.siginfo.ljust(SIGINFO_SIZE, b"\0")
        case Exited():
            return STATUS.pack(record.status, 0)
        case Detached():
            return STATUS.pack(0, 0)
        case Stopped():
            return STATUS.pack(record.signal, 0)
        case Fork():
            return FORK.pack(record.child, record.event, record.flags)
        case Exec():
            return EXEC.pack(record.former, 0)
        case Path():
            head = PATH.pack(record.fd, len(record.text), record.kind, 0, record.number)
            return head + record.text + bytes(-len(record.text) % 8)
        case Lost():
            return LOST.pack(record.error, 0)
        case Exiting():
            return STATUS.pack(0, 0)
    raise TypeError(record)


def encode(record: Record) -> bytes:
    """Return `record` as the tracer would have written it."""
    body = _body(record)
    return HEADER.pack(24 + len(body), NUMBERS[type(record)], 0, record.tid, record.tgid, record.time_ns) + body
