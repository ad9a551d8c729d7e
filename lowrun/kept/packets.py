"""The packets of a capture file that tell who talked to whom: TCP's, UDP's and ICMP's."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import BinaryIO, NamedTuple

from lowrun.kept.frames import IPV4, IPV6, frames

__all__ = ["ACK", "RST", "SYN", "Packet", "packets"]

PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}
SYN, RST, ACK = 0x02, 0x04, 0x10
#: Extension headers of IPv6 that are a multiple of 8 bytes long, told by their second byte.
EXTENSIONS = frozenset((0, 43, 60, 135))


class Packet(NamedTuple):
    """One of TCP, UDP, ICMP or ICMPv6."""

    protocol: str
    source: str
    #: Ports are 0 where there are none.
    source_port: int
    target: str
    target_port: int
    #: Of TCP, else 0.
    flags: int
    #: How many bytes it carried, and those that were captured; of ICMP the whole message.
    size: int
    payload: bytes


def packets(file: BinaryIO) -> Iterator[Packet | None]:
    """Read the packets of `file`: None for one that is of none of these, or makes no sense. Raises OSError."""
    for kind, data in frames(file):
        try:
            yield _ipv4(data) if kind == IPV4 else _ipv6(data) if kind == IPV6 else None
        except (IndexError, ValueError, struct.error):
            yield None


def _ipv4(data: bytes) -> Packet | None:
    head = (data[0] & 15) * 4
    total = int.from_bytes(data[2:4], "big") or len(data)  # 0: cut up by the card, later
    if int.from_bytes(data[6:8], "big") & 0x1FFF:
        return None  # a later fragment has no ports
    source, target = str(ip_address(data[12:16])), str(ip_address(data[16:20]))
    return _transport(data[9], source, target, data[head:], total - head)


def _ipv6(data: bytes) -> Packet | None:
    kind, at = data[6], 40
    total = int.from_bytes(data[4:6], "big") + 40
    while kind in EXTENSIONS:
        kind, at = data[at], at + (data[at + 1] + 1) * 8
    source, target = str(ip_address(data[8:24])), str(ip_address(data[24:40]))
    return _transport(kind, source, target, data[at:], total - at)


def _transport(kind: int, source: str, target: str, data: bytes, size: int) -> Packet | None:
    protocol = PROTOCOLS.get(kind)
    if protocol is None:
        return None
    if protocol not in ("TCP", "UDP"):
        return Packet(protocol, source, 0, target, 0, 0, size, data[: max(0, size)])
    here, there = struct.unpack_from("!HH", data)
    if protocol == "UDP":
        return Packet(protocol, source, here, target, there, 0, max(0, size - 8), data[8:size])
    head = (data[12] >> 4) * 4
    return Packet(protocol, source, here, target, there, data[13], max(0, size - head), data[head:size])
