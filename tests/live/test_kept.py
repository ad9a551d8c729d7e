"""Programs over the death of their supervisor, `--on-lost keep` and `kill`: what status, start and stop make of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs import LOWRUN, alive
from tests.supervised import PATIENCE, Verbs, state

#: It ends with 5 at SIGUSR1.
FIVE = "trap 'exit 5' USR1; while :; do sleep 0.02; done"
#: A daemon of it, with a pidfile.
DAEMON = 'sh -c "$FIVE" </dev/null >/dev/null 2>&1 & echo $! >"$PIDFILE"'


@pytest.fixture
def verbs(tmp_path: Path) -> Iterator[Verbs]:
    """The verbs, with a state directory of their own."""
    with state(tmp_path / "state") as found:
        yield found


def wait_until(condition: Callable[[], bool]) -> None:
    """For what nothing tells of: the end of processes that are none of ours."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def facts(verbs: Verbs, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(verbs("status", "--json", name, code=None).stdout)
    return found


def lose(verbs: Verbs, name: str) -> None:
    """Kill its supervisor."""
    supervisor = facts(verbs, name)["supervisor"]
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not alive(supervisor))


def after(lines: list[str], line: str) -> list[str]:
    return lines[lines.index(line) + 1 :]


def test_a_plain_program_that_is_kept_twice(verbs: Verbs) -> None:
    """It outlives two supervisors with its pid; then its exit is known, and it is respawned."""
    start = ("start", "--respawn", "-t", "0", "--on-lost", "keep", "--name", "five", "sh", "-c", FIVE)
    verbs(*start)
    pid = facts(verbs, "five")["pid"]
    for _ in range(2):
        lose(verbs, "five")
        now = facts(verbs, "five")
        assert (now["running"], now["state"], now["pid"], now["supervisor"]) == (True, "lost", pid, None)
        verbs(*start)
        now = facts(verbs, "five")
        assert (now["running"], now["state"], now["pid"]) == (True, "running", pid)
        assert verbs.log("five")[-1] == f"five has outlived its supervisor, pid {pid}"
    os.kill(pid, signal.SIGUSR1)
    verbs.await_line("five", rf"proc {pid} exited, status 5")
    second = int(verbs.await_line("five", r"five restarted\(1/0\), pid (\d+)")[1])
    verbs("stop", "five")
    assert not alive(second)


@pytest.mark.parametrize("when", ["lost", "owned"])
def test_a_daemon_that_is_kept(when: str, verbs: Verbs, tmp_path: Path) -> None:
    """Its main process is found again, and its status, whether it ends before the next supervisor comes or after."""
    pidfile = tmp_path / "pid"
    verbs.env |= {"FIVE": FIVE, "PIDFILE": str(pidfile)}
    options = ("--respawn", "-t", "0", "--on-lost", "keep", "--name", "d", "-p", pidfile)
    verbs("start", *options, "sh", "--", "-c", DAEMON)
    pid = facts(verbs, "d")["pid"]
    assert pid == int(pidfile.read_text())
    lose(verbs, "d")
    assert facts(verbs, "d")["pid"] == pid
    if when == "lost":
        os.kill(pid, signal.SIGUSR1)
        wait_until(lambda: not alive(pid))
        assert facts(verbs, "d")["running"] is False
    verbs("start", *options, "sh", "--", "-c", DAEMON)
    if when == "owned":
        now = facts(verbs, "d")
        assert (now["state"], now["ready"], now["pid"]) == ("running", True, pid)
        os.kill(pid, signal.SIGUSR1)
    verbs.await_line("d", rf"proc {pid} exited, status 5")
    verbs.await_line("d", r"d restarted\(1/0\), pid \d+")
    second = int(verbs.await_line("d", r"start trace d daemon pid (\d+)", 2 if when == "lost" else 3)[1])
    assert second != pid
    verbs("stop", "d")
    assert not alive(second)


def test_a_pidfile_that_is_written_while_nobody_looks(verbs: Verbs, tmp_path: Path) -> None:
    """The supervisor is killed before the daemon has written its pidfile: the next one believes what it finds there."""
    pidfile = tmp_path / "pid"
    go = tmp_path / "go"
    verbs.env |= {"FIVE": FIVE, "PIDFILE": str(pidfile), "GO": str(go)}
    waits = f'while ! test -e "$GO"; do sleep 0.02; done; {DAEMON}'
    options = ("--respawn", "-t", "0", "--on-lost", "keep", "--name", "d", "-p", pidfile)
    with subprocess.Popen([LOWRUN, "start", "-D", *options, "sh", "--", "-c", waits], env=verbs.env) as supervisor:
        verbs.await_line("d", r"d started, pid \d+")
        supervisor.kill()
    go.touch()
    wait_until(lambda: pidfile.exists() and pidfile.read_text().endswith("\n"))
    pid = int(pidfile.read_text())
    verbs("start", *options, "sh", "--", "-c", waits)
    now = facts(verbs, "d")
    assert (now["state"], now["ready"], now["pid"]) == ("running", True, pid)
    os.kill(pid, signal.SIGUSR1)
    verbs.await_line("d", rf"proc {pid} exited, status 5")


def test_an_end_that_nobody_saw(verbs: Verbs) -> None:
    """It fails while it has no supervisor: status knows how, the next start says it and respawns as told."""
    start = ("start", "--respawn", "-t", "0.1", "--on-lost", "keep", "--name", "five", "sh", "-c", FIVE)
    verbs(*start)
    pid = facts(verbs, "five")["pid"]
    lose(verbs, "five")
    os.kill(pid, signal.SIGUSR1)
    wait_until(lambda: not alive(pid))
    now = facts(verbs, "five")
    assert (now["running"], now["pid"], now["state"]) == (False, None, "crashed")
    assert (now["last_exit"]["code"], now["last_exit"]["signal"]) == (5, None)
    assert "five: exit 5" in verbs(*start).stderr
    second = int(verbs.await_line("five", r"five restarted\(1/0\), pid (\d+)")[1])
    lines = after(verbs.log("five"), f"five, pid {pid}, has ended since its supervisor was lost")
    assert lines == [f"proc {pid} exited, status 5", f"five restarted(1/0), pid {second}"]
    assert facts(verbs, "five")["last_exit"]["code"] == 5


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_start_after_an_end_that_nobody_saw(end: int, verbs: Verbs) -> None:
    """Without --respawn, too, a start starts: what ended before is told, and is not what the start was for."""
    start = ("start", "--on-lost", "keep", "-e", "0,143", "sleep", "1000")
    verbs(*start)
    pid = facts(verbs, "sleep")["pid"]
    lose(verbs, "sleep")
    os.kill(pid, end)
    wait_until(lambda: not alive(pid))
    verbs(*start)
    now = facts(verbs, "sleep")
    assert (now["running"], now["restarts"]) == (True, 0)
    assert now["pid"] != pid
    assert f"proc {pid} killed by signo {end}" in verbs.log("sleep")


def test_an_end_that_is_known_is_not_told_again(verbs: Verbs) -> None:
    """The supervisor is killed during the delay: the next start begins afresh, at once."""
    start = ("start", "--respawn", "-t", "1000", "--on-lost", "keep", "--name", "five", "sh", "-c", FIVE)
    verbs(*start)
    pid = facts(verbs, "five")["pid"]
    os.kill(pid, signal.SIGUSR1)
    verbs.await_line("five", rf"proc {pid} exited, status 5")
    wait_until(lambda: facts(verbs, "five")["state"] == "waiting")
    lose(verbs, "five")
    verbs(*start)
    assert facts(verbs, "five")["running"] is True
    assert sum(line == f"proc {pid} exited, status 5" for line in verbs.log("five")) == 1


def test_stop_of_what_is_lost(verbs: Verbs) -> None:
    """Without a supervisor `stop` itself stops what was kept, and the end is written down."""
    verbs("start", "--respawn", "--on-lost", "keep", "sleep", "1000")
    pid = facts(verbs, "sleep")["pid"]
    lose(verbs, "sleep")
    assert alive(pid)
    verbs("stop", "sleep")
    assert not alive(pid)
    now = facts(verbs, "sleep")
    assert (now["running"], now["state"], now["last_exit"]["signal"]) == (False, "done", signal.SIGTERM)
    assert verbs.log("sleep")[-3:] == [f"kill(child pid {pid})", f"proc {pid} killed by signo 15", "stopped"]
    verbs("stop", "sleep")


def test_stop_of_what_is_lost_and_stubborn(verbs: Verbs) -> None:
    """What does not hear SIGTERM is killed after the time that it was started with, its whole tree."""
    verbs(
        "start", "--on-lost", "keep", "--stop-timeout", "0.3", "--name", "deaf", "sh", "-c", "trap '' TERM; sleep 1000"
    )
    now = facts(verbs, "deaf")
    lose(verbs, "deaf")
    begin = time.monotonic()
    verbs("stop", "deaf")
    assert time.monotonic() - begin >= 0.3
    assert not alive(now["pid"])


def test_another_command_for_what_is_lost(verbs: Verbs) -> None:
    """A start that asks for another command is refused, with the remedy, and changes nothing; so is --attach."""
    options = ("start", "--respawn", "-t", "0", "--on-lost", "keep", "--name", "x")
    verbs(*options, "sleep", "1000")
    pid = facts(verbs, "x")["pid"]
    lose(verbs, "x")
    with subprocess.Popen(["sleep", "1000"]) as other:
        for words in (("sleep", "1001"), ("--attach", str(other.pid), "sleep", "1000")):
            for here in ((), ("-D",)):
                said = verbs(*options, *here, *words, code=1).stderr
                assert said == (
                    f'lowrun: "x" runs already (pid {pid}, left by a supervisor that was killed), another command: '
                    "'sleep 1000'; lowrun stop x first\n"
                )
        other.kill()
    assert facts(verbs, "x")["state"] == "lost"
    verbs("stop", "x")
    verbs(*options, "sleep", "1001")
    assert not alive(pid)
    assert facts(verbs, "x")["restarts"] == 0


def test_another_command_after_an_end_that_nobody_saw(verbs: Verbs) -> None:
    """What has ended is no obstacle: its end is told, and the new command is started."""
    options = ("start", "--on-lost", "keep", "--name", "x")
    verbs(*options, "sleep", "1000")
    pid = facts(verbs, "x")["pid"]
    lose(verbs, "x")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid))
    verbs(*options, "sleep", "1001")
    second = facts(verbs, "x")["pid"]
    assert Path(f"/proc/{second}/cmdline").read_bytes() == b"sleep\x001001\0"


def test_what_is_not_kept_is_gone(verbs: Verbs) -> None:
    """With --on-lost kill, the default, the tree ends with its supervisor, and nothing says otherwise."""
    script = f"{FIVE} & setsid sleep 1000 & trap '' TERM; wait"
    verbs("start", "--respawn", "--name", "tree", "sh", "-c", script)
    pid = facts(verbs, "tree")["pid"]
    lose(verbs, "tree")
    wait_until(lambda: not alive(pid))
    now = facts(verbs, "tree")
    assert (now["running"], now["state"], now["pid"]) == (False, "crashed", None)
    assert verbs("status", "tree", code=1).stdout.splitlines()[0] == '"tree" process is not running'
    verbs("stop", "tree")
    verbs("start", "--respawn", "--name", "tree", "sh", "-c", script)
    assert facts(verbs, "tree")["running"] is True


BEATS = """\
import os, socket, time
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = "\\0" + os.environ["NOTIFY_SOCKET"][1:]
end.connect(address)
end.send(b"READY=1")
while True:
    try:
        end.send(b"WATCHDOG=1")
    except OSError:
        try:
            end.connect(address)
        except OSError:
            pass
    time.sleep(0.02)
"""


def test_a_watchdog_goes_on(verbs: Verbs) -> None:
    """The next supervisor hears a kept program at the same NOTIFY_SOCKET: it is not taken for one that hangs."""
    options = ("--respawn", "-t", "0", "--on-lost", "keep", "--ready", "notify", "--watchdog", "0.5", "--name", "beats")
    verbs("start", *options, sys.executable, "-c", BEATS)
    pid = facts(verbs, "beats")["pid"]
    lose(verbs, "beats")
    verbs("start", *options, sys.executable, "-c", BEATS)
    os.kill(pid, signal.SIGSTOP)
    verbs.await_line("beats", r"its watchdog has heard nothing for 0\.5 s")
    assert facts(verbs, "beats")["restarts"] <= 1
    lines = verbs.log("beats")
    heard = lines.index(f"beats has outlived its supervisor, pid {pid}")
    assert re.fullmatch(r"its watchdog has heard nothing .*", lines[heard + 1])
