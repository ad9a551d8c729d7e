"""What a program leaves behind or will not let go: `stop` ends all of it, and orphans are reaped."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.programs import MOCK, alive
from tests.supervised import PATIENCE, Verbs, numbers

LEAKED = "sleep infinity & echo $$ >>{0}; echo $! >>{0}; echo >&3; wait"
SESSION = 'setsid sh -c "echo \\$\\$ >>{0}; exec sleep infinity" & echo $$ >>{0}; echo >&3; exec 3>&-; wait'
DEAF_SESSION = 'trap "" TERM; setsid sh -c "echo \\$\\$ >>{0}; exec sleep infinity" & echo $$ >>{0}; echo >&3; wait'
LEFT_IN_SESSION = '(setsid sh -c "echo \\$\\$ >>{0}; exec sleep infinity" &); echo $$ >>{0}; echo >&3; exec sleep 100'


def await_gone(pid: int) -> None:
    """Wait until there is no such process, no zombie either."""
    until = time.monotonic() + PATIENCE
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < until, Path(f"/proc/{pid}/status").read_text()
        time.sleep(0.01)


@pytest.mark.parametrize("script", [LEAKED, SESSION, DEAF_SESSION, LEFT_IN_SESSION])
def test_nothing_is_left_after_stop(verbs: Verbs, tmp_path: Path, script: str) -> None:
    """`stop` comes back and nothing is left: a leaked child, one in a session of its own that holds stdout open."""
    file = tmp_path / "pids"
    verbs.begin("tree", script.format(file))
    pids = numbers(file, 2)
    supervisor = verbs.status("tree")["supervisor"]
    verbs("stop", "--stop-timeout", "0.2", "tree")
    assert not any(map(alive, [*pids, supervisor]))


def test_children_that_ignore_sigterm(verbs: Verbs, tmp_path: Path) -> None:
    """A program and its child that ignore SIGTERM are killed after the stop timeout; the log says so."""
    file = tmp_path / "pids"
    verbs("start", "--ready", "log=ready", "--stop-timeout", "0.3", MOCK / "stubborn.sh", file)
    pids = numbers(file, 2)
    began = time.monotonic()
    verbs("stop", "stubborn.sh")
    assert 0.3 <= time.monotonic() - began < 10
    assert not any(map(alive, pids))
    assert "it has not ended in time: SIGKILL" in verbs.log("stubborn.sh")


def test_a_stopped_program_ends(verbs: Verbs) -> None:
    """A program that is stopped by SIGSTOP gets its stop signal all the same, and ends by it."""
    verbs.begin("still", "echo >&3; kill -STOP $$; exec sleep 100")
    pid = verbs.status("still")["pid"]
    while os.stat(f"/proc/{pid}") and "T (stopped)" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.01)
    verbs("stop", "still")
    assert not alive(pid)
    assert "it has not ended in time: SIGKILL" not in verbs.log("still")


def test_an_orphan_is_reaped(verbs: Verbs, tmp_path: Path) -> None:
    """A starter leaves two children: one is the main process; the other's end disturbs nobody, leaves no zombie."""
    file = tmp_path / "pids"
    script = "sleep 100 & echo $! >>{0}; sleep 0.5 & echo $! >>{0}; echo >&3"
    verbs.begin("starter", script.format(file))
    main, orphan = numbers(file, 2)
    verbs.await_line("starter", rf"start trace starter daemon pid {main}")
    await_gone(orphan)
    found = verbs.status("starter")
    assert (found["running"], found["pid"], found["processes"]) == (True, main, 1)
    verbs("stop", "starter")
    assert not alive(main)


def test_a_program_ends_with_its_last_orphan(verbs: Verbs, tmp_path: Path) -> None:
    """A program that exits with 0 and leaves one child behind ends when that does, normally: without a respawn."""
    file = tmp_path / "pids"
    verbs.begin("last", f"sleep 0.5 & echo $! >>{file}; echo >&3", "--respawn", "-t", "0.05")
    (orphan,) = numbers(file, 1)
    verbs("wait", "last", "--until", "stopped", "--timeout", "10")
    assert not Path(f"/proc/{orphan}").exists()
    lines = verbs.log("last")
    assert f"proc {orphan} exited, status 0" in lines and lines[-1] == "stopped"
    assert not [line for line in lines if "restarted" in line]


def test_others_are_not_disturbed(verbs: Verbs, tmp_path: Path) -> None:
    """Orphans of one program end while another of the same supervisor goes on, with its pid."""
    file, pids = tmp_path / "many.toml", tmp_path / "pids"
    file.write_text(
        f"""
        [program.calm]
        command = ["sleep", "100"]
        [program.busy]
        command = ["sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.2 & echo $! >>{pids}); done; exec sleep 100"]
        """
    )
    verbs("start", "-f", file)
    before = verbs.status("calm")["pid"]
    for orphan in numbers(pids, 5):
        await_gone(orphan)
    assert verbs.status("calm")["pid"] == before
    assert verbs.status("busy")["processes"] == 1
    verbs("stop", "calm", "busy")


#: Ignores its stop signal for longer than it would take to lose patience, and says when it is through.
SLOW = "(trap 'sleep 2.5; echo through >>{0}/said; exit' USR1; trap '' TERM; while :; do sleep 0.05; done) &"


@pytest.mark.parametrize("end", ["exit 1", "kill -9 $$"])
def test_what_a_failed_life_leaves_behind(verbs: Verbs, tmp_path: Path, end: str) -> None:
    """It gets the program's own stop signal, and the time of a stop; the next life begins when nothing is left."""
    script = f"if [ -e {{0}}/said ]; then echo >&3; exec sleep 100; fi; {SLOW} echo >&3; sleep 0.2; {end}"
    verbs.begin("x", script.format(tmp_path), "--respawn", "-t", "0.1", "--stop-signal", "USR1")
    verbs.await_line("x", r"x restarted\(1/0\), pid \d+")
    assert (tmp_path / "said").read_text() == "through\n"
    verbs("wait", "x", "--until", "ready", "--timeout", "10")


def test_what_is_deaf_in_the_end(verbs: Verbs) -> None:
    """What ignores the stop signal of a life that has ended gets SIGKILL after the stop timeout."""
    deaf = "(trap '' TERM; while :; do sleep 0.05; done) & echo >&3; sleep 0.2; exit 1"
    began = time.monotonic()
    verbs.begin("x", deaf, "--stop-timeout", "0.5")
    verbs("wait", "x", "--until", "stopped", "--timeout", "10")
    assert time.monotonic() - began >= 0.7
