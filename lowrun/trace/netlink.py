"""Netlink messages as text: the framing, and what all families have in common (netlink(7)).

    [{nlmsg_len=24, nlmsg_type=RTM_GETADDR, ...}, {ifa_family=AF_UNSPEC, ...}]

A message is a header and what its family says; a buffer holds several, each
begun at a multiple of 4 bytes. Attributes are (length, type) and their data,
which may be attributes again. strace brackets a header with what follows it,
and several messages or attributes once more.

What is no known payload is hexadecimal. An interface's number is printed by
its name as it is now: the one thing here that is asked of the system.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lowrun.trace.constants import ERRNO, enum_text, flags_text, names_of
from lowrun.trace.quoting import hexed, quoted

__all__ = ["HEADER_SIZE", "Attributes", "Family", "Payload", "decimal", "enum_value", "flags_value", "hexadecimal",
           "inet_text", "interface", "messages_text", "name_value", "numbers", "plain", "string",
           "struct_of"]  # fmt: skip

HEADER_SIZE = 16
NLMSG_ERROR, NLMSG_DONE, NLMSG_MIN_TYPE = 2, 3, 16
CAPPED = 0x100
NESTED, NETWORK_ORDER, TYPE_MASK = 0x8000, 0x4000, 0x3FFF
STRING_LIMIT = 2048

#: Text of an attribute's data, in a message of an address family; None: it is too short to be that.
Value = Callable[[bytes, int], str | None]
_family = enum_text("family")
_message = enum_text("nl_message")


def plain(data: bytes) -> str:
    """Return what is not known: bytes in hexadecimal."""
    return hexed(data[:STRING_LIMIT], len(data) > STRING_LIMIT)


@lru_cache(maxsize=64)
def interface(number: int) -> str:
    """Return `if_nametoindex("lo")`, or the number where there is no such interface."""
    try:
        return f'if_nametoindex("{socket.if_indextoname(number)}")' if number else "0"
    except OSError:
        return str(number)


def inet_text(data: bytes, family: int) -> str:
    """Return an address of `family`; what is too short for one is hexadecimal."""
    if family == socket.AF_INET and len(data) >= 4:
        return f'inet_addr("{socket.inet_ntoa(data[:4])}")'
    if family == socket.AF_INET6 and len(data) >= 16:
        return f'inet_pton(AF_INET6, "{socket.inet_ntop(socket.AF_INET6, data[:16])}")'
    return plain(data)


# -- makers of values


def decimal(layout: str) -> Value:
    """Make the text of a number of a struct's layout."""
    size = struct.calcsize(layout)
    return lambda data, family: str(struct.unpack_from(layout, data)[0]) if len(data) >= size else None


def hexadecimal(layout: str) -> Value:
    """Make the text of a number of a struct's layout."""
    size = struct.calcsize(layout)
    return lambda data, family: f"{struct.unpack_from(layout, data)[0]:#x}" if len(data) >= size else None


def enum_value(size: int, name: str) -> Value:
    """Make the text of a number of so many bytes that has a name."""
    text = enum_text(name)
    return lambda data, family: text(int.from_bytes(data[:size], "little")) if size <= len(data) <= 8 else None


def flags_value(size: int, name: str) -> Value:
    """Make the text of flags in so many bytes."""
    text = flags_text(name)
    return lambda data, family: text(int.from_bytes(data[:size], "little")) if size <= len(data) <= 8 else None


def string(data: bytes, family: int) -> str:
    """Return a string that ends with a NUL; without it `...` follows."""
    return quoted(data[:-1]) if data.endswith(b"\0") else quoted(data[:STRING_LIMIT], True)


def struct_of(layout: str, *names: str, formats: Mapping[str, Callable[[int], str]] | None = None) -> Value:
    """Make the text of a struct: its layout, the fields' names; those in `formats` are no decimal numbers."""
    size, formats = struct.calcsize(layout), formats or {}

    def text(data: bytes, family: int) -> str | None:
        if len(data) < size:
            return None
        pairs = zip(names, struct.unpack_from(layout, data), strict=True)
        return "{" + ", ".join(f"{name}={formats.get(name, str)(value)}" for name, value in pairs) + "}"

    return text


def numbers(layout: str, name: str, shift: int = 0) -> Value:
    """Make the text of an array whose indices have names: `[[DEVCONF_FORWARDING]=0, ...]`.

    With a shift the names count from it, and it is told: `[IPV4_DEVCONF_TAG-1]`.
    """
    size, known = struct.calcsize(layout), dict(names_of(name))
    unknown = enum_text(name)(1 << 32).partition(" ")[2]

    def index_text(index: int) -> str:
        text = known.get(index + shift)
        return f"{index} {unknown}" if text is None else text + (f"-{shift}" if shift else "")

    def text(data: bytes, family: int) -> str | None:
        if len(data) < size:
            return None
        values = struct.iter_unpack(layout, data[: len(data) // size * size])
        return "[" + ", ".join(f"[{index_text(index)}]={value}" for index, (value,) in enumerate(values)) + "]"

    return text


def name_value(data: bytes, family: int) -> str | None:
    """Return an interface by its number."""
    return interface(int.from_bytes(data[:4], "little")) if len(data) >= 4 else None


# -- attributes


class Attributes:
    """A set of attributes: names, and what those that are known hold. Called: the text of some of them."""

    def __init__(self, names: str, values: Mapping[str, Value]) -> None:
        self._name = enum_text(names)
        known = {text: number for number, text in names_of(names)}
        self._values = {known[name]: value for name, value in values.items()}

    def __call__(self, data: bytes, family: int) -> str:
        """Return the text of the attributes in `data`, of a message of an address family."""
        texts = []
        at = 0
        while True:
            rest = data[at:]
            if len(rest) < 4:
                texts.append(plain(rest))
                break
            size, kind = struct.unpack_from("<HH", rest)
            texts.append(self._attribute(rest, min(size, len(rest)), size, kind, family))
            step = (size + 3) & ~3
            if size < 4 or step >= len(rest):
                break
            at += step
        return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"

    def _attribute(self, data: bytes, end: int, size: int, kind: int, family: int) -> str:
        flags = ("NLA_F_NESTED|" if kind & NESTED else "") + ("NLA_F_NET_BYTEORDER|" if kind & NETWORK_ORDER else "")
        head = f"{{nla_len={size}, nla_type={flags}{self._name(kind & TYPE_MASK)}}}"
        if end <= 4:
            return head
        value = self._values.get(kind & TYPE_MASK)
        body = data[4:end]
        text = value(body, family) if value is not None else None
        return f"[{head}, {plain(body) if text is None else text}]"


# -- messages


@dataclass(frozen=True)
class Payload:
    """What follows a header: an address family, more fields, attributes."""

    #: Name of the first field, the family.
    name: str
    #: Bytes of the whole struct.
    size: int
    #: The fields after the family: (struct, family) -> `ifa_prefixlen=0, ...`.
    fields: Callable[[bytes, int], Sequence[str]]
    attributes: Attributes | None = None

    def __call__(self, data: bytes) -> str:
        """Return the payload's text."""
        family = data[0]
        head = f"{{{self.name}={_family(family)}, "
        if len(data) < self.size:
            return head + "...}"
        text = head + ", ".join(self.fields(data, family)) + "}"
        rest = data[(self.size + 3) & ~3 :]
        return f"{text}, {self.attributes(rest, family)}" if self.attributes is not None and rest else text


@dataclass(frozen=True)
class Family:
    """A netlink protocol."""

    #: Name of a message's type.
    name: Callable[[int], str]
    #: Message type -> row of its flags.
    flags: Callable[[int], str]
    #: (type, flags, family of the first byte) -> what follows, or None.
    payload: Callable[[int, int, int], Callable[[bytes], str] | None]


def _flags_row(family: Family | None, kind: int) -> str:
    if kind == NLMSG_ERROR:
        return "nl_header_acknowledge"
    return family.flags(kind) if family is not None and kind >= NLMSG_MIN_TYPE else "nl_header"


def _header(data: bytes, family: Family | None) -> str:
    size, kind, flags, sequence, port = struct.unpack_from("<IHHII", data)
    name = family.name if family is not None and kind >= NLMSG_MIN_TYPE else _message
    return (
        f"{{nlmsg_len={size}, nlmsg_type={name(kind)}, nlmsg_flags={flags_text(_flags_row(family, kind))(flags)},"
        f" nlmsg_seq={sequence}, nlmsg_pid={port}}}"
    )


_error_attributes = Attributes("nl_error_attribute", {"NLMSGERR_ATTR_MSG": string, "NLMSGERR_ATTR_OFFS": decimal("<I")})


def _error(data: bytes, family: Family | None, capped: bool) -> str:
    if len(data) < 4 + HEADER_SIZE:
        return plain(data)
    (error,) = struct.unpack_from("<i", data)
    rest = data[4:]
    size = max(HEADER_SIZE, int.from_bytes(rest[:4], "little"))
    end = min(len(rest), HEADER_SIZE if capped else size)
    shown = f"-{ERRNO[-error]}" if -error in ERRNO else str(error)
    text = f"{{error={shown}, msg={_message_text(rest[:end], family)}}}"
    return f"[{text}, {_error_attributes(rest[end:], 0)}]" if len(rest) > end else text


def _body(data: bytes, kind: int, flags: int, family: Family | None) -> str:
    if kind == NLMSG_ERROR:
        return _error(data, family, flags & CAPPED != 0)
    if kind >= NLMSG_MIN_TYPE and family is not None:
        payload = family.payload(kind, flags, data[0])
        if payload is not None:
            return payload(data)
        rest = f", data={plain(data[1:])}" if len(data) > 1 else ""
        return f"{{family={_family(data[0])}{rest}}}"
    if kind == NLMSG_DONE and len(data) == 4:
        return str(struct.unpack("<i", data)[0])
    return plain(data)


def _message_text(data: bytes, family: Family | None) -> str:
    size, kind, flags = struct.unpack_from("<IHH", data)
    head, end = _header(data, family), min(size, len(data))
    return f"[{head}, {_body(data[HEADER_SIZE:end], kind, flags, family)}]" if end > HEADER_SIZE else head


def messages_text(data: bytes, family: Family | None) -> str:
    """Return a buffer's messages."""
    texts = []
    at = 0
    while True:
        rest = data[at:]
        if len(rest) < HEADER_SIZE:
            texts.append(plain(rest))
            break
        texts.append(_message_text(rest, family))
        (size,) = struct.unpack_from("<I", rest)
        step = (size + 3) & ~3
        if size < HEADER_SIZE or step >= len(rest):
            break
        at += step
    return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
