"""Whom a run talked to, from a capture file.

Of each packet one fact is noted: that a service is asked (`udp 10.0.0.2:53 is asked`), answers, refuses (a reset, an
ICMP error). A service is the side that was connected to, or that has the lower port. Ports above 32767 are PORT: the
kernel chooses them anew.
"""

from __future__ import annotations

from pathlib import Path

from lowrun.kept.packets import ACK, RST, SYN, Packet, packets

__all__ = ["facts"]

#: Types that say that something cannot be reached.
UNREACHABLE = {"ICMP": (3, 11), "ICMPv6": (1, 2, 3)}
LAST_FIXED_PORT = 32767

#: Protocol, address, port.
End = tuple[str, str, int]


def facts(path: Path) -> frozenset[str]:
    """Return the facts of a capture file; a file that is cut short gives what is whole. Raises OSError."""
    found: set[str] = set()
    servers: set[End] = set()
    with path.open("rb") as file:
        for packet in packets(file):
            if packet is not None and (fact := _fact(packet, servers)):
                found.add(fact)
    return frozenset(found)


def _fact(packet: Packet, servers: set[End]) -> str:
    """Return what a packet says, "" when it says nothing; `servers` are those that were connected to, so far."""
    if packet.protocol in UNREACHABLE:
        kind, code = (*packet.payload[:2], 0, 0)[:2]
        if kind not in UNREACHABLE[packet.protocol]:
            return ""
        return f"icmp: {packet.source} says that something cannot be reached (type {kind}, code {code})"
    source = packet.protocol, packet.source, packet.source_port
    target = packet.protocol, packet.target, packet.target_port
    if packet.flags & (SYN | ACK) == SYN:
        servers.add(target)
    asked = target in servers or (source not in servers and packet.target_port <= packet.source_port)
    service = _service(*(target if asked else source))
    if packet.flags & RST:
        return f"{service}: the {'client' if asked else 'service'} resets the connection"
    return f"{service} {'is asked' if asked else 'answers'}"


def _service(protocol: str, address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{protocol.lower()} {host}:{port if port <= LAST_FIXED_PORT else 'PORT'}"
