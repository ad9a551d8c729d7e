"""Formatters of arguments that are plain values: numbers, descriptors, flags.

Each maker takes the argument's index and returns its formatter; SCALARS names
them by their kind in rows.py. Flags and constants that stand alone are named
by constants.py and need no maker here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from lowrun.trace.constants import ENUMS, FLAGS, enum_text, flags_text, signal_name
from lowrun.trace.context import Context, Formatter, signed
from lowrun.trace.quoting import address, octal
from lowrun.trace.structs import mode_text

__all__ = ["OPEN_CREATES", "descriptor_text", "open_flags_text", "value_formatter"]

AT_FDCWD = -100
#: O_CREAT, and O_TMPFILE without its O_DIRECTORY.
OPEN_CREATES = 0o100 | 0o20000000

_open_rest = flags_text("open_flags")
_map_rest = flags_text("map_flags")
_map_type = enum_text("map_type")
_sock = enum_text("sock")
_sock_flags = flags_text("sock_flags")
_futex = enum_text("futex")
_ACCESS = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")


def open_flags_text(value: int) -> str:
    """Return `O_WRONLY|O_CREAT`."""
    rest = value & ~3
    return f"{_ACCESS[value & 3]}|{_open_rest(rest)}" if rest else _ACCESS[value & 3]


def descriptor_text(context: Context, fd: int) -> str:
    """Return `3</etc/hosts>`, `AT_FDCWD</tmp>`, or without what is not known."""
    name = context.descriptors.get(fd, "")
    return f"AT_FDCWD{name}" if fd == AT_FDCWD else f"{fd}{name}"


def _fd(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        fd = c.arguments[i] & 0xFFFFFFFF
        return f"{signed(fd)}{c.descriptors.get(fd, '')}"

    return formatter


def _of(text: Callable[[int], str], mask: int = 0xFFFFFFFF) -> Callable[[int], Formatter]:
    return lambda i: lambda c: text(c.arguments[i] & mask)


def _signed64(value: int) -> str:
    return str(value - (1 << 64) if value >> 63 else value)


def _hex(value: int) -> str:
    return f"{value:#x}" if value else "0"


def _map_flags(value: int) -> str:
    rest = value & ~0xF
    return f"{_map_type(value & 0xF)}|{_map_rest(rest)}" if rest else _map_type(value & 0xF)


def _socktype(value: int) -> str:
    rest = value & ~0xF
    return f"{_sock(value & 0xF)}|{_sock_flags(rest)}" if rest else _sock(value & 0xF)


_PROTOCOLS: dict[int, Callable[[int], str]] = {
    socket.AF_INET: enum_text("ipproto"), socket.AF_INET6: enum_text("ipproto"),
    socket.AF_NETLINK: enum_text("netlink"),
}  # fmt: skip
_OPTIONS: dict[int, Callable[[int], str]] = {
    socket.SOL_SOCKET: enum_text("so"), socket.IPPROTO_TCP: enum_text("tcp"), socket.IPPROTO_IP: enum_text("ip"),
    socket.IPPROTO_IPV6: enum_text("ipv6"),
}  # fmt: skip


def _protocol(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        text = _PROTOCOLS.get(c.arguments[0] & 0xFFFFFFFF)
        return text(c.arguments[i] & 0xFFFFFFFF) if text else str(c.arguments[i] & 0xFFFFFFFF)

    return formatter


def _sockopt(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        text = _OPTIONS.get(c.arguments[1] & 0xFFFFFFFF)
        return text(c.arguments[i] & 0xFFFFFFFF) if text else _hex(c.arguments[i] & 0xFFFFFFFF)

    return formatter


def _creation_mode(i: int) -> Formatter:
    return lambda c: octal(c.arguments[i] & 0xFFFF) if c.arguments[i - 1] & OPEN_CREATES else None


def _device(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        number = c.arguments[i] & 0xFFFFFFFF
        if c.arguments[i - 1] & 0o170000 not in (0o020000, 0o060000):
            return None
        return f"makedev({number >> 8 & 0xFFF:#x}, {number & 0xFF | number >> 12 & 0xFFF00:#x})"

    return formatter


def _futex_op(value: int) -> str:
    name = _futex(value & 0x7F)
    if value & 0x80:
        name += "_PRIVATE"
    return name + "|FUTEX_CLOCK_REALTIME" if value & 0x100 else name


def _statx_flags(value: int) -> str:
    sync = {0: "AT_STATX_SYNC_AS_STAT", 0x2000: "AT_STATX_FORCE_SYNC", 0x4000: "AT_STATX_DONT_SYNC"}
    rest = value & ~0x6000
    name = sync.get(value & 0x6000, "AT_STATX_SYNC_TYPE")
    return f"{name}|{flags_text('at_flags')(rest)}" if rest else name


SCALARS: dict[str, Callable[[int], Formatter]] = {
    "fd": _fd,
    "dirfd": lambda i: lambda c: descriptor_text(c, signed(c.arguments[i])),
    "int": _of(lambda value: str(signed(value))),
    "long": _of(_signed64, (1 << 64) - 1),
    "uint": _of(str, (1 << 64) - 1),
    "uid": _of(lambda value: "-1" if value == 0xFFFFFFFF else str(value)),
    "hex": _of(_hex),
    "hexlong": _of(_hex, (1 << 64) - 1),
    "addr": _of(address, (1 << 64) - 1),
    "addr_if_fixed": lambda i: lambda c: address(c.arguments[i]) if c.arguments[3] & 2 else None,
    "mode": _of(octal, 0xFFFF),
    "mknod_mode": _of(mode_text, 0xFFFF),
    "signal": _of(signal_name),
    "open_flags": _of(open_flags_text),
    "map_flags": _of(_map_flags),
    "socktype": _of(_socktype),
    "protocol": _protocol,
    "sockopt": _sockopt,
    "ipc_key": _of(lambda value: _hex(value) if value else "IPC_PRIVATE"),
    "futex_op": _of(_futex_op),
    "statx_flags": _of(_statx_flags),
    "clone_only_flags": _of(flags_text("clone_flags")),
    "resuming": lambda i: lambda c: f"<... resuming interrupted {c.previous or 'system call'} ...>",
}
_OPTIONAL: dict[str, Callable[[int], Formatter]] = {"mode": _creation_mode, "dev": _device}


def value_formatter(kind: str, index: int, optional: bool) -> Formatter | None:
    """Return the formatter of a plain value, or None when `kind` is no such thing."""
    if optional and kind in _OPTIONAL:
        return _OPTIONAL[kind](index)
    if kind in SCALARS:
        return SCALARS[kind](index)
    if kind in FLAGS:
        return _of(flags_text(kind))(index)
    if kind in ENUMS:
        return _of(enum_text(kind))(index)
    return None
