"""Which process a run's end comes from, what it did last, and where it stood: from events made by hand."""

from __future__ import annotations

import pytest

from lowrun.showing.stories import Followed, follow
from tests.readings import call, end, failed_open, fork, kill, parsed, run_of, signal, unfinished, wait


def programs(followed: Followed) -> list[int]:
    return [link.pid for link in followed.chain]


def failing(followed: Followed) -> list[str]:
    return [step.event.path or step.event.name for step in followed.failing]


def test_the_main_process_failed_itself() -> None:
    """Its own failing call is the last step, with the time before its end."""
    events = [call(0, "execve"), failed_open(10, "/etc/app.conf"), call(11, "write", 5), end(15, 3)]
    followed = follow(events, run_of(3))
    assert programs(followed) == [1]
    assert failing(followed) == ["/etc/app.conf"]
    assert followed.failing[0].before_end_ns == 5_000_000
    assert followed.why == ("prog (1) ended with exit 3",)


def test_a_shell_passes_a_code_on() -> None:
    """The child with the same code is to blame, not the one that ended after it with another."""
    events = [
        call(0, "execve"), fork(1, 2), failed_open(2, "/x/data", "EACCES", pid=2), end(3, 7, pid=2), wait(4, 2),
        fork(5, 3), end(6, 1, pid=3), wait(7, 3), end(8, 7),
    ]  # fmt: skip
    followed = follow(events, run_of(7))
    assert programs(followed) == [1, 2]
    assert failing(followed) == ["/x/data"]
    assert followed.why[-1] == "prog (1) passed it on"


def test_a_common_code_may_be_its_own() -> None:
    """A child that ended with 1 and one after it that ended well: the parent's own 1 is no proof of its child's."""
    events = [fork(1, 2), end(2, 1, pid=2), wait(3, 2), fork(4, 3), end(5, 0, pid=3), wait(6, 3), end(7, 1)]
    followed = follow(events, run_of(1))
    assert followed.why[-1] == "prog (1) ended with that code, too, after children that ended well"


def test_a_shell_passes_a_signal_on() -> None:
    """128 + SIGSEGV of a shell is its child's death; the address that it touched is told."""
    segv = "{si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10}"
    events = [fork(1, 2), signal(2, "SIGSEGV", segv, pid=2), end(3, signal="SIGSEGV", pid=2), wait(4, 2), end(5, 139)]
    followed = follow(events, run_of(139))
    assert programs(followed) == [1, 2]
    assert followed.why[0] == "prog (2) was killed by SIGSEGV, at address 0x10"


def test_a_driver_ends_with_a_code_of_its_own() -> None:
    """make ends with 2 because its last child ended with 1."""
    events = [fork(1, 2), end(2, 0, pid=2), wait(3, 2), fork(4, 3), end(5, 1, pid=3), wait(6, 3), end(7, 2)]
    followed = follow(events, run_of(2))
    assert programs(followed) == [1, 3]
    assert followed.why[-1] == "then prog (1) ended with exit 2"


def test_a_child_that_failed_long_ago_is_not_to_blame() -> None:
    """The last child that was waited for ended well, and no other has the code."""
    events = [fork(1, 2), end(2, 1, pid=2), wait(3, 2), fork(4, 3), end(5, 0, pid=3), wait(6, 3), end(7, 9)]
    assert programs(follow(events, run_of(9))) == [1]


@pytest.mark.parametrize(
    ("program", "code"), [("/usr/bin/make", 2), ("/usr/bin/xargs", 123), ("/usr/bin/timeout", 124)]
)
def test_a_job_that_failed_is_to_blame_though_others_end_well_behind_it(program: str, code: int) -> None:
    """make -j and xargs -P wait for their other jobs, too; their codes say that one of them failed."""
    events = [
        call(0, "execve", path=program), fork(1, 2), fork(2, 3), end(3, 1, pid=2), wait(4, 2), end(5, 0, pid=3),
        wait(6, 3), end(7, code),
    ]  # fmt: skip
    followed = follow(events, run_of(code))
    assert programs(followed) == [1, 2]


@pytest.mark.parametrize("order", ["2, SIGKILL", "-2, SIGKILL", "2<prog>, SIGKILL", "3<pid:2>, SIGKILL, NULL, 0"])
def test_a_child_that_its_parent_killed_is_not_to_blame(order: str) -> None:
    """A test that failed kills its server before it ends."""
    events = [fork(1, 2), failed_open(2, "/expected"), kill(3, order), end(4, signal="SIGKILL", pid=2), wait(5, 2)]
    followed = follow([*events, end(6, 1)], run_of(1))
    assert programs(followed) == [1]
    assert failing(followed) == ["/expected"]
    assert followed.why == ("prog (1) ended with exit 1",)


def test_a_child_that_another_killed_is_to_blame() -> None:
    """A watchdog beside it: its parent's failure comes from there."""
    events = [fork(1, 2), fork(2, 3), kill(3, "2, SIGKILL", pid=3), end(4, signal="SIGKILL", pid=2), wait(5, 2)]
    assert programs(follow([*events, end(6, 137)], run_of(137))) == [1, 2]


def test_a_child_that_failed_before_is_told() -> None:
    """It may be why, or not: a test that cleans up when its child failed, and ends with a code of its own."""
    events = [fork(1, 2), end(2, 9, pid=2), wait(3, 2), fork(4, 3), end(5, 0, pid=3), wait(6, 3), end(7, 1)]
    followed = follow(events, run_of(1))
    assert followed.why == ("prog (1) ended with exit 1", "before that its child prog (2) ended with exit 9")


def test_the_childs_first_line_may_stand_before_the_clone() -> None:
    """A process whose first call is logged before clone returns has its parent all the same."""
    events = [call(0, "execve"), call(2, "close", pid=2), fork(1, 2), end(3, 4, pid=2), wait(4, 2), end(5, 4)]
    assert programs(follow(events, run_of(4))) == [1, 2]


def test_a_pid_that_is_used_again_is_another_process() -> None:
    """The one that ended well does not take the blame of its namesake."""
    events = [fork(1, 2), end(2, 0, pid=2), wait(3, 2), fork(4, 2), failed_open(5, "/second", pid=2), end(6, 5, pid=2)]
    followed = follow([*events, wait(7, 2), end(8, 5)], run_of(5))
    assert failing(followed) == ["/second"]
    assert followed.timeline is not None and len(followed.timeline.lanes) == 3


def test_a_timeout_is_the_one_that_all_waited_for() -> None:
    """Of a shell that waits for a sleep the sleep hung, though it is gone before the shell hears of the signal."""
    events = [
        fork(1, 2), call(3, "clock_nanosleep", None, "ERESTART_RESTARTBLOCK", 97, pid=2), signal(100, "SIGTERM", pid=2),
        end(100.1, signal="SIGTERM", pid=2), call(2, "wait4", None, "ERESTARTSYS", 98.2, arguments="-1, NULL"),
        signal(100.2, "SIGTERM"), end(100.3, signal="SIGTERM"),
    ]  # fmt: skip
    followed = follow(events, run_of(124, timed_out=True))
    assert programs(followed) == [1, 2]
    assert followed.hang is not None and followed.hang.inside
    assert followed.hang.for_ns == 97_000_000
    assert followed.why[0].startswith("prog (2) was in clock_nanosleep() for 97.0 ms when it got SIGTERM")


def test_the_thread_that_others_wait_for() -> None:
    """Of a process that joins its threads the call of one is told, and one that waits for no other thread first."""
    events = [
        call(0, "execve"), unfinished(1, "futex", tid=3), unfinished(1, "read", tid=2, arguments="4<pipe:[7]>, "),
        call(2, "close", tid=4), unfinished(3, "futex"), signal(50, "SIGTERM"), end(51, signal="SIGTERM"),
    ]  # fmt: skip
    followed = follow(events, run_of(124, timed_out=True))
    assert followed.hang is not None and [other.name for other in followed.hang.others] == ["read", "futex"]
    assert followed.why[1] == "of its other threads one was in read(4<pipe:[7]>, ), and 1 more in others"


def test_a_call_that_never_returned() -> None:
    """SIGKILL leaves the call unfinished: that is where it hung."""
    events = [call(0, "execve"), unfinished(5, "read", arguments="0<pipe:[7]>, "), end(50, signal="SIGKILL")]
    followed = follow(events, run_of(137, signal=9))
    assert followed.hang is not None and followed.hang.call is not None
    assert (followed.hang.call.name, followed.hang.for_ns) == ("read", 45_000_000)


def test_a_loop_without_calls() -> None:
    """A process that computes is said to compute."""
    events = [call(0, "brk", 4096), signal(900, "SIGTERM"), end(901, signal="SIGTERM")]
    followed = follow(events, run_of(124, timed_out=True))
    assert followed.hang is not None and not followed.hang.inside
    assert followed.why == ("prog (1) was computing, without a call for 900.0 ms, when it got SIGTERM",)


def test_it_cleans_up_behind_the_signal() -> None:
    """Calls of a handler are not where it hung."""
    events = [
        call(0, "poll", None, "ERESTART_RESTARTBLOCK", 100), signal(100, "SIGTERM"), call(101, "unlink"),
        call(102, "write", 3), end(103, 1),
    ]  # fmt: skip
    followed = follow(events, run_of(124, timed_out=True))
    assert followed.hang is not None and followed.hang.call is not None
    assert followed.hang.call.name == "poll"


NOISE = [
    failed_open(1, "/etc/ld.so.preload"),
    failed_open(2, "/opt/lib/glibc-hwcaps/x86-64-v3/libc.so.6"),
    failed_open(3, "/usr/share/locale/de/LC_MESSAGES/app.mo"),
    failed_open(3.5, "/home/ann/.local/lib/python3.11/site-packages"),
    call(4, "ioctl", error="ENOTTY", arguments="1, TCGETS"),
    call(5, "read", error="EAGAIN"),
    failed_open(6, "/a/bin/helper"),
    call(7, "openat", 3, path="/b/bin/helper"),
]


def test_noise_is_left_out() -> None:
    """Searches of the loader, questions, would-block, and what was found elsewhere later."""
    followed = follow([*NOISE, failed_open(8, "/data/input"), end(9, 1)], run_of(1))
    assert failing(followed) == ["/data/input"]
    assert followed.noise == 7
    assert not followed.only_noise


def test_noise_is_shown_when_there_is_nothing_else() -> None:
    """It is said to be such."""
    followed = follow([*NOISE, end(9, 1)], run_of(1))
    assert len(followed.failing) == 7 and followed.only_noise


def test_another_program_begins_anew() -> None:
    """What failed before the exec of another program is none of that one's."""
    events = [failed_open(1, "/old"), call(2, "execve", path="/bin/new"), failed_open(3, "/new"), end(4, 1)]
    followed = follow(events, run_of(1))
    assert failing(followed) == ["/new"]
    assert followed.chain[0].program == "new"


def test_the_last_ones_are_kept() -> None:
    """Of many failing calls the last are shown, and noise among them takes no room."""
    many = [event for i in range(1000) for event in (failed_open(i, f"/x/{i}"), call(i + 0.5, "read", error="EAGAIN"))]
    followed = follow([*many, end(2000, 1)], run_of(1), lines=5)
    assert failing(followed) == [f"/x/{i}" for i in range(995, 1000)]


def test_a_thread_is_no_process() -> None:
    """A call of another thread is its process's; the leader's end is the end."""
    thread = call(1, "clone3", 2, arguments="{flags=CLONE_VM|CLONE_THREAD}")
    events = [thread, failed_open(2, "/by/thread", pid=1, tid=2), end(3, 0, pid=1, tid=2), end(4, 6)]
    followed = follow(events, run_of(6))
    assert programs(followed) == [1] and failing(followed) == ["/by/thread"]
    assert followed.timeline is not None and [lane.tid for lane in followed.timeline.lanes] == [1, 2]


@pytest.mark.parametrize("events", [[], [end(1, 0)], [unfinished(0, "read")], [call(0, "brk", start_ns=None)]])
def test_logs_that_say_little(events: list[object]) -> None:
    """An empty log, one with nothing but an end, one that is cut off, one without times."""
    followed = follow(events, run_of(1))  # type: ignore[arg-type]
    assert followed.events == len(events)


def test_a_million_processes_fit_in_memory() -> None:
    """Those that ended well are forgotten, the failed one is not."""

    def many() -> object:
        for i in range(60_000):
            yield fork(2 * i, 10 + i)
            yield end(2 * i + 1, 1 if i == 5 else 0, pid=10 + i)
            yield wait(2 * i + 1, 10 + i)
        yield end(200_000, 1)

    followed = follow(many(), run_of(1))  # type: ignore[arg-type]
    assert programs(followed) == [1, 15]
    assert followed.timeline is not None
    assert followed.timeline.left_out == 60_001 - len(followed.timeline.lanes)


def test_of_straces_own_text() -> None:
    """A log of strace -f -tt -T -y of a shell whose command fails."""
    text = """\
7 10:00:00.000001 execve("/bin/sh", ["sh", "-c", "cat /no"], 0x7ffd /* 9 vars */) = 0 <0.000400>
7 10:00:00.001000 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 8 <0.000100>
8 10:00:00.001200 execve("/bin/cat", ["cat", "/no"], 0x55 /* 9 vars */) = 0 <0.000300>
7 10:00:00.001300 wait4(-1,  <unfinished ...>
8 10:00:00.002000 openat(AT_FDCWD</root>, "/no", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000010>
8 10:00:00.003000 exit_group(1)     = ?
8 10:00:00.003100 +++ exited with 1 +++
7 10:00:00.003200 <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 1}], 0, NULL) = 8 <0.001900>
7 10:00:00.003300 exit_group(1)     = ?
7 10:00:00.003400 +++ exited with 1 +++
"""
    followed = follow(parsed(text), run_of(1, pid=7))
    assert [(link.pid, link.program, link.code) for link in followed.chain] == [(7, "sh", 1), (8, "cat", 1)]
    assert failing(followed) == ["/no"]
