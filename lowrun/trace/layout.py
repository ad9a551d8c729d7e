"""Compiles the rows of layouts.py into functions that write a struct as strace does.

Values lie little-endian and without padding but what is named.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from lowrun.trace.constants import ENUMS, FLAGS, enum_text, flags_text, signal_name
from lowrun.trace.context import Context, signed
from lowrun.trace.layouts import TYPE, layout_row, layout_size, value_size
from lowrun.trace.quoting import address, device, hexed, octal, quoted

__all__ = ["layout_text"]

#: Text of one value at an offset.
Value = Callable[[bytes, int, Context], str]
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    at: int
    size: int
    text: Value
    optional: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    fields: tuple[_Field, ...]
    size: int
    #: Bytes that must be there.
    least: int
    abbreviated: bool


def _hex(value: int) -> str:
    return f"{value:#x}" if value else "0"


def _in4(data: bytes, at: int, c: Context) -> str:
    return f'inet_addr("{socket.inet_ntoa(data[at : at + 4])}")'


def _descriptor(data: bytes, at: int, c: Context) -> str:
    fd = int.from_bytes(data[at : at + 4], "little")
    return f"{signed(fd)}{c.descriptors.get(fd, '')}"


def _device(data: bytes, at: int, c: Context) -> str:
    number = int.from_bytes(data[at : at + 8], "little")
    major, minor = number >> 8 & 0xFFF | number >> 32 & ~0xFFF, number & 0xFF | number >> 12 & 0xFFFFFF00
    return device(major, minor)


def _uid(data: bytes, at: int, c: Context) -> str:
    value = int.from_bytes(data[at : at + 4], "little")
    return "-1" if value == 0xFFFFFFFF else str(value)


_OTHERS: dict[str, Value] = {
    "p": lambda data, at, c: address(int.from_bytes(data[at : at + 8], "little")),
    "fd": _descriptor, "fd8": _descriptor, "in4": _in4, "uid": _uid, "dev": _device,
    "sig": lambda data, at, c: signal_name(int.from_bytes(data[at : at + 4], "little")),
    "pid": lambda data, at, c: str(struct.unpack_from("<i", data, at)[0]),
}  # fmt: skip
_PLAIN: dict[str, Callable[[int], str]] = {"i": str, "u": str, "x": _hex, "o": octal, "be": str}


def _value(kind: str, names: str) -> tuple[int, Value]:
    """Return size and text of a TYPE without its array."""
    if kind.startswith("@"):
        text = layout_text(kind[1:])
        size = layout_size(kind[1:])
        return size, lambda data, at, c: text(data[at : at + size], c)
    size = value_size(kind)
    if kind in _OTHERS:
        return size, _OTHERS[kind]
    how = kind.rstrip("0123456789")
    if how == "s":
        return size, lambda data, at, c: quoted(data[at : at + size].partition(b"\0")[0])
    if how == "h":
        return size, lambda data, at, c: hexed(data[at : at + size])
    code = (">" if how == "be" else "<") + (_CODES[size].lower() if how == "i" else _CODES[size])
    unpack = struct.Struct(code).unpack_from
    named = flags_text(names) if names in FLAGS else enum_text(names) if names in ENUMS else _PLAIN[how]
    assert not names or named is not _PLAIN[how], names
    return size, lambda data, at, c: named(unpack(data, at)[0])


def _array(size: int, count: int, text: Value) -> Value:
    return lambda data, at, c: "[" + ", ".join(text(data, at + i * size, c) for i in range(count)) + "]"


@lru_cache(maxsize=256)
def _layout(name: str) -> _Layout:
    fields: list[_Field] = []
    at, least, abbreviated = 0, -1, False
    for word in layout_row(name).split():
        if word == "...":
            abbreviated = True
        elif word == "|":
            least = at
        elif word.startswith("_"):
            at += int(word[1:])
        else:
            field, _, kind = word.partition(":")
            match = TYPE.fullmatch(kind)
            assert match is not None, word
            size, text = _value(match[1], match[2] or "")
            if match[3]:
                size, text = size * int(match[3]), _array(size, int(match[3]), text)
            fields.append(_Field(field, at, size, text, match[4] is not None))
            at += size
    return _Layout(tuple(fields), at, at if least < 0 else least, abbreviated)


@lru_cache(maxsize=256)
def layout_text(name: str) -> Callable[[bytes, Context], str]:
    """Return the function that writes a struct `name`; it raises struct.error when there are too few bytes."""
    layout = _layout(name)

    def text_of(data: bytes, c: Context) -> str:
        if len(data) < layout.least:
            raise struct.error(name)
        texts = []
        for field in layout.fields:
            if field.at + field.size > len(data):
                break
            if field.optional and not any(data[field.at : field.at + field.size]):
                continue
            texts.append(f"{field.name}={field.text(data, field.at, c)}")
        return "{" + ", ".join([*texts, "..."] if layout.abbreviated else texts) + "}"

    return text_of
