"""Structs of the kernel's interface as strace abbreviates them: bytes in, text out.

Layouts are those of x86_64 (and of every 64-bit machine but `stat`); the
sizes stand in rows.py. Each function takes at least that many bytes.
"""

from __future__ import annotations

import os
import stat as st
import struct
import time
from collections.abc import Callable

from lowrun.trace.constants import enum_text, flags_text, signal_name
from lowrun.trace.quoting import address, device, octal, quoted, ticks_text

__all__ = ["STRUCTS", "mode_text", "sigset_text", "timespec_text"]

_FORMATS = {
    st.S_IFREG: "S_IFREG", st.S_IFDIR: "S_IFDIR", st.S_IFLNK: "S_IFLNK", st.S_IFCHR: "S_IFCHR", st.S_IFBLK: "S_IFBLK",
    st.S_IFIFO: "S_IFIFO", st.S_IFSOCK: "S_IFSOCK",
}  # fmt: skip
_BITS = ((st.S_ISUID, "S_ISUID"), (st.S_ISGID, "S_ISGID"), (st.S_ISVTX, "S_ISVTX"))
_sa_flags = flags_text("sa_flags")
_statx_mask = flags_text("statx_mask")
_statx_attributes = flags_text("statx_attributes")
_st_flags = flags_text("st_flags")
_ss_flags = flags_text("ss_flags")
_epoll_events = flags_text("epoll_events")
_fs_magic = enum_text("fs_magic")
_INFINITY = (1 << 64) - 1
#: What utimensat(2) takes for nanoseconds.
_SPECIAL = {0x3FFFFFFF: "UTIME_NOW", 0x3FFFFFFE: "UTIME_OMIT"}
_SECOND = 1_000_000_000


def mode_text(mode: int) -> str:
    """Return `S_IFREG|0644`."""
    words = [_FORMATS[st.S_IFMT(mode)]] if st.S_IFMT(mode) in _FORMATS else []
    words += [name for bit, name in _BITS if mode & bit]
    return "|".join([*words, octal(mode & 0o777)])


def _device(number: int) -> str:
    return device(os.major(number), os.minor(number))


def _stat(data: bytes) -> str:
    (mode,) = struct.unpack_from("<I", data, 24)
    rdev, size = struct.unpack_from("<QQ", data, 40)
    if st.S_ISCHR(mode) or st.S_ISBLK(mode):
        return f"{{st_mode={mode_text(mode)}, st_rdev={_device(rdev)}, ...}}"
    return f"{{st_mode={mode_text(mode)}, st_size={size}, ...}}"


def _statx(data: bytes) -> str:
    mask, _, attributes = struct.unpack_from("<IIQ", data)
    (mode,) = struct.unpack_from("<H", data, 28)
    (size,) = struct.unpack_from("<Q", data, 40)
    return (
        f"{{stx_mask={_statx_mask(mask)}, stx_attributes={_statx_attributes(attributes)}, stx_mode={mode_text(mode)},"
        f" stx_size={size}, ...}}"
    )


def _statfs(data: bytes) -> str:
    kind, block, blocks, free, available, files, ffree, one, two, name, fragment, flags = struct.unpack_from(
        "<qqQQQQQiiqqq", data
    )
    return (
        f"{{f_type={_magic(kind & 0xFFFFFFFF)}, f_bsize={block}, f_blocks={blocks}, f_bfree={free},"
        f" f_bavail={available},"
        f" f_files={files}, f_ffree={ffree}, f_fsid={{val=[{_hex(one)}, {_hex(two)}]}}, f_namelen={name},"
        f" f_frsize={fragment}, f_flags={_st_flags(flags)}}}"
    )


def _magic(value: int) -> str:
    return _fs_magic(value).partition(" /*")[0]


def _hex(value: int) -> str:
    return f"{value & 0xFFFFFFFF:#x}" if value else "0"


def timespec_text(data: bytes, at: int = 0) -> str:
    """Return `{tv_sec=1, tv_nsec=500000000}`."""
    return "{{tv_sec={}, tv_nsec={}}}".format(*struct.unpack_from("<qQ", data, at))


def _timeval(data: bytes, at: int = 0) -> str:
    return "{{tv_sec={}, tv_usec={}}}".format(*struct.unpack_from("<qQ", data, at))


def _moment(data: bytes, at: int, unit: int) -> str:
    """A point in time: seconds and a fraction (in units of so many nanoseconds), with the date as a comment."""
    seconds, fraction = struct.unpack_from("<qQ", data, at)
    if unit == 1 and fraction in _SPECIAL:
        return _SPECIAL[fraction]
    text = timespec_text(data, at) if unit == 1 else _timeval(data, at)
    if not (seconds or fraction) or fraction * unit >= _SECOND:
        return text
    try:
        local = time.localtime(seconds)
    except (OverflowError, OSError):
        return text
    part = f".{fraction * unit:09d}" if unit == 1 else f".{fraction:06d}"
    written = time.strftime("%Y-%m-%dT%H:%M:%S %z", local)
    date, _, zone = written.partition(" ")
    return f"{text} /* {date}{part if fraction else ''}{zone} */"


def _limit(value: int) -> str:
    if value == _INFINITY:
        return "RLIM64_INFINITY"
    return f"{value // 1024}*1024" if value > 1024 and value % 1024 == 0 else str(value)


def _rlimit(data: bytes) -> str:
    now, most = struct.unpack_from("<QQ", data)
    return f"{{rlim_cur={_limit(now)}, rlim_max={_limit(most)}}}"


def _rusage(data: bytes) -> str:
    return f"{{ru_utime={_timeval(data)}, ru_stime={_timeval(data, 16)}, ...}}"


def sigset_text(data: bytes) -> str:
    """Return `[INT CHLD]`, or `~[...]` when more than two thirds are in the set."""
    bits = int.from_bytes(data[:8], "little")
    sign = ""
    if bits.bit_count() >= len(data[:8]) * 8 * 2 // 3:
        bits, sign = ~bits & ((1 << 64) - 1), "~"
    names = [signal_name(number)[3:] for number in range(1, 65) if bits >> (number - 1) & 1]
    return f"{sign}[{' '.join(names)}]"


def _sigaction(data: bytes) -> str:
    handler, flags, restorer = struct.unpack_from("<QQQ", data)
    names = {0: "SIG_DFL", 1: "SIG_IGN", _INFINITY: "SIG_ERR"}
    text = (
        f"{{sa_handler={names.get(handler) or hex(handler)}, sa_mask={sigset_text(data[24:32])},"
        f" sa_flags={_sa_flags(flags)}"
    )
    return text + (f", sa_restorer={address(restorer)}}}" if flags & 0x4000000 else "}")


def _stack(data: bytes) -> str:
    pointer, flags, size = struct.unpack_from("<Qi4xQ", data)
    return f"{{ss_sp={address(pointer)}, ss_flags={_ss_flags(flags & 0xFFFFFFFF)}, ss_size={size}}}"


def _epoll_event(data: bytes) -> str:
    events, low, _high = struct.unpack_from("<IiI", data)
    (whole,) = struct.unpack_from("<Q", data, 4)
    return f"{{events={_epoll_events(events)}, data={{u32={low & 0xFFFFFFFF}, u64={whole}}}}}"


def _utsname(data: bytes) -> str:
    system, node = (data[at : at + 65].partition(b"\0")[0] for at in (0, 65))
    return f"{{sysname={quoted(system)}, nodename={quoted(node)}, ...}}"


def _sysinfo(data: bytes) -> str:
    fields = struct.unpack_from("<q3Q6QHxxxxxxQQI", data)
    names = ("uptime", "loads", "totalram", "freeram", "sharedram", "bufferram", "totalswap", "freeswap", "procs",
             "totalhigh", "freehigh", "mem_unit")  # fmt: skip
    values = (fields[0], f"[{fields[1]}, {fields[2]}, {fields[3]}]", *fields[4:])
    return "{" + ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True)) + "}"


def _wstatus(data: bytes) -> str:
    (status,) = struct.unpack_from("<i", data)
    if status & 0xFF == 0x7F:
        return f"[{{WIFSTOPPED(s) && WSTOPSIG(s) == {signal_name(status >> 8 & 0x7F)}}}]"
    if status == 0xFFFF:
        return "[{WIFCONTINUED(s)}]"
    if status & 0x7F:
        core = " && WCOREDUMP(s)" if status & 0x80 else ""
        return f"[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(status & 0x7F)}{core}}}]"
    return f"[{{WIFEXITED(s) && WEXITSTATUS(s) == {status >> 8 & 0xFF}}}]"


def _number(layout: str) -> Callable[[bytes], str]:
    return lambda data: f"[{struct.unpack_from(layout, data)[0]}]"


def _tms(data: bytes) -> str:
    names = ("tms_utime", "tms_stime", "tms_cutime", "tms_cstime")
    ticks = zip(names, struct.unpack_from("<4q", data), strict=True)
    return "{" + ", ".join(f"{name}={ticks_text(value)}" for name, value in ticks) + "}"


#: kind -> the text of one.
STRUCTS: dict[str, Callable[[bytes], str]] = {
    "stat": _stat, "statx": _statx, "statfs": _statfs, "timespec": timespec_text, "timeval": _timeval,
    "rlimit": _rlimit, "rusage": _rusage, "sigset": sigset_text, "sigaction": _sigaction, "stack": _stack,
    "epoll_event": _epoll_event, "utsname": _utsname, "sysinfo": _sysinfo, "wstatus": _wstatus,
    "tms": _tms, "int32": _number("<i"), "uint32": _number("<I"), "socklen": _number("<i"), "int64": _number("<q"),
    "uint64": _number("<Q"), "tid": _number("<i"),
    "gid": lambda data: str(struct.unpack_from("<I", data)[0]),
    "itimerval": lambda data: f"{{it_interval={_timeval(data)}, it_value={_timeval(data, 16)}}}",
    "itimerspec": lambda data: f"{{it_interval={timespec_text(data)}, it_value={timespec_text(data, 16)}}}",
    "timespec2": lambda data: f"[{_moment(data, 0, 1)}, {_moment(data, 16, 1)}]",
    "timeval2": lambda data: f"[{_moment(data, 0, 1000)}, {_moment(data, 16, 1000)}]",
    "utimbuf": lambda data: "{{actime={}, modtime={}}}".format(*struct.unpack_from("<qq", data)),
    "timezone": lambda data: "{{tz_minuteswest={}, tz_dsttime={}}}".format(*struct.unpack_from("<ii", data)),
    "sched_param": _number("<i"),
}  # fmt: skip
