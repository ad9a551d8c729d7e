"""Netlink protocols of which little more than the messages' names is known: netfilter, audit, generic netlink.

A netfilter message's type is a subsystem and its own type, a byte each
(linux/netfilter/nfnetlink.h). A generic family's type is given at run time
(linux/genetlink.h); only the controller's is fixed. Which families there are
the caller tells (`generic`), for that is asked of the system.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import partial

from lowrun.trace.constants import enum_text, names_of
from lowrun.trace.netlink import Attributes, Family, plain

__all__ = ["AUDIT", "NETFILTER", "generic"]

BATCH_BEGIN, BATCH_END = 16, 17
NFTABLES = 10

_subsystem = enum_text("nf_subsystem")
_family = enum_text("family")
#: Subsystem -> the set of its types.
_SETS = {
    number: f"nf_{text.removeprefix('NFNL_SUBSYS_').lower()}" for number, text in names_of("nf_subsystem") if number
}
_TYPES: dict[int, Callable[[int], str]] = {number: enum_text(name) for number, name in _SETS.items()}
#: What a type's name says of its flags.
_WAYS = (("_NEW", "nl_header_new"), ("_GET", "nl_header_get"), ("_DEL", "nl_header_delete"))
#: Subsystems whose messages have those flags.
_FLAGGED = frozenset((1, 2, 7, 8, 9, NFTABLES, 11, 12))
_attributes = Attributes("nf_no_attribute", {})


def _name(kind: int) -> str:
    if kind in (BATCH_BEGIN, BATCH_END):
        return f"NFNL_MSG_BATCH_{'BEGIN' if kind == BATCH_BEGIN else 'END'}"
    known = _TYPES.get(kind >> 8)
    text = known(kind & 0xFF) if known is not None else f"{kind & 0xFF:#x}" if kind & 0xFF else "0"
    return f"{_subsystem(kind >> 8)}<<8|{text}"


def _flags(kind: int) -> str:
    if kind >> 8 not in _FLAGGED:
        return "nl_header"
    name = _TYPES[kind >> 8](kind & 0xFF)
    return next((row for way, row in _WAYS if way in name), "nl_header")


def _message(kind: int, data: bytes) -> str:
    if len(data) < 4:
        return plain(data)
    family, version, resource = struct.unpack_from("<BBH", data)
    swapped = int.from_bytes(data[2:4], "big")
    of_tables = kind >> 8 == NFTABLES
    if of_tables and NFTABLES in (resource, swapped):
        text = "NFNL_SUBSYS_NFTABLES"
        text = f"htons({text})" if swapped == NFTABLES else text
    else:
        text = f"htons({swapped})"
    head = f"{{nfgen_family={_family(family)}, version={_version(version)}, res_id={text}}}"
    rest = data[4:]
    if not rest:
        return head
    return f"{head}, {plain(rest) if kind in (BATCH_BEGIN, BATCH_END) else _attributes(rest, family)}"


_version = enum_text("nf_version")
NETFILTER = Family(_name, _flags, lambda kind, flags, family: partial(_message, kind))
AUDIT = Family(enum_text("nl_audit_message"), lambda kind: "nl_header", lambda kind, flags, family: plain)


def generic(families: Callable[[], Mapping[int, str]]) -> Family:
    """Return generic netlink; `families` tells number -> name when the first message is met."""

    def name(kind: int) -> str:
        return families().get(kind) or f"{kind:#x} /* GENERIC_FAMILY_??? */"

    return Family(name, lambda kind: "nl_header", lambda kind, flags, family: plain)
