"""--ready each way and --watchdog through `lowrun start`: it comes back when the program serves."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.supervised import Verbs, free_port, in_order, numbers

NOTIFY = "sleep 0.3; echo $$ >{0}; systemd-notify --ready; exec sleep 100"
PYTHON_SERVER = """
import os, socket, sys, time
time.sleep(0.3)
open(sys.argv[1], "w").write(f"{os.getpid()}\\n")
server = socket.create_server(("127.0.0.1", int(sys.argv[2])))
time.sleep(100)
"""
#: A program with a watchdog that it feeds, until a file is there.
FED = "systemd-notify --ready; until test -e {0}/hang; do systemd-notify WATCHDOG=1; sleep 0.1; done; exec sleep 100"


def ready_ways(tmp_path: Path) -> dict[str, tuple[str, ...]]:
    """Way -> the words after --ready of a program that writes `tmp_path`/up when it serves."""
    up, port = tmp_path / "up", free_port()
    return {
        "notify": ("notify", "sh", "-c", NOTIFY.format(up)),
        "fd": ("fd=4", "sh", "-c", f"sleep 0.3; echo $$ >{up}; echo >&4; exec sleep 100"),
        "log": (
            "log=^serving on [0-9]+$",
            "sh",
            "-c",
            f"echo booting; sleep 0.3; echo $$ >{up}; echo serving on 80; exec sleep 100",
        ),
        "tcp": (f"tcp=127.0.0.1:{port}", sys.executable, "-c", PYTHON_SERVER, str(up), str(port)),
        "pidfile": (
            "pidfile",
            "-p",
            f"{tmp_path}/pid",
            "sh",
            "-c",
            f"sleep 0.3; echo $$ >{up}; echo $$ >{tmp_path}/pid; exec sleep 100",
        ),
    }


@pytest.mark.parametrize("way", ["notify", "fd", "log", "tcp", "pidfile"])
def test_start_comes_back_when_it_serves(verbs: Verbs, tmp_path: Path, way: str) -> None:
    """`start` waits until the program says that it serves, and after a respawn it is ready again."""
    verbs("start", "--name", "x", "--respawn", "-t", "0", "--ready", *ready_ways(tmp_path)[way])
    found = verbs.status("x")
    assert (found["ready"], found["state"]) == (True, "running")
    assert (tmp_path / "up").exists()
    verbs("restart", "x")
    again = verbs.status("x")
    assert again["ready"] and again["restarts"] == 1 and again["pid"] != found["pid"]


@pytest.mark.parametrize("way", ["notify", "fd=4", "log=never", "tcp=127.0.0.1:1"])
def test_it_is_never_ready(verbs: Verbs, way: str) -> None:
    """What does not get ready within the start timeout is ended, and `start` fails saying so."""
    words = ("--ready", way, "--start-timeout", "0.3", "sleep", "100")
    said = verbs("start", "--name", "x", *words, code=1).stderr
    assert "it was not ready within 0.3 s" in said
    assert not verbs.status("x")["running"]


def test_it_ends_before_it_is_ready(verbs: Verbs) -> None:
    """A program that ends before it serves has failed at once: nobody waits for the start timeout."""
    began = time.monotonic()
    said = verbs("start", "--name", "x", "--ready", "notify", "sh", "-c", "echo no port; exit 4", code=1).stderr
    assert "exit 4" in said and "no port" in said
    assert time.monotonic() - began < 30


def test_a_main_process_named_by_notify(verbs: Verbs, tmp_path: Path) -> None:
    """MAINPID= of sd_notify names the main process: its end is the program's."""
    script = f"sleep 100 & echo $! >{tmp_path}/pid; systemd-notify --ready MAINPID=$!; wait; sleep 100"
    verbs("start", "--name", "x", "--ready", "notify", "sh", "-c", script)
    assert verbs.status("x")["pid"] == numbers(tmp_path / "pid", 1)[0]


def test_a_watchdog(verbs: Verbs, tmp_path: Path) -> None:
    """A program that feeds its watchdog lives; one that stops doing so is ended by SIGABRT and started again."""
    words = ("--respawn", "-t", "0", "--ready", "notify", "--watchdog", "1", "sh", "-c", FED.format(tmp_path))
    verbs("start", "--name", "x", *words)
    first = verbs.status("x")["pid"]
    time.sleep(1.3)
    assert verbs.status("x")["pid"] == first
    (tmp_path / "hang").touch()
    verbs.await_line("x", r"x restarted\(1/0\), pid (\d+)")
    (tmp_path / "hang").unlink()
    in_order(
        verbs.log("x"),
        r"its watchdog has heard nothing for 1 s",
        rf"kill\(child pid {first}\)",
        rf"proc {first} killed by signo 6",
        r"x restarted\(1/0\), pid \d+",
    )


def test_a_line_of_output_that_has_no_pipe(verbs: Verbs, tmp_path: Path) -> None:
    """--ready log= with --on-lost keep: lines are read in the file; rotated meanwhile, and of the present life only."""
    script = (
        f"echo $$ >>{tmp_path}/pids; for n in 1 2 3 4 5 6 7 8; do echo some words; sleep 0.02; done; "
        f"until test -e {tmp_path}/go; do sleep 0.02; done; printf 'serving o'; sleep 0.05; echo n 80; exec sleep 100"
    )
    words = ("--respawn", "-t", "0", "--on-lost", "keep", "--log-size", "20", "--ready", "log=^serving on 80$")
    (tmp_path / "go").touch()
    verbs("start", "--name", "x", *words, "sh", "-c", script)
    (first,) = numbers(tmp_path / "pids", 1)
    (tmp_path / "go").unlink()
    os.kill(first, 9)
    second = numbers(tmp_path / "pids", 2)[1]
    verbs.await_line("x", r"x restarted\(1/0\), .*")
    assert not verbs.status("x")["ready"]
    (tmp_path / "go").touch()
    verbs("wait", "x", "--until", "ready", "--timeout", "10")
    assert verbs.status("x")["pid"] == second
    verbs("stop", "x")


@pytest.mark.parametrize("ready", ["notify", "fd=3", "log=never", "tcp=127.0.0.1:1"])
def test_an_end_before_it_serves(verbs: Verbs, ready: str) -> None:
    """A program that exits 0 before it has said that it serves has failed: `start` says so, and it is respawned."""
    said = verbs("start", "--ready", ready, "--name", "x", "sh", "-c", "sleep 0.1", code=1).stderr
    assert ", before it was ready" in said
    verbs("start", "--ready", ready, "--name", "y", "--respawn", "-n", "1", "-t", "0", "true", code=None)
    verbs("wait", "y", "--until", "stopped", code=None)
    assert verbs.status("y")["restarts"] == 1


@pytest.mark.parametrize(
    ("ready", "word"),
    [("fd=3", "echo >&3"), ("log=up", "echo up"), ("notify", "systemd-notify --ready")],
)
def test_an_end_right_after_it_serves(verbs: Verbs, ready: str, word: str) -> None:
    """What it says in its last moment counts, though the news of its end may come first."""
    for _ in range(10):
        verbs("start", "--ready", ready, "--name", "x", "sh", "-c", word)
        verbs("wait", "x", "--until", "stopped")
