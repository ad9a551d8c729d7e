"""pcap-filter(7) expressions become programs that the kernel runs: libpcap's code, libpcap's words."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from ctypes import addressof, create_string_buffer

import pytest

from lowrun.errors import UsageError
from lowrun.packets.netfilter import compile_filter

ETHERNET, RAW_IP = 1, 101
SNAPLEN = 65535
SO_ATTACH_FILTER = 26
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root: a packet socket, or to become somebody else")


def instructions(program: bytes) -> list[tuple[int, int, int, int]]:
    """(code, jump if true, if false, operand) of each."""
    return list(struct.iter_unpack("HBBI", program))


@pytest.mark.parametrize("expression", ["udp port 9", "tcp", "host 127.0.0.1 and not port 22", "inbound", "len > 100"])
def test_it_is_what_tcpdump_has(expression: str) -> None:
    """tcpdump, on the same library, compiles the same program."""
    done = subprocess.run(
        ["tcpdump", "-ddd", "-s", str(SNAPLEN), "-y", "EN10MB", expression], capture_output=True, text=True, check=True
    )
    theirs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()[1:]]
    assert instructions(compile_filter(expression, ETHERNET, SNAPLEN)) == theirs


@ROOT_ONLY
def test_the_kernel_takes_it_and_it_selects() -> None:
    """Of two datagrams on loopback only the one that the expression is for passes, with as many bytes as asked for."""
    program = compile_filter("udp dst port 9", ETHERNET, 60)
    buffer = create_string_buffer(program, len(program))
    # A kernel's struct sock_fprog: how many, padding, where.
    where = struct.pack("HxxxxxxP", len(program) // 8, addressof(buffer))
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets,
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, where)
        packets.bind(("lo", 3))
        packets.settimeout(10)
        sender.sendto(b"x" * 100, ("127.0.0.1", 11))
        sender.sendto(b"y" * 100, ("127.0.0.1", 9))
        taken = packets.recv(2000)
    assert len(taken) == 60
    assert taken.endswith(b"y")


def test_raw_ip_has_no_link_header() -> None:
    """A tunnel's packets begin with the IP header: its version is the first half byte."""
    assert instructions(compile_filter("ip", RAW_IP, SNAPLEN))[0][3] == 0


@ROOT_ONLY
def test_vlan_asks_beside_the_packet() -> None:
    """The kernel has taken the tag off: SKF_AD_VLAN_TAG_PRESENT (-4096 + 48) is loaded, as for tcpdump on a card."""
    assert (0x30, 0, 0, 2**32 - 4096 + 48) in instructions(compile_filter("vlan and udp", ETHERNET, SNAPLEN))


@ROOT_ONLY
def test_vlan_is_refused_where_it_would_lie() -> None:
    """Without the right to capture, the code that looks beside the packet cannot be had."""
    script = "from lowrun.packets.netfilter import *; compile_filter('not vlan', 1, 9)"
    done = subprocess.run([*NOBODY, sys.executable, "-c", script], capture_output=True, text=True)
    assert "UnsupportedError: filter 'not vlan': the kernel keeps VLAN tags beside the packet" in done.stderr


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("tcp prt", "can't parse filter expression: syntax error"),
        ("ifname lo", "ifname supported only on PF linktype"),
        ("ip and ip6", "expression rejects all packets"),
        ("host", "syntax error"),
        ("", "filter '' is empty"),
        (" \t", r"filter ' \t' is empty"),
        ("port 9\0", "no NUL"),
        ("host bücher.example", "only ASCII"),
        (" or ".join(f"ether[{i % 900 + 14}] = {i % 251}" for i in range(5000)), "the kernel takes 4096"),
    ],
)
def test_what_makes_no_sense(expression: str, words: str) -> None:
    """libpcap's own words for what it refuses, ours for what never comes to it."""
    with pytest.raises(UsageError) as caught:
        compile_filter(expression, ETHERNET, SNAPLEN)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    ["ether proto 0x8100", "udp or ether proto 0x88a8", "ether[12:2] = 0x8100", "not ether[12:2] = 0x9100 and len > 9"],
)
def test_tags_in_the_frame_are_refused(expression: str) -> None:
    """They are not there when a filter looks: `vlan` is what asks for them."""
    with pytest.raises(UsageError, match=r"beside the packet, not in it; ask with `vlan`"):
        compile_filter(expression, ETHERNET, SNAPLEN)


@pytest.mark.parametrize("expression", ["port 33024", "ether proto 0x88b5", "ether[12:2] = 0x800", "ip[2:2] = 0x8100"])
def test_the_same_number_elsewhere_is_no_tag(expression: str) -> None:
    """0x8100 as a port or a length says nothing about tags, nor do other protocols of Ethernet."""
    assert compile_filter(expression, ETHERNET, SNAPLEN)
