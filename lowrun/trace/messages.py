"""What sendmsg and its like take: iovecs, control messages, message headers (readv(2), cmsg(3), recvmsg(2)).

They come as the tracer lays them out (LR_CAP_IOVEC, LR_CAP_MSGHDR in records.h).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping, Sequence

from lowrun.trace.constants import enum_text, flags_text
from lowrun.trace.netlink import Family, inet_text, interface, messages_text
from lowrun.trace.netlink_diag import SOCK_DIAG
from lowrun.trace.netlink_families import generic_families
from lowrun.trace.netlink_more import AUDIT, NETFILTER, generic
from lowrun.trace.netlink_route import ROUTE
from lowrun.trace.quoting import address, quoted
from lowrun.trace.sockets import sockaddr_text
from lowrun.trace.structs import STRUCTS

__all__ = ["content_of", "iovecs_text", "mmsghdrs_text", "msghdr_text", "netlink_of"]

#: Text of what an iov_base points to; cut: there is more.
Content = Callable[[bytes, bool], str]

MSGHDR_SIZE = 56
CMSG_SIZE = 16
#: Bytes of control messages that are read: net.core.optmem_max, unless somebody raised it.
CONTROL_MAX = 20480

_level = enum_text("sockopt_level")
_msg_flags = flags_text("msg_flags")


def _parts(data: bytes, at: int) -> list[tuple[bytes, bool]]:
    """Split `u32 len, u32 cut, bytes padded to 8` repeated."""
    parts = []
    while at + 8 <= len(data):
        size, cut = struct.unpack_from("<II", data, at)
        at += 8
        parts.append((data[at : at + size], cut != 0))
        at += (size + 7) & ~7
    return parts


# -- iovecs


def iovecs_text(data: bytes, count: int, where: int, cut: bool = False, content: Content = quoted) -> str:
    """Return an IOVEC chunk as `[{iov_base="...", iov_len=3}]`.

    There are `count` of them, at the address `where`; `cut`: those that are
    missing were not asked for, else they could not be read.
    """
    kept = min(int.from_bytes(data[:8], "little"), (len(data) - 8) // 16)
    parts = _parts(data, 8 + 16 * kept)
    texts = []
    for index in range(kept):
        base, size = struct.unpack_from("<QQ", data, 8 + 16 * index)
        part, more = parts[index] if index < len(parts) else (b"", True)
        base_text = content(part, more) if base and (part or not more) else address(base)
        texts.append(f"{{iov_base={base_text}, iov_len={size}}}")
    if kept < count:
        texts.append("..." if cut else f"... /* {where + 16 * kept:#x} */")
    return "[" + ", ".join(texts) + "]"


# -- netlink

_FAMILIES = {"ROUTE": ROUTE, "SOCK_DIAG": SOCK_DIAG, "AUDIT": AUDIT, "NETFILTER": NETFILTER,
             "GENERIC": generic(generic_families)}  # fmt: skip


def netlink_of(descriptor: str) -> tuple[bool, Family | None]:
    """Return whether `<NETLINK:[ROUTE:123]>` is a netlink socket, and its protocol where that is known."""
    found = descriptor.startswith("<NETLINK:[")
    return found, _FAMILIES.get(descriptor[len("<NETLINK:[") :].partition(":")[0].rstrip("]>")) if found else None


def content_of(descriptor: str) -> Content:
    """Return the text of what is sent over a descriptor, or received."""
    found, family = netlink_of(descriptor)
    return (lambda data, cut: messages_text(data, family)) if found else quoted


# -- control messages

_SOCKET_TYPES = {
    1: "SCM_RIGHTS", 2: "SCM_CREDENTIALS", 3: "SCM_SECURITY", 29: "SO_TIMESTAMP_OLD", 35: "SO_TIMESTAMPNS_OLD",
    37: "SO_TIMESTAMPING_OLD", 41: "SO_WIFI_STATUS", 54: "SCM_TIMESTAMPING_OPT_STATS", 58: "SCM_TIMESTAMPING_PKTINFO",
    61: "SO_TXTIME", 63: "SO_TIMESTAMP_NEW", 64: "SO_TIMESTAMPNS_NEW", 65: "SO_TIMESTAMPING_NEW",
}  # fmt: skip
_IP_TYPES = {
    1: "IP_TOS", 2: "IP_TTL", 6: "IP_RECVOPTS", 7: "IP_RETOPTS", 8: "IP_PKTINFO", 11: "IP_RECVERR",
    20: "IP_ORIGDSTADDR", 23: "IP_CHECKSUM", 3: "SCM_SECURITY",
}  # fmt: skip

Descriptors = Mapping[int, str]


def _rights(data: bytes, decorate: Descriptors) -> str:
    fds = struct.unpack(f"<{len(data) // 4}i", data[: len(data) & ~3])
    return "[" + ", ".join(f"{fd}{decorate.get(fd, '')}" for fd in fds) + "]"


def _credentials(data: bytes, decorate: Descriptors) -> str:
    return "{{pid={}, uid={}, gid={}}}".format(*struct.unpack_from("<iII", data))


def _times(data: bytes, decorate: Descriptors) -> str:
    return (
        "[" + ", ".join(STRUCTS["timespec"](data[at : at + 16]) for at in range(0, min(len(data), 48) - 15, 16)) + "]"
    )


def _packet_info(data: bytes, decorate: Descriptors) -> str:
    index = int.from_bytes(data[:4], "little")
    source, to = (inet_text(data[at : at + 4], socket.AF_INET) for at in (4, 8))
    return f"{{ipi_ifindex={interface(index)}, ipi_spec_dst={source}, ipi_addr={to}}}"


def _numbers(data: bytes, decorate: Descriptors) -> str:
    return "[" + ", ".join(str(n) for (n,) in struct.iter_unpack("<I", data[: len(data) & ~3])) + "]"


def _octets(data: bytes, decorate: Descriptors) -> str:
    return "[" + ", ".join(f"{byte:#x}" if byte else "0" for byte in data) + "]"


def _error(data: bytes, decorate: Descriptors) -> str:
    number, origin, kind, code, info, more = struct.unpack_from("<IBBBxII", data)
    return (
        f"{{ee_errno={number}, ee_origin={origin}, ee_type={kind}, ee_code={code}, ee_info={info}, ee_data={more},"
        f" offender={sockaddr_text(data[16:32])}}}"
    )


#: Level -> type -> (bytes that must be there, their text).
_CONTROLS: dict[int, dict[int, tuple[int, Callable[[bytes, Descriptors], str]]]] = {
    socket.SOL_SOCKET: {
        1: (4, _rights), 2: (12, _credentials), 3: (1, lambda data, decorate: quoted(data)),
        **dict.fromkeys((29, 63), (16, lambda data, decorate: STRUCTS["timeval"](data))),
        **dict.fromkeys((35, 64), (16, lambda data, decorate: STRUCTS["timespec"](data))),
        **dict.fromkeys((37, 65), (16, _times)),
    },
    socket.SOL_IP: {
        8: (12, _packet_info), 2: (4, _numbers), 23: (4, _numbers), 11: (32, _error),
        20: (16, lambda data, decorate: sockaddr_text(data) or ""),
        **dict.fromkeys((1, 6, 7), (1, _octets)), 3: (1, lambda data, decorate: quoted(data)),
    },
}  # fmt: skip


def _type_text(level: int, kind: int) -> str:
    if level == socket.SOL_SOCKET:
        return _SOCKET_TYPES.get(kind) or f"{kind:#x} /* SCM_??? */"
    if level == socket.SOL_IP:
        return _IP_TYPES.get(kind) or f"{kind:#x} /* IP_??? */"
    return f"{kind & 0xFFFFFFFF:#x}" if kind else "0"


def _control_text(data: bytes, where: int, size: int, decorate: Descriptors) -> str:
    """Return the control messages, of which there are `size` bytes at the address `where`."""
    texts, at, end = [], 0, len(data)
    if end < CMSG_SIZE:
        return address(where)
    while end - at >= CMSG_SIZE:
        length, level, kind = struct.unpack_from("<Qii", data, at)
        text = f"{{cmsg_len={length}, cmsg_level={_level(level)}, cmsg_type={_type_text(level, kind)}"
        body = data[at + CMSG_SIZE : at + min(length, end - at)]
        least, value = _CONTROLS.get(level, {}).get(kind, (1 << 32, _octets))
        texts.append(text + (f", cmsg_data={value(body, decorate)}}}" if len(body) >= least else "}"))
        if length < CMSG_SIZE:
            at += CMSG_SIZE
            break
        at = min(at + ((length + 7) & ~7), end)
    if at < end:
        texts.append(f"... /* {where + at:#x} */")
    elif end < size:
        texts.append("...")
    return "[" + ", ".join(texts) + "]"


# -- headers


def msghdr_text(
    data: bytes, decorate: Descriptors, descriptor: int, room: int | None = None, cut: bool = False
) -> str | None:
    """Return a MSGHDR chunk as `{msg_name=..., msg_iov=[...], ...}`; None when it is too short.

    `descriptor` it is sent over; `room` is what there was for the name before
    the call. `cut`: there are more iovecs than were copied.
    """
    if len(data) < MSGHDR_SIZE:
        return None
    name, name_size, iov, iov_count, control, control_size, flags = struct.unpack_from("<Qi4xQQQQi", data)
    pieces, at = [], MSGHDR_SIZE
    for _ in range(2):
        size = int.from_bytes(data[at : at + 4], "little")
        pieces.append(data[at + 8 : at + 8 + size])
        at += 8 + ((size + 7) & ~7)
    name_text = sockaddr_text(pieces[0], name_size if room is None else min(name_size, room)) or address(name)
    content = content_of(decorate.get(descriptor, "")) if name_text.startswith("{sa_family=AF_NETLINK") else quoted
    iov_text = iovecs_text(data[at:], iov_count, iov, cut, content) if len(data) >= at + 8 else address(iov)
    length = f"{name_size}" if room in (None, name_size) else f"{room} => {name_size}"
    controls = f"msg_control={_control_text(pieces[1], control, control_size, decorate)}, " if control_size else ""
    return (
        f"{{msg_name={name_text}, msg_namelen={length}, msg_iov={iov_text}, msg_iovlen={iov_count}, "
        f"{controls}msg_controllen={control_size}, msg_flags={_msg_flags(flags & 0xFFFFFFFF)}}}"
    )


def mmsghdrs_text(data: bytes, decorate: Descriptors, descriptor: int, rooms: Sequence[int], cut: bool) -> str:
    """Return a MMSGHDR chunk as `[{msg_hdr={...}, msg_len=4}]`; `rooms` as in msghdr_text, one a header or none.

    `cut`: there are more headers than were copied.
    """
    texts: list[str] = []
    at = 0
    while at + 8 <= len(data):
        size, sent = struct.unpack_from("<II", data, at)
        room = rooms[len(texts)] if len(texts) < len(rooms) else None
        header = msghdr_text(data[at + 8 : at + 8 + size], decorate, descriptor, room)
        texts.append(f"{{msg_hdr={header}, msg_len={sent}}}")
        at += 8 + size
    return "[" + ", ".join([*texts, "..."] if cut else texts) + "]"
