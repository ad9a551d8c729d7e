"""Injections as values: what is taken, what is refused, and what the tracer is told."""

from __future__ import annotations

import errno

import pytest

import lowrun as lr
from lowrun.trace.inject import EVER, compile_injections, stops_of
from lowrun.trace.table import numbers_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openat:error=ENOSPC:when=3+2", lr.Inject("openat", error="ENOSPC", when="3+2")),
        ("%file,close:retval=0x10", lr.Inject("%file,close", retval="0x10")),
        ("read:signal=USR1:delay_enter=5ms", lr.Inject("read", signal="USR1", delay_enter="5ms")),
        ("read:error=EPERM:syscall=getpid:when=1:when=2..9+3",
         lr.Inject("read", error="EPERM", syscall="getpid", when="2..9+3")),
    ],
)  # fmt: skip
def test_an_expression_is_an_injection(text: str, expected: lr.Inject) -> None:
    """strace's expression and the call with the same words say the same; the last `when` counts."""
    assert lr.Inject.parse(text) == expected


def test_a_fault_fails_with_enosys_unless_told_otherwise() -> None:
    """-e fault= is an injection of an error, ENOSYS by default."""
    assert lr.Inject.parse("read", fault=True) == lr.Inject("read", error="ENOSYS")
    assert lr.Inject.parse("read:error=EIO:when=2", fault=True) == lr.Inject("read", error="EIO", when="2")


@pytest.mark.parametrize(
    ("words", "result"),
    [
        ({"error": "ENOSPC"}, -errno.ENOSPC),
        ({"error": "enospc"}, -errno.ENOSPC),
        ({"error": 4095}, -4095),
        ({"error": "ERESTARTSYS"}, -512),
        ({"retval": 7}, 7),
        ({"retval": "010"}, 8),
        ({"retval": "0x10"}, 16),
        ({"retval": (1 << 63) + 1}, 1 - (1 << 63)),
    ],
)
def test_results(words: dict[str, str | int], result: int) -> None:
    """Errors by name or number, return values in any base, as strace takes them."""
    row = lr.Inject("read", **words).row()  # type: ignore[arg-type]
    assert (row.replace, row.result, row.call) == (True, result, -1)


@pytest.mark.parametrize(
    ("when", "row"),
    [("3", (3, EVER, 0)), ("3+", (3, EVER, 1)), ("3+2", (3, EVER, 2)), ("3..7", (3, 7, 1)), ("3..7+", (3, 7, 1)),
     ("3..7+2", (3, 7, 2)), ("65535+65535", (65535, EVER, 65535)), ("1..65534", (1, 65534, 1))],
)  # fmt: skip
def test_when(when: str, row: tuple[int, int, int]) -> None:
    """FIRST[..LAST][+[STEP]]."""
    assert lr.Inject("read", error="EIO", when=when).row()[:3] == row


@pytest.mark.parametrize(
    ("delay", "ns"),
    [(5, 5000), ("5", 5000), (1.5, 1500), ("1.5ms", 1_500_000), (".5us", 500), ("2s", 2 * 10**9), ("7ns", 7)],
)
def test_delays(delay: str | float, ns: int) -> None:
    """Microseconds, or with a unit."""
    assert lr.Inject("read", delay_enter=delay).row().delay_enter_ns == ns


@pytest.mark.parametrize(
    ("signal", "number"), [("SIGUSR1", 10), ("usr1", 10), (64, 64), ("SIGRT_3", 35), ("SIGRTMIN", 32)]
)
def test_signals(signal: str | int, number: int) -> None:
    """By name, with or without SIG, or by number."""
    assert lr.Inject("read", signal=signal).row().signo == number


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("read", "one of error, retval"),
        ("read:when=3", "one of error, retval"),
        ("read:error=ENOTHING", "ENOTHING"),
        ("read:error=5000", "5000"),
        ("read:error=0", "'0'"),
        ("read:error=1:retval=3", "exclude"),
        ("read:error=EIO:error=EIO", "twice"),
        ("read:retval=-5", "error="),
        ("read:retval=0xffffffffffffffff", "error="),
        ("read:retval=x", "retval is"),
        ("read:signal=99", "99"),
        ("read:signal=SIGRTMIN+1", "SIGRTMIN+1"),
        ("read:error=EIO:when=0", "'0'"),
        ("read:error=EIO:when=5..3", "5..3"),
        ("read:error=EIO:when=1..", "FIRST"),
        ("read:error=EIO:when=1+0", "1+0"),
        ("read:error=EIO:when=65536", "65536"),
        ("read:delay_enter=xx", "xx"),
        ("read:delay_exit=-1", "-1"),
        ("read:delay_exit=1h", "1h"),
        ("read:error=EIO:foo=3", "foo=3"),
        ("read:error=EIO:foo", "'foo'"),
        ("read:error=", "'error='"),
        ("read:error=EIO:syscall=openat", "openat"),
        ("read:signal=USR1:syscall=getpid", "goes with"),
        ("read:poke_enter=@arg1=00", "hook"),
        (":error=EIO", "empty"),
        ("raed:error=EIO", "did you mean 'read'"),
    ],
)
def test_what_is_refused_is_named_in_one_line(text: str, reason: str) -> None:
    """Everything that strace refuses is refused, with a reason."""
    with pytest.raises(lr.UsageError) as caught:
        lr.Inject.parse(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["read:retval=1", "read:signal=USR1", "read:delay_exit=1"])
def test_a_fault_is_an_error_only(text: str) -> None:
    """-e fault= takes error and when alone."""
    with pytest.raises(lr.UsageError, match="error and when"):
        lr.Inject.parse(text, fault=True)


def test_of_several_for_one_call_the_last_counts() -> None:
    """Each call has one row."""
    rows, places = compile_injections([lr.Inject("read,close", error=5), lr.Inject("read", error=6)])
    (read,), (close,) = numbers_of("read"), numbers_of("close")
    assert [rows[places[number]].result for number in (read, close)] == [-6, -5]


def test_a_filter_stops_at_what_is_injected_into() -> None:
    """Also where it is not recorded; and at what installs filters. A signal can be injected at a full stop only."""
    assert stops_of(None, [lr.Inject("read", error=5)]) is None
    assert stops_of(numbers_of("close"), [lr.Inject("read", error=5)]) == numbers_of("read,close,seccomp,prctl")
    assert stops_of(numbers_of("close"), [lr.Inject("read", signal=5)]) is None
