"""What stands after `= `: results in words, and what a call's result adds in parentheses."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

from lowrun.trace.constants import enum_text, flags_text, signal_name
from lowrun.trace.context import Context, signed
from lowrun.trace.records import Chunk
from lowrun.trace.scalars import open_flags_text
from lowrun.trace.special import ioprio_text, personality_text
from lowrun.trace.structs import STRUCTS

__all__ = ["AFTER", "RESULTS"]

_poll_events = flags_text("poll_events")
#: How long what poll tells may become.
_POLL_ROOM = 997
_scheduler = enum_text("scheduler")


def _data(chunk: Chunk | None, size: int) -> bytes | None:
    return chunk.data if chunk is not None and not chunk.bad and len(chunk.data) >= size else None


def _hex(value: int) -> str:
    return f"{value:#x}" if value else "0"


def _poll_after(c: Context) -> str | None:
    if c.value == 0:
        return "Timeout"
    data = _data(c.at_exit.get(0), 8) or b""
    text = "["
    for fd, _, revents in struct.iter_unpack("<iHH", data[: len(data) & ~7]):
        if revents:
            text += ", " if len(text) > 1 else ""
            word = f"{{fd={fd}, revents={_poll_events(revents)}}}"
            if len(text) + len(word) >= _POLL_ROOM:
                text += "..."
                break
            text += word
    return text + "]" if len(text) > 1 else None


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


def _recvmmsg_after(c: Context) -> str | None:
    if c.value == 0:
        return "Timeout"
    left = _data(c.at_exit.get(4), 16)
    return f"left {STRUCTS['timespec'](left)}" if c.arguments[4] and left else None


#: Call -> text in parentheses after its result, when it did not fail.
AFTER: dict[str, Callable[[Context], str | None]] = {
    "poll": _poll_after, "ppoll": _ppoll_after, "select": _select_after("timeval"),
    "pselect6": _select_after("timespec"),
    "recvmmsg": _recvmmsg_after, "rt_sigtimedwait": lambda c: signal_name(c.value),
}  # fmt: skip


def _named(prefix: str, text: Callable[[int], str], zero: bool = False) -> Callable[[Context], str | None]:
    """The result in hexadecimal with its names: `0x1 (flags FD_CLOEXEC)`; 0 alone unless `zero`."""
    return lambda c: f"{_hex(c.value)} ({prefix}{text(c.value)})" if c.value or zero else "0"


def _in_words(text: Callable[[int], str]) -> Callable[[Context], str | None]:
    return lambda c: f"{c.value} ({text(c.value)})"


_ns_type = enum_text("ns_type")


def _time_text(c: Context) -> str:
    try:
        return f"{c.value} ({time.strftime('%Y-%m-%dT%H:%M:%S%z', time.localtime(c.value))})"
    except (OverflowError, OSError):
        return str(c.value)


_time_state = enum_text("timex_state")

#: Kind of result -> its text, where it takes more than the number.
RESULTS: dict[str, Callable[[Context], str | None]] = {
    "fcntl_fl": _named("flags ", open_flags_text, True), "fcntl_fd": _named("flags ", flags_text("fdflags")),
    "lease": _named("", enum_text("lock_types"), True), "seals": _named("seals ", flags_text("f_seals")),
    "signal": lambda c: f"{c.value} ({signal_name(c.value)})" if c.value else "0",
    "scheduler": _in_words(_scheduler), "dumpable": _in_words(enum_text("pr_dumpable")),
    "securebits": _named("", flags_text("secbits")), "mce": _in_words(enum_text("pr_mce_policy")),
    "speculation": _named("", flags_text("pr_spec_set")), "timex_state": _in_words(_time_state),
    "ioprio": lambda c: f"{_hex(c.value)} ({ioprio_text(c.value)})",
    "personality": lambda c: f"{_hex(c.value)} ({personality_text(c.value)})",
    "membarrier": _named("", flags_text("membarrier_bits")),
    "ruleset": lambda c: str(c.value) if c.arguments[2] else f"{c.value}{c.descriptors.get(c.value, '')}",
    "time": _time_text, "ns_type": lambda c: f"{_hex(c.value)} ({_ns_type(c.value)})",
}  # fmt: skip
