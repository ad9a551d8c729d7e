"""The clock of the day is set back by an hour: nothing that waits is late, and no time is told wrongly.

libfaketime stands before clock_gettime(2) and its like of all but the monotonic clocks; a time namespace has no clock
of the day of its own (time_namespaces(7)).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.programs import alive
from tests.supervised import Verbs, in_order, numbers

PROGRAM = "echo $$ >>{0}/pids; echo >&3; exec sleep 100"
HOUR = 3600


def segments() -> set[Path]:
    """What libfaketime of processes that were killed leaves behind."""
    return set(Path("/dev/shm").glob("*faketime*"))


@pytest.fixture
def clock(verbs: Verbs, tmp_path: Path) -> Iterator[Path]:
    """The file that says how far the clock of all verbs is off."""
    env, before = verbs.env, segments()
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    file = tmp_path / "clock"
    file.write_text("+0\n")
    verbs.env = env | {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    yield file
    verbs.env = env
    for name in verbs.names():
        verbs("stop", name)
    for segment in segments() - before:
        segment.unlink(missing_ok=True)


def set_back(clock: Path) -> None:
    """Set it back by an hour, at one moment."""
    new = clock.with_suffix(".new")
    new.write_text(f"-{HOUR}\n")
    new.rename(clock)


def jump(verbs: Verbs) -> float:
    """The largest step back between two lines of its log, in seconds."""
    lines = (verbs.directory / "x" / "log").read_text().splitlines()
    moments = [datetime.fromisoformat(line.split()[0]).timestamp() for line in lines]
    return max(before - after for before, after in pairwise(moments))


def test_a_respawn_that_is_due(verbs: Verbs, clock: Path, tmp_path: Path) -> None:
    """A respawn whose delay was running comes in its time, and so do those that follow."""
    verbs.begin("x", PROGRAM.format(tmp_path), "--respawn", "-t", "0.5", "--backoff", "1")
    began = time.monotonic()
    os.kill(numbers(tmp_path / "pids", 1)[0], 9)
    verbs.await_line("x", r"proc \d+ killed by signo 9")
    set_back(clock)
    os.kill(numbers(tmp_path / "pids", 2)[1], 9)
    numbers(tmp_path / "pids", 3)
    assert time.monotonic() - began < 30
    assert jump(verbs) > HOUR - 60  # the clock was set back indeed
    verbs("stop", "x")


def test_uptime(verbs: Verbs, clock: Path, tmp_path: Path) -> None:
    """The uptime of a life that began before is neither negative nor an hour."""
    verbs.begin("x", PROGRAM.format(tmp_path))
    before = verbs.status("x")["uptime_s"]
    set_back(clock)
    after = verbs.status("x")["uptime_s"]
    assert 0 <= before < after < 60


def test_a_stop_timeout(verbs: Verbs, clock: Path, tmp_path: Path) -> None:
    """What is deaf to SIGTERM is killed after its stop timeout, not an hour later."""
    script = f"trap '' TERM; echo $$ >>{tmp_path}/pids; echo >&3; while :; do sleep 1; done"
    verbs.begin("x", script, "--stop-timeout", "0.8")
    (pid,) = numbers(tmp_path / "pids", 1)
    with verbs.here("stop", "x") as stopping:
        verbs.await_line("x", rf"kill\(child pid {pid}\)")
        set_back(clock)
        assert stopping.wait(20) == 0
    assert not alive(pid)
    assert jump(verbs) > HOUR - 60


def test_a_start_timeout(verbs: Verbs, clock: Path) -> None:
    """What is not ready in time is ended then."""
    words = ("start", "--name", "x", "--ready", "fd=3", "--start-timeout", "0.8", "sleep", "100")
    with verbs.here(*words) as starting:
        verbs.await_line("x", r"x started, pid \d+")
        set_back(clock)
        assert starting.wait(20) == 1
    in_order(verbs.log("x"), "it was not ready within 0.8 s", "stopped")


def test_a_wait_with_a_timeout(verbs: Verbs, clock: Path, tmp_path: Path) -> None:
    """`wait --timeout` gives up in its time."""
    verbs.begin("x", PROGRAM.format(tmp_path))
    with verbs.here("wait", "x", "--until", "stopped", "--timeout", "0.8") as waiting:
        set_back(clock)
        assert waiting.wait(20) == 124


def test_a_start_limit_and_stable_lives(verbs: Verbs, clock: Path, tmp_path: Path) -> None:
    """Lives are measured by the monotonic clock: one of a moment is no stable one, and a limit is still a limit."""
    script = f"echo $$ >>{tmp_path}/pids; sleep 0.2; exit 1"
    words = ("--respawn", "-n", "3", "-t", "0.1", "--stable-after", "10", "sh", "-c", script)
    with verbs.here("start", "-D", "--name", "x", *words) as supervisor:
        numbers(tmp_path / "pids", 2)
        set_back(clock)
        assert supervisor.wait(20) == 1
    assert len(numbers(tmp_path / "pids", 4)) == 4
