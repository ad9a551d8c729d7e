"""A DNS message, as far as it tells who was looked up and what came back (RFC 1035, section 4). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address

__all__ = ["RCODES", "Message", "message"]

RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
A, AAAA = 1, 28
TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS"}
HEADER = struct.Struct("!6H")
RESPONSE, RCODE_BITS = 0x8000, 0xF
#: Opcode and the bit that must be zero: a message that has them is none that we look for.
ODD_BITS = 0x7840
#: A name has at most 255 bytes; more hops than that are a loop of pointers.
LONGEST_NAME, MOST_ANSWERS = 255, 64


@dataclass(frozen=True, slots=True)
class Message:
    """A question, or the answer to it. `rcode` is that of an answer, None of a question."""

    name: str
    #: "A", "AAAA" or the number's text.
    kind: str
    rcode: int | None
    #: Those of the answer, as text.
    addresses: tuple[str, ...]


def message(data: bytes) -> Message | None:
    """Read a message of one question, None when `data` is none. One that is cut off is read as far as it goes."""
    if len(data) < HEADER.size + 5:
        return None
    _, flags, questions, answers, _, _ = HEADER.unpack_from(data)
    if questions != 1 or flags & ODD_BITS:
        return None
    try:
        name, at = _name(data, HEADER.size)
        kind, network = struct.unpack_from("!HH", data, at)
    except (ValueError, struct.error):
        return None
    if network != 1 or not name:
        return None
    is_answer = bool(flags & RESPONSE)
    found = tuple(_addresses(data, at + 4, min(answers, MOST_ANSWERS))) if is_answer else ()
    return Message(name, TYPES.get(kind, str(kind)), flags & RCODE_BITS if is_answer else None, found)


def _name(data: bytes, at: int) -> tuple[str, int]:
    """Return the name at `at`, and where it ends. Raises ValueError when it is none."""
    labels: list[str] = []
    end, length = 0, 0
    while True:
        if at >= len(data):
            raise ValueError("cut off")
        size = data[at]
        if size >= 0xC0:
            if at + 1 >= len(data) or length > LONGEST_NAME:
                raise ValueError("a bad pointer")
            end = end or at + 2
            at = (size & 0x3F) << 8 | data[at + 1]
            length += 2
            continue
        if size > 63 or at + 1 + size > len(data):
            raise ValueError("a bad label")
        if size == 0:
            return ".".join(labels), end or at + 1
        labels.append(data[at + 1 : at + 1 + size].decode("ascii", "backslashreplace"))
        at += 1 + size
        length += 1 + size
        if length > LONGEST_NAME:
            raise ValueError("too long")


def _addresses(data: bytes, at: int, answers: int) -> list[str]:
    found: list[str] = []
    try:
        for _ in range(answers):
            _, at = _name(data, at)
            kind, _, _, size = struct.unpack_from("!HHIH", data, at)
            body = data[at + 10 : at + 10 + size]
            at += 10 + size
            if kind in (A, AAAA) and len(body) == (4 if kind == A else 16):
                found.append(str(ip_address(body)))
    except (ValueError, struct.error):
        pass
    return found
