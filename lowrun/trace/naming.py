"""What a descriptor is, as strace -yy writes it: `</etc/hosts>`, `<TCP:[127.0.0.1:1234->127.0.0.1:80]>`.

A socket's address is the kernel's answer to sock_diag(7), as the structs of
linux/inet_diag.h, unix_diag.h and netlink_diag.h. Until there is one, the
inode's number stands for it.
"""

from __future__ import annotations

import socket
import struct
from functools import lru_cache

from lowrun.trace.constants import enum_text
from lowrun.trace.quoting import bare, quoted

__all__ = ["BLOCK", "CHAR", "DELETED", "LINK", "PROCESS", "SOCKET", "name_text"]

# enum lr_path_kind
LINK, DELETED, CHAR, BLOCK, SOCKET, PROCESS = range(6)

# enum of linux/unix_diag.h
_UNIX_NAME, _UNIX_PEER = 0, 2
#: Bytes of a struct unix_diag_msg; a struct sockaddr_un holds so many of a path.
_UNIX_HEAD, _UNIX_PATH = 16, 108

_netlink = enum_text("netlink")


def _inet(data: bytes, family: int) -> str:
    source, target = struct.unpack_from(">HH", data, 4)
    size = 4 if family == socket.AF_INET else 16
    here, there = data[8 : 8 + size], data[24 : 24 + size]
    form = "{}:{}" if family == socket.AF_INET else "[{}]:{}"
    text = form.format(socket.inet_ntop(family, here), source)
    return f"{text}->{form.format(socket.inet_ntop(family, there), target)}" if target or any(there) else text


def _unix(data: bytes, inode: int) -> str:
    peer, path, at = 0, b"", _UNIX_HEAD
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("<HH", data, at)
        if size < 4:
            break
        value = data[at + 4 : at + size]
        if kind == _UNIX_NAME:
            path = path or value[:_UNIX_PATH]
        elif kind == _UNIX_PEER and len(value) >= 4:
            peer = int.from_bytes(value[:4], "little")
        at += (size + 3) & ~3
    text = f"{inode}->{peer}" if peer else f"{inode}"
    if not path:
        return text
    sign, path = ("@", path[1:]) if path[0] == 0 else ("", path)
    return f"{text},{sign}{quoted(path.partition(bytes(1))[0])}"


def _netlink_address(data: bytes) -> str:
    protocol, port = data[2], int.from_bytes(data[4:8], "little")
    name = _netlink(protocol)
    return f"{name.removeprefix('NETLINK_')}:{port}" if name.startswith("NETLINK_") else f"{protocol}"


def _socket(text: bytes, inode: int) -> str:
    name, _, data = text.partition(b"\0")
    address = f"{inode}"
    family = data[0] if data else 0
    if family in (socket.AF_INET, socket.AF_INET6) and len(data) >= 40:
        address = _inet(data, family)
    elif family == socket.AF_UNIX:
        address = _unix(data, inode)
    elif family == socket.AF_NETLINK and len(data) >= 8:
        address = _netlink_address(data)
    return f"<{name.decode('ascii', 'replace')}:[{address}]>"


@lru_cache(maxsize=4096)
def name_text(kind: int, text: bytes, number: int) -> str:
    """Return what a PATH record says (`kind` is an enum lr_path_kind), in angle brackets; "" when it is closed."""
    if kind == SOCKET:
        return _socket(text, number)
    if kind == PROCESS:
        return f"<pid:{number}>"
    if kind in (CHAR, BLOCK):
        device = "block" if kind == BLOCK else "char"
        return f"<{bare(text)}<{device} {number >> 32}:{number & 0xFFFFFFFF}>>"
    if not text:
        return ""
    return f"<{bare(text)}>(deleted)" if kind == DELETED else f"<{bare(text)}>"
