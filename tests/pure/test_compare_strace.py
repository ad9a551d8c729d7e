"""The comparison with strace finds what is missing: it is a measure, so it is measured first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from compare_strace import by_place, common, compare, main

LOG = """\
10    03:08:06.000001 execve("/bin/sh", ["sh"], 0x7fffd7f76688 /* 35 vars */) = 0 <0.000432>
10    03:08:06.000002 openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3 <0.000012>
10    03:08:06.000003 read(3,  <unfinished ...>
11    03:08:06.000004 set_robust_list(0x7f6363a20, 24) = 0 <0.000036>
10    03:08:06.000005 <... read resumed>"x", 1) = 1 <0.000016>
10    03:08:06.000006 clone(child_stack=NULL, flags=SIGCHLD) = 11 <0.000163>
11    03:08:06.000007 getpid()          = 11 <0.000008>
11    03:08:06.000008 close(3)          = 0 <0.000008>
11    03:08:06.000009 exit_group(0)     = ?
11    03:08:06.000010 +++ exited with 0 +++
10    03:08:06.000011 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11} ---
10    03:08:06.000012 wait4(-1, NULL, 0, NULL) = 11 <0.000008>
10    03:08:06.000013 exit_group(0)     = ?
10    03:08:06.000014 +++ exited with 0 +++
""".splitlines()


def test_threads_have_places_not_numbers() -> None:
    """The command is (), its first child (0,); a call that was cut by another thread is one call."""
    places = by_place(LOG)
    assert {place: [call.name for call in calls] for place, calls in places.items()} == {
        (): ["execve", "openat", "read", "clone", "wait4", "exit_group"],
        (0,): ["set_robust_list", "getpid", "close", "exit_group"],
    }
    assert places[()][2].rest == '3, "x", 1) = 1 <0.000016>'


@pytest.mark.parametrize("arguments", [False, True])
def test_the_same_program_agrees_whatever_its_numbers(arguments: bool) -> None:
    """Other pids, addresses and durations make no difference."""
    other = [line.replace("11 ", "47 ").replace("= 11", "= 47").replace("0x7f6363a20", "0x7f6363b20") for line in LOG]
    other = [line.replace("si_pid=11", "si_pid=47") for line in other]
    verdict = compare(LOG, LOG, other, arguments)
    assert (verdict.agreed, verdict.total, verdict.missing) == (10, 10, [])


def test_a_dropped_call_is_found() -> None:
    """One call fewer is one that is missing, and it is named with its thread."""
    verdict = compare(LOG, LOG, [line for line in LOG if "getpid" not in line])
    assert (verdict.agreed, verdict.total, verdict.missing) == (9, 10, [((0,), "getpid")])


def test_a_swapped_call_is_found() -> None:
    """Two calls of a thread in the other order are one too few."""
    swapped = list(LOG)
    swapped[6], swapped[7] = swapped[7], swapped[6]
    assert compare(LOG, LOG, swapped).agreed == 9


def test_an_altered_call_is_found() -> None:
    """Another name is found; another argument when arguments are compared."""
    assert compare(LOG, LOG, [line.replace("getpid", "gettid") for line in LOG]).agreed == 9
    altered = [line.replace("/etc/hosts", "/etc/passwd") for line in LOG]
    assert compare(LOG, LOG, altered).agreed == 10
    assert compare(LOG, LOG, altered, arguments=True).agreed == 9


def test_a_missing_thread_is_found() -> None:
    """All calls of a thread that is not there are missing."""
    assert compare(LOG, LOG, [line for line in LOG if not line.startswith("11")]).agreed == 6


def test_only_what_two_references_agree_on_is_asked_for() -> None:
    """What one recording alone has counts for nothing."""
    assert compare(LOG, [line for line in LOG if "getpid" not in line], LOG).total == 9


def test_what_is_called_by_chance_is_left_out_and_named() -> None:
    """A lock that the references waited for unequally often says nothing; which calls that were is told."""
    wait = "10    03:08:06.000012 futex(0x7f6363a20, FUTEX_WAIT, 1) = 0 <0.000008>"
    verdict = compare([*LOG[:12], wait, wait, *LOG[12:]], [*LOG[:12], wait, *LOG[12:]], LOG)
    assert (verdict.agreed, verdict.total, verdict.by_chance) == (10, 10, ["futex"])


def test_nothing_is_no_agreement() -> None:
    """Empty logs are no proof."""
    assert compare([], [], []).share == 0.0


def test_the_program_exits_1_below_its_threshold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The share decides; what is missing is printed."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("\n".join(LOG))
    bad.write_text("\n".join(line for line in LOG if "getpid" not in line))
    logs = ["--program", "x", "--logs", str(good), str(good)]
    assert main([*logs, str(good)]) == 0
    assert main([*logs, str(bad)]) == 1
    assert main(["--threshold", "0.9", *logs, str(bad)]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == ["x: 10/10", "x: 9/10", "  missing in thread (0,): getpid"]


words = st.lists(st.sampled_from("abcd"), max_size=12)


@given(words, words)
def test_the_common_subsequence_is_a_longest_one(a: list[str], b: list[str]) -> None:
    """As long as the textbook's, and a subsequence of both."""
    lengths = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            lengths[i + 1][j + 1] = max(lengths[i][j + 1], lengths[i + 1][j], lengths[i][j] + (left == right))
    found = common(a, b)
    assert len(found) == lengths[-1][-1]
    for whole in (a, b):
        rest = iter(whole)
        assert all(word in rest for word in found)
