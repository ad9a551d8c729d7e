"""The C side of captures, without a socket: packets in order of time."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket

from lowrun.core.packets import Sorter, recent_packets
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


Packets = list[tuple[int, bytes]]


@contextmanager
def file_of(packets: Packets) -> Iterator[int]:
    source = os.memfd_create("source", os.MFD_ALLOW_SEALING)
    try:
        os.write(source, HEAD + b"".join(packet(ns, data) for ns, data in packets))
        yield source
    finally:
        os.close(source)


def packets_in(fd: int) -> Packets:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        blocks = [block for block in FileScanner(file) if isinstance(block, EnhancedPacket)]
    return [(block.timestamp_high << 32 | block.timestamp_low, block.packet_data) for block in blocks]


def in_order(packets: Packets) -> Packets:
    return sorted(packets, key=lambda each: each[0])


any_packets = st.lists(st.tuples(st.integers(0, 2**64 - 1) | st.integers(0, 9), st.binary(max_size=3000)), max_size=60)


@settings(max_examples=50, deadline=None)
@given(any_packets)
def test_packets_are_put_in_order_of_time(packets: Packets) -> None:
    """All packets are in the new file once, oldest first; those of the same time in the order they came."""
    with file_of(packets) as source, file_of([]) as target:
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
        Sorter(len(HEAD)).copy_in_order(source, target)
        assert packets_in(target) == in_order(packets)


@settings(max_examples=50, deadline=None)
@given(any_packets)
def test_packets_are_put_in_order_in_place(packets: Packets) -> None:
    """The same in the file itself, whatever is out of order."""
    with file_of(packets) as source:
        assert Sorter(len(HEAD)).put_in_order(source)
        assert packets_in(source) == in_order(packets)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 30), st.integers(0, 900), st.integers(0, 300)), max_size=40)
)
def test_late_packets_far_apart(late: list[tuple[int, int, int, int]]) -> None:
    """Some of 4,000 packets come some places late: stretches near to each other and far from each other."""
    packets = [(10 * number, bytes(number % 97)) for number in range(4000)]
    for number, by, size, ns in late:
        packets.insert(min(number + by, len(packets)), (10 * number + ns, b"x" * size))
    with file_of(packets) as source:
        assert Sorter(len(HEAD)).put_in_order(source)
        assert packets_in(source) == in_order(packets)


@settings(max_examples=20, deadline=None)
@given(st.integers(100, 1500), st.randoms(use_true_random=False), st.booleans())
def test_nearly_all_are_out_of_order(count: int, random: Random, backwards: bool) -> None:
    """So many that they are merged, not moved one by one: the last first, or in no order, many at the same time."""
    packets = [((count - number) // 2, number.to_bytes(2, "big")) for number in range(count)]
    if not backwards:
        random.shuffle(packets)
    with file_of(packets) as source, file_of([]) as target:
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
        Sorter(len(HEAD)).copy_in_order(source, target)
        assert packets_in(target) == in_order(packets)
        assert Sorter(len(HEAD)).put_in_order(source)
        assert packets_in(source) == in_order(packets)


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=20), st.integers(0, 1000), st.integers(0, 30))
def test_where_the_last_packets_begin(times: list[int], room: int, since: int) -> None:
    """The first packet with no more than `room` bytes from it to the end, and not too old; or the end."""
    packets = [(ns, bytes(ns)) for ns in times]
    with file_of(packets) as source:
        end = os.fstat(source).st_size
        starts = [end - sum(len(packet(*one)) for one in packets[at:]) for at in range(len(packets))]
        wanted = [at for at, (ns, _) in zip(starts, packets, strict=True) if ns >= since and end - at <= room]
        assert recent_packets(source, len(HEAD), room, since) == min(wanted, default=end)


def test_what_is_too_far_apart_is_left_as_it_is() -> None:
    """The last of 20 MB comes first: the file is not touched, and a second one can be made."""
    packets = [(1000 - number // 399 * 1000, bytes(50_000)) for number in range(400)]
    with file_of(packets) as source, file_of([]) as target:
        assert not Sorter(len(HEAD)).put_in_order(source)
        assert packets_in(source) == packets
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
        Sorter(len(HEAD)).copy_in_order(source, target)
        assert packets_in(target) == in_order(packets)


def test_a_file_that_cannot_be_written_is_whole() -> None:
    """Where a stretch cannot be put in order, an error says so and all packets are there."""
    packets = [(number ^ 1, bytes(100)) for number in range(100)]
    with file_of(packets) as source:
        fcntl.fcntl(source, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        with pytest.raises(PermissionError):
            Sorter(len(HEAD)).put_in_order(source)
        assert packets_in(source) == packets


def test_who_gives_up_leaves_the_file_whole() -> None:
    """Told to end, putting in order ends with ECANCELED, in place and in a second file, and no packet is lost."""
    packets = [(number ^ 1, bytes(100)) for number in range(100)]
    with file_of(packets) as source, file_of([]) as target:
        sorter = Sorter(len(HEAD))
        sorter.give_up()
        for work in (lambda: sorter.put_in_order(source), lambda: sorter.copy_in_order(source, target)):
            with pytest.raises(OSError, match=os.strerror(errno.ECANCELED)):
                work()
        assert packets_in(source) == packets


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
