"""Injections: what the command sees, and that the text says what strace says of the same injection."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import lowrun as lr
from tests.programs import mock

#: Time, duration, addresses.
MASK = re.compile(r"^\d+ +|\d\d:\d\d:\d\d\.\d+ |<\d+\.\d{6}>|0x[0-9a-f]+")
STRACE = ["strace", "-f", "-tt", "-T", "-y", "-yy", "-s", "2048"]


def injected(tmp_path: Path, what: str, *injections: str | lr.Inject, only: str | None = None) -> tuple[lr.Result, str]:
    """Run `tampered WHAT`; returns the result, and what it printed after `ready`."""
    inject = [lr.Inject.parse(one) if isinstance(one, str) else one for one in injections]
    result = lr.run(
        [mock("tampered"), what],
        record=[lr.Calls(only, inject=inject), lr.Output()],
        keep="all",
        output=tmp_path / "out",
        quiet=True,
    )
    assert result.faults == ()
    return result, result.artifacts["stdout"].read_text().removeprefix("ready\n")


def lines_of(text: str, *words: str) -> list[str]:
    """The lines that name one of `words`, masked."""
    return [MASK.sub("", line) for line in text.splitlines() if any(word in line for word in words)]


@pytest.mark.parametrize(
    "expression",
    [
        "geteuid:error=ENOSPC:when=2",
        "geteuid:error=EPERM:when=2+",
        "geteuid:error=EPERM:when=2+2",
        "geteuid:error=EPERM:when=2..4",
        "geteuid:error=EPERM:when=2..5+2",
        "geteuid:error=511",
        "geteuid:error=ERESTARTSYS:when=1",
        "geteuid:retval=77:when=3",
        "geteuid:retval=0x7fffffffffffffff",
        "geteuid:retval=5:syscall=getpid",
        "geteuid:delay_enter=2ms:when=1",
        "geteuid:error=EPERM:delay_exit=1000",
        "geteuid:signal=USR1:when=2",
        "geteuid:signal=SIGRT_3:error=EPERM",
        "geteuid:signal=CHLD:delay_exit=3",
        "geteuid:signal=KILL:when=3",
        "exit_group:retval=3",
        "write:error=EIO:when=3",
    ],
)
def test_the_text_is_straces(expression: str, tmp_path: Path) -> None:
    """The injected calls, signals and ends are those of strace -e inject= with the same expression."""
    log = tmp_path / "strace"
    program = [mock("tampered"), "uids"]
    subprocess.run([*STRACE, "-o", log, "-e", f"inject={expression}", *program], stdout=subprocess.DEVNULL)
    result = lr.run(
        program,
        record=[lr.Calls(inject=[lr.Inject.parse(expression)])],
        keep="all",
        output=tmp_path / "out",
        quiet=True,
    )
    words = "geteuid", "SIG", "exit", "INJECTED", "DELAYED"
    theirs, ours = (lines_of(path.read_text(), *words) for path in (log, result.artifacts["calls"]))
    assert [re.sub(r"\(\d<[^>]*>", "(FD", line) for line in ours] == [
        re.sub(r"\(\d<[^>]*>", "(FD", line) for line in theirs
    ]
    assert len(ours) > 2


def test_the_command_sees_the_errors(tmp_path: Path) -> None:
    """The third, fifth... call fails, the others are executed."""
    _, told = injected(tmp_path, "uids", lr.Inject("geteuid", error="ENOSPC", when="3+2"))
    uid = str(os.geteuid())
    assert told.split() == [uid, uid, "-28", uid, "-28", uid]


def test_a_call_that_is_not_recorded(tmp_path: Path) -> None:
    """With a set of calls to record a filter stands; an injection works beside it, and is not shown."""
    result, told = injected(tmp_path, "uids", "geteuid:retval=7:delay_enter=1:when=2", only="write")
    assert told.split()[1] == "7"
    text = result.artifacts["calls"].read_text()
    assert "geteuid" not in text and "write(" in text


def test_a_signal_where_only_a_set_is_recorded(tmp_path: Path) -> None:
    """A signal arrives there, too."""
    _, told = injected(tmp_path, "signals", "geteuid:signal=USR1:when=2+", only="write")
    assert told == "2\n"


def test_each_thread_counts_its_own(tmp_path: Path) -> None:
    """`when` counts per thread: the second call of both fails."""
    _, told = injected(tmp_path, "threads", "geteuid:error=EPERM:when=2")
    assert told == "2 2\n"


def test_each_call_of_a_set_counts_its_own(tmp_path: Path) -> None:
    """As in strace: the count is per call, and another call of the set does not add to it."""
    _, told = injected(tmp_path, "uids", "geteuid,write,execve:retval=9:when=4")
    assert told.split()[3] == "9"


def test_the_commands_own_execve_counts(tmp_path: Path) -> None:
    """As under strace, which sees it too; it cannot be changed."""
    calls = lr.Calls(inject=[lr.Inject("execve", error="ENOENT", when="2")])
    result = lr.run(["sh", "-c", "exec true"], record=[calls], keep="all", output=tmp_path / "out", quiet=True)
    first, second = lines_of(result.artifacts["calls"].read_text(), "execve(")[:2]
    assert "= 0" in first and "= -1 ENOENT (No such file or directory) (INJECTED)" in second


def test_in_a_vfork_child(tmp_path: Path) -> None:
    """The child's call fails while the parent waits for it."""
    _, told = injected(tmp_path, "vfork", "openat:error=ENOSPC:when=1")
    assert told == "28\n"


def test_a_delay_holds_up_its_thread_alone(tmp_path: Path) -> None:
    """20 reads of a child are held up 20 ms each, the parent's writes are not: the delays lie beside its work."""
    result, told = injected(tmp_path, "slow", "read:delay_enter=20ms")
    assert told == "over\n"
    assert result.wall_s >= 20 * 0.02
    lines = result.artifacts["calls"].read_text().splitlines()
    child = next(line.split()[0] for line in lines if "read(" in line and "pipe:" in line)
    first = next(i for i, line in enumerate(lines) if line.startswith(child) and "read" in line and "DELAY" in line)
    assert len([line for line in lines[:first] if " write(" in line and "pipe:" in line]) >= 5


def test_a_timeout_ends_a_delayed_command(tmp_path: Path) -> None:
    """A command that stays in an injected delay is killed as any other."""
    result = lr.run(
        [mock("tampered"), "uids"],
        record=[lr.Calls(inject=[lr.Inject("geteuid", delay_enter="1000s")])],
        timeout=0.3,
        kill_after=0.2,
        quiet=True,
        output=tmp_path / "out",
    )
    assert result.timed_out
    text = result.artifacts["calls"].read_text()
    assert "geteuid(" in text
