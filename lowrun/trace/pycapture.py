"""What the capture plan says to copy, by way of any function that reads a tracee's memory.

The Python engine's counterpart of _native/tracer_capture.c: the chunks are the same. A pointer that cannot be
read gives a chunk that says so.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lowrun.trace.arch import CALLS_MAX
from lowrun.trace.grammar import RESULT
from lowrun.trace.plan import (
    ARGV,
    BUFFER,
    COUNTED,
    DEEP_STRUCT,
    ENVP,
    FD,
    FIXED,
    IOVEC,
    MMSGHDR,
    MSGHDR,
    NONE,
    PATH,
    POINTEES,
    PTRLEN,
    ROW,
    STRING,
    UPTO_SIZE,
)
from lowrun.trace.records import Chunk

__all__ = ["CELLS", "WRITES_FAILING", "Cell", "Reader", "Row", "Rows", "capture", "row_of", "rows_of"]

#: (enum lr_capture, index of the argument that holds the size, bytes): `struct lr_capture_cell`.
Cell = tuple[int, int, int]
#: What a row has for an entry or an exit: a cell per argument.
CELLS = 6


@dataclass(frozen=True, slots=True)
class Row:
    """struct lr_capture_row: cells at the entry, cells at the exit, and how to find a variant."""

    enter: tuple[Cell, ...]
    leave: tuple[Cell, ...]
    key: int
    first: int
    variants: int
    select: int
    select_more: int
    bits: int
    bits_more: int


Rows = Sequence[Row]
#: (address, size) -> the bytes before the first that cannot be read.
Reader = Callable[[int, int], bytes]

PAGE = 4096
PATH_MAX = 4096
VECTOR_MAX = 2048
CONTROL_MAX, NETLINK_MAX, AF_NETLINK = 20480, 65536, 16
POINTERS_MAX = 1 << 20
COUNTED_MAX = 16384
FIXED_MAX = 0xFFFF
SIZE_MAX = 0xFFFFFFFF
IOVEC_SIZE, MSGHDR_SIZE, NAME_MAX = 16, 56, 128


#: enum lr_deep -> where the pointer lies, where and how wide the count is (0: a string), as in tracer_capture.c.
DEEP_PLACES = ((0, 8, 8), (0, 8, 8), (0, 0, 0), (16, 0, 0), (8, 0, 4))
#: Errors of calls that may have written: EINTR, EOVERFLOW, and the kernel's own for a restart.
WRITES_FAILING = frozenset((-4, -75, *range(-516, -511)))


class _BadPointerError(Exception):
    """What is pointed to cannot be read."""


def rows_of(plan: bytes) -> Rows:
    """Return the plan (lowrun.trace.table.capture_plan) as values."""
    rows = []
    for whole in ROW.iter_unpack(plan):
        cells = [whole[at : at + 3] for at in range(0, 6 * CELLS, 3)]
        rows.append(Row(tuple(cells[:CELLS]), tuple(cells[CELLS:]), *whole[6 * CELLS :]))
    return rows


def row_of(rows: Rows, number: int, arguments: Sequence[int]) -> Row | None:
    """Return the row for a native call: that of the variant that its arguments select, or its own."""
    if number >= CALLS_MAX or number >= len(rows):
        return None
    row = rows[number]
    if not row.variants:
        return row
    key = arguments[row.select] & ((1 << row.bits) - 1)
    key |= (arguments[row.select_more] & ((1 << row.bits_more) - 1)) << 32
    return next((one for one in rows[row.first : row.first + row.variants] if one.key == key), row)


class _Source:
    """One call's memory; each method returns (bytes, there was more)."""

    def __init__(self, read: Reader, arguments: Sequence[int], value: int | None, limit: int) -> None:
        self._read, self._arguments, self._value, self._limit = read, arguments, value, limit
        #: Of a vector no more elements are copied than bytes of a string.
        self._elements = min(limit, VECTOR_MAX)

    def _whole(self, address: int, size: int) -> bytes:
        data = self._read(address, size) if size and address else b""
        if len(data) != size:
            raise _BadPointerError
        return data

    def _string(self, address: int, limit: int) -> tuple[bytes, bool]:
        found = b""
        while address and len(found) <= limit:
            at = address + len(found)
            piece = self._read(at, min(PAGE - at % PAGE, limit + 1 - len(found)))
            if not piece:
                raise _BadPointerError
            end = piece.find(b"\0")
            if end >= 0:
                return found + piece[:end], False
            found += piece
        if not address:
            raise _BadPointerError
        return found[:limit], True

    def _bytes(self, address: int, size: int, limit: int) -> tuple[bytes, bool]:
        return self._whole(address, min(size, limit)), size > limit

    def _up_to(self, address: int, size: int) -> tuple[bytes, bool]:
        data = self._read(address, size) if address else b""
        if not data:
            raise _BadPointerError
        return data, len(data) < size

    @staticmethod
    def _part(data: bytes, cut: bool) -> bytes:
        return struct.pack("<II", len(data), cut) + data + bytes(-len(data) % 8)

    def _bytes_part(self, address: int, size: int, limit: int) -> bytes:
        try:
            return self._part(*self._bytes(address, size, limit))
        except _BadPointerError:
            return self._part(b"", True)

    def _pointers(self, address: int) -> tuple[list[int], int]:
        first: list[int] = []
        count = 0
        while address and count < POINTERS_MAX:
            data = self._read(address + count * 8, PAGE - (address + count * 8) % PAGE or PAGE)
            if len(data) < 8:
                raise _BadPointerError
            for (pointer,) in struct.iter_unpack("<Q", data[: len(data) & ~7]):
                if not pointer:
                    return first, count
                if count < self._elements:
                    first.append(pointer)
                count += 1
        if not address:
            raise _BadPointerError
        return first, count

    def _vector(self, address: int, with_strings: bool) -> tuple[bytes, bool]:
        first, count = self._pointers(address)
        data = struct.pack("<Q", count)
        for pointer in first if with_strings else ():
            try:
                data += self._part(*self._string(pointer, self._limit))
            except _BadPointerError:
                data += self._part(b"", True)
        return data, with_strings and count > self._elements

    def _iovec(self, address: int, count: int, limit: int) -> tuple[bytes, bool]:
        wanted = min(count, self._elements) * IOVEC_SIZE
        heads = self._read(address, wanted) if wanted and address else b""
        if not address or (wanted and len(heads) < IOVEC_SIZE):
            raise _BadPointerError
        heads = heads[: len(heads) // IOVEC_SIZE * IOVEC_SIZE]
        data = struct.pack("<Q", len(heads) // IOVEC_SIZE) + heads
        left = 1 << 64 if self._value is None else max(self._value, 0)
        for base, size in struct.iter_unpack("<QQ", heads):
            size = min(size, left)
            data += self._bytes_part(base, size, limit)
            left -= size if self._value is not None else 0
        return data, count > self._elements

    def _msghdr(self, address: int) -> tuple[bytes, bool]:
        head = self._whole(address, MSGHDR_SIZE)
        name, name_size, vector, count, control, control_size, _ = struct.unpack("<QI4xQQQQi4x", head)
        parts = self._bytes_part(name, name_size, NAME_MAX) + self._bytes_part(control, control_size, CONTROL_MAX)
        family = int.from_bytes(self._read(name, 2), "little") if name and name_size >= 2 else 0
        try:
            data, cut = self._iovec(vector, count, NETLINK_MAX if family == AF_NETLINK else self._limit)
        except _BadPointerError:  # all else is there
            data, cut = b"", False
        return head + parts + data, cut

    def _deep(self, address: int, kind: int, size: int) -> tuple[bytes, bool]:
        head, short = self._up_to(address, size)
        data = self._part(head, short)
        pointer, count, width = DEEP_PLACES[kind]
        if len(head) < max(pointer + 8, count + width):
            return data, False
        there = int.from_bytes(head[pointer : pointer + 8], "little")
        if width:
            length = int.from_bytes(head[count : count + width], "little")
            return data + self._bytes_part(there, min(length, COUNTED_MAX), COUNTED_MAX), False
        try:
            return data + self._part(*self._string(there, self._limit)), False
        except _BadPointerError:
            return data + self._part(b"", True), False

    def _pointees(self, address: int, count: int, size: int) -> tuple[bytes, bool]:
        heads = data = self._whole(address, min(count, VECTOR_MAX) * 8)
        for (pointer,) in struct.iter_unpack("<Q", heads):
            data += self._bytes_part(pointer, size, size)
        return data, count > VECTOR_MAX

    def _mmsghdr(self, address: int, count: int) -> tuple[bytes, bool]:
        data, value = b"", self._value
        for index in range(min(count, VECTOR_MAX)):
            length = int.from_bytes(self._whole(address + 64 * index + 56, 4), "little")
            self._value = None if value is None else length
            try:
                body, _ = self._msghdr(address + 64 * index)
            finally:
                self._value = value
            data += struct.pack("<II", len(body), length) + body + bytes(-len(body) % 8)
        return data, count > VECTOR_MAX

    def _size(self, of: int) -> int:
        return self._arguments[of] if of != RESULT else max(self._value or 0, 0)

    def copy(self, cell: Cell, address: int) -> tuple[bytes, bool]:
        """Copy what `cell` says. Raises _BadPointerError."""
        what, of, size = cell
        if what in (STRING, PATH):
            return self._string(address, PATH_MAX if what == PATH else self._limit)
        if what in (ARGV, ENVP):
            return self._vector(address, what == ARGV)
        if what == BUFFER:
            return self._bytes(address, self._size(of), size or self._limit)
        if what == FIXED:
            return self._bytes(address, size, FIXED_MAX)
        if what == UPTO_SIZE:
            return self._up_to(address, size)
        if what == DEEP_STRUCT:
            return self._deep(address, of, size)
        if what == POINTEES:
            return self._pointees(address, self._size(of), size)
        if what == MMSGHDR:
            return self._mmsghdr(address, self._size(of))
        if what == PTRLEN:
            return self._bytes(address, int.from_bytes(self._whole(self._size(of), 4), "little"), self._limit)
        if what == COUNTED and size and self._size(of) <= SIZE_MAX:
            return self._bytes(address, self._size(of) * size, COUNTED_MAX // size * size)
        if what == IOVEC:
            return self._iovec(address, self._size(of), self._limit)
        if what == MSGHDR:
            return self._msghdr(address)
        raise _BadPointerError


def capture(
    read: Reader, cells: Sequence[Cell], arguments: Sequence[int], value: int | None, limit: int
) -> dict[int, Chunk]:
    """Return the chunks of one stop, by argument; `value` is the call's result, None at its entry.

    `limit` bytes are copied of a string.
    """
    source = _Source(read, arguments, value, limit)
    chunks = {}
    for index, cell in enumerate(cells):
        if cell[0] not in (NONE, FD):
            try:
                chunks[index] = Chunk(cell[0], *source.copy(cell, arguments[index]))
            except _BadPointerError:
                chunks[index] = Chunk(cell[0], bad=True)
    return chunks
