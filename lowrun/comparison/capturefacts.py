"""Whom a run talked to, from a capture file.

Of each packet its addresses, ports and TCP flags are read, and one fact is noted: that a service is asked
(`udp 10.0.0.2:53 is asked`), answers, refuses (a reset, an ICMP error). A service is the side that was connected to,
or that has the lower port. Ports above 32767 are PORT: the kernel chooses them anew.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path

from lowrun.kept.frames import IPV4, IPV6, frames

__all__ = ["facts"]

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
SYN, RST, ACK = 2, 4, 16
UNREACHABLE = {ICMP: (3, 11), ICMPV6: (1, 2, 3)}
LAST_FIXED_PORT = 32767


def facts(path: Path) -> frozenset[str]:
    """Return the facts of a capture file; a file that is cut short gives what is whole. Raises OSError."""
    found: set[str] = set()
    servers: set[tuple[int, bytes, int]] = set()
    with path.open("rb") as file:
        for kind, packet in frames(file):
            _note(found, servers, kind, packet)
    return frozenset(found)


def _note(facts: set[str], servers: set[tuple[int, bytes, int]], kind: int, packet: bytes) -> None:
    if kind == IPV4 and len(packet) >= 20:
        protocol, source, target, rest = packet[9], packet[12:16], packet[16:20], packet[(packet[0] & 15) * 4 :]
    elif kind == IPV6 and len(packet) >= 40:
        protocol, source, target, rest = packet[6], packet[8:24], packet[24:40], packet[40:]
    else:
        return
    if protocol in UNREACHABLE and rest[:1] and rest[0] in UNREACHABLE[protocol]:
        facts.add(f"icmp: {_address(source)} says that something cannot be reached (type {rest[0]}, code {rest[1]})")
    elif protocol in (TCP, UDP) and len(rest) >= 8:
        _note_ports(facts, servers, protocol, (source, target), rest)


def _note_ports(
    facts: set[str], servers: set[tuple[int, bytes, int]], protocol: int, addresses: tuple[bytes, bytes], rest: bytes
) -> None:
    source, target = addresses
    ports = struct.unpack_from(">HH", rest)
    flags = rest[13] if protocol == TCP and len(rest) > 13 else 0
    if flags & (SYN | ACK) == SYN:
        servers.add((protocol, target, ports[1]))
    asked = (protocol, target, ports[1]) in servers or (
        (protocol, source, ports[0]) not in servers and ports[1] <= ports[0]
    )
    address, port = (target, ports[1]) if asked else (source, ports[0])
    name = "tcp" if protocol == TCP else "udp"
    host = f"[{_address(address)}]" if len(address) == 16 else _address(address)
    service = f"{name} {host}:{port if port <= LAST_FIXED_PORT else 'PORT'}"
    if flags & RST:
        facts.add(f"{service}: the {'client' if asked else 'service'} resets the connection")
    else:
        facts.add(f"{service} {'is asked' if asked else 'answers'}")


def _address(address: bytes) -> str:
    return str(ip_address(address))
