"""Messages of NETLINK_SOCK_DIAG about sockets of the unix and internet families (sock_diag(7))."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence

from lowrun.trace.constants import enum_text, flags_text
from lowrun.trace.netlink import (
    Attributes,
    Family,
    Payload,
    decimal,
    enum_value,
    flags_value,
    inet_text,
    interface,
    numbers,
    string,
    struct_of,
)
from lowrun.trace.quoting import device

__all__ = ["SOCK_DIAG"]

TCPDIAG_GETSOCK, DCCPDIAG_GETSOCK = 18, 19
NLM_F_REQUEST = 1
_U8, _U32, _U64 = (decimal(layout) for layout in ("<B", "<I", "<Q"))

_state = enum_text("nl_tcp_state")
_states = flags_text("nl_tcp_states")
_socket_type = enum_text("sock")
_protocol = enum_text("ipproto")
_extended = flags_text("nl_inet_diag_extended")
_show = flags_text("nl_unix_show")
_memory = numbers("<I", "nl_meminfo")


def _cookie(data: bytes, at: int) -> str:
    return "[{}, {}]".format(*struct.unpack_from("<II", data, at))


def _shutdown(data: bytes, family: int) -> str | None:
    text = flags_value(1, "nl_shutdown")(data, family)
    return f"{data[0]:#x} /* {text} */" if text is not None and data[0] else text


# -- unix(7)


def _unix_request(data: bytes, family: int) -> Sequence[str]:
    protocol, states, inode, show = struct.unpack_from("<xB2xIII", data)
    return (
        f"sdiag_protocol={protocol}", f"udiag_states={_states(states)}", f"udiag_ino={inode}",
        f"udiag_show={_show(show)}", f"udiag_cookie={_cookie(data, 16)}",
    )  # fmt: skip


def _unix_fields(data: bytes, family: int) -> Sequence[str]:
    kind, state, inode = struct.unpack_from("<xBBxI", data)
    return (
        f"udiag_type={_socket_type(kind)}", f"udiag_state={_state(state)}", f"udiag_ino={inode}",
        f"udiag_cookie={_cookie(data, 8)}",
    )  # fmt: skip


def _unix_file(data: bytes, family: int) -> str | None:
    if len(data) < 8:
        return None
    inode, number = struct.unpack_from("<II", data)
    return f"{{udiag_vfs_dev={device(os.major(number), os.minor(number))}, udiag_vfs_ino={inode}}}"


def _inodes(data: bytes, family: int) -> str | None:
    return "[" + ", ".join(str(n) for (n,) in struct.iter_unpack("<I", data[: len(data) & ~3])) + "]" if data else None


_unix = Payload("udiag_family", 16, _unix_fields, Attributes("nl_unix_attribute", {
    "UNIX_DIAG_NAME": string, "UNIX_DIAG_VFS": _unix_file, "UNIX_DIAG_PEER": _U32, "UNIX_DIAG_ICONS": _inodes,
    "UNIX_DIAG_RQLEN": struct_of("<II", "udiag_rqueue", "udiag_wqueue"), "UNIX_DIAG_MEMINFO": _memory,
    "UNIX_DIAG_SHUTDOWN": _U8, "UNIX_DIAG_UID": _U32,
}))  # fmt: skip
_unix_asked = Payload("sdiag_family", 24, _unix_request)

# -- ip(7)


def _socket_id(data: bytes, at: int, family: int) -> str:
    source, to, index = struct.unpack_from(">HH32x", data, at) + struct.unpack_from("<I", data, at + 36)
    names = []
    for name, start in (("idiag_src", at + 4), ("idiag_dst", at + 20)):
        text = inet_text(data[start : start + 16], family)
        names.append(f"{text[:-1]}, &{name})" if text.startswith("inet_pton") else f"{name}={text}")
    return (
        f"{{idiag_sport=htons({source}), idiag_dport=htons({to}), {', '.join(names)}, idiag_if={interface(index)},"
        f" idiag_cookie={_cookie(data, at + 40)}}}"
    )


def _inet_request(data: bytes, family: int) -> Sequence[str]:
    protocol, extended, states = struct.unpack_from("<xBBxI", data)
    return (
        f"sdiag_protocol={_protocol(protocol)}", f"idiag_ext={_extended(extended)}",
        f"idiag_states={_states(states)}", f"id={_socket_id(data, 8, family)}",
    )  # fmt: skip


def _inet_fields(data: bytes, family: int) -> Sequence[str]:
    state, timer, again = struct.unpack_from("<xBBB", data)
    expires, reading, writing, user, inode = struct.unpack_from("<5I", data, 52)
    return (
        f"idiag_state={_state(state)}", f"idiag_timer={timer}", f"idiag_retrans={again}",
        f"id={_socket_id(data, 4, family)}", f"idiag_expires={expires}", f"idiag_rqueue={reading}",
        f"idiag_wqueue={writing}", f"idiag_uid={user}", f"idiag_inode={inode}",
    )  # fmt: skip


#: Bits of struct inet_diag_sockopt, from the lowest on.
_SWITCHES = (
    "recverr is_icsk freebind hdrincl mc_loop transparent mc_all nodefrag bind_address_no_port recverr_rfc4884"
    " defer_connect"
).split()


def _switches(data: bytes, family: int) -> str | None:
    if len(data) < 2:
        return None
    bits = int.from_bytes(data[:2], "little")
    return "{" + ", ".join(f"{name}=1" for bit, name in enumerate(_SWITCHES) if bits >> bit & 1) + "}"


_inet = Payload("idiag_family", 72, _inet_fields, Attributes("nl_inet_diag_attribute", {
    "INET_DIAG_MEMINFO": struct_of("<4I", "idiag_rmem", "idiag_wmem", "idiag_fmem", "idiag_tmem"),
    "INET_DIAG_VEGASINFO": struct_of("<4I", "tcpv_enabled", "tcpv_rttcnt", "tcpv_rtt", "tcpv_minrtt"),
    "INET_DIAG_CONG": string, "INET_DIAG_SKMEMINFO": _memory, "INET_DIAG_SHUTDOWN": _shutdown,
    "INET_DIAG_SOCKOPT": _switches, "INET_DIAG_PROTOCOL": enum_value(1, "ipproto"), "INET_DIAG_CGROUP_ID": _U64,
    **dict.fromkeys(("INET_DIAG_TOS", "INET_DIAG_TCLASS", "INET_DIAG_SKV6ONLY"), _U8),
    **dict.fromkeys(("INET_DIAG_MARK", "INET_DIAG_CLASS_ID"), _U32),
}))  # fmt: skip
_inet_asked = Payload("sdiag_family", 56, _inet_request, Attributes("nl_diag_request_attribute", {
    "INET_DIAG_REQ_PROTOCOL": enum_value(1, "ipproto"),
}))  # fmt: skip


def _payload(kind: int, flags: int, family: int) -> Payload | None:
    asked = bool(flags & NLM_F_REQUEST)
    if family == socket.AF_UNIX:
        return _unix_asked if asked else _unix
    if family in (socket.AF_INET, socket.AF_INET6) and kind not in (TCPDIAG_GETSOCK, DCCPDIAG_GETSOCK):
        return _inet_asked if asked else _inet
    return None


SOCK_DIAG = Family(enum_text("nl_diag_message"), lambda kind: "nl_header_get", _payload)
