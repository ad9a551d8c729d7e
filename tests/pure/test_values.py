"""Values: statuses, commands, what many runs say together."""

from __future__ import annotations

import signal
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun.errors import UsageError
from lowrun.values import Command, ExitStatus, Result, Summary, Usage, most_frequent_code

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)


def result(index: int, code: int, *, ok: bool | None = None, interrupted: bool = False) -> Result:
    good = code == 0 if ok is None else ok
    usage = Usage(0.0, 0.0, 1, 1)
    return Result(index, Command.of("x"), ExitStatus(code), good, False, interrupted, 7, NOW, 0.1, usage)


def codes(*found: int) -> int | None:
    return most_frequent_code(result(index, code) for index, code in enumerate(found, 1))


@pytest.mark.parametrize(
    ("found", "speaks"),
    [
        ((0, 3, 3, 0, 3), 3),
        ((0, 0, 3), 0),
        ((0, 3), 3),  # a tie goes to the failing code
        ((3, 0), 3),
        ((4, 3, 3, 4), 4),  # among failing codes to that of the lowest run number
        ((0, 0, 5, 4, 4, 5), 5),
        ((), None),
    ],
)
def test_ties(found: tuple[int, ...], speaks: int | None) -> None:
    """The most frequent code speaks; ties go to failure, then to the earliest."""
    assert codes(*found) == speaks


def test_success_codes_decide_ties() -> None:
    """A code that counts as success loses a tie against one that does not, whatever its number."""
    assert most_frequent_code([result(1, 3, ok=True), result(2, 0, ok=False)]) == 0


@given(st.lists(st.integers(0, 255), min_size=1))
def test_the_code_is_one_of_the_most_frequent(found: list[int]) -> None:
    """No other code is more frequent than the one that speaks."""
    speaks = codes(*found)
    assert speaks is not None
    assert found.count(speaks) == max(found.count(code) for code in found)


def test_interrupted_runs_do_not_count() -> None:
    """An interrupted run is in no code; without a completed run the exit code is 128+signal."""
    runs = (result(1, 143, interrupted=True),)
    summary = Summary(Command.of("x"), NOW, 1.0, True, None, runs, signal.SIGTERM)
    assert summary.codes == {}
    assert summary.exit_code == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("status", "code", "number"),
    [(0, 0, None), (3 << 8, 3, None), (255 << 8, 255, None), (9, 137, 9), (11 | 0x80, 139, 11)],
)
def test_wait_status(status: int, code: int, number: int | None) -> None:
    """A raw wait status becomes the code a shell would give and the signal."""
    assert ExitStatus.from_wait(status) == ExitStatus(code, number)


def test_signals_are_named() -> None:
    """A death by signal is named as kill(1) names it."""
    assert "SIGKILL" in str(ExitStatus(137, 9))


def test_a_command_keeps_any_bytes() -> None:
    """Arguments that are no UTF-8 survive."""
    import os

    assert os.fsencode(Command.of([b"a\xff\xfe", "\u00e9"]).argv[0]) == b"a\xff\xfe"


@pytest.mark.parametrize("words", [[], ["a\0b"]])
def test_a_command_that_makes_no_sense(words: list[str]) -> None:
    """No words, or a NUL in one, is the caller's fault."""
    with pytest.raises(UsageError):
        Command.of(words)
