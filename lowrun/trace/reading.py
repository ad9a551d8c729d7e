"""What the readers of memory share: numbers out of bytes, and simple readers.

A reader gets the call's context, the argument's index and what was copied; it
may raise struct.error, then the address is printed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from lowrun.trace.context import Context
from lowrun.trace.records import Chunk

__all__ = ["Reader", "hexadecimal", "integer", "numbers", "parts", "pointed"]

Reader = Callable[[Context, int, Chunk], str]


def integer(data: bytes, at: int = 0, size: int = 4, signed: bool = False) -> int:
    """Return the number at an offset; raises struct.error when there are too few bytes."""
    if len(data) < at + size:
        raise struct.error
    return int.from_bytes(data[at : at + size], "little", signed=signed)


def hexadecimal(value: int) -> str:
    """Return a number as C's `%#x` has it."""
    return f"{value:#x}" if value else "0"


def pointed(text: Callable[[int], str], size: int = 4) -> Reader:
    """Return the reader of one number behind a pointer: `[...]`."""
    return lambda c, i, chunk: f"[{text(integer(chunk.data, 0, size))}]"


def numbers(code: str, text: Callable[[int], str] = str) -> Reader:
    """Return the reader of an array of numbers (struct's code)."""
    size = struct.calcsize(code)

    def reader(c: Context, i: int, chunk: Chunk) -> str:
        values = [value for (value,) in struct.iter_unpack("<" + code, chunk.data[: len(chunk.data) // size * size])]
        return "[" + ", ".join([*map(text, values), *(["..."] if chunk.cut else [])]) + "]"

    return reader


def parts(data: bytes) -> tuple[bytes, bytes, bool]:
    """Split a DEEP chunk: the struct, what it points to, whether that could not be read whole."""
    size = integer(data)
    at = 8 + ((size + 7) & ~7)
    if len(data) < at + 8:
        return data[8 : 8 + size], b"", True
    return data[8 : 8 + size], data[at + 8 : at + 8 + integer(data, at)], bool(integer(data, at + 4))
