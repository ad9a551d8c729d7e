"""One system call as strace's text: its arguments at entry, the rest at exit, its result.

A call's row (table.py) is compiled once into two lists of formatters: strace
prints at entry all that is known then, up to the first argument that the
kernel writes; that one and those after it at exit.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

from lowrun.trace.arch import AUDIT_ARCH_X86_64
from lowrun.trace.constants import errno_name
from lowrun.trace.context import Context, Formatter
from lowrun.trace.pointers import pointer_formatter
from lowrun.trace.quoting import address, octal
from lowrun.trace.records import Exit
from lowrun.trace.results import AFTER, RESULTS
from lowrun.trace.scalars import value_formatter
from lowrun.trace.special import SPECIAL
from lowrun.trace.table import FOREIGN, Argument, Call, call_of

__all__ = ["Format", "call_format", "format_of", "result_text"]

#: Kinds that bring their own separator.
_TAILS = frozenset(("clone3_tail", "sent"))
#: Kinds printed at exit, though read by the kernel too.
_AT_EXIT = frozenset(
    (
        "ioctl_value",
        "iovec",
        "msghdr",
        "mmsghdr",
        "ifreq",
        "ifconf",
        "timex",
        "io_uring_params",
        "file_handle",
        "fiemap",
        *_TAILS,
    )
)


def _is_late(argument: Argument) -> bool:
    """Whether strace prints it at exit: what the kernel has written, not what it updates in place."""
    if argument.kind in _AT_EXIT:
        return argument.written or not argument.read
    return argument.written and not argument.read


def _formatter(argument: Argument, index: int, leaving: bool) -> Formatter:
    if argument.kind in SPECIAL:
        return _or_address(SPECIAL[argument.kind](index), index)
    if argument.read or argument.written:
        at_exit = argument.written and leaving
        found = pointer_formatter(argument, index, at_exit)
        return _or_address(found, index) if found is not None else (lambda c: address(c.arguments[index]))
    return value_formatter(argument.kind, index, argument.optional) or (lambda c: address(c.arguments[index]))


def _or_address(formatter: Formatter, index: int) -> Formatter:
    """What was copied can be shorter than what it should hold (a page that ends): then the address is printed."""

    def guarded(c: Context) -> str | None:
        try:
            return formatter(c)
        except struct.error:
            return address(c.arguments[index])

    return guarded


def _joined(formatters: list[Formatter]) -> Callable[[Context], str]:
    def join(c: Context) -> str:
        return ", ".join([text for formatter in formatters if (text := formatter(c)) is not None])

    return join


def _listed(formatters: list[Formatter]) -> Callable[[Context], list[str]]:
    return lambda c: [text for formatter in formatters if (text := formatter(c)) is not None]


def _nothing(c: Context) -> str:
    return ""


class Format:
    """How one call is printed."""

    __slots__ = (
        "_after", "_made", "_result", "call", "decoded", "early_texts", "enter", "late_texts", "leave", "name",
        "variants",
    )  # fmt: skip

    def __init__(self, call: Call) -> None:
        self.call = call
        self.name = call.name
        late_ones = (index for index, argument in enumerate(call.arguments) if _is_late(argument))
        first = next(late_ones, len(call.arguments))
        formatters = [_formatter(argument, i, i >= first) for i, argument in enumerate(call.arguments)]
        early, late = formatters[:first], formatters[first:]
        #: Everything is printed at entry.
        self.decoded = not late
        #: The arguments' texts one by one: those of the entry, those of the exit.
        self.early_texts, self.late_texts = _listed(early), _listed(late)
        self.enter = self._entry(early, late, call)
        self.leave = self._exit(early, late, call)
        #: What the call takes depends on its arguments: ask `of` for the format.
        self.variants = bool(call.variants)
        self._made: dict[int, Format] = {}
        self._after = AFTER.get(call.name)
        self._result = RESULTS.get(call.result)

    def of(self, arguments: tuple[int, ...]) -> Format:
        """Return the format for these arguments."""
        key = self.call.key(arguments)
        form = self._made.get(key)
        if form is None:
            variant = self.call.variants.get(key)
            if variant is None:
                return self
            form = self._made[key] = Format(variant)
        return form

    @staticmethod
    def _entry(early: list[Formatter], late: list[Formatter], call: Call) -> Callable[[Context], str]:
        if not early:
            return _nothing
        join = _joined(early)
        if late and not Format._comma_late(call, len(early)):
            return lambda c: join(c) + ", "
        return join

    @staticmethod
    def _comma_late(call: Call, first: int) -> bool:
        """Whether what is printed at exit brings its own comma: it may be missing, or begin otherwise."""
        return call.arguments[first].optional or call.arguments[first].kind in _TAILS

    @staticmethod
    def _exit(early: list[Formatter], late: list[Formatter], call: Call) -> Callable[[Context], str]:
        if not late:
            return _nothing
        if not Format._comma_late(call, len(early)):
            return _joined(late)
        separator = "" if call.arguments[len(early)].kind in _TAILS else ", "

        def join(c: Context) -> str:
            return "".join([separator + text for formatter in late if (text := formatter(c)) is not None])

        return join

    def result(self, c: Context) -> str:
        """Return what stands after `= `."""
        value = c.value
        if c.failed:
            return errno_name(-value)
        kind = self.call.result
        if self._result is not None:
            text = self._result(c) or str(value)
        elif kind == "fd":
            text = f"{value}{c.descriptors.get(value, '')}"
        elif kind == "hex":
            text = f"{value & 0xFFFFFFFFFFFFFFFF:#x}" if value else "0"
        elif kind == "oct":
            text = octal(value)
        elif kind == "none":
            return "?"
        else:
            text = str(value)
        if self._after is not None:
            more = self._after(c)
            return f"{text} ({more})" if more else text
        return text


def result_text(form: Format, context: Context, leave: Exit) -> str:
    """Return what stands after `= ` up to the duration: the result, and what was done to the call."""
    injected_end = leave.injected and form.call.result == "none" and not leave.failed
    result = str(leave.value) if injected_end else form.result(context)
    return result + " (INJECTED)" * leave.injected + " (DELAYED)" * leave.delayed


def call_format(arch: int, number: int, arguments: tuple[int, ...]) -> Format:
    """Return the format of a call of the architecture `arch` (AUDIT_ARCH_*) with these arguments."""
    form = format_of(number if arch == AUDIT_ARCH_X86_64 else number | FOREIGN)
    return form.of(arguments) if form.variants else form


@lru_cache(maxsize=2048)
def format_of(number: int) -> Format:
    """Return the compiled format of the call `number`."""
    return Format(call_of(number))
