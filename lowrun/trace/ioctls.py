"""ioctl(2): the names of commands, and arguments that no row of layouts.py describes.

The big table of names is read when the first command is met.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

from lowrun.trace.constants import enum_text, flags_text
from lowrun.trace.context import Context
from lowrun.trace.quoting import address, quoted
from lowrun.trace.records import Chunk
from lowrun.trace.sockets import sockaddr_text

__all__ = ["IOCTL_MEMORY", "ioctl_text"]

Reader = Callable[[Context, int, Chunk], str]

_DIRECTIONS = ("_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE")
#: (direction, type, number) -> name of a command whose size is its caller's choice.
_SIZED = {
    (2, 0x45, 0x06): "EVIOCGNAME", (2, 0x45, 0x07): "EVIOCGPHYS", (2, 0x45, 0x08): "EVIOCGUNIQ",
    (2, 0x45, 0x09): "EVIOCGPROP", (2, 0x45, 0x0A): "EVIOCGMTSLOTS", (2, 0x45, 0x18): "EVIOCGKEY",
    (2, 0x45, 0x19): "EVIOCGLED", (2, 0x45, 0x1A): "EVIOCGSND", (2, 0x45, 0x1B): "EVIOCGSW",
    (2, 0x48, 0x04): "HIDIOCGRAWNAME", (2, 0x48, 0x05): "HIDIOCGRAWPHYS", (2, 0x48, 0x08): "HIDIOCGRAWUNIQ",
    (2, 0x48, 0x12): "HIDIOCGPHYS", (3, 0x48, 0x06): "HIDIOCSFEATURE", (3, 0x48, 0x07): "HIDIOCGFEATURE",
    (2, 0x55, 0x2C): "UI_GET_SYSNAME", (2, 0x6A, 0x13): "JSIOCGNAME", (1, 0x6B, 0x00): "SPI_IOC_MESSAGE",
}  # fmt: skip


@lru_cache(maxsize=1)
def _all() -> dict[int, str]:
    from lowrun.trace.ioctl_names import IOCTL_NAMES

    pairs = (entry.partition(" ") for entry in IOCTL_NAMES.replace("\n", ";").split(";") if entry)
    return {int(number, 16): names.replace("|", " or ") for number, _, names in pairs}


def _computed(command: int) -> str | None:
    """The name of a command that holds a number or a size of its caller's."""
    direction, kind, number, size = command >> 30, command >> 8 & 0xFF, command & 0xFF, command >> 16 & 0x3FFF
    if (direction, kind, number) in _SIZED:
        return f"{_SIZED[direction, kind, number]}({size})"
    if kind == 0x45 and direction == 2 and 0x20 <= number < 0x40:
        return f"EVIOCGBIT({_event(number - 0x20) if number > 0x20 else 0}, {size})"
    if kind == 0x45 and (direction, number & 0xC0) in ((2, 0x40), (1, 0xC0)):
        return f"EVIOC{'G' if direction == 2 else 'S'}ABS({_axis(number & 0x3F)})"
    if kind == 0x4D and direction in (1, 2):
        return f"MIXER_{'WRITE' if direction == 1 else 'READ'}({number})"
    return None


_event, _axis = enum_text("evdev_ev"), enum_text("evdev_abs")


@lru_cache(maxsize=1024)
def ioctl_text(command: int) -> str:
    """Return the command's name (`A or B` where several have the number), else `_IOC(...)` with its parts."""
    names = [text for text in (_computed(command), _all().get(command)) if text]
    if names:
        return names[0] if names[0].startswith("EVIOC") else " or ".join(names)
    parts = (command >> 8 & 0xFF, command & 0xFF, command >> 16 & 0x3FFF)
    return f"_IOC({_DIRECTIONS[command >> 30]}, " + ", ".join(f"{part:#x}" if part else "0" for part in parts) + ")"


# -- terminals

_tc_i, _tc_o, _tc_c, _tc_l = (flags_text(f"tc_{name}flag") for name in "iocl")
_baud = enum_text("baud")


def _output_modes(value: int) -> str:
    tabs = "XTABS" if value >> 11 & 3 == 3 else f"TAB{value >> 11 & 3}"
    delays = f"NL{value >> 8 & 1}|CR{value >> 9 & 3}|{tabs}|BS{value >> 13 & 1}|VT{value >> 14 & 1}"
    rest = value & ~0xFF00
    return f"{delays}|FF{value >> 15 & 1}|" + (_tc_o(rest) if rest else "")


def _control_modes(value: int) -> str:
    rest = value & ~0x100F103F
    speed = f"|{_baud(value >> 16 & 0x100F)}<<IBSHIFT" if value >> 16 & 0x100F else ""
    return f"{_baud(value & 0x100F)}{speed}|CS{(value >> 4 & 3) + 5}|" + (_tc_c(rest) if rest else "")


def _termios(c: Context, i: int, chunk: Chunk) -> str:
    values = struct.unpack_from("<4I", chunk.data)
    # Modes of which none is set are no `0`: nothing is printed.
    inputs, local = (text(value) if value else "" for text, value in ((_tc_i, values[0]), (_tc_l, values[3])))
    texts = (inputs, _output_modes(values[1]), _control_modes(values[2]), local)
    names = ("c_iflag", "c_oflag", "c_cflag", "c_lflag")
    return "{" + ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True)) + ", ...}"


# -- network interfaces

_iff, _arphrd = flags_text("iff"), enum_text("arphrd")
_ADDRESSES = {0x15: "addr", 0x16: "addr", 0x17: "dstaddr", 0x18: "dstaddr", 0x19: "broadaddr", 0x1A: "broadaddr",
              0x1B: "netmask", 0x1C: "netmask"}  # fmt: skip
_NUMBERS = {0x33: "ifindex", 0x1D: "metric", 0x1E: "metric", 0x21: "mtu", 0x22: "mtu", 0x42: "qlen", 0x43: "qlen"}


def _name(data: bytes) -> str:
    return quoted(data[:16].partition(b"\0")[0])


def _ifreq_value(command: int, data: bytes) -> str:
    number = command & 0xFF
    if number in _ADDRESSES:
        return f"ifr_{_ADDRESSES[number]}={sockaddr_text(data[16:32])}"
    if number in (0x13, 0x14):
        return f"ifr_flags={_iff(int.from_bytes(data[16:18], 'little'))}"
    if number in (0x24, 0x27):
        family, mac = int.from_bytes(data[16:18], "little"), data[18:32]
        size = 6 if family in (1, 772) else 14
        return f"ifr_hwaddr={{sa_family={_arphrd(family)}, sa_data={':'.join(f'{byte:02x}' for byte in mac[:size])}}}"
    if number in _NUMBERS:
        return f"ifr_{_NUMBERS[number]}={int.from_bytes(data[16:20], 'little', signed=True)}"
    if number == 0x70:
        names = ("mem_start", "mem_end", "base_addr", "irq", "dma", "port")
        values = struct.unpack_from("<QQHBBB", data, 16)
        fields = (f"{name}={value:#x}" if value else f"{name}=0" for name, value in zip(names, values, strict=True))
        return "ifr_map={" + ", ".join(fields) + "}"
    return f"ifr_{'name' if number == 0x10 else 'newname'}={_name(data if number == 0x10 else data[16:])}"


def _ifreq(c: Context, i: int, chunk: Chunk) -> str:
    command, entry = c.arguments[1] & 0xFFFFFFFF, c.at_entry.get(i)
    before = entry.data if entry is not None else chunk.data
    if len(before) < 40:
        raise struct.error
    if command & 0xFF == 0x10:
        head = f"ifr_ifindex={int.from_bytes(before[16:20], 'little', signed=True)}"
    else:
        head = f"ifr_name={_name(before)}"
    if c.at_exit or c.failed:
        return f"{{{head}}}" if c.failed else f"{{{head}, {_ifreq_value(command, chunk.data)}}}"
    return f"{{{head}, {_ifreq_value(command, before)}}}"


def _ifconf(c: Context, i: int, chunk: Chunk) -> str:
    head = chunk.data[8:24]
    size, pointer = struct.unpack_from("<i4xQ", head)
    entry = c.at_entry.get(i)
    room = struct.unpack_from("<i", entry.data, 8)[0] if entry is not None else size
    changed = pointer and room != size
    length = f"{_requests(room)} => {_requests(size)}" if changed else _requests(size)
    if not pointer or c.failed:
        return f"{{ifc_len={length}, ifc_buf={address(pointer)}}}"
    body = chunk.data[32 : 32 + size]
    texts = [
        f"{{ifr_name={_name(body[at:])}, ifr_addr={sockaddr_text(body[at + 16 : at + 32])}}}"
        for at in range(0, len(body) - 39, 40)
    ]
    return f"{{ifc_len={length}, ifc_buf=[{', '.join(texts)}]}}"


def _requests(size: int) -> str:
    """A length, with the number of struct ifreq it has room for."""
    return f"{size} /* {size // 40} * sizeof(struct ifreq) */" if size >= 40 else str(size)


# -- files

_fiemap_flags, _extent_flags = flags_text("fiemap_flags"), flags_text("fiemap_extent_flags")


def _fiemap(c: Context, i: int, chunk: Chunk) -> str:
    entry = c.at_entry.get(i)
    before = entry.data if entry is not None else chunk.data
    start, length, flags, _, room = struct.unpack_from("<QQIII", before)
    head = f"{{fm_start={start}, fm_length={length}, fm_flags={_fiemap_flags(flags)}, fm_extent_count={room}}}"
    if not c.at_exit or c.failed:
        return head
    flags, mapped = struct.unpack_from("<II", chunk.data, 16)
    extents = "[]" if not room else "..."
    return f"{head} => {{fm_flags={_fiemap_flags(flags)}, fm_mapped_extents={mapped}, {extents}}}"


IOCTL_MEMORY: dict[str, Reader] = {
    "termios": _termios, "termios2": _termios, "ifreq": _ifreq, "ifconf": _ifconf, "fiemap": _fiemap,
}  # fmt: skip
