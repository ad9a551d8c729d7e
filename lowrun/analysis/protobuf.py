"""Writes messages of Protocol Buffers, as far as a trace needs them: varints and what has a length. Pure.

https://protobuf.dev/programming-guides/encoding: a field is its number and wire type, then its value.
"""

from __future__ import annotations

__all__ = ["bytes_field", "number", "text", "varint"]

VARINT, LENGTH = 0, 2


def _encoded(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


#: Most numbers are small: keys of fields, lengths, numbers of names.
_SMALL = tuple(map(_encoded, range(1 << 12)))


def varint(value: int) -> bytes:
    """Return a number of at most 64 bits; a negative one is written as its two's complement, as int64 is."""
    return _SMALL[value] if 0 <= value < len(_SMALL) else _encoded(value)


def number(field: int, value: int) -> bytes:
    """Return a field that is a number, an enum or a bool; `field` is at most 511."""
    return _SMALL[field << 3 | VARINT] + (_SMALL[value] if 0 <= value < len(_SMALL) else _encoded(value))


def bytes_field(field: int, value: bytes) -> bytes:
    """Return a field that is a message or bytes; `field` is at most 511."""
    size = len(value)
    return _SMALL[field << 3 | LENGTH] + (_SMALL[size] if size < len(_SMALL) else _encoded(size)) + value


def text(field: int, value: str) -> bytes:
    """Return a field that is a string; what is no character is replaced, since a string is UTF-8."""
    return bytes_field(field, value.encode("utf-8", "replace"))
