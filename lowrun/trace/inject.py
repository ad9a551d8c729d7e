"""Injections: what is done to chosen system calls while they are traced, as strace's -e inject= does it.

    lr.Calls(inject=[lr.Inject("openat", error="ENOSPC", when="3+2")])
    Inject.parse("openat:error=ENOSPC:when=3+2")

An injection is checked when it is made and done wholly by the tracer
(_native/tracer_tamper.c). Invocations are counted per thread and per call, from
the command's first instruction on. Of several injections into one call the last
one counts, as strace has it.
"""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lowrun.errors import UsageError

__all__ = ["Inject", "InjectRow", "compile_injections", "error_number", "injections_of", "stops_of"]

EVER = 0xFFFFFFFF
ERRNO_MAX = 4095
SIGRTMIN, SIGRTMAX = 32, 64
#: The kernel's own, never seen outside of a trace (include/linux/errno.h), and what errno(3) has under two names.
KERNEL_ERRORS = {"ERESTARTSYS": 512, "ERESTARTNOINTR": 513, "ERESTARTNOHAND": 514, "ERESTART_RESTARTBLOCK": 516}
#: Calls without arguments that always succeed and change nothing: these can be executed in another one's place.
PURE_CALLS = frozenset("getegid geteuid getgid getpgrp getpid getppid gettid getuid".split())
UNITS_NS = {"": 1000, "s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
DELAY_MAX_NS = 1 << 62

_WHEN = re.compile(r"(\d{1,5})(?:\.\.(\d{1,5}))?(\+(\d{1,5})?)?", re.ASCII)
_DELAY = re.compile(r"(\d+\.?\d*(?:e\d+)?|\.\d+)(s|ms|us|ns|)", re.ASCII)
_RETVAL = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*", re.ASCII)
_FIELDS = ("error", "retval", "signal", "delay_enter", "delay_exit", "syscall", "when")
_POKES = ("poke_enter", "poke_exit")


class InjectRow(NamedTuple):
    """One injection as the tracer takes it: `struct lr_inject` (_native/lowrun.h)."""

    first: int
    last: int
    step: int
    replace: bool
    call: int
    signo: int
    result: int
    delay_enter_ns: int
    delay_exit_ns: int


def error_number(value: str | int) -> int:
    """Return the errno that `value` names. Raises ValueError."""
    text = str(value)
    if text.isascii() and text.isdigit():
        number = int(text)
    else:
        number = KERNEL_ERRORS.get(text.upper()) or int(getattr(errno, text.upper(), 0))
    if not 1 <= number <= ERRNO_MAX:
        raise ValueError(f"error is a name like ENOENT or a number from 1 to {ERRNO_MAX}, not {text!r}")
    return number


def _retval(value: str | int) -> int:
    text = str(value)
    number = -1
    if _RETVAL.fullmatch(text):
        number = int(text, 8 if len(text) > 1 and text.isdigit() and text[0] == "0" else 0)
    if not 0 <= number < (1 << 64) - ERRNO_MAX:
        raise ValueError(f"retval is a number that stands for no error, not {text!r}; error= makes the call fail")
    return number - (1 << 64) if number >= 1 << 63 else number


def _signal(value: str | int) -> int:
    text = str(value).upper()
    name = text if text.startswith("SIG") else "SIG" + text
    if text.isascii() and text.isdigit():
        number = int(text)
    elif match := re.fullmatch(r"SIGRT_(\d{1,2})", name, re.ASCII):
        number = SIGRTMIN + int(match[1])
    elif name == "SIGRTMIN":
        number = SIGRTMIN
    else:
        number = next((one.value for one in signal.Signals if one.name == name and one.value < SIGRTMIN), 0)
    if not 1 <= number <= SIGRTMAX:
        raise ValueError(f"signal is a name like SIGTERM or a number from 1 to {SIGRTMAX}, not {str(value)!r}")
    return number


def _delay(value: str | float | None) -> int:
    if value is None:
        return 0
    match = _DELAY.fullmatch(str(value))
    nanoseconds = int(float(match[1]) * UNITS_NS[match[2]]) if match else -1
    if not 0 <= nanoseconds <= DELAY_MAX_NS:
        raise ValueError(f"a delay is a number of microseconds, or with s, ms, us or ns after it, not {str(value)!r}")
    return nanoseconds


def _when(value: str | int) -> tuple[int, int, int]:
    text = str(value)
    match = _WHEN.fullmatch(text)
    if match is None:
        raise ValueError(f"when is FIRST[..LAST][+[STEP]], not {text!r}")
    first = int(match[1])
    last = EVER if match[2] is None else int(match[2])
    step = int(match[4]) if match[4] else 1 if match[3] or match[2] else 0
    if (
        not 1 <= first <= 0xFFFF
        or not (last == EVER or first <= last < 0xFFFF)
        or (match[4] and not 1 <= step <= 0xFFFF)
    ):
        raise ValueError(f"when counts from 1, to at most 65535 (LAST to 65534, not before FIRST), not {text!r}")
    return first, last, step


@dataclass(frozen=True, slots=True)
class Inject:
    """What is done to each call of the set `calls` (as strace's -e trace= takes it: "open,close", "%file").

    `error` ("ENOSPC" or a number) or `retval`: the call is not executed, but
    fails so or returns that; with `syscall` that one ("getpid") is executed in
    its place. `signal` ("SIGUSR1" or a number) is sent at the entry.
    `delay_enter` and `delay_exit` hold the thread up, before and after the call:
    microseconds, or text with a unit, "1.5ms". `when` chooses invocations,
    counted per thread and call from 1: "3", "3+" (from the third on), "3+2" (third,
    fifth, ...), "3..7", "3..7+2". Raises UsageError.
    """

    calls: str
    error: str | int | None = None
    retval: str | int | None = None
    signal: str | int | None = None
    delay_enter: str | float | None = None
    delay_exit: str | float | None = None
    syscall: str | None = None
    when: str | int = "1+"

    def __post_init__(self) -> None:
        try:
            self.row()
        except ValueError as error:
            raise UsageError(f"cannot inject into {self.calls!r}: {error}") from None
        self.numbers()

    def numbers(self) -> frozenset[int]:
        """Return the numbers of the calls."""
        from lowrun.trace.table import numbers_of

        return numbers_of(self.calls)

    def row(self) -> InjectRow:
        """Return what the tracer needs to know."""
        if self.error is not None and self.retval is not None:
            raise ValueError("error and retval exclude each other")
        replace = self.error is not None or self.retval is not None
        delays = _delay(self.delay_enter), _delay(self.delay_exit)
        if not (replace or self.signal is not None or self.delay_enter is not None or self.delay_exit is not None):
            raise ValueError("one of error, retval, signal, delay_enter and delay_exit is needed")
        result = (
            -error_number(self.error) if self.error is not None else 0 if self.retval is None else _retval(self.retval)
        )
        signo = 0 if self.signal is None else _signal(self.signal)
        return InjectRow(*_when(self.when), replace, self._call(replace), signo, result, *delays)

    def _call(self, replace: bool) -> int:
        if self.syscall is None:
            return -1
        from lowrun.trace.table import numbers_of

        if not replace:
            raise ValueError("syscall goes with error or retval")
        if self.syscall not in PURE_CALLS:
            raise ValueError(f"syscall is one of {', '.join(sorted(PURE_CALLS))}, not {self.syscall!r}")
        return next(iter(numbers_of(self.syscall)))

    @staticmethod
    def parse(text: str, fault: bool = False) -> Inject:
        """Return the injection of strace's `-e inject=TEXT`, or with `fault` of its `-e fault=TEXT`.

        Raises UsageError with one line that says what is wrong.
        """
        calls, *words = text.split(":")
        fields: dict[str, str] = {}
        for word in filter(None, words):
            name, given, value = word.partition("=")
            if name in _POKES:
                raise UsageError(f"cannot inject into {calls!r}: {name} is not supported; a hook can write memory")
            if name not in (("error", "when") if fault else _FIELDS) or not given or not value:
                known = "error and when" if fault else ", ".join(_FIELDS)
                raise UsageError(f"cannot inject into {calls!r}: {word!r} is none of {known}, with = and a value")
            if name in fields and name != "when":
                raise UsageError(f"cannot inject into {calls!r}: {name} is given twice")
            fields[name] = value
        if fault:
            fields.setdefault("error", "ENOSYS")
        return Inject(calls, **fields)


def injections_of(inject: Inject | str | Sequence[Inject | str]) -> tuple[Inject, ...]:
    """Return one or many injections, each as a value or as text for `Inject.parse`. Raises UsageError."""
    every = [inject] if isinstance(inject, (Inject, str)) else list(inject)
    for one in every:
        if not isinstance(one, (Inject, str)):
            raise UsageError(f"an injection is a lowrun.Inject or text like 'open:error=EIO', not {one!r}")
    return tuple(Inject.parse(one) if isinstance(one, str) else one for one in every)


def compile_injections(injections: Sequence[Inject]) -> tuple[list[InjectRow], dict[int, int]]:
    """Return the rows of `injections`, and call number -> index of its row."""
    places: dict[int, int] = {}
    for index, injection in enumerate(injections):
        places |= dict.fromkeys(injection.numbers(), index)
    return [injection.row() for injection in injections], places


def stops_of(only: frozenset[int] | None, injections: Sequence[Inject]) -> frozenset[int] | None:
    """Return the calls that a tracee must be stopped at when `only` are recorded; None: all.

    All where a signal is injected: the kernel takes none at a filter's stop. And
    those by which a command installs a filter of its own, which may hide others.
    """
    from lowrun.trace.table import numbers_of

    if only is None or any(injection.signal is not None for injection in injections):
        return None
    return only.union(numbers_of("seccomp,prctl"), *(injection.numbers() for injection in injections))
