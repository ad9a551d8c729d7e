"""Arguments whose meaning depends on another one: fcntl, ioctl, futex, prctl, clone.

Each maker takes the argument's index; its formatter returns None where the
call takes no such argument (what the register holds is then no argument).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from lowrun.trace.constants import IOCTLS, enum_text, flags_text, signal_name
from lowrun.trace.context import Context, Formatter, signed
from lowrun.trace.quoting import address, quoted
from lowrun.trace.records import Chunk
from lowrun.trace.scalars import open_flags_text
from lowrun.trace.structs import STRUCTS, sigset_text

__all__ = ["AFTER", "RESULTS", "SPECIAL"]

_clone_rest = flags_text("clone_flags")
_poll_events = flags_text("poll_events")
_fdflags = flags_text("fdflags")
_fcntl = enum_text("fcntl_cmd")
_ioctl = enum_text("ioctl_cmd")
_scheduler = enum_text("scheduler")
_prctl = enum_text("prctl_option")
_tc_i = flags_text("tc_iflag")
_tc_l = flags_text("tc_lflag")


def _data(chunk: Chunk | None, size: int) -> bytes | None:
    return chunk.data if chunk is not None and not chunk.bad and len(chunk.data) >= size else None


# -- fcntl(2)

_FCNTL_ALONE = frozenset(("F_GETFD", "F_GETFL", "F_GETOWN", "F_GETSIG", "F_GETLEASE", "F_GETPIPE_SZ", "F_GET_SEALS"))


def _fcntl_argument(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        command, value = _fcntl(c.arguments[1] & 0xFFFFFFFF), c.arguments[i]
        if command in _FCNTL_ALONE:
            return None
        if command == "F_SETFD":
            return _fdflags(value & 0xFFFFFFFF)
        if command == "F_SETFL":
            return open_flags_text(value & 0xFFFFFFFF)
        if "LK" in command:
            data = _data(c.at_entry.get(i), 28)
            return STRUCTS["flock"](data) if data else address(value)
        return str(signed(value)) if command.startswith("F_") else f"{value:#x}"

    return formatter


def _fcntl_result(c: Context) -> str | None:
    command = _fcntl(c.arguments[1] & 0xFFFFFFFF)
    if command == "F_GETFL":
        return f"{c.value:#x} (flags {open_flags_text(c.value)})".replace("0x0 ", "0 ", 1)
    if command == "F_GETFD":
        return f"{c.value:#x} (flags {_fdflags(c.value)})" if c.value else "0"
    if command.startswith("F_DUPFD"):
        return f"{c.value}{c.descriptors.get(c.value, '')}"
    return str(c.value)


# -- ioctl(2)


def _termios(data: bytes) -> str:
    names = ("c_iflag", "c_oflag", "c_cflag", "c_lflag")
    values = struct.unpack_from("<4I", data)
    texts = (_tc_i(values[0]), _output_modes(values[1]), _control_modes(values[2]), _tc_l(values[3]))
    return "{" + ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True)) + ", ...}"


_tc_o = flags_text("tc_oflag")
_tc_c = flags_text("tc_cflag")
_baud = enum_text("baud")


def _output_modes(value: int) -> str:
    delays = f"NL{value >> 8 & 1}|CR{value >> 9 & 3}|TAB{value >> 11 & 3}|BS{value >> 13 & 1}|VT{value >> 14 & 1}"
    rest = value & 0xFF
    return f"{delays}|FF{value >> 15 & 1}" + (f"|{_tc_o(rest)}" if rest else "")


def _control_modes(value: int) -> str:
    rest = value & ~0x103F
    return f"{_baud(value & 0x100F)}|CS{(value >> 4 & 3) + 5}" + (f"|{_tc_c(rest)}" if rest else "")


def _winsize(data: bytes) -> str:
    return "{{ws_row={}, ws_col={}, ws_xpixel={}, ws_ypixel={}}}".format(*struct.unpack_from("<4H", data))


def _pointed_int(data: bytes) -> str:
    return f"[{struct.unpack_from('<i', data)[0]}]"


#: Command -> (bytes needed, their text, whether the kernel writes them).
_IOCTL_ARGUMENTS: dict[str, tuple[int, Callable[[bytes], str], bool]] = {
    "TCGETS": (36, _termios, True), "TCSETS": (36, _termios, False), "TCSETSW": (36, _termios, False),
    "TCSETSF": (36, _termios, False), "TIOCGWINSZ": (8, _winsize, True), "TIOCSWINSZ": (8, _winsize, False),
    "TIOCGPGRP": (4, _pointed_int, True), "TIOCSPGRP": (4, _pointed_int, False), "FIONREAD": (4, _pointed_int, True),
    "FIONBIO": (4, _pointed_int, False), "TIOCOUTQ": (4, _pointed_int, True), "TIOCGPTN": (4, _pointed_int, True),
    "TIOCSPTLCK": (4, _pointed_int, False), "TIOCGSID": (4, _pointed_int, True), "FIOASYNC": (4, _pointed_int, False),
}  # fmt: skip
_DIRECTIONS = ("_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE")


def _ioctl_command(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        command = c.arguments[i] & 0xFFFFFFFF
        name = _ioctl(command)
        if not name.startswith("0"):
            return name
        parts = (command >> 8 & 0xFF, command & 0xFF, command >> 16 & 0x3FFF)
        return f"_IOC({_DIRECTIONS[command >> 30]}, " + ", ".join(f"{part:#x}" if part else "0" for part in parts) + ")"

    return formatter


def _ioctl_argument(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        name, value = _ioctl(c.arguments[1] & 0xFFFFFFFF), c.arguments[i]
        if name in IOCTLS:
            return None
        if name not in _IOCTL_ARGUMENTS:
            return f"{value:#x}" if value or name[0] != "0" else "0"
        size, text, written = _IOCTL_ARGUMENTS[name]
        data = None if written and c.failed else _data((c.at_exit if written else c.at_entry).get(i), size)
        return text(data) if data else address(value)

    return formatter


# -- epoll_ctl(2)

EPOLL_CTL_DEL = 2


def _epoll_argument(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        data = _data(c.at_entry.get(i), 12) if c.arguments[1] & 0xFFFFFFFF != EPOLL_CTL_DEL else None
        return STRUCTS["epoll_event"](data) if data else address(c.arguments[i])

    return formatter


# -- futex(2)

_WAITS, _COUNTS_TWO, _ALONE = frozenset((0, 6, 9, 11, 13)), frozenset((3, 4, 5, 12)), frozenset((2, 7, 8))


def _futex_count(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        operation = c.arguments[1] & 0x7F
        return None if operation in (6, 7, 8, 13) else str(c.arguments[i] & 0xFFFFFFFF)

    return formatter


def _futex_timeout(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        operation, value = c.arguments[1] & 0x7F, c.arguments[i]
        if operation in _COUNTS_TWO:
            return str(value & 0xFFFFFFFF)
        if operation not in _WAITS:
            return None
        data = _data(c.at_entry.get(i), 16)
        return STRUCTS["timespec"](data) if value and data else address(value)

    return formatter


def _futex_address(i: int) -> Formatter:
    return lambda c: address(c.arguments[i]) if c.arguments[1] & 0x7F in (3, 4, 5, 11, 12) else None


def _futex_value(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        operation, value = c.arguments[1] & 0x7F, c.arguments[i] & 0xFFFFFFFF
        if operation in (9, 10):
            return "FUTEX_BITSET_MATCH_ANY" if value == 0xFFFFFFFF else f"{value:#x}"
        return str(value) if operation in (4, 12) else f"{value:#x}" if operation == 5 else None

    return formatter


# -- prctl(2)

_PRCTL_ALONE = frozenset(("PR_GET_DUMPABLE", "PR_GET_KEEPCAPS", "PR_GET_SECCOMP", "PR_GET_SECUREBITS",
                          "PR_GET_TIMERSLACK"))  # fmt: skip
_PRCTL_ONE = frozenset(("PR_SET_NAME", "PR_GET_NAME", "PR_SET_PDEATHSIG", "PR_GET_PDEATHSIG", "PR_SET_DUMPABLE",
                        "PR_SET_KEEPCAPS", "PR_SET_CHILD_SUBREAPER", "PR_GET_CHILD_SUBREAPER", "PR_CAPBSET_READ",
                        "PR_CAPBSET_DROP", "PR_SET_SECUREBITS", "PR_SET_TIMERSLACK", "PR_SET_PTRACER"))  # fmt: skip


def _prctl_argument(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        option, value = _prctl(c.arguments[0] & 0xFFFFFFFF), c.arguments[i]
        if option in _PRCTL_ALONE:
            return None
        if option == "PR_SET_NAME":
            data = _data(c.at_entry.get(i), 16)
            return quoted(data.partition(b"\0")[0]) if data else address(value)
        if option == "PR_SET_PDEATHSIG":
            return signal_name(value)
        return str(value) if option in _PRCTL_ONE or option.endswith("NEW_PRIVS") else f"{value:#x}" if value else "0"

    return formatter


def _prctl_more(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        option, value = _prctl(c.arguments[0] & 0xFFFFFFFF), c.arguments[i]
        return None if option in _PRCTL_ALONE or option in _PRCTL_ONE else f"{value:#x}" if value else "0"

    return formatter


# -- clone(2): x86_64 has flags, stack, parent_tid, child_tid, tls; strace prints the stack first

_PTID, _CTID, _SETTLS = 0x100000 | 0x1000, 0x1000000 | 0x200000, 0x80000


def _clone_flags_text(value: int) -> str:
    rest, exit_signal = value & ~0xFF, value & 0xFF
    if not rest:
        return signal_name(exit_signal)
    return _clone_rest(rest) + (f"|{signal_name(exit_signal)}" if exit_signal else "")


def _clone_parent(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        if not c.arguments[0] & _PTID:
            return None
        data = None if c.failed else _data(c.at_exit.get(i), 4)
        return "parent_tid=" + (_pointed_int(data) if data else address(c.arguments[2]))

    return formatter


def _clone3_struct(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        data = _data(c.at_entry.get(i), 64)
        if data is None:
            return address(c.arguments[0])
        flags, pidfd, child, parent, exit_signal, stack, size, tls = struct.unpack_from("<8Q", data)
        fields = [f"flags={_clone_rest(flags)}"]
        fields += [f"pidfd={address(pidfd)}"] * bool(flags & 0x1000)
        fields += [f"child_tid={address(child)}"] * bool(flags & _CTID)
        fields += [f"parent_tid={address(parent)}"] * bool(flags & 0x100000)
        fields += [f"exit_signal={signal_name(exit_signal)}", f"stack={address(stack)}"]
        fields += [f"stack_size={size:#x}" if size else "stack_size=0"]
        fields += [f"tls={address(tls)}"] * bool(flags & _SETTLS)
        return "{" + ", ".join(fields) + "}"

    return formatter


def _clone3_tail(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        data, fields = _data(c.at_entry.get(0), 64), []
        if data is not None and not c.failed:
            flags = int.from_bytes(data[:8], "little")
            if flags & 0x100000:
                # The kernel stored the new thread's number, which is the result.
                fields.append(f"parent_tid=[{c.value}]")
        return (f" => {{{', '.join(fields)}}}" if fields else "") + f", {c.arguments[1]}"

    return formatter


def _sent(i: int) -> Formatter:
    """The count of sendfile, after what its offset has become."""

    def formatter(c: Context) -> str:
        before, after = _data(c.at_entry.get(2), 8), _data(c.at_exit.get(2), 8)
        moved = not c.failed and before is not None and after is not None and before != after
        return (f" => {STRUCTS['int64'](after)}" if moved and after else "") + f", {c.arguments[i]}"

    return formatter


def _signal_frame(i: int) -> Formatter:
    """The mask that rt_sigreturn restores; the call has no argument, the tracer found the frame."""

    def formatter(c: Context) -> str | None:
        mask = _data(c.at_entry.get(i), 8)
        return f"{{mask={sigset_text(mask)}}}" if mask is not None else None

    return formatter


SPECIAL: dict[str, Callable[[int], Formatter]] = {
    "unused": lambda i: lambda c: None, "sent": _sent,
    "fcntl_arg": _fcntl_argument, "ioctl_cmd": _ioctl_command, "ioctl_arg": _ioctl_argument,
    "epoll_arg": _epoll_argument,
    "futex_count": _futex_count, "futex_timeout": _futex_timeout, "futex_addr": _futex_address,
    "futex_value": _futex_value, "prctl_arg": _prctl_argument, "prctl_more": _prctl_more,
    "clone_stack": lambda i: lambda c: f"child_stack={address(c.arguments[1])}",
    "clone_flags": lambda i: lambda c: f"flags={_clone_flags_text(c.arguments[0])}",
    "clone_ptid": _clone_parent,
    "clone_tls": lambda i: lambda c: f"tls={address(c.arguments[4])}" if c.arguments[0] & _SETTLS else None,
    "clone_ctid": lambda i: lambda c: f"child_tidptr={address(c.arguments[3])}" if c.arguments[0] & _CTID else None,
    "sigframe": _signal_frame, "clone_args": _clone3_struct, "clone3_tail": _clone3_tail,
}  # fmt: skip


# -- what follows the result in parentheses


def _poll_after(c: Context) -> str | None:
    if c.value == 0:
        return "Timeout"
    data = _data(c.at_exit.get(0), 8) or b""
    ready = [
        f"{{fd={fd}, revents={_poll_events(revents)}}}"
        for fd, _, revents in struct.iter_unpack("<iHH", data[: len(data) & ~7])
        if revents
    ]
    return "[" + ", ".join(ready) + "]" if ready else None


def _select_after(kind: str) -> Callable[[Context], str | None]:
    def after(c: Context) -> str | None:
        if c.value == 0:
            return "Timeout"
        parts = []
        for index, name in ((1, "in"), (2, "out"), (3, "except")):
            bits = int.from_bytes(_data(c.at_exit.get(index), 1) or b"", "little")
            bits &= (1 << max(0, min(signed(c.arguments[0]), 1024))) - 1
            if bits:
                parts.append(f"{name} [{' '.join(str(fd) for fd in range(bits.bit_length()) if bits >> fd & 1)}]")
        left = _data(c.at_exit.get(4), 16)
        if c.arguments[4] and left:
            parts.append(f"left {STRUCTS[kind](left)}")
        return ", ".join(parts)

    return after


def _ppoll_after(c: Context) -> str | None:
    text, left = _poll_after(c), _data(c.at_exit.get(2), 16)
    if text != "Timeout" and c.arguments[2] and left:
        return (f"{text}, " if text else "") + f"left {STRUCTS['timespec'](left)}"
    return text


#: Call -> text in parentheses after its result, when it did not fail.
AFTER: dict[str, Callable[[Context], str | None]] = {
    "poll": _poll_after, "ppoll": _ppoll_after, "select": _select_after("timeval"),
    "pselect6": _select_after("timespec"),
    "rt_sigtimedwait": lambda c: signal_name(c.value),
}  # fmt: skip
#: Kind of result -> its text, where it takes more than the number.
RESULTS: dict[str, Callable[[Context], str | None]] = {
    "fcntl": _fcntl_result,
    "scheduler": lambda c: f"{c.value} ({_scheduler(c.value)})",
}
