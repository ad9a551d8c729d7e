"""What failing runs did otherwise, from small logs: normalising, aligning, ranking, telling."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowrun.comparison import Difference, difference_dict, difference_text, differences_of, first_lines
from lowrun.comparison.align import align
from lowrun.comparison.normal import Call, Normaliser, coarse
from lowrun.runs.keeping import Keeping
from lowrun.trace.parse import events

START = 'execve("/bin/job", ["job"], 0x7ffc1b2a0e10 /* 3 vars */) = 0'


def log(*lines: str, tid: int = 100) -> bytes:
    """Lines of calls as a log; a line may name its thread itself: `101| close(3) = 0`."""
    texts = []
    for number, line in enumerate(lines):
        who, bar, text = line.partition("| ")
        pid, text = (int(who), text) if bar else (tid, line)
        ending = "" if text.startswith(("+++", "---")) or text.endswith("...>") else " <0.000010>"
        texts.append(f"{pid} 10:00:{number // 1000:02d}.{number % 1000:06d} {text}{ending}\n")
    return "".join(texts).encode()


def compared(failing: Sequence[bytes], passing: Sequence[bytes]) -> Difference:
    """The difference of logs; the failing runs have the numbers from 1, the passing ones from 101."""
    return differences_of(
        [(number, events([data])) for number, data in enumerate(failing, 1)],
        [(number, events([data])) for number, data in enumerate(passing, 101)],
    )


def normal(line: str) -> Call:
    """A line's call, normalised."""
    (event,) = list(events([log(line)]))
    call = Normaliser().call(event)
    assert call is not None
    return call


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('read(3</etc/hosts>, "a", 4096) = 1', 'read(7</etc/hosts>, "b", 4096) = 1'),
        (
            "mmap(NULL, 4096, PROT_READ, 0, -1, 0) = 0x7f0000001000",
            "mmap(NULL, 4096, PROT_READ, 0, -1, 0) = 0x7fff12345000",
        ),
        ("munmap(0x7f0000001000, 4096) = 0", "munmap(0x7fff12345000, 4096) = 0"),
        ("kill(4711, SIGTERM) = 0", "kill(815, SIGTERM) = 0"),
        ("close(3<pipe:[123]>) = 0", "close(4<pipe:[456]>) = 0"),
        (
            "close(3<TCP:[127.0.0.1:40001->127.0.0.1:80]>) = 0",
            "close(3<TCP:[127.0.0.1:50002->127.0.0.1:80]>) = 0",
        ),
        (
            'openat(AT_FDCWD</a>, "/tmp/tmpab12cd3_", O_RDONLY) = 3',
            'openat(AT_FDCWD</b>, "/tmp/tmpzz12cd3x", O_RDONLY) = 3',
        ),
        ('unlink("/tmp/ccAbC123.s") = 0', 'unlink("/tmp/ccXyZ987.s") = 0'),
        ('write(1</l>, "2026-01-02 03:04:05 up", 22) = 22', 'write(1</l>, "2025-11-12 13:14:15 up", 22) = 22'),
        ('openat(AT_FDCWD, "/proc/4711/stat", O_RDONLY) = 3', 'openat(AT_FDCWD, "/proc/9/stat", O_RDONLY) = 3'),
        ("geteuid() = 0 (INJECTED)", "geteuid() = 0"),
        (
            "clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, {tv_sec=501, tv_nsec=469466438}, NULL) = 0",
            "clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, {tv_sec=77, tv_nsec=1}, NULL) = 0",
        ),
        (
            "close(3</x>) = -1 EIO (Input/output error) (INJECTED) (DELAYED)",
            "close(9</x>) = -1 EIO (Input/output error)",
        ),
        ('execve("/bin/x", ["x"], 0x417e18 /* 3 vars */) = 0', 'execve("/bin/x", ["x"], 0x55d417e18 /* 3 vars */) = 0'),
    ],
)
def test_what_differs_from_run_to_run_is_the_same(one: str, other: str) -> None:
    """Numbers of processes and descriptors, addresses, times, ports, inodes, random names and marks are masked."""
    assert normal(one)[:2] == normal(other)[:2]


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ('read(3</x>, "", 10) = 0', "0"),
        ('read(3</x>, "abc", 10) = 3', "some"),
        ('openat(AT_FDCWD, "/x", O_RDONLY) = -1 ENOENT (No such file or directory)', "ENOENT"),
        ("poll([{fd=3, events=POLLIN}], 1, 100) = 0 (Timeout)", "timeout"),
        ("poll([{fd=3, events=POLLIN}], 1, 100) = 1 ([{fd=3, revents=POLLIN}])", "ready"),
        ("epoll_wait(3<anon_inode:[eventpoll]>, [], 8, 100) = 0", "timeout"),
        ("futex(0x7f0000001000, FUTEX_WAIT, 1, NULL) = -1 ETIMEDOUT (Connection timed out)", "ETIMEDOUT"),
        ("wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 42", "exit 3"),
        ("wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 42", "ok"),
        ("wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV}], 0, NULL) = 42", "SIGSEGV"),
        ('write(3</x>, "abcd", 4) = 2', "short"),
        ("exit_group(1) = ?", "ok"),
        ("pause() = ?", "never returned"),
        ("accept(3</s>, <unfinished ...>", "never returned"),
        ("+++ exited with 3 +++", "exit 3"),
        ("+++ killed by SIGKILL +++", "killed"),
        ("--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---", "SIGSEGV"),
    ],
)
def test_outcomes(line: str, outcome: str) -> None:
    """What came of a call is said in a few words."""
    assert normal(line).outcome == outcome


def test_what_the_kernel_wrote_is_no_part_of_the_question() -> None:
    """A call that fails shows an address where one that succeeds shows data: both ask the same."""
    good = normal('newfstatat(AT_FDCWD, "/x", {st_mode=S_IFREG|0644, st_size=3, ...}, 0) = 0')
    bad = normal('newfstatat(AT_FDCWD, "/x", 0x7ffc11112222, 0) = -1 ENOENT (No such file or directory)')
    assert good.question == bad.question
    assert "st_size=3" in good.answer and bad.answer == ""


def test_coarse_forgets_digits_and_binary_data() -> None:
    """Names that differ in digits are of one class, others are not."""
    assert coarse('open("/a/x17")') == coarse('open("/a/x18")') != coarse('open("/a/y")')
    assert coarse(r'write(1, "\1\2abc")') == coarse(r'write(1, "\3")')


OPEN = 'openat(AT_FDCWD, "/tmp/lock", O_WRONLY|O_CREAT|O_EXCL, 0600)'
GOOD = (
    START,
    'read(3</etc/x>, "1", 1) = 1',
    f"{OPEN} = 3</tmp/lock>",
    "close(3</tmp/lock>) = 0",
    "exit_group(0) = ?",
    "+++ exited with 0 +++",
)
BAD = (
    START,
    'read(3</etc/x>, "1", 1) = 1',
    f"{OPEN} = -1 EEXIST (File exists)",
    'write(2</tty>, "locked", 6) = 6',
    "exit_group(1) = ?",
    "+++ exited with 1 +++",
)


def test_the_first_line_names_the_call_that_differs() -> None:
    """How often on each side, and what the passing runs have there."""
    told = compared([log(*BAD)] * 3, [log(*GOOD)] * 7)
    assert first_lines(told)[0] == (
        '1. in 3 of 3 failing, 0 of 7 passing: openat("/tmp/lock", O_WRONLY|O_CREAT|O_EXCL, 0600) = -1 EEXIST '
        "(File exists); passing runs: = 3</tmp/lock> [job, run 1 line 3]"
    )
    assert difference_text(told).startswith(first_lines(told)[0] + "\n")
    assert difference_dict(told)["groups"][0]["findings"][0]["instead"] == "= 3</tmp/lock>"
    (errors,) = [one.text for one in told.only_failing if one.kind == "error"]
    assert errors == "openat: EEXIST"
    assert any("close(" in one.text for one in told.only_passing)


def test_two_causes_are_two_groups() -> None:
    """Two of three failing runs have one, the third another; what both end with is no cause."""
    other = (START, 'read(3</etc/x>, "", 1) = 0', "exit_group(1) = ?", "+++ exited with 1 +++")
    told = compared([log(*BAD), log(*other), log(*BAD)], [log(*GOOD)] * 4)
    assert [group.runs for group in told.groups] == [(1, 3), (2,)]
    first, second = first_lines(told)[:2]
    assert "EEXIST" in first and "in 2 of 3 failing" in first
    assert "= 0" in second and "in 1 of 3 failing" in second


def test_what_some_share_makes_no_group_beside_an_error_that_all_share() -> None:
    """What only most of the failing runs ask for is not the cause of an error that all of them have."""

    def run(data: str, end: str) -> bytes:
        return log(START, f'access("/etc/{data}", R_OK) = 0', end, "exit_group(0) = ?")

    missing = 'openat(AT_FDCWD, "/etc/missing", O_RDONLY) = -1 ENOENT (No such file or directory)'
    found = compared([run("eight", missing)] * 5 + [run("nine", missing)], [run("nine", "getuid() = 0")] * 3)
    assert len(found.groups) == 1
    assert "/etc/missing" in first_lines(found)[0]


def test_the_same_failure_twice() -> None:
    """What passing runs have once and failing ones twice is told with how often."""
    retry = f"{OPEN} = -1 EEXIST (File exists)"
    good = (START, retry, f"{OPEN} = 3</tmp/lock>", "exit_group(0) = ?")
    bad = (START, retry, retry, "exit_group(1) = ?")
    line = first_lines(compared([log(*bad)] * 3, [log(*good)] * 3))[0]
    assert "EEXIST (File exists), 2 times" in line


def test_a_call_that_is_only_early() -> None:
    """An outcome that passing runs have later, too, is found by its place."""
    work = 'openat(AT_FDCWD, "/etc/a", O_RDONLY) = 3</etc/a>'
    none = "wait4(-1, 0x7ffc00001111, 0, NULL) = -1 ECHILD (No child processes)"
    child = "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 55"
    bad, good = log(START, work, none, "exit_group(1) = ?"), log(START, work, child, none, "exit_group(0) = ?")
    line = first_lines(compared([bad] * 4, [good] * 4))[0]
    assert "ECHILD (No child processes), after openat" in line
    assert "passing runs: wait4(-1, [{WIFEXITED" in line


def test_a_step_that_is_left_out() -> None:
    """Where a failing run goes on without a call that all passing ones have, that is said."""
    steps = [f'openat(AT_FDCWD, "/etc/{name}", O_RDONLY) = 3</etc/{name}>' for name in ("a", "b", "c", "d")]
    bad = [log(START, *steps[:2], steps[3], "exit_group(1) = ?")] * 3
    told = compared(bad, [log(START, *steps, "exit_group(0) = ?")] * 3)
    assert 'in 3 of 3 failing, 0 of 3 passing: no openat("/etc/c"' in first_lines(told)[0]
    assert 'after openat("/etc/b"' in first_lines(told)[0]


def test_a_thread_that_stops() -> None:
    """A log that ends in the middle: where it ends and what the passing runs go on with."""
    steps = [f'openat(AT_FDCWD, "/etc/{name}", O_RDONLY) = 3</etc/{name}>' for name in ("a", "b", "c", "d")]
    told = compared([log(START, *steps[:2])] * 3, [log(START, *steps)] * 3)
    line = first_lines(told)[0]
    assert 'no openat("/etc/c"' in line and 'it ends after openat("/etc/b"' in line


def test_a_thread_that_does_nothing() -> None:
    """A child that is killed before its first call is no reason to fail; the parent's calls tell."""
    clone = "clone(child_stack=NULL, flags=SIGCHLD) = 101"
    child = ("101| getuid() = 0", "101| exit_group(0) = ?", "101| +++ exited with 0 +++")
    wait = "wait4(101, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 101"
    killed = "wait4(101, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0, NULL) = 101"
    told = compared([log(START, clone, killed)] * 2, [log(START, clone, *child, wait)] * 2)
    assert "WTERMSIG(s) == SIGKILL" in first_lines(told)[0]


def test_a_call_that_never_returns() -> None:
    """A run that was ended while it waited: the call it was in."""
    good = log(START, 'recvfrom(3</s>, "x", 9, 0, NULL, NULL) = 1', "exit_group(0) = ?")
    bad = log(START, "recvfrom(3</s>, <unfinished ...>", "+++ killed by SIGKILL +++")
    assert "recvfrom(" in first_lines(compared([bad] * 2, [good] * 3))[0]
    assert "never returned" in first_lines(compared([bad] * 2, [good] * 3))[0]


@pytest.mark.parametrize(
    "bad",
    [
        ("? ERESTARTSYS (To be restarted if SA_RESTART is set)", "--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER} ---"),
        ("-1 ENOENT (No such file or directory)", '101| openat(AT_FDCWD, "{}", O_RDONLY) = 3<{}>'),
    ],
)
def test_a_file_in_a_directory_of_another_name_each_time(bad: tuple[str, str]) -> None:
    """It is the same file: that it was waited for, or was not there yet, is not what healthy programs do as well."""

    def in_scratch(number: int, result: str, *then: str) -> bytes:
        path = f"/tmp/tmp.D{number}quGN/f"
        lines = [START, f'openat(AT_FDCWD, "{path}", O_RDONLY) = {result}', *then]
        return log(*(line.replace("{}", path) for line in lines))

    good = [in_scratch(number, "3<{}>", "close(3<{}>) = 0", "exit_group(0) = ?") for number in range(20, 24)]
    failing = [in_scratch(number, *bad, "exit_group(1) = ?") for number in range(30, 32)]
    assert re.match(r'1\. .*: openat\("/tmp/tmp.*/f", O_RDONLY\) = (\?|-1) E', first_lines(compared(failing, good))[0])


def test_a_slow_call() -> None:
    """A call that takes many times as long as in any passing run."""
    fast = log(START, 'read(3</x>, "a", 1) = 1', "exit_group(0) = ?")
    slow = fast.replace(b'"a", 1) = 1 <0.000010>', b'"a", 1) = 1 <4.000000>').replace(b"group(0)", b"group(1)")
    assert "takes 4 s; passing runs: at most 0.00625 s" in first_lines(compared([slow] * 3, [fast] * 3))[0]


def test_a_call_that_is_a_little_slower() -> None:
    """What takes less than 8 times as long as in a passing run is not slow, whatever side of 50 ms it is on."""
    fast = log(START, 'read(3</x>, "a", 1) = 1', "exit_group(0) = ?").replace(b" = 1 <0.000010>", b" = 1 <0.040000>")
    slow = fast.replace(b"<0.040000>", b"<0.060000>")
    found = compared([slow] * 3, [fast] * 3)
    assert not [one for group in found.groups for one in group.findings if one.kind == "slow"]


def test_how_often_is_told_of_both_sides() -> None:
    """A call that is made more often says how often passing runs make it at most, not what they have in its place."""
    call = 'read(3</x>, "a", 1) = 1'
    found = compared([log(START, *[call] * 4, "exit_group(1) = ?")] * 3, [log(START, *[call] * 2, GOOD[-1])] * 3)
    assert ", 3 times; passing runs: 2 times at most" in first_lines(found)[0]


def test_one_passing_run_and_chance() -> None:
    """With one passing run what differs among the failing ones, too, does not outrank what they share."""
    wait = "futex(0x7f0000001000, FUTEX_WAIT_PRIVATE, 2, NULL) = -1 EAGAIN (Resource temporarily unavailable)"
    child = "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 55"

    def run(waits: int, children: int, value: str, code: int) -> bytes:
        work = [wait] * waits + [child] * children
        return log(START, *work, f'pwrite64(3</x>, "{value}", 1, 0) = 1', f"exit_group({code}) = ?")

    failing = [run(waits, children, "one", 1) for waits, children in ((2, 4), (1, 3), (4, 7), (3, 5), (5, 2))]
    for number in range(3):
        found = compared(failing, [run(0, 2 + number, "two", 0)])
        assert len(found.groups) == 1
        assert 'pwrite64(3</x>, "one", 1, 0)' in first_lines(found)[0]


def test_a_program_that_is_not_started() -> None:
    """A program that all passing runs start and no failing one does is told, with the call of who starts it."""
    fork = "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = {}"
    helper = 'execve("/bin/helper", ["helper"], 0x7ffc1b2a0e10 /* 3 vars */) = 0'
    first = [START, 'openat(AT_FDCWD, "/etc/a", O_RDONLY) = 3</etc/a>']
    good = log(
        *first, fork.format(201), f"201| {helper}", "201| exit_group(0) = ?", "201| +++ exited with 0 +++", GOOD[-1]
    )
    found = compared([log(*first, "exit_group(1) = ?")] * 3, [good] * 3)
    (one,) = [one for one in found.groups[0].findings if "/bin/helper" in one.text]
    assert (one.kind, one.process, one.failing, one.passing) == ("missing", "job", (1, 2, 3), ())
    assert any(
        line.startswith(f"{place}. in 3 of 3 failing, 0 of 3 passing: no ")
        for place, line in enumerate(first_lines(found), 1)
    )


@pytest.mark.parametrize(
    ("failing", "passing", "words"),
    [
        ([], [log(*GOOD)], "Nothing was found"),
        ([log(*BAD)], [], "Nothing was found"),
        ([b""], [log(*GOOD)], "The log of run 1 has no calls."),
        ([b"\0\xff garbage\n"], [log(*GOOD)], "The log of run 1 has no calls."),
        ([log(*GOOD)], [log(*GOOD)], "No call tells the failing runs from the passing ones."),
        ([log(*BAD)[:-60]], [log(*GOOD)], "EEXIST"),
    ],
)
def test_what_cannot_be_compared_is_said(failing: list[bytes], passing: list[bytes], words: str) -> None:
    """One side only, no calls, no difference, a log that is cut off: a plain sentence."""
    assert words in difference_text(compared(failing, passing))


# -- properties

NAMES = st.sampled_from(["/etc/a", "/etc/b", "/tmp/tmpabc12def", "/var/log"])


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Some calls, with places for what a run chooses: FD, PID, ADDR."""
    lines = []
    for _ in range(draw(st.integers(1, 12))):
        path = draw(NAMES)
        lines.append(
            draw(
                st.sampled_from(
                    [
                        f'openat(AT_FDCWD, "{path}", O_RDONLY) = FD<{path}>',
                        f'openat(AT_FDCWD, "{path}", O_RDONLY) = -1 EACCES (Permission denied)',
                        f'read(FD<{path}>, "data", 512) = 4',
                        f'write(FD<{path}>, "PID did it", 10) = 10',
                        "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = ADDR",
                        "munmap(ADDR, 4096) = 0",
                        "kill(PID, SIGTERM) = 0",
                        'openat(AT_FDCWD, "/proc/PID/stat", O_RDONLY) = FD</proc/PID/stat>',
                        "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = FD<TCP:[INODE]>",
                    ]
                )
            )
        )
    return [(START, "")] + [(line, "") for line in lines] + [("exit_group(0) = ?", ""), ("+++ exited with 0 +++", "")]


def written(program: list[tuple[str, str]], seed: int) -> bytes:
    """The program as a run of its own: other numbers of processes and descriptors, other addresses."""
    chance = random.Random(seed)
    tid = chance.randrange(1000, 99999)

    def chosen(match: re.Match[str]) -> str:
        return {
            "FD": str(chance.randrange(3, 99)),
            "PID": str(tid),
            "ADDR": hex(0x7F0000000000 + chance.randrange(1 << 28) * 4096),
            "INODE": str(chance.randrange(1000, 99999)),
        }[match[0]]

    return log(*(re.sub("FD(?=<)|PID|ADDR|INODE", chosen, line) for line, _ in program), tid=tid)


@settings(max_examples=60, deadline=None)
@given(programs(), st.integers(0, 1 << 30), st.integers(1, 3), st.integers(1, 3))
def test_other_numbers_make_no_difference(program: list[tuple[str, str]], seed: int, bad: int, good: int) -> None:
    """Runs that did the same with other pids, descriptors, addresses and inodes do not differ."""
    logs = [written(program, seed + number) for number in range(bad + good)]
    told = compared(logs[:bad], logs[bad:])
    assert told.groups == () and told.only_failing == () and told.only_passing == (), difference_text(told)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=40), st.lists(st.integers(0, 5), max_size=40))
def test_an_alignment_is_in_order_and_of_equals(a: list[int], b: list[int]) -> None:
    """Partners are equal and never cross; a sequence is aligned with itself wholly."""
    partners = align(a, b)
    pairs = [(left, right) for left, right in enumerate(partners) if right >= 0]
    assert all(a[left] == b[right] for left, right in pairs)
    assert pairs == sorted(pairs, key=lambda pair: pair[1]) and len({right for _, right in pairs}) == len(pairs)
    assert align(a, a) == list(range(len(a)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6), st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_can_be_compared(bad: list[bytes], good: list[bytes]) -> None:
    """A log of anything at all is no reason to fail."""
    assert difference_text(compared([b"\n".join(bad)], [log(*GOOD), b"\n".join(good)]))


# -- which runs are kept


@pytest.mark.parametrize(
    ("which", "kept"), [("failed", [2, 4]), ("failed+1", [2, 3, 4]), ("all", [0, 1, 2, 3, 4, 5]), ("none", [])]
)
def test_which_runs_are_kept(which: str, kept: list[int]) -> None:
    """Of a warm-up (0), an interrupted run (1), failing ones (2, 4) and passing ones (3, 5); asked twice."""
    keeping = Keeping(which)
    runs = [
        (0, True, False),
        (1, False, True),
        (2, False, False),
        (3, True, False),
        (4, False, False),
        (5, True, False),
    ]
    for _ in range(2):
        wanted = [index for index, ok, cut in runs if keeping.wants(index, ok=ok, interrupted=cut)]
        assert wanted == kept


def test_a_long_string_is_shortened_once() -> None:
    """What strace has cut already, and the log's reader after it, ends in three dots."""
    data = "7" * 900
    bad = log(START, f'write(1</x>, "{data}"..., 4096) = -1 EPIPE (Broken pipe)', "exit_group(1) = ?")
    (line, *_) = first_lines(compared([bad], [log(*GOOD)]))
    assert '777"..., 4096)' in line and "...." not in line


def test_a_long_calls_result_stays() -> None:
    """However long the arguments, what came of the call is told as a whole."""
    arguments = ", ".join(f"sa_flag_{number}" for number in range(40))
    call = f"rt_sigaction(SIGXCPU, {{{arguments}}}, NULL, 8)"
    error = " = -1 EOVERFLOW (Value too large for defined data type)"
    found = compared([log(START, call + error)] * 2, [log(START, call + " = 0")] * 2)
    line = first_lines(found)[0]
    assert f"){error}; passing runs: = 0" in line and len(line) < 300
