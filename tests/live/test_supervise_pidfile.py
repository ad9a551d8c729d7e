"""A daemon's pidfile as `lowrun start -p` reads it: whatever it holds, no stranger is watched or signalled."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import alive
from tests.supervised import Verbs, numbers

#: Forks away as a daemon does, and writes both pids; {1} is what the daemon does with its pidfile.
DAEMON = "(setsid sh -c 'echo $$ >>{0}; {1}; exec sleep 100' >/dev/null 2>&1 &)"


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is none of the program's."""
    with subprocess.Popen(["sleep", "100"]) as process:
        yield process.pid
        assert process.poll() is None, "the stranger was harmed"
        process.kill()


def start(verbs: Verbs, tmp_path: Path, writes: str, *options: str, code: int = 0) -> str:
    """Start a daemon that `writes`; return what `start` said."""
    script = DAEMON.format(tmp_path / "pids", writes.replace("PIDFILE", str(tmp_path / "pid")))
    words = ("start", "--name", "d", *options, "-p", str(tmp_path / "pid"), "sh", "-c", script)
    return verbs(*words, code=code).stderr


def test_it_is_written_late(verbs: Verbs, tmp_path: Path) -> None:
    """A pidfile that comes 200 ms after the starter's end is awaited; `start` comes back then."""
    start(verbs, tmp_path, "sleep 0.2; echo $$ >PIDFILE")
    (pid,) = numbers(tmp_path / "pids", 1)
    assert verbs.status("d")["pid"] == pid
    assert verbs.status("d")["ready"]
    verbs("stop", "d")
    assert not alive(pid)


def test_it_is_never_written(verbs: Verbs, tmp_path: Path) -> None:
    """Without a pidfile within the start timeout the start has failed, and nothing of the daemon is left."""
    said = start(verbs, tmp_path, "true", "--start-timeout", "0.4", code=1)
    assert f"no pid of it in {tmp_path}/pid within 0.4 s" in said
    assert not alive(numbers(tmp_path / "pids", 1)[0])
    assert verbs.log("d")[-1] == "stopped"


def test_it_is_never_written_and_respawned(verbs: Verbs, tmp_path: Path) -> None:
    """With --respawn such a start fails again and again; each life's daemon is ended before the next begins."""
    said = start(verbs, tmp_path, "true", "--start-timeout", "0.2", "--respawn", "-t", "0.05")
    assert "within 0.2 s" in said
    pids = numbers(tmp_path / "pids", 3)
    assert not any(map(alive, pids[:2]))
    verbs("stop", "d")
    assert not any(map(alive, numbers(tmp_path / "pids", 3)))


@pytest.mark.parametrize(
    ("writes", "why"),
    [
        ("echo 0 >PIDFILE", "0 is no program's pid"),
        ("echo 1 >PIDFILE", "1 is no program's pid"),
        ("echo 1073741824 >PIDFILE", "1073741824 is beyond the largest pid"),
        ("echo -1 >PIDFILE", "it holds no pid"),
        ("echo garbage >PIDFILE", "it holds no pid"),
        ("head -c 100000 /dev/zero >PIDFILE", "it is larger than 4096 bytes"),
        ("echo $$ >PIDFILE.real; ln -s PIDFILE.real PIDFILE", "it is a symbolic link"),
        ("mkfifo PIDFILE", "it is no regular file"),
        ("echo STRANGER >PIDFILE", "is none of the program's"),
        ("echo $(cat STATE) >PIDFILE", "is lowrun itself"),
    ],
)
def test_it_names_no_process_of_the_daemon(verbs: Verbs, tmp_path: Path, stranger: int, writes: str, why: str) -> None:
    """Such a pidfile is not believed: the start fails after its time and says why; who is named is untouched."""
    supervisor = f'sed -n "s/^.*started (pid \\([0-9]*\\)).*/\\1/p" {verbs.directory}/d/log'
    writes = writes.replace("STRANGER", str(stranger)).replace("cat STATE", supervisor)
    said = start(verbs, tmp_path, writes, "--start-timeout", "0.4", code=1)
    assert why in said
    assert not alive(numbers(tmp_path / "pids", 1)[0])
    assert not [line for line in verbs.log("d") if line.startswith("start trace")]


def test_it_is_wrong_at_first(verbs: Verbs, tmp_path: Path, stranger: int) -> None:
    """A pidfile of garbage, then of a stranger, then of the daemon: the last one is believed."""
    start(verbs, tmp_path, f"echo x >PIDFILE; sleep 0.1; echo {stranger} >PIDFILE; sleep 0.1; echo $$ >PIDFILE")
    assert verbs.status("d")["pid"] == numbers(tmp_path / "pids", 1)[0]


def test_it_is_of_an_earlier_life(verbs: Verbs, tmp_path: Path, stranger: int) -> None:
    """A pidfile that was there before the start is stale, be its pid in use again or not."""
    (tmp_path / "pid").write_text(f"{stranger}\n")
    start(verbs, tmp_path, "sleep 0.2; echo $$ >PIDFILE")
    assert verbs.status("d")["pid"] == numbers(tmp_path / "pids", 1)[0]


def test_a_pid_that_is_used_again(verbs: Verbs, tmp_path: Path) -> None:
    """When the daemon has ended and its pid is another's, neither `stop` nor the supervisor touches that one."""
    start(verbs, tmp_path, "echo $$ >PIDFILE", "--respawn", "-t", "100")
    (pid,) = numbers(tmp_path / "pids", 1)
    os.kill(pid, 9)
    verbs.await_line("d", rf"proc {pid} killed by signo 9")
    process = with_pid(pid)
    try:
        assert not verbs.status("d")["running"]
        verbs("stop", "d")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def with_pid(pid: int) -> subprocess.Popen[bytes]:
    """Return a process that has this pid, used before (root alone may ask for the next one)."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "100"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"pid {pid} could not be had again")


def test_the_record_says_daemon(verbs: Verbs, tmp_path: Path) -> None:
    """The state on disk calls such a program a daemon, with its main process's pid."""
    start(verbs, tmp_path, "echo $$ >PIDFILE")
    record = json.loads((verbs.directory / "d" / "state.json").read_text())
    assert record["kind"] == "daemon"
    assert record["main"][0] == numbers(tmp_path / "pids", 1)[0]


def test_its_starter_does_not_exit(verbs: Verbs, tmp_path: Path) -> None:
    """A command that stays although it has named another main process is late, which --ready pidfile would not be."""
    script = f"sleep 100 & echo $! >{tmp_path}/pid; wait"
    words = ("--start-timeout", "0.4", "-p", str(tmp_path / "pid"), "sh", "-c", script)
    assert "has not exited within 0.4 s" in verbs("start", "--name", "d", *words, code=1).stderr
    verbs("start", "--name", "d", "--ready", "pidfile", *words)
    assert verbs.status("d")["pid"] == int((tmp_path / "pid").read_text())
