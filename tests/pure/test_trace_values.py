"""Values that only the superuser's programs have: each expected line is one that strace prints for that call."""

from __future__ import annotations

import struct

import pytest
from test_trace_text import line

SOL_RAW, SOL_PACKET, SOL_IP = 255, 263, 0
MEMBERSHIP = struct.pack("<iHH8s", 0, 1, 6, bytes(range(8)))
#: A struct loop_config: descriptor, block size, loop_info64, reserved.
LOOP = struct.pack("<iI 24xQ8xI8xI64s", 3, 512, 4096, 0, 8, b"/image").ljust(304, b"\0")


@pytest.mark.parametrize(
    ("name", "arguments", "data", "text"),
    [
        ("setsockopt", (3, SOL_RAW, 1, 0x10, 4), b"\xc6\xe7\xff\xff", "SOL_RAW, ICMP_FILTER, ~[ICMP_ECHOREPLY"
         " ICMP_DEST_UNREACH ICMP_SOURCE_QUENCH ICMP_REDIRECT ICMP_TIME_EXCEEDED ICMP_PARAMETERPROB], 4"),
        ("setsockopt", (3, SOL_RAW, 1, 0x10, 4), b"\1\0\0\0", "SOL_RAW, ICMP_FILTER, [ICMP_ECHOREPLY], 4"),
        ("setsockopt", (3, SOL_PACKET, 1, 0x10, 16), MEMBERSHIP, "SOL_PACKET, PACKET_ADD_MEMBERSHIP,"
         " {mr_ifindex=0, mr_type=PACKET_MR_PROMISC, mr_alen=6, mr_address=00:01:02:03:04:05}, 16"),
        ("setsockopt", (3, SOL_PACKET, 5, 0x10, 28), bytes(28), "SOL_PACKET, PACKET_RX_RING, 0x10, 28"),
        ("setsockopt", (3, SOL_IP, 64, 0x10, 1), b"a", 'SOL_IP, IPT_SO_SET_REPLACE, "a", 1'),
        ("ioctl", (4, 0x4C0A, 0x10), LOOP, "LOOP_CONFIGURE, {fd=3, block_size=512, info={lo_offset=0x1000, lo_number=0,"
         ' lo_flags=LO_FLAGS_PARTSCAN, lo_file_name="/image", ...}}'),
    ],
)  # fmt: skip
def test_what_is_given_to_a_descriptor(name: str, arguments: tuple[int, ...], data: bytes, text: str) -> None:
    """Socket options and ioctls: their structs."""
    place = 2 if name == "ioctl" else 3
    assert line(name, *arguments, at_entry={place: data}) == f"{name}({arguments[0]}, {text}) = 0"


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("socket", (17, 3, 0x300), "AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)"),
        ("syslog", (8, 0, 7), "8 /* SYSLOG_ACTION_CONSOLE_LEVEL */, NULL, 7 /* LOGLEVEL_DEBUG */"),
        ("arch_prctl", (0x1023, 18), "ARCH_REQ_XCOMP_PERM, 0x12 /* XFEATURE_XTILE_DATA */"),
        ("io_uring_setup", (1, 0), "1, NULL"),
    ],
)
def test_numbers_with_names(name: str, arguments: tuple[int, ...], text: str) -> None:
    """Arguments that are plain numbers."""
    assert line(name, *arguments) == f"{name}({text}) = 0"


def test_a_device_whose_minor_number_is_zero() -> None:
    """It is 0, not 0x0."""
    assert "makedev(0x7, 0)" in line("mknod", 0x10, 0o60000, 7 << 8, at_entry={0: b"/dev/loop0\0"})
