"""When a program is started again, and when not: limits, delays, final exit codes, stop and restart in between."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.programs import LOWRUN, alive
from tests.supervised import Verbs, calls_in, in_order, numbers


def between(file: Path) -> list[float]:
    """Seconds between the beginnings of lives that append their time to `file`.

    Each is as long as the delay at least, which is counted from the exit of the life before. The log cannot tell: its
    lines are written when lowrun comes to it.
    """
    return [later - earlier for earlier, later in itertools.pairwise(map(float, file.read_text().split()))]


def test_the_fourth_exit_is_final(verbs: Verbs, tmp_path: Path) -> None:
    """-n 3: three exits are each respawned after the delay, the fourth is final: exit code 1, and the log says why."""
    script = f"date +%s.%N >>{tmp_path}/times; exit 7"
    verbs("start", "-D", "--name", "x", "--respawn", "-n", "3", "-t", "0.2", "sh", "-c", script, code=1)
    lines = verbs.log("x")
    in_order(
        lines,
        r"x started, pid \d+",
        *(rf"x restarted\({life}/3\), pid \d+" for life in (1, 2, 3)),
        r"proc \d+ exited, status 7",
        r"stopped",
    )
    assert len([line for line in lines if line.endswith("exited, status 7")]) == 4
    assert any("3 times in a row, the limit" in line for line in lines)
    delays = between(tmp_path / "times")
    assert len(delays) == 3 and min(delays) >= 0.2
    found = verbs.status("x")
    assert (found["running"], found["state"], found["restarts"], found["supervisor"]) == (False, "done", 3, None)
    assert found["last_exit"]["code"] == 7
    assert "the limit" in found["reason"]


def test_backoff(verbs: Verbs, tmp_path: Path) -> None:
    """With --backoff each respawn in a row comes after twice the time, up to the ceiling."""
    script = f"date +%s.%N >>{tmp_path}/times; exit 1"
    words = ("--respawn", "-n", "6", "-t", "0.1", "--backoff", "0.3", "sh", "-c", script)
    verbs("start", "-D", "--name", "x", *words, code=1)
    delays = between(tmp_path / "times")
    assert all(least <= delay for delay, least in zip(delays, (0.1, 0.2, *[0.3] * 4), strict=True)), delays
    assert delays[5] < 3.2  # what it were without a ceiling


def test_a_stable_life_begins_a_new_row(verbs: Verbs, tmp_path: Path) -> None:
    """Lives longer than --stable-after reset the count and the delay: the limit of 2 in a row is never reached."""
    script = f"echo $$ >>{tmp_path}/pids; test $(wc -l <{tmp_path}/pids) -gt 5 && exit 0; sleep 0.15; exit 1"
    words = ("--respawn", "-n", "2", "-t", "0", "--stable-after", "0.1", "sh", "-c", script)
    verbs("start", "-D", "--name", "x", *words)
    assert len(numbers(tmp_path / "pids", 6)) == 6
    assert verbs.status("x")["restarts"] == 5


def test_starts_within_a_time(verbs: Verbs) -> None:
    """--start-limit 3/100: three starts, then it is given up with exit code 1."""
    words = ("--respawn=always", "-t", "0", "--start-limit", "3/100", "true")
    verbs("start", "-D", "--name", "x", *words, code=1)
    lines = verbs.log("x")
    assert len([line for line in lines if line.endswith("exited, status 0")]) == 3
    assert any("3 times within 100 s, the limit" in line for line in lines)


def calls_of_lives(verbs: Verbs, tmp_path: Path, respawns: int) -> Counter[str]:
    """How often each system call was made by the supervisor of a program that was respawned so often, without delay."""
    log = tmp_path / f"calls-{respawns}"
    words = ("start", "-D", "--name", f"x{respawns}", "--respawn", "-n", str(respawns), "-t", "0", "sh", "-c", "exit 7")
    subprocess.run(["strace", "-qq", "-e", "signal=none", "-o", log, LOWRUN, *words], env=verbs.env, check=False)
    in_order(verbs.log(f"x{respawns}"), rf"x{respawns} restarted\({respawns}/{respawns}\), pid \d+", "stopped")
    return Counter(name for name, _ in calls_in(log))


def test_a_respawn_without_delay_is_direct(verbs: Verbs, tmp_path: Path) -> None:
    """With -t 0 a life that has left nothing behind takes no timer, and one message to its keeper: start the next."""
    few, many = (calls_of_lives(verbs, tmp_path, respawns) for respawns in (2, 12))
    assert many["timerfd_create"] == few["timerfd_create"]
    assert many["sendmsg"] == few["sendmsg"] + 10


@pytest.mark.parametrize(
    ("options", "command", "code", "lives"),
    [
        (("--respawn",), "exit 0", 0, 1),
        (("--respawn", "-e", "0,5"), "exit 5", 0, 1),
        (("--respawn", "-n", "1", "-e", "5"), "exit 0", 1, 2),
        (("--respawn=always", "-n", "2"), "exit 0", 1, 3),
        ((), "exit 3", 1, 1),
        (("--respawn", "--restart-prevent", "3"), "exit 3", 1, 1),
        (("--respawn",), "exit 126", 1, 1),
        (("--respawn",), "exit 127", 1, 1),
        (("--respawn", "-n", "1"), "kill -TERM $$", 1, 2),
        (("--respawn", "-n", "1"), "kill -SEGV $$", 1, 2),
    ],
)
def test_what_is_respawned(verbs: Verbs, options: tuple[str, ...], command: str, code: int, lives: int) -> None:
    """Normal ends, codes of -e, 126, 127 and --restart-prevent end it; failures and signals of others respawn it."""
    verbs("start", "-D", "--name", "x", *options, "-t", "0", "sh", "-c", command, code=code)
    assert len([line for line in verbs.log("x") if "started" in line and line.startswith("x ")]) == lives


@pytest.mark.parametrize(("command", "why"), [("/nonexistent", "No such file"), ("/etc/passwd", "Permission denied")])
def test_it_cannot_be_executed(verbs: Verbs, command: str, why: str) -> None:
    """What cannot be executed is not respawned: exit code 1, and `start` says why."""
    said = verbs("start", "--name", "x", "--respawn", "-t", "0", command, code=1).stderr
    assert why in said
    found = verbs.status("x")
    assert (found["running"], found["restarts"], found["supervisor"]) == (False, 0, None)


def test_a_first_life_that_fails(verbs: Verbs) -> None:
    """`start` tells the exit and the last lines of output of a first life that fails; exit code 1."""
    said = verbs("start", "--name", "x", "sh", "-c", "echo no configuration; echo giving up >&2; exit 9", code=1).stderr
    assert "exit 9" in said
    assert "no configuration" in said and "giving up" in said


def test_a_first_life_that_fails_and_is_respawned(verbs: Verbs) -> None:
    """With --respawn it tells the same, exits with 0, and goes on as told."""
    said = verbs("start", "--name", "x", "--respawn", "-t", "0.1", "sh", "-c", "echo no configuration; exit 9").stderr
    assert "exit 9" in said and "no configuration" in said and "lowrun stop x" in said
    verbs.await_line("x", r"x restarted\(2/0\), pid \d+")
    verbs("stop", "x")


def test_stop_in_the_delay(verbs: Verbs) -> None:
    """`stop` while a respawn is due wins: no life follows, and it comes back at once."""
    verbs("start", "--name", "x", "--respawn", "-t", "100", "sh", "-c", "exit 1")
    assert verbs.status("x")["state"] == "waiting"
    verbs("stop", "x")
    assert verbs.log("x")[-1] == "stopped"
    assert not [line for line in verbs.log("x") if "restarted" in line]
    assert verbs.status("x")["state"] == "done"


def test_restart_in_the_delay(verbs: Verbs, tmp_path: Path) -> None:
    """`restart` while a respawn is due starts it at once, exactly once."""
    script = f"echo $$ >>{tmp_path}/pids; test -e {tmp_path}/good || exit 1; echo >&3; exec sleep 100"
    verbs.begin("x", script, "--respawn", "-t", "100")
    (tmp_path / "good").touch()
    verbs("restart", "x")
    pids = numbers(tmp_path / "pids", 2)
    assert verbs.status("x")["pid"] == pids[1]
    assert len(pids) == 2


def test_restart_while_it_starts(verbs: Verbs, tmp_path: Path) -> None:
    """Restarts of a program that is still starting, several at once, yield exactly one instance."""
    script = f"echo $$ >>{tmp_path}/pids; sleep 0.3; echo >&3; exec sleep 100"
    begin = threading.Thread(target=verbs.begin, args=("x", script))
    begin.start()
    numbers(tmp_path / "pids", 1)
    threads = [threading.Thread(target=verbs, args=("restart", "x")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in [*threads, begin]:
        thread.join()
    verbs("wait", "x", "--until", "ready", "--timeout", "10")
    pids = numbers(tmp_path / "pids", 2)
    found = verbs.status("x")
    assert [pid for pid in pids if alive(pid)] == [found["pid"]] == pids[-1:]
    assert found["processes"] == 1


def test_a_restart_that_fails(verbs: Verbs, tmp_path: Path) -> None:
    """`restart` of what does not come up again says so and exits with 1; the respawns go on."""
    script = f"test -e {tmp_path}/bad && exit 3; echo >&3; exec sleep 100"
    verbs.begin("x", script, "--respawn", "-t", "0.1")
    (tmp_path / "bad").touch()
    said = verbs("restart", "x", code=1).stderr
    assert "did not start again: exit 3" in said
    (tmp_path / "bad").unlink()
    verbs("wait", "x", "--until", "ready", "--timeout", "10")


def test_nothing_is_left_after_the_last_exit(verbs: Verbs) -> None:
    """No timer is left after the last exit: the supervisor's process is gone when `start -D` has come back."""
    verbs("start", "-D", "--name", "x", "--respawn", "-n", "1", "-t", "0", "false", code=1)
    record = json.loads((verbs.directory / "x" / "state.json").read_text())
    assert not os.path.exists(f"/proc/{record['supervisor'][0]}")


def test_a_main_process_beside_its_command(verbs: Verbs, tmp_path: Path) -> None:
    """A command that goes on beside the main process it has named ends with that one, and both are started again."""
    script = f"sleep 100 & echo $! >{tmp_path}/pid; echo $$ >>{tmp_path}/pids; trap '' CHLD; while :; do sleep 1; done"
    words = ("--respawn", "-t", "0.05", "--ready", "pidfile", "-p", str(tmp_path / "pid"), "sh", "-c", script)
    began = threading.Thread(target=verbs, args=("start", "--name", "x", *words))
    began.start()
    (first,) = numbers(tmp_path / "pids", 1)
    verbs("wait", "x", "--until", "ready", "--timeout", "10")
    began.join()
    os.kill(verbs.status("x")["pid"], 9)
    numbers(tmp_path / "pids", 2)
    assert not alive(first)
    verbs("stop", "x")
