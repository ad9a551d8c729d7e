"""The comparison with strace finds what differs: it is a measure, so it is measured first."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from compare_strace import MASK, Mask, by_place, common, compare, main, unpadded

LOG = """\
10    03:08:06.000001 execve("/bin/sh", ["sh"], 0x7fffd7f76688 /* 35 vars */) = 0 <0.000432>
10    03:08:06.000002 openat(AT_FDCWD</tmp>, "/etc/hosts", O_RDONLY) = 3</etc/hosts> <0.000012>
10    03:08:06.000003 read(3</etc/hosts>,  <unfinished ...>
11    03:08:06.000004 set_robust_list(0x7f6363a20a20, 24) = 0 <0.000036>
10    03:08:06.000005 <... read resumed>"x", 1) = 1 <0.000016>
10    03:08:06.000006 clone(child_stack=NULL, flags=SIGCHLD) = 11 <0.000163>
11    03:08:06.000007 getpid()          = 11 <0.000008>
11    03:08:06.000008 close(3</etc/hosts>) = 0 <0.000008>
11    03:08:06.000009 exit_group(0)     = ?
11    03:08:06.000010 +++ exited with 0 +++
10    03:08:06.000011 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11, si_uid=0, si_status=0, \
si_utime=0, si_stime=1 /* 0.01 s */} ---
10    03:08:06.000012 wait4(-1, NULL, 0, NULL) = 11 <0.000008>
10    03:08:06.000013 exit_group(0)     = ?
10    03:08:06.000014 +++ exited with 0 +++
""".splitlines()
WHOLE = len(LOG) - 1  # one call is cut in two


def at(word: str) -> int:
    """Index of the only line with `word`."""
    (index,) = (index for index, line in enumerate(LOG) if word in line)
    return index


def altered(old: str, new: str) -> list[str]:
    assert any(old in line for line in LOG)
    return [line.replace(old, new) for line in LOG]


def without(word: str) -> list[str]:
    return LOG[: at(word)] + LOG[at(word) + 1 :]


def test_threads_have_places_not_numbers() -> None:
    """The command is (0,), its first child (0, 0); a call that was cut by another thread is one line."""
    places = by_place(LOG)
    names = {place: [re.match(r"\W*(\w+)", line)[1] for line in lines] for place, lines in places.items()}
    assert names == {
        (0,): ["execve", "openat", "read", "clone", "SIGCHLD", "wait4", "exit_group", "exited"],
        (0, 0): ["set_robust_list", "getpid", "close", "exit_group", "exited"],
    }
    assert places[(0,)][2] == 'read(3</etc/hosts>, "x", 1) = 1 <0.000016>'


def test_the_same_program_agrees_whatever_its_numbers() -> None:
    """Other pids, addresses, times and durations make no difference."""
    other = [line.replace("11 ", "47 ").replace("= 11", "= 47").replace("si_pid=11", "si_pid=47") for line in LOG]
    other = [line.replace("03:08:06", "13:18:16").replace("0x7f6363a20a20", "0x55aa63b20a20") for line in other]
    other = [line.replace("si_stime=1 /* 0.01 s */", "si_stime=0").replace("<0.0000", "<1.2000") for line in other]
    verdict = compare(LOG, LOG, other)
    assert (verdict.agreed, verdict.total, verdict.missing, verdict.extra) == (WHOLE, WHOLE, [], [])


def test_where_a_call_is_cut_makes_no_difference() -> None:
    """The same call whole, with the other thread's line after it, is the same."""
    other = list(LOG)
    other[2:5] = ['10    03:08:06.000003 read(3</etc/hosts>, "x", 1) = 1 <0.000016>', LOG[3]]
    verdict = compare(LOG, LOG, other)
    assert (verdict.agreed, verdict.extra) == (WHOLE, [])


def test_a_call_that_never_ends_is_not_one_that_does() -> None:
    """The mark of a call that was cut stays when nothing resumes it."""
    verdict = compare(LOG, LOG, without("resumed"))
    assert [line for _, line in verdict.missing] == ['read(3</etc/hosts>, "x", 1) = 1 <DURATION>']
    assert [line for _, line in verdict.extra] == ["read(3</etc/hosts>,  <unfinished ...>"]


@pytest.mark.parametrize("word", ["getpid", "SIGCHLD {", "openat", "wait4"])
def test_a_dropped_line_is_found(word: str) -> None:
    """One line fewer is one that is missing, and it is named with its thread."""
    verdict = compare(LOG, LOG, without(word))
    assert (verdict.agreed, verdict.total, verdict.extra) == (WHOLE - 1, WHOLE, [])
    ((place, line),) = verdict.missing
    assert word in line and place == ((0, 0) if word == "getpid" else (0,))


@pytest.mark.parametrize(("one", "other"), [("getpid", "close"), ("SIGCHLD {", "wait4")])
def test_two_swapped_lines_are_found(one: str, other: str) -> None:
    """Two lines of a thread in the other order are one missing and one extra."""
    swapped = list(LOG)
    swapped[at(one)], swapped[at(other)] = swapped[at(other)], swapped[at(one)]
    verdict = compare(LOG, LOG, swapped)
    assert (verdict.agreed, len(verdict.missing)) == (WHOLE - 1, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("getpid", "gettid"),
        ('"/etc/hosts"', '"/etc/passwd"'),
        ("O_RDONLY", "O_RDWR"),
        ("= 3</etc/hosts>", "= 4</etc/hosts>"),
        ("= 3</etc/hosts>", "= 3</etc/host>"),
        ('"x", 1) = 1', '"y", 1) = 1'),
        ("35 vars", "36 vars"),
        ("CLD_EXITED", "CLD_KILLED"),
        ("si_status=0", "si_status=1"),
        ("= 3</etc/hosts> <0.000012>", "= 3</etc/hosts>"),
        ("getpid()          =", "getpid()         ="),
        ("getpid()          =", "getpid() ="),
        ("35 vars */) =", "35 vars */)  ="),
        ("NULL, 0, NULL)", "NULL, 0)"),
    ],
)
def test_an_altered_line_is_found(old: str, new: str) -> None:
    """A name, an argument, a result, a descriptor, a field, a column: what is no mask's is a difference."""
    verdict = compare(LOG, LOG, altered(old, new))
    assert (verdict.agreed, len(verdict.missing), len(verdict.extra)) == (WHOLE - 1, 1, 1)


@pytest.mark.parametrize("old", ["10    03:08:06.000014 +++ exited with 0", "11    03:08:06.000010 +++ exited with 0"])
def test_an_altered_end_is_found(old: str) -> None:
    """How a thread ended is a line like others."""
    assert compare(LOG, LOG, altered(old, old[:-1] + "1")).agreed == WHOLE - 1


def test_an_extra_line_is_found() -> None:
    """A line of ours that neither reference has takes nothing from the share, and is told."""
    close = at("close")
    verdict = compare(LOG, LOG, [*LOG[: close + 1], *LOG[close:]])
    assert (verdict.agreed, verdict.total) == (WHOLE, WHOLE)
    assert verdict.extra == [((0, 0), "close(3</etc/hosts>) = 0 <DURATION>")]


def test_a_line_that_one_reference_has_is_not_extra() -> None:
    """What strace writes now and then lowrun may write too."""
    assert compare(LOG, without("getpid"), LOG).extra == []


def test_a_line_of_no_thread_is_extra() -> None:
    """What lowrun says of itself in a log strace does not say."""
    assert compare(LOG, LOG, [*LOG, "+++ 3 records lost +++"]).extra == [((), "+++ 3 records lost +++")]


def test_a_missing_thread_is_found() -> None:
    """All lines of a thread that is not there are missing; those of a thread too many are extra."""
    one = [line for line in LOG if not line.startswith("11")]
    assert len(compare(LOG, LOG, one).missing) == 5
    assert len(compare(one, one, LOG).extra) == 5


def test_a_thread_that_nobody_made_is_a_root() -> None:
    """Of a program that was attached to, each thread is compared."""
    places = by_place([line for line in LOG if "clone" not in line])
    assert sorted(places) == [(0,), (1,)]


def test_a_number_used_again_is_another_thread() -> None:
    """After its end a number begins anew."""
    again = [*LOG[:10], LOG[at("clone")], *LOG[6:]]
    assert sorted(by_place(again)) == [(0,), (0, 0), (0, 1)]


def test_a_thread_that_executes_goes_on_under_its_leaders_number() -> None:
    """`+++ superseded +++` ends the leader; the other thread's execve is resumed under the leader's number."""
    lines = [
        "10    03:08:06.000001 clone(child_stack=NULL, flags=CLONE_THREAD) = 11 <0.000163>",
        '11    03:08:06.000002 execve("/bin/true", ["true"], 0x7fffd7f76688 /* 35 vars */ <pid changed to 10 ...>',
        "10    03:08:06.000003 +++ superseded by execve in pid 11 +++",
        "10    03:08:06.000004 <... execve resumed>) = 0 <0.000008>",
        "10    03:08:06.000005 +++ exited with 0 +++",
    ]
    places = by_place(lines)
    assert [len(places[place]) for place in ((0,), (0, 0))] == [2, 3]


def test_only_what_two_references_agree_on_is_asked_for() -> None:
    """What one recording alone has counts for nothing."""
    assert compare(LOG, without("getpid"), LOG).total == WHOLE - 1


def test_nothing_is_no_agreement() -> None:
    """Empty logs are no proof."""
    assert compare([], [], []).share == 0.0


def test_each_mask_says_why() -> None:
    """Every rule of the mask file stands below a comment, and replaces something."""
    lines = MASK.read_text().splitlines()
    rules = [index for index, line in enumerate(lines) if line and not line.startswith("#")]
    for index in rules:
        above = index - 1
        while above in rules:
            above -= 1
        assert lines[above].startswith("# "), lines[index]
    assert len(rules) == len(Mask()._rules) > 10


@pytest.mark.parametrize(
    "line",
    [
        'openat(AT_FDCWD</tmp>, "file-1234", O_WRONLY|O_CREAT|O_EXCL, 0600) = 5</tmp/file-1234>',
        "mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, 3</etc/hosts>, 0x1000) = -1 ENOMEM (Cannot allocate memory)",
        "futex(0x1234, FUTEX_WAIT_PRIVATE, 2, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
        "ioctl(3, _IOC(_IOC_READ|_IOC_WRITE, 0x12, 0x34, 0x1000), 0x53053053) = 0",
        "kill(-1, SIGTERM)                       = 0",
        "nanosleep({tv_sec=1, tv_nsec=5}, NULL) = 0",
        'write(1, "12345\\n", 6) = 6',
        "epoll_wait(4, [{events=EPOLLIN, data={u32=7, u64=7}}], 4, 100) = 1",
        "fstat(3, {st_mode=S_IFREG|0644, st_size=12345, ...}) = 0",
        "lseek(3, 18446744073709551615, SEEK_SET) = -1 EINVAL (Invalid argument)",
        "openat(AT_FDCWD, [1234], 0xffffffffffffffff) = 3<anon_inode:[eventpoll]>",
    ],
)
def test_what_a_program_chooses_is_not_masked(line: str) -> None:
    """Sizes, offsets, flags, texts, timeouts and counts stay as they are."""
    assert Mask()(line) == line


def test_the_spaces_before_a_result_are_checked() -> None:
    """They reach to column 40, or are one; what is right is taken away, what is not is told."""
    right = "10    03:08:06.000007 getpid()          = 11"
    assert right.index("=") == 40
    assert unpadded(right) == "10    03:08:06.000007 getpid() = 11"
    for wrong in (right.replace("   = ", " = "), right.replace(" = ", "  = "), right.replace(")    ", ")")):
        assert "column" in unpadded(wrong)


def test_the_program_exits_1_below_its_threshold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The share decides; what differs is printed by call."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("".join(line + "\n" for line in LOG))
    bad.write_text("".join(line + "\n" for line in without("getpid")))
    logs = ["--program", "x", "--logs", str(good), str(good)]
    assert main([*logs, str(good)]) == 0
    assert main([*logs, str(bad)]) == 1
    assert main(["--threshold", "0.9", "--missing", "0", *logs, str(bad)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"x: {WHOLE}/{WHOLE}, 0 extra",
        f"x: {WHOLE - 1}/{WHOLE}, 0 extra",
        "  getpid: 1 missing, 0 extra",
        "    - 0.0: getpid() = PID <DURATION>",
        f"x: {WHOLE - 1}/{WHOLE}, 0 extra",
        "  getpid: 1 missing, 0 extra",
    ]


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
    assert all(a[i] == b[j] for i, j in found)
    for places in zip(*found, strict=True):
        assert list(places) == sorted(set(places))
