"""Writes messages of Protocol Buffers, as far as a trace needs them: varints and what has a length. Pure.

https://protobuf.dev/programming-guides/encoding: a field is its number and wire type, then its value.
"""

from __future__ import annotations

__all__ = ["bytes_field", "number", "text", "varint"]

VARINT, LENGTH = 0, 2


def varint(value: int) -> bytes:
    """Return a number of at most 64 bits; a negative one is written as its two's complement, as int64 is."""
    value &= (1 << 64) - 1
    if value < 0x80:
        return bytes((value,))
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def number(field: int, value: int) -> bytes:
    """Return a field that is a number, an enum or a bool."""
    return varint(field << 3 | VARINT) + varint(value)


def bytes_field(field: int, value: bytes) -> bytes:
    """Return a field that is a message or bytes."""
    return varint(field << 3 | LENGTH) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """Return a field that is a string; what is no character is replaced, since a string is UTF-8."""
    return bytes_field(field, value.encode("utf-8", "replace"))
