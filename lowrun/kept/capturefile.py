"""A kept capture, read again: who talked to whom. A packet that makes no sense is passed over."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lowrun.kept.frames import IPV4, IPV6, frames
from lowrun.kept.hosts import DNS_PORT, Host, Peers

__all__ = ["Packet", "packets", "peers_of"]

TCP, UDP = 6, 17
SYN, RST, ACK = 0x02, 0x04, 0x10
#: Extension headers of IPv6 that are a multiple of 8 bytes long, told by their second byte.
EXTENSIONS = frozenset((0, 43, 60, 135))
#: Packets that are looked at; the rest of a long capture is not.
MOST_PACKETS = 500_000
#: Connections that are told apart.
MOST_FLOWS = 50_000


class Packet(NamedTuple):
    """One of TCP or UDP."""

    protocol: str
    source: str
    source_port: int
    target: str
    target_port: int
    #: Of TCP, else 0.
    flags: int
    #: How many bytes it carried, and those that were captured.
    size: int
    payload: bytes


def packets(file: BinaryIO) -> Iterator[Packet | None]:
    """Read the packets of `file`: None for one that is neither TCP nor UDP. Raises OSError."""
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
    if kind not in (TCP, UDP):
        return None
    here, there = struct.unpack_from("!HH", data)
    if kind == UDP:
        return Packet("UDP", source, here, target, there, 0, max(0, size - 8), data[8:size])
    head = (data[12] >> 4) * 4
    return Packet("TCP", source, here, target, there, data[13], max(0, size - head), data[head:size])


class _Flow:
    """A connection, or datagrams between two ends; the one that spoke first is its begin."""

    __slots__ = ("answered", "begin", "host", "reset", "syn")

    def __init__(self, packet: Packet, host: Host | None) -> None:
        self.begin = packet.source, packet.source_port
        self.host = host
        self.answered = self.reset = self.syn = False


def peers_of(path: Path) -> tuple[Peers, bool]:
    """Return who talked to whom, and True when the capture is too long to be looked at as a whole. Raises OSError.

    The host is the end that was spoken to first. A capture is of all that passed the interfaces, other programs too.
    """
    peers = Peers()
    flows: dict[tuple[str, frozenset[tuple[str, int]]], _Flow] = {}
    with path.open("rb") as file:
        for number, packet in enumerate(packets(file)):
            if number >= MOST_PACKETS:
                break
            if packet is not None:
                _add(packet, peers, flows)
        else:
            number = -1
    for flow in flows.values():
        host = flow.host
        if host is not None and (flow.reset or (flow.syn and not flow.answered)):
            error = "reset" if flow.reset else "no answer"
            host.errors[error] = host.errors.get(error, 0) + 1
    return peers, number >= 0


def _add(packet: Packet, peers: Peers, flows: dict[tuple[str, frozenset[tuple[str, int]]], _Flow]) -> None:
    if DNS_PORT in (packet.source_port, packet.target_port) and packet.payload:
        peers.dns(packet.payload if packet.protocol == "UDP" else packet.payload[2:])
    ends = frozenset(((packet.source, packet.source_port), (packet.target, packet.target_port)))
    flow = flows.get((packet.protocol, ends))
    fresh = packet.flags & (SYN | ACK) == SYN
    if flow is None:
        if len(flows) >= MOST_FLOWS:
            peers.left_out += 1
            return
        flow = flows[packet.protocol, ends] = _Flow(
            packet, peers.host(packet.protocol, packet.target, packet.target_port)
        )
        if flow.host is not None:
            flow.host.connections += 1
    flow.syn = flow.syn or fresh
    outward = (packet.source, packet.source_port) == flow.begin
    if not outward:
        flow.answered = True
        flow.reset = flow.reset or bool(packet.flags & RST)
    if flow.host is not None and outward:
        flow.host.sent += packet.size
    elif flow.host is not None:
        flow.host.received += packet.size
