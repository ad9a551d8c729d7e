"""A kept capture, read again: who talked to whom."""

from __future__ import annotations

from pathlib import Path

from lowrun.kept.hosts import DNS_PORT, Host, Peers
from lowrun.kept.packets import ACK, RST, SYN, Packet, packets

__all__ = ["peers_of"]

#: Packets that are looked at; the rest of a long capture is not.
MOST_PACKETS = 500_000
#: Connections that are told apart.
MOST_FLOWS = 50_000


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
            if packet is not None and packet.protocol in ("TCP", "UDP"):
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
