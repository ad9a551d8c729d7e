"""The packets of a capture file, as IP has them (pcapng of any byte order; lowrun/packets/pcapng.py writes such).

draft-ietf-opsawg-pcapng gives the blocks, https://www.tcpdump.org/linktypes.html what a packet begins with. A file is
read block by block, never as a whole; one that ends in the middle of a block is read up to there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["IPV4", "IPV6", "frames"]

SECTION, INTERFACE, ENHANCED = 0x0A0D0D0A, 1, 6
MAGIC = 0x1A2B3C4D
#: Type of link -> where the EtherType stands and how long the head is; None: an IP packet at once. Ethernet, RAW,
#: Linux's two cooked ones, IPv4 and IPv6.
HEADS = {1: (12, 14), 101: None, 113: (14, 16), 228: None, 229: None, 276: (0, 20)}
IPV4, IPV6, VLAN = 0x0800, 0x86DD, frozenset((0x8100, 0x88A8, 0x9100))
#: A block is not larger: what says so is no block.
LARGEST = 1 << 26


def frames(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield of each packet its EtherType and what stands behind its link's head; 0 and b"" for what is not read."""
    for link, packet in _packets(file):
        yield _network_layer(link, packet)


def _packets(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield (type of link, packet)."""
    order, links = "=", list[int]()
    while len(head := file.read(12)) == 12:
        kind = struct.unpack_from("=I", head)[0]
        if kind == SECTION:  # reads the same in either order
            order = "<" if struct.unpack_from("<I", head, 8)[0] == MAGIC else ">"
            links = []
        kind, size = struct.unpack_from(order + "II", head)
        if not 12 <= size <= LARGEST:
            return
        block = head[8:] + file.read(size - 12)
        if len(block) < size - 8:
            return
        if kind == INTERFACE:
            links.append(struct.unpack_from(order + "H", block)[0])
        elif kind == ENHANCED and len(block) >= 20:
            interface, _, _, captured = struct.unpack_from(order + "IIII", block)
            if interface < len(links):
                yield links[interface], block[20 : 20 + captured]


def _network_layer(link: int, packet: bytes) -> tuple[int, bytes]:
    if link not in HEADS or not packet:
        return 0, b""
    head = HEADS[link]
    if head is None:
        return {4: IPV4, 6: IPV6}.get(packet[0] >> 4, 0), packet
    at, end = head
    if len(packet) < end:
        return 0, b""
    kind = int.from_bytes(packet[at : at + 2], "big")
    while kind in VLAN and len(packet) >= end + 4:
        kind, end = int.from_bytes(packet[end + 2 : end + 4], "big"), end + 4
    return kind, packet[end:]
