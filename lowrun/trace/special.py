"""Arguments that take more than their own value: of clone, futex, prctl, System V, quotas; and results in words.

Each maker takes the argument's index; its formatter returns None where the
call takes no such argument (what the register holds is then no argument).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from lowrun.trace.constants import ERRNO, enum_text, flags_text, signal_name
from lowrun.trace.context import Context, Formatter, signed
from lowrun.trace.ioctls import ioctl_text
from lowrun.trace.layout import layout_text
from lowrun.trace.quoting import address, device, octal
from lowrun.trace.records import Chunk
from lowrun.trace.scalars import open_flags_text
from lowrun.trace.structs import STRUCTS, sigset_text

__all__ = ["SPECIAL", "ioprio_text", "personality_text"]

_clone_rest = flags_text("clone_flags")
_poll_events = flags_text("poll_events")
_fdflags = flags_text("fdflags")
_scheduler = enum_text("scheduler")


def _data(chunk: Chunk | None, size: int) -> bytes | None:
    return chunk.data if chunk is not None and not chunk.bad and len(chunk.data) >= size else None


def _futex_wake_op(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        value = c.arguments[i] & 0xFFFFFFFF
        shift = "FUTEX_OP_OPARG_SHIFT<<28|" if value >> 31 else ""
        operation, compare = value >> 28 & 7, value >> 24 & 0xF
        what = f"{_wake_op(operation)}<<28".replace(" /* FUTEX_OP_??? */<<28", "<<28 /* FUTEX_OP_??? */")
        cmp = f"{_wake_cmp(compare)}<<24".replace(" /* FUTEX_OP_CMP_??? */<<24", "<<24 /* FUTEX_OP_CMP_??? */")
        return f"{shift}{what}|{_hex(value >> 12 & 0xFFF)}<<12|{cmp}|{_hex(value & 0xFFF)}"

    return formatter


_wake_op, _wake_cmp = enum_text("futex_wake_op"), enum_text("futex_cmp")


# -- epoll_ctl(2)

EPOLL_CTL_DEL = 2


def _epoll_argument(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        data = _data(c.at_entry.get(i), 12) if c.arguments[1] & 0xFFFFFFFF != EPOLL_CTL_DEL else None
        return STRUCTS["epoll_event"](data) if data else address(c.arguments[i])

    return formatter


def _hex(value: int) -> str:
    return f"{value:#x}" if value else "0"


def _bitset(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        value = c.arguments[i] & 0xFFFFFFFF
        return "FUTEX_BITSET_MATCH_ANY" if value == 0xFFFFFFFF else _hex(value)

    return formatter


# -- prctl(2)

_cap, _mce_policy = enum_text("cap"), enum_text("pr_mce_policy")


def _cap_if_ambient(i: int) -> Formatter:
    return lambda c: _cap(c.arguments[i]) if c.arguments[1] in (1, 2, 3) else _hex(c.arguments[i])


def _mce_if_set(i: int) -> Formatter:
    return lambda c: _mce_policy(c.arguments[i]) if c.arguments[1] == 1 else _hex(c.arguments[i])


def _ptracer(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        value = signed(c.arguments[i])
        return "PR_SET_PTRACER_ANY" if value == -1 else str(value)

    return formatter


_CORE_TYPES = ("PIDTYPE_PID", "PIDTYPE_TGID", "PIDTYPE_PGID", "PIDTYPE_SID")


def _core_type(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        value = c.arguments[i] & 0xFFFFFFFF
        name = _CORE_TYPES[value] if value < len(_CORE_TYPES) else "PIDTYPE_???"
        return f"{_hex(value)} /* {name} */"

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
        return "parent_tid=" + (f"[{struct.unpack_from('<i', data)[0]}]" if data else address(c.arguments[2]))

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


# -- values that are made of several


def _huge(flags: Callable[[int], str], name: str) -> Callable[[int], str]:
    """Flags with the logarithm of a page's size in their upper bits: memfd_create and shmget."""

    def text_of(value: int) -> str:
        shift = value >> 26 & 0x3F
        rest = value & ~(0x3F << 26)
        if not shift:
            return flags(rest)
        return (f"{flags(rest)}|" if rest else "") + f"{shift}<<{name}_HUGE_SHIFT"

    return text_of


def _split(mask: int, low: Callable[[int], str], high: Callable[[int], str]) -> Callable[[int], Formatter]:
    """A value in the bits of `mask`, flags in the others."""

    def maker(i: int) -> Formatter:
        def formatter(c: Context) -> str:
            value = c.arguments[i] & 0xFFFFFFFF
            rest = value & ~mask
            return f"{low(value & mask)}|{high(rest)}" if rest else low(value & mask)

        return formatter

    return maker


def _mode_and(flags: Callable[[int], str]) -> Callable[[int], Formatter]:
    """Flags first, then permission bits: shmget and its like."""

    def maker(i: int) -> Formatter:
        def formatter(c: Context) -> str:
            value = c.arguments[i] & 0xFFFFFFFF
            rest = value & ~0o777
            return (f"{flags(rest)}|" if rest else "") + octal(value & 0o777)

        return formatter

    return maker


def _numa_mode(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        value = c.arguments[i] & 0xFFFFFFFF
        mode, flags = value & ~0xE000, value & 0xE000
        if flags and _mempolicy(mode).endswith("*/"):
            return _mempolicy_flags(value)
        return f"{_mempolicy(mode)}|{_mempolicy_flags(flags)}" if flags else _mempolicy(mode)

    return formatter


_mempolicy, _mempolicy_flags = enum_text("mempolicy"), flags_text("mempolicy_mode_flags")
_ioprio_class = enum_text("ioprio_class")


def ioprio_text(value: int) -> str:
    """Return an IO priority as its macro."""
    return f"IOPRIO_PRIO_VALUE({_ioprio_class(value >> 13)}, {value & 0x1FFF})"


_personality, _personality_flags = enum_text("personality"), flags_text("personality_flags")


def personality_text(value: int) -> str:
    """Return `PER_LINUX|ADDR_NO_RANDOMIZE`."""
    rest = value & ~0xFF
    return f"{_personality(value & 0xFF)}|{_personality_flags(rest)}" if rest else _personality(value & 0xFF)


def _personality_argument(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        value = c.arguments[i] & 0xFFFFFFFF
        return "0xffffffff" if value == 0xFFFFFFFF else personality_text(value)

    return formatter


_QUOTA = {0x800001: "Q_SYNC", 0x800002: "Q_QUOTAON", 0x800003: "Q_QUOTAOFF", 0x800004: "Q_GETFMT",
          0x800005: "Q_GETINFO", 0x800006: "Q_SETINFO", 0x800007: "Q_GETQUOTA", 0x800008: "Q_SETQUOTA",
          0x800009: "Q_GETNEXTQUOTA", 0x5801: "Q_XQUOTAON", 0x5802: "Q_XQUOTAOFF", 0x5803: "Q_XGETQUOTA",
          0x5804: "Q_XSETQLIM", 0x5805: "Q_XGETQSTAT", 0x5806: "Q_XQUOTARM", 0x5807: "Q_XQUOTASYNC",
          0x5808: "Q_XGETQSTATV", 0x5809: "Q_XGETNEXTQUOTA"}  # fmt: skip
_QUOTA_TYPES = ("USRQUOTA", "GRPQUOTA", "PRJQUOTA")


def _quota_command(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        value = c.arguments[i] & 0xFFFFFFFF
        command, kind = value >> 8, value & 0xFF
        name = _QUOTA.get(command) or f"{_hex(command)} /* Q_??? */"
        return f"QCMD({name}, {_QUOTA_TYPES[kind] if kind < 3 else f'{kind:#x} /* ???QUOTA */'})"

    return formatter


def _errno_argument(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        value = c.arguments[i] & 0xFFFFFFFF
        return ERRNO.get(value) or str(value)

    return formatter


def _device_number(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        number = c.arguments[i] & 0xFFFFFFFF
        return device(number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)

    return formatter


#: Registers of struct user (sys/user.h), by their place.
_USER = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs"
    " gs"
)


def _user_offset(i: int) -> Formatter:
    names = _USER.split()

    def formatter(c: Context) -> str:
        value = c.arguments[i]
        index, rest = divmod(value, 8)
        if index >= len(names) or rest:
            return _hex(value)
        name = names[index]
        return f"8*{name.upper()}"

    return formatter


_key_names = enum_text("key_spec")


def _key_spec(value: int) -> str:
    name = _key_names(value)
    return str(signed(value)) if name.endswith("*/") else name


def _ipc_command(name: str) -> Callable[[int], Formatter]:
    """A command of the System V calls: IPC_64 (0x100) may be added to it."""
    text = enum_text(name)

    def maker(i: int) -> Formatter:
        def formatter(c: Context) -> str:
            value = c.arguments[i] & 0xFFFFFFFF
            return f"IPC_64|{text(value & ~0x100)}" if value & 0x100 else text(value)

        return formatter

    return maker


_swap_flags = flags_text("swap_flags")


def _swap(i: int) -> Formatter:
    """swapon(2)'s flags, with the priority in their low bits."""

    def formatter(c: Context) -> str:
        value = c.arguments[i] & 0xFFFFFFFF
        flags, priority = value & ~0x7FFF, value & 0x7FFF
        return f"{_swap_flags(flags)}|{priority}" if flags else str(priority)

    return formatter


_kexec_arch, _kexec_flags = enum_text("kexec_arch"), flags_text("kexec_flags")


def _kexec(i: int) -> Formatter:
    def formatter(c: Context) -> str:
        value = c.arguments[i]
        rest = value & ~0xFFFF0000
        arch = _kexec_arch(value & 0xFFFF0000)
        return f"{arch}|{_kexec_flags(rest)}" if rest else arch

    return formatter


_mq_attr = layout_text("mq_attr")


def _mq_attr_new(i: int) -> Formatter:
    def formatter(c: Context) -> str | None:
        if not c.arguments[1] & 0o100:
            return None
        data = _data(c.at_entry.get(i), 32)
        return _mq_attr(data, c) if data else address(c.arguments[i])

    return formatter


_msync_ms = flags_text("mount_flags")


def _mount_flags(i: int) -> Formatter:
    """mount(2) has had a magic number in the upper half of its flags."""

    def formatter(c: Context) -> str:
        value = c.arguments[i]
        if value & 0xFFFF0000 == 0xC0ED0000:
            rest = value & 0xFFFF
            return "MS_MGC_VAL" + (f"|{_msync_ms(rest)}" if rest else "")
        return _msync_ms(value)

    return formatter


def _sigframe(i: int) -> Formatter:
    """The mask that rt_sigreturn restores; the call has no argument, the tracer found the frame."""

    def formatter(c: Context) -> str | None:
        mask = _data(c.at_entry.get(i), 8)
        return f"{{mask={sigset_text(mask)}}}" if mask is not None else None

    return formatter


_memfd = _huge(flags_text("memfd_flags"), "MFD")
_mount_attr = flags_text("mount_attr")
SPECIAL: dict[str, Callable[[int], Formatter]] = {
    "epoll_arg": _epoll_argument,
    "unused": lambda i: lambda c: None, "ignored": lambda i: lambda c: address(c.arguments[i]), "sent": _sent,
    "sigframe": _sigframe, "high_low": lambda i: lambda c: str(c.arguments[i] << 32 | c.arguments[i + 1]),
    "pgoffset": lambda i: lambda c: _hex((c.arguments[i] & 0xFFFFFFFF) << 12),
    "uint32v": lambda i: lambda c: str(c.arguments[i] & 0xFFFFFFFF),
    "ioctl_cmd": lambda i: lambda c: ioctl_text(c.arguments[i] & 0xFFFFFFFF),
    "ioctl_value": lambda i: lambda c: _hex(c.arguments[i]),
    "futex_wake_op": _futex_wake_op, "futex_bitset": _bitset, "cap_if_ambient": _cap_if_ambient,
    "mce_policy": _mce_if_set, "ptracer": _ptracer, "core_type": _core_type, "errno": _errno_argument,
    "key_spec": lambda i: lambda c: _key_spec(c.arguments[i] & 0xFFFFFFFF),
    "swap_word": _swap, "kexec_word": _kexec, "mq_attr_new": _mq_attr_new,
    "shmctl_cmd": _ipc_command("shmctl_cmd"), "semctl_cmd": _ipc_command("semctl_cmd"),
    "msgctl_cmd": _ipc_command("msgctl_cmd"),
    "semget_flags": _mode_and(flags_text("ipc_flags")), "mempolicy_mode": _numa_mode,
    "shmget_mode": _mode_and(_huge(flags_text("shmget_all"), "SHM")),
    "ioprio": lambda i: lambda c: ioprio_text(c.arguments[i] & 0xFFFFFFFF),
    "personality": _personality_argument, "quota_cmd": _quota_command, "dev_number": _device_number,
    "user_offset": _user_offset, "mount_word": _mount_flags,
    "memfd_flags": lambda i: lambda c: _memfd(c.arguments[i] & 0xFFFFFFFF),
    "fan_init_flags": _split(0xC, enum_text("fan_class_names"), flags_text("fan_init")),
    "fan_event_f_flags": lambda i: lambda c: open_flags_text(c.arguments[i] & 0xFFFFFFFF),
    "mount_attr_flags": lambda i: lambda c: _mount_attr(c.arguments[i] & 0xFFFFFFFF),
    "clone_stack": lambda i: lambda c: f"child_stack={address(c.arguments[1])}",
    "clone_flags": lambda i: lambda c: f"flags={_clone_flags_text(c.arguments[0])}",
    "clone_ptid": _clone_parent,
    "clone_tls": lambda i: lambda c: f"tls={address(c.arguments[4])}" if c.arguments[0] & _SETTLS else None,
    "clone_ctid": lambda i: lambda c: f"child_tidptr={address(c.arguments[3])}" if c.arguments[0] & _CTID else None,
    "clone_args": _clone3_struct, "clone3_tail": _clone3_tail,
}  # fmt: skip
