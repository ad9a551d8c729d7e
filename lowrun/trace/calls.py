"""A trace's calls as values: `for call in lowrun.trace.read(path)`.

The file is what --keep-binary keeps: docs/trace-format.md describes it.
"""

from __future__ import annotations

import itertools
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lowrun.errors import ProtocolError
from lowrun.trace.arch import AUDIT_ARCH_X86_64
from lowrun.trace.constants import ERRNO
from lowrun.trace.decode import result_text
from lowrun.trace.follow import Follower, OpenCall
from lowrun.trace.records import Buffer, Enter, Exit, Record
from lowrun.trace.records import read as read_records

__all__ = [
    "HEADER",
    "MAGIC",
    "VERSION",
    "RecordedCall",
    "calls_of",
    "file_header",
    "header_size",
    "let_go_behind",
    "read",
    "records_in",
]

#: So many are read from a mapped file before its pages are given back; some MiB.
RECORDS_AT_ONCE = 8192
MAGIC = b"lowrun\0\1"
#: Of the records (LR_RECORDS_VERSION in records.h; a test compares).
VERSION = 2
#: Magic, version, bytes of the header, AUDIT_ARCH_* of the machine, bytes copied of a string.
HEADER = struct.Struct("<8s4I")


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One system call of one thread. `str(call)` is how strace writes it."""

    #: The process (thread group) and the thread.
    pid: int
    tid: int
    #: The wall clock at its entry, nanoseconds since 1970.
    time_ns: int
    number: int
    name: str
    #: Its arguments as strace writes them, and the six registers that hold them.
    arguments: tuple[str, ...]
    registers: tuple[int, ...]
    #: What it returned (-errno when it failed); None when it never did (exit, death).
    result: int | None
    #: What stands after the equals sign: `3</etc/hosts>`, `-1 ENOENT (No such file or directory)`, `?`.
    result_text: str
    #: "ENOENT"; None when it did not fail.
    error: str | None
    #: Nanoseconds from its entry to its exit; None when that is not known.
    duration_ns: int | None

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.arguments)}) = {self.result_text}"


def _texts(call: OpenCall, leaving: bool) -> list[str]:
    return (call.form.late_texts if leaving else call.form.early_texts)(call.context)


def _value(call: OpenCall, early: list[str]) -> RecordedCall:
    record, leave, form, context = call.record, call.leave, call.form, call.context
    if leave is None:
        result, text, error, duration = None, "?", None, None
    else:
        early += _texts(call, True)
        result, text, duration = leave.value, result_text(form, context, leave), leave.duration_ns
        error = ERRNO.get(-leave.value, str(-leave.value)) if leave.failed else None
        early = _with_tails(early)
    return RecordedCall(
        record.tgid, record.tid, record.time_ns, record.number, form.name, tuple(early), record.arguments,
        result, text, error, duration,
    )  # fmt: skip


def _with_tails(texts: list[str]) -> list[str]:
    """What begins with ` => ` belongs to the argument before it."""
    joined: list[str] = []
    for text in texts:
        if text.startswith(" => ") and joined:
            joined[-1] += text
        else:
            joined.append(text)
    return joined


def calls_of(records: Iterable[Record]) -> Iterator[RecordedCall]:
    """Yield the calls in `records` as they return, or when it is clear that they never will."""
    follower = Follower()
    early: dict[OpenCall, list[str]] = {}
    for record in records:
        if isinstance(record, Enter):
            call = follower.enter(record)
            early[call] = _texts(call, False)
            follower.committed(call)
        elif isinstance(record, Exit):
            returned = follower.leave(record)
            if returned is not None:
                yield _value(returned, early.pop(returned))
                follower.returned(returned)
        else:
            for lost in follower.pass_by(record):
                yield _value(lost, early.pop(lost))
    for lost in early:
        yield _value(lost, early[lost])


def file_header(string_limit: int) -> bytes:
    """Return what stands before the records in a file."""
    return HEADER.pack(MAGIC, VERSION, HEADER.size, AUDIT_ARCH_X86_64, string_limit)


def let_go_behind(records: Iterator[Record], mapped: mmap.mmap) -> Iterator[Record]:
    """Yield `records`, which are read from `mapped`, and do not keep in memory what has been read of the file."""
    while batch := list(itertools.islice(records, RECORDS_AT_ONCE)):
        yield from batch
        mapped.madvise(mmap.MADV_DONTNEED)  # the pages are the file's: they can be had again


def header_size(data: Buffer) -> int:
    """Return where the records begin in a file that begins with `data`, which is HEADER.size bytes at the least.

    Raises ProtocolError when it is none of ours, or of another version.
    """
    if len(data) < HEADER.size or bytes(data[:8]) != MAGIC:
        raise ProtocolError("this is no file of lowrun's records")
    _, version, size, arch, _ = HEADER.unpack_from(data)
    if version != VERSION or arch != AUDIT_ARCH_X86_64 or size < HEADER.size:
        raise ProtocolError(f"this lowrun cannot read records of version {version}, machine {arch:#x}")
    return int(size)


def records_in(data: memoryview) -> Iterator[Record]:
    """Yield the records in the file `data`. Raises ProtocolError when it is none of ours, or of another version."""
    size = header_size(data)
    if size > len(data):
        raise ProtocolError("the header of lowrun's records is cut short")
    yield from read_records(data[size:])


def read(path: str | os.PathLike[str]) -> Iterator[RecordedCall]:
    """Yield the calls in the file `path`, in the order in which they returned.

    Memory does not grow with the file. A file that was cut short (a full disk,
    a killed lowrun) yields what is whole. Raises OSError, ProtocolError.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise ProtocolError("this is no file of lowrun's records")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
            yield from calls_of(let_go_behind(records_in(data), mapped))
