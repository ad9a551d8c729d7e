"""The summary that a person reads, and the JSON that a program reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun import Command, ExitStatus, Result, Summary, Usage, summary_dict, to_json
from lowrun.cli.console import paint
from lowrun.cli.progress import progress_line
from lowrun.cli.summary import duration, memory, ranges, render, warnings

STARTED = datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=timezone.utc)
COMMAND = Command(("sh", "-c", "exit 3"))
DIR = Path("/somewhere/out")


def a_result(
    index: int,
    status: ExitStatus,
    *,
    ok: bool = False,
    timed_out: bool = False,
    interrupted: bool = False,
    pid: int | None = 4242,
    usage: Usage = Usage(0.001, 0.002, 3400, None),  # noqa: B008
    faults: tuple[str, ...] = (),
) -> Result:
    artifacts = {} if ok else {"stdout": DIR / f"run-{index:04d}" / "stdout.log"}
    wall_s = 0.1 * index
    return Result(
        index, COMMAND, status, ok, timed_out, interrupted, pid, STARTED, wall_s, usage, artifacts, faults
    )  # fmt: skip


def a_summary(results: Sequence[Result], *, output: Path | None = DIR, signal: int | None = None) -> Summary:
    return Summary(COMMAND, STARTED, 1.25, signal is not None, output, tuple(results), signal)


OK = ExitStatus(0)
THREE = ExitStatus(3)


def test_many_runs_get_a_table() -> None:
    """Runs, ok, failed; code, meaning, count, ranges; mean, deviation, extremes; CPU; peak; where the artifacts are."""
    statuses = [OK, THREE, THREE, OK, ExitStatus(137, 9), ExitStatus(137)]
    summary = a_summary([a_result(i, status, ok=status is OK) for i, status in enumerate(statuses, 1)])
    assert render(summary, 6) == (
        "lowrun: 6 runs in 1.25 s, 2 ok, 4 failed\n"
        "  code  meaning                                  count  runs\n"
        "     0  ok                                           2  1 4\n"
        "     3  failed                                       2  2-3\n"
        "   137  killed by SIGKILL, failed (128+SIGKILL)      2  5-6\n"
        "  wall time    350.0 ms ± 187.1 ms, 100.0 ms … 600.0 ms\n"
        "  CPU time     user 1.0 ms, system 2.0 ms per run\n"
        "  peak memory  3.3 MiB\n"
        "  artifacts    /somewhere/out"
    )


def test_one_run_gets_one_line() -> None:
    """A single run says the same in a line."""
    assert render(a_summary([a_result(1, THREE)], output=None), 1) == (
        "lowrun: 1 run, 0 ok, 1 failed: code 3 (failed), wall 100.0 ms, CPU 3.0 ms, peak 3.3 MiB"
    )


def test_what_is_not_known_is_not_told() -> None:
    """Unknown figures are left out, or said to be known of some runs only; nothing is guessed."""
    unknown = Usage(None, None, None, None)
    one = a_summary([a_result(1, OK, ok=True, usage=unknown)], output=None)
    assert render(one, 1) == "lowrun: 1 run, 1 ok, 0 failed: code 0 (ok), wall 100.0 ms"
    text = render(a_summary([a_result(1, OK, ok=True), a_result(2, OK, ok=True, usage=unknown)]), 2)
    assert "peak memory  3.3 MiB (known of 1 of 2 runs)\n" in text
    assert "CPU time     user 1.0 ms, system 2.0 ms per run (known of 1 of 2 runs)\n" in text


def test_a_command_that_is_not_executed_takes_no_time() -> None:
    """The reason stands for the meaning, and no figures are told of what never ran."""
    gone = ExitStatus(127, None, "command not found")
    none = Usage(0.0, 0.0, 0, 0)
    results = [a_result(i, gone, pid=None, usage=none) for i in (1, 2)]
    assert render(a_summary(results[:1], output=None), 1) == (
        "lowrun: 1 run, 0 ok, 1 failed: code 127 (command not found)"
    )
    assert render(a_summary(results, output=None), 2).splitlines()[2:] == ["   127  command not found      2  1-2"]


def test_an_interruption_is_told() -> None:
    """Interrupted runs are named and not counted; runs that were not begun are missing."""
    results = [a_result(1, OK, ok=True), a_result(2, ExitStatus(143, 15), interrupted=True)]
    first = render(a_summary(results, output=None, signal=2), 10).splitlines()[0]
    assert first == "lowrun: 1 of 10 runs in 1.25 s, 1 ok, 0 failed, interrupted by SIGINT in run 2"
    assert render(a_summary(results[1:], output=None, signal=15), 1) == (
        "lowrun: 0 of 1 run, 0 ok, 0 failed, interrupted by SIGTERM in run 2"
    )


def test_a_timeout_and_success_codes_have_their_words() -> None:
    """124 of a timeout says so; a code that counts as success is ok."""
    late = a_result(1, ExitStatus(124, 15, "timed out after 1 s"), timed_out=True)
    text = render(a_summary([late, a_result(2, THREE, ok=True)]), 2)
    assert "   124  timed out      1  1\n" in text
    assert "     3  ok             1  2\n" in text


def test_warnings_leave_usage_out() -> None:
    """What cannot be known here is for the JSON; many warned runs are counted in one line."""
    faults = ("calls: not permitted; be root", "usage: processes is not known")
    results = [a_result(i, THREE, faults=faults) for i in (1, 2)]
    assert warnings(results[0]) == [faults[0]]
    assert "  warnings     named above, in 2 runs\n" in render(a_summary(results), 2)


def test_colors_only_paint() -> None:
    """With colours the words are the same."""
    summary = a_summary([a_result(1, OK, ok=True), a_result(2, THREE)])
    colored = render(summary, 2, paint)
    assert "\x1b[31m1 failed\x1b[0m" in colored
    for code in ("\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[0m"):
        colored = colored.replace(code, "")
    assert colored == render(summary, 2)


def test_a_thousand_codes_fit_the_screen() -> None:
    """Long lists of run numbers end in dots: the JSON has them all."""
    results = [a_result(i, THREE if i % 2 else OK, ok=i % 2 == 0) for i in range(1, 1001)]
    assert max(map(len, render(a_summary(results), 1000).splitlines())) <= 90


@given(st.sets(st.integers(1, 300)))
def test_ranges_name_exactly_the_numbers(numbers: set[int]) -> None:
    """Ranges read back give the numbers, in order, and no two of them could be one."""
    spans = [tuple(map(int, word.split("-"))) for word in ranges(sorted(numbers)).split()]
    assert [n for span in spans for n in range(span[0], span[-1] + 1)] == sorted(numbers)
    assert all(after[0] > before[-1] + 1 for before, after in pairwise(spans))


@given(st.sets(st.integers(1, 10**7), min_size=1), st.integers(24, 80))
def test_long_ranges_are_cut_between_words(numbers: set[int], longest: int) -> None:
    """A cut list is no longer than allowed, and what is left of it is a beginning of the whole."""
    whole, cut = ranges(sorted(numbers)), ranges(sorted(numbers), longest)
    assert cut == whole or (len(cut) <= longest + 1 and whole.startswith(cut.removesuffix("...")))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"), (0.000466, "466 µs"), (0.0009999, "1.0 ms"), (0.0123, "12.3 ms"), (0.99999, "1.00 s"),
        (1.234, "1.23 s"), (59.999, "1 min 0 s"), (61.0, "1 min 1 s"), (3723.0, "1 h 2 min"),
    ],
)  # fmt: skip
def test_durations_fit_their_unit(seconds: float, text: str) -> None:
    """No duration rounds up to a thousand of its unit."""
    assert duration(seconds) == text


def test_sizes_fit_their_unit() -> None:
    """Sizes are KiB, MiB or GiB."""
    assert [memory(kib) for kib in (812, 3400, 1258291)] == ["812 KiB", "3.3 MiB", "1.20 GiB"]


def test_progress_tells_what_is_left() -> None:
    """The time to go is that of the runs so far."""
    assert progress_line(3, 1, 10, 2.0) == "lowrun: 4 of 10 runs, 3 ok, 1 failed, about 3.00 s to go"


def test_json_is_as_promised() -> None:
    """Keys, types and order are those that the documentation shows."""
    summary = a_summary([a_result(2, THREE, faults=("calls: no",)), a_result(1, OK, ok=True)])
    assert summary_dict(summary, "1.2") == {
        "lowrun": "1.2", "command": ["sh", "-c", "exit 3"], "started": "2026-11-21T01:02:03.456789+00:00",
        "wall_s": 1.25, "exit_code": 3, "interrupted": False, "output": "/somewhere/out",
        "codes": {"0": [1], "3": [2]},
        "runs": [
            {"index": 1, "code": 0, "signal": None, "ok": True, "timed_out": False, "interrupted": False,
             "pid": 4242, "started": "2026-11-21T01:02:03.456789+00:00", "wall_s": 0.1, "user_s": 0.001,
             "sys_s": 0.002, "max_rss_kib": 3400, "processes": None, "artifacts": {}, "faults": []},
            {"index": 2, "code": 3, "signal": None, "ok": False, "timed_out": False, "interrupted": False,
             "pid": 4242, "started": "2026-11-21T01:02:03.456789+00:00", "wall_s": 0.2, "user_s": 0.001,
             "sys_s": 0.002, "max_rss_kib": 3400, "processes": None,
             "artifacts": {"stdout": "run-0002/stdout.log"}, "faults": ["calls: no"]},
        ],
    }  # fmt: skip


@given(st.lists(st.text(st.characters(exclude_categories=[])), min_size=1), st.lists(st.integers(0, 255)))
def test_json_survives_any_words_and_codes(argv: list[str], codes: list[int]) -> None:
    """Any argument comes back from the JSON, bytes that are no UTF-8 included, and the text is ASCII."""
    results = [a_result(i, ExitStatus(code)) for i, code in enumerate(codes, 1)]
    summary = Summary(Command(tuple(argv)), STARTED, 1.0, False, None, tuple(results))
    text = to_json(summary_dict(summary, "1.2"))
    value = json.loads(text.encode("ascii"))
    assert value["command"] == argv
    assert sorted(i for runs in value["codes"].values() for i in runs) == [i for i, _ in enumerate(codes, 1)]
