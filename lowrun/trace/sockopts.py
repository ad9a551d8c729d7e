"""The values of socket options (socket(7), ip(7), ipv6(7), packet(7)): bytes in, strace's notation out."""

from __future__ import annotations

import errno
import socket
import struct

from lowrun.trace.constants import enum_text, names_of
from lowrun.trace.context import Context
from lowrun.trace.layout import layout_text
from lowrun.trace.layouts import layout_size
from lowrun.trace.netlink import interface
from lowrun.trace.quoting import address, hexed, quoted

__all__ = ["option_text"]

#: Of linux/socket.h, which the standard library lacks.
SOL_RAW, SOL_PACKET = 255, 263
#: SOL_SOCKET's options that are an int whatever their length.
_INTS = (
    "SO_DEBUG SO_REUSEADDR SO_DONTROUTE SO_BROADCAST SO_SNDBUF SO_RCVBUF SO_KEEPALIVE SO_OOBINLINE SO_NO_CHECK"
    " SO_PRIORITY SO_BSDCOMPAT SO_REUSEPORT SO_PASSCRED SO_RCVLOWAT SO_SNDLOWAT SO_DETACH_FILTER SO_TIMESTAMP_OLD"
    " SO_ACCEPTCONN SO_SNDBUFFORCE SO_RCVBUFFORCE SO_PASSSEC SO_TIMESTAMPNS_OLD SO_MARK SO_RXQ_OVFL SO_WIFI_STATUS"
    " SO_PEEK_OFF SO_NOFCS SO_LOCK_FILTER SO_SELECT_ERR_QUEUE SO_BUSY_POLL SO_INCOMING_CPU SO_CNX_ADVICE"
    " SO_INCOMING_NAPI_ID SO_ZEROCOPY SO_TIMESTAMP_NEW SO_TIMESTAMPNS_NEW SO_DETACH_REUSEPORT_BPF SO_PREFER_BUSY_POLL"
    " SO_BUSY_POLL_BUDGET SO_RESERVE_MEM SO_RCVMARK"
).split()
_INT_NUMBERS = frozenset(number for number, name in names_of("so") if name in _INTS) | {37, 65}
#: (level, option) -> the struct of layouts.py.
_STRUCTS = {
    (1, 13): "linger", (1, 17): "ucred", (0, 35): "ip_mreq", (0, 36): "ip_mreq", (SOL_PACKET, 5): "tpacket_req",
    (SOL_PACKET, 13): "tpacket_req", (SOL_PACKET, 6): "tpacket_stats",
}  # fmt: skip
#: Of these the length must be right.
_EXACT = frozenset(("tpacket_req",))
_PACKET_MEMBERSHIP = frozenset((1, 2))
_ICMP_FILTER = 1
_IPV6_MEMBERSHIP = frozenset((20, 21, 27, 28))


def _mreq6(data: bytes) -> str:
    host = socket.inet_ntop(socket.AF_INET6, data[:16])
    (index,) = struct.unpack_from("<i", data, 16)
    return f'{{inet_pton(AF_INET6, "{host}", &ipv6mr_multiaddr), ipv6mr_interface={index}}}'


def _packet_mreq(data: bytes) -> str:
    index, kind, size = struct.unpack_from("<iHH", data)
    mac = ":".join(f"{byte:02x}" for byte in data[8 : 8 + min(size, 8)])
    return f"{{mr_ifindex={interface(index)}, mr_type={_membership(kind)}, mr_alen={size}, mr_address={mac}}}"


def _icmp_filter(data: bytes) -> str:
    """The types that are filtered; those that are not where they are more than half of all."""
    bits = int.from_bytes(data.ljust(4, b"\xff"), "little")
    negated = bits.bit_count() > 16
    bits ^= 0xFFFFFFFF if negated else 0
    return "~" * negated + "[" + " ".join(_icmp(number) for number in range(32) if bits >> number & 1) + "]"


_membership, _icmp = enum_text("packet_mr"), enum_text("icmp_filter")


def option_text(c: Context, i: int, data: bytes, cut: bool, asked: bool) -> str:
    """Return the value of argument `i` of setsockopt, or of getsockopt (`asked`)."""
    level, option = c.arguments[1] & 0xFFFFFFFF, c.arguments[2] & 0xFFFFFFFF
    if not data:
        return address(c.arguments[i]) if asked else '""'
    name = _STRUCTS.get((level, option))
    if name is not None:
        fits = len(data) == layout_size(name) if name in _EXACT else len(data) >= layout_size(name)
        return layout_text(name)(data, c) if fits else address(c.arguments[i])
    if level == SOL_PACKET and option in _PACKET_MEMBERSHIP:
        return _packet_mreq(data) if len(data) == 16 else address(c.arguments[i])
    if level == SOL_RAW and option == _ICMP_FILTER:
        return _icmp_filter(data[:4])
    if level == socket.SOL_SOCKET and option == socket.SO_ERROR and len(data) >= 4:
        (number,) = struct.unpack_from("<i", data)
        return f"[{errno.errorcode.get(number, number)}]"
    if level == socket.SOL_SOCKET and option in _INT_NUMBERS and len(data) < 4:
        return hexed(data) if asked else address(c.arguments[i])
    if level == 41 and option in _IPV6_MEMBERSHIP and not asked and len(data) >= 20:
        return _mreq6(data)
    if len(data) == 4 or (level == socket.SOL_SOCKET and option in _INT_NUMBERS):
        return f"[{struct.unpack_from('<i', data)[0]}]"
    return quoted(data, cut)
