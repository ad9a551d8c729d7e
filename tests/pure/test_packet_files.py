"""The C side of captures, without a socket: packets in order of time."""

from __future__ import annotations

import os
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket

from lowrun.core.packets import sort_packets
from lowrun.packets.capture import ring_layout
from lowrun.packets.pcapng import interface_block, section_block

HEAD = section_block(hardware="h", os="o", application="a", comment="c") + interface_block(
    linktype=1, snaplen=0, name="lo", mac=b"", filter_text="", os="o"
)


def packet(ns: int, data: bytes) -> bytes:
    padded = data + b"\0" * (-len(data) % 4)
    total = 32 + len(padded)
    head = struct.pack("=IIIIIII", 6, total, 0, ns >> 32, ns & 0xFFFFFFFF, len(data), len(data))
    return head + padded + struct.pack("=I", total)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1) | st.integers(0, 9), st.binary(max_size=3000)), max_size=60))
def test_packets_are_put_in_order_of_time(packets: list[tuple[int, bytes]]) -> None:
    """All packets are in the new file once, oldest first; those of the same time in the order they came."""
    source, target = os.memfd_create("source"), os.memfd_create("target")
    try:
        os.write(source, HEAD + b"".join(packet(ns, data) for ns, data in packets))
        sort_packets(source, target, len(HEAD))
        with os.fdopen(os.dup(target), "rb") as file:
            file.seek(0)
            blocks = [block for block in FileScanner(file) if isinstance(block, EnhancedPacket)]
    finally:
        os.close(source)
        os.close(target)
    seen = [(block.timestamp_high << 32 | block.timestamp_low, block.packet_data) for block in blocks]
    assert seen == sorted(packets, key=lambda each: each[0])


@given(st.integers(64 << 10, 1 << 30), st.integers(1, 1000))
def test_a_ring_has_some_blocks_of_a_size_that_fits(asked: int, interfaces: int) -> None:
    """At least four blocks of whole pages, no more memory than was asked for, and nearly that."""
    size, block = ring_layout(asked, interfaces)
    assert block % 4096 == 0
    assert size % block == 0
    assert size // block >= 4
    assert asked * 3 // 4 < size <= asked


@given(st.integers(1, 1000))
def test_many_rings_are_small(interfaces: int) -> None:
    """Where no size is asked for, all rings together have 64 MiB at most, up to 1,024 interfaces."""
    size, _block = ring_layout(None, interfaces)
    assert size * interfaces <= 64 << 20
    assert ring_layout(None, 1)[0] == 32 << 20
