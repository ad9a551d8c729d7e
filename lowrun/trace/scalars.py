"""Formatters of arguments that are plain values: numbers, descriptors, flags.

Each maker takes the argument's index and returns its formatter; SCALARS names
them by their kind in rows.py. Flags and constants that stand alone are named
by constants.py and need no maker here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from lowrun.trace.constants import ENUMS, FLAGS, enum_text, flags_text, names_of, signal_name
from lowrun.trace.context import Context, Formatter, signed
from lowrun.trace.quoting import address, device, octal
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
_futex, _at_flags = enum_text("futex"), flags_text("at_flags")
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
    kind, rest = _sock(value & 0xF), value & ~0xF
    if kind.endswith("*/"):
        return _sock_flags(value)
    return f"{kind}|{_sock_flags(rest)}" if rest else kind


_ethernet = enum_text("nl_ethernet")


def _packet_protocol(value: int) -> str:
    """It is given in network order."""
    return f"htons({_ethernet(int.from_bytes((value & 0xFFFF).to_bytes(2, 'little'), 'big'))})"


_PROTOCOLS: dict[int, Callable[[int], str]] = {
    socket.AF_INET: enum_text("ipproto"), socket.AF_INET6: enum_text("ipproto"),
    socket.AF_NETLINK: enum_text("netlink"), socket.AF_PACKET: _packet_protocol,
}  # fmt: skip
#: Level -> the set of its options.
_OPTIONS: dict[int, Callable[[int], str]] = {
    socket.SOL_SOCKET: enum_text("so"), socket.IPPROTO_TCP: enum_text("tcp"), socket.IPPROTO_IP: enum_text("ip"),
    socket.IPPROTO_IPV6: enum_text("ipv6"), socket.IPPROTO_UDP: enum_text("udp"), 255: enum_text("raw"),
    58: enum_text("icmp6"), 263: enum_text("packet"), 270: enum_text("netlink_opt"), 279: enum_text("alg"),
    282: enum_text("tls"), 283: enum_text("xdp"), 284: enum_text("mptcp"), 287: enum_text("vsock"),
}  # fmt: skip


def _protocol(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        text = _PROTOCOLS.get(c.arguments[0] & 0xFFFFFFFF)
        return text(c.arguments[i] & 0xFFFFFFFF) if text else str(c.arguments[i])

    return formatter


def _sockopt(way: str) -> Callable[[int], Formatter]:
    """An option; those of a level that can only be set or only be asked (`way`) have sets of their own."""
    own = {socket.IPPROTO_IP: dict(names_of("ip_" + way)), socket.IPPROTO_IPV6: dict(names_of("ipv6_" + way))}

    def maker(i: int) -> Formatter:
        def formatter(c: Context) -> str:
            level, option = c.arguments[1] & 0xFFFFFFFF, c.arguments[i] & 0xFFFFFFFF
            text = _OPTIONS.get(level)
            return own.get(level, {}).get(option) or (text(option) if text else str(option))

        return formatter

    return maker


def _creation_mode(i: int) -> Formatter:
    return lambda c: octal(c.arguments[i] & 0xFFFF) if c.arguments[i - 1] & OPEN_CREATES else None


def _device(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        number = c.arguments[i] & 0xFFFFFFFF
        if c.arguments[i - 1] & 0o170000 not in (0o020000, 0o060000):
            return None
        return device(number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)

    return formatter


def _futex_op(value: int) -> str:
    name = _futex(value & 0x7F)
    if name.endswith("*/"):
        return _futex(value)
    if value & 0x80:
        name += "_PRIVATE"
    return name + "|FUTEX_CLOCK_REALTIME" if value & 0x100 else name


def _statx_flags(value: int) -> str:
    sync = {0: "AT_STATX_SYNC_AS_STAT", 0x2000: "AT_STATX_FORCE_SYNC", 0x4000: "AT_STATX_DONT_SYNC"}
    rest = value & ~0x6000
    name = sync.get(value & 0x6000, "AT_STATX_FORCE_SYNC|AT_STATX_DONT_SYNC")
    return f"{name}|{_at_flags(rest).partition(' /*')[0]}" if rest else name


#: Sets whose values are as wide as a register.
_WIDE = frozenset(
    "prot mremap_flags get_mempolicy_flags notify_flags f_seals lock_types secbits cap pr_dumpable pr_ambient pr_mce"
    " pr_vma seccomp_mode pr_spec pr_spec_set pr_dispatch pr_mdwe unshare_flags ptrace_request"
    " kexec_file_flags get_mempolicy_flags perf_open_flags".split()
)


def _node_mode(value: int) -> str:
    """A type that does not exist leaves all as a number."""
    return mode_text(value) if value & 0o170000 in _TYPES else octal(value)


_TYPES = (0, 0o010000, 0o020000, 0o040000, 0o060000, 0o100000, 0o120000, 0o140000)


def _xfeature(value: int) -> str:
    name = enum_text("xfeature_number")(value)
    return name if name.endswith("*/") else f"{_hex(value)} /* {name} */"


def _commented(names: str) -> Callable[[int], Formatter]:
    """A number, with its name as a comment."""
    text = enum_text(names)

    def number(value: int) -> str:
        name = text(value & 0xFFFFFFFF)
        return f"{signed(value)} /* {name.split()[-2] if name.endswith('*/') else name} */"

    return lambda i: lambda c: number(c.arguments[i])


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
    "mknod_mode": _of(_node_mode, 0xFFFF),
    "signal": _of(lambda value: signal_name(signed(value))),
    "uint32v": _of(str),
    "open_flags": _of(open_flags_text),
    "map_flags": _of(_map_flags),
    "socktype": _of(_socktype),
    "protocol": _protocol,
    "sockopt": _sockopt("set"),
    "sockopt_asked": _sockopt("get"),
    "ipc_key": _of(lambda value: _hex(value) if value else "IPC_PRIVATE"),
    "futex_op": _of(_futex_op),
    "statx_flags": _of(_statx_flags),
    "open_flags_only": _of(_open_rest),
    "syslog_action": _commented("syslog_action"),
    "syslog_level_number": _commented("syslog_level"),
    "cpu_if_flagged": lambda i: lambda c: str(signed(c.arguments[i])) if c.arguments[1] & 1 else None,
    "xfeature_number": lambda i: lambda c: _xfeature(c.arguments[i]),
    "resuming": lambda i: lambda c: f"<... resuming interrupted {c.previous or 'system call'} ...>",
}
_OPTIONAL: dict[str, Callable[[int], Formatter]] = {"mode": _creation_mode, "dev": _device}


def value_formatter(kind: str, index: int, optional: bool) -> Formatter | None:
    """Return the formatter of a plain value, or None when `kind` is no such thing."""
    if optional and kind in _OPTIONAL:
        return _OPTIONAL[kind](index)
    if kind in SCALARS:
        return SCALARS[kind](index)
    mask = (1 << 64) - 1 if kind in _WIDE else 0xFFFFFFFF
    if kind in FLAGS:
        return _of(flags_text(kind), mask)(index)
    if kind in ENUMS:
        return _of(enum_text(kind), mask)(index)
    return None
