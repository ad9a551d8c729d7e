"""restart, reload, wait, status, log, and signals to the supervisor: as a user types them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.programs import alive
from tests.supervised import Verbs, in_order, numbers

PROGRAM = "echo >&3; exec sleep 100"
#: Writes a line for each SIGHUP and SIGUSR1.
LISTENS = "trap 'echo 1 >>{0}' HUP; trap 'echo 2 >>{0}' USR1; echo >&3; while :; do sleep 0.05; done"
DEAF = "trap '' TERM INT; echo $$ >{0}; echo >&3; while :; do sleep 1; done"


def test_start_twice(verbs: Verbs) -> None:
    """A second `start` of a NAME that is running fails with the supervisor's pid, and disturbs nobody."""
    verbs.begin("x", PROGRAM)
    before = verbs.status("x")
    for options in ((), ("-D",)):
        done = verbs("start", *options, "--name", "x", "sleep", "100", code=None)
        assert done.returncode not in (0, 2)
        assert f'another supervisor of "x" is running (pid {before["supervisor"]})' in done.stderr
    assert verbs.status("x")["pid"] == before["pid"]


def test_start_after_stop(verbs: Verbs) -> None:
    """A NAME that was stopped can be started again at once, and is known in between."""
    for _ in range(2):
        verbs.begin("x", PROGRAM)
        assert verbs.status("x")["running"]
        verbs("stop", "x")
        verbs("status", "x", code=1)


@pytest.mark.parametrize("verb", ["stop", "status", "restart", "reload", "log", "wait"])
def test_an_unknown_name(verbs: Verbs, verb: str) -> None:
    """A NAME without state is unknown: exit code 4, and one line that says so."""
    verbs.begin("known", PROGRAM)
    done = verbs(verb, "nobody", code=4)
    assert 'no program "nobody" is known' in done.stderr and "known" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("verb", "code"), [("stop", 0), ("status", 1), ("restart", 1), ("reload", 1), ("log", 0)])
def test_a_program_that_is_not_running(verbs: Verbs, verb: str, code: int) -> None:
    """A NAME that was stopped is known: stop has nothing to do, restart and reload say that nobody is there."""
    verbs.begin("x", PROGRAM)
    verbs("stop", "x")
    verbs(verb, "x", code=code)


def test_restart(verbs: Verbs) -> None:
    """`restart` comes back when the next life is ready; the one before has gone, and no failure was counted."""
    verbs.begin("x", PROGRAM, "--respawn", "-n", "1")
    first = verbs.status("x")
    for _ in range(3):
        verbs("restart", "x")
    again = verbs.status("x")
    assert not alive(first["pid"])
    assert again["ready"] and again["restarts"] == 3 and again["supervisor"] == first["supervisor"]


@pytest.mark.parametrize(("options", "says"), [((), 1), (("--reload-signal", "USR1"), 2)])
def test_reload(verbs: Verbs, tmp_path: Path, options: tuple[str, ...], says: int) -> None:
    """`reload` sends SIGHUP, or the signal that was chosen, to the main process alone; its pid stays."""
    verbs.begin("x", LISTENS.format(tmp_path / "heard"), *options)
    pid = verbs.status("x")["pid"]
    verbs("reload", "x")
    assert numbers(tmp_path / "heard", 1) == [says]
    assert verbs.status("x")["pid"] == pid


def test_reload_of_what_dies_by_it(verbs: Verbs) -> None:
    """A program that SIGHUP kills has ended deliberately when lowrun sent it: no respawn; exit code 0."""
    with verbs.here("start", "-D", "--name", "x", "--respawn", "-t", "0", "sleep", "100") as supervisor:
        verbs.await_line("x", r"x started, pid \d+")
        verbs("reload", "x")
        assert supervisor.wait(10) == 0


def test_wait(verbs: Verbs, tmp_path: Path) -> None:
    """`wait` comes back when the state is reached, with 124 when it is late, with 1 when it cannot be any more."""
    with verbs.here(
        "start",
        "--name",
        "x",
        "--ready",
        "fd=3",
        "sh",
        "-c",
        f"until test -e {tmp_path}/go; do sleep 0.05; done; {PROGRAM}",
    ):
        verbs.await_line("x", r"x started, pid \d+")
        verbs("wait", "x", "--until", "running", "--timeout", "10")
        verbs("wait", "x", "--until", "ready", "--timeout", "0.1", code=124)
        (tmp_path / "go").touch()
        verbs("wait", "x", "--until", "ready", "--timeout", "10")
    verbs("wait", "x", "--until", "stopped", "--timeout", "0.1", code=124)
    with verbs.here("wait", "x", "--until", "stopped", "--timeout", "10") as waiting:
        verbs("stop", "x")
        assert waiting.wait(10) == 0
    verbs("wait", "x", "--until", "stopped")
    verbs("wait", "x", "--until", "ready", code=1)


def test_status_json(verbs: Verbs) -> None:
    """`status --json` has state, pid, uptime, restarts, the last exit, CPU and memory; without NAME all programs."""
    verbs.begin("x", PROGRAM, "--respawn", "-t", "0")
    first = verbs.status("x")
    assert first["last_exit"] is None
    os.kill(first["pid"], 9)
    verbs.await_line("x", r"x restarted\(1/0\), pid \d+")
    verbs("wait", "x", "--until", "ready", "--timeout", "10")
    found = verbs.status("x")
    assert found["name"] == "x" and found["running"] and found["restarts"] == 1
    assert (found["last_exit"]["code"], found["last_exit"]["signal"]) == (137, 9)
    assert 0 <= found["uptime_s"] < 60
    assert found["processes"] == 1 and found["memory_bytes"] > 0 and found["cpu_s"] >= 0
    assert found["command"][0] == "sh"
    everything = json.loads(verbs("status", "--json").stdout)
    assert [program["name"] for program in everything["programs"]] == ["x"]


def test_status_json_of_several(verbs: Verbs) -> None:
    """One document whatever the number of names: an object of one's own for one, a list in one object for several."""
    verbs.begin("a", "echo >&3; exec sleep 100")
    verbs("start", "--name", "b", "true")
    several = json.loads(verbs("status", "--json", "a", "b", code=1).stdout)
    assert [one["name"] for one in several["programs"]] == ["a", "b"]
    assert verbs.status("b")["name"] == "b"
    unknown = verbs("status", "--json", "a", "c", code=4)
    assert [one["name"] for one in json.loads(unknown.stdout)["programs"]] == ["a"]
    assert verbs("status", "--json", "c", code=4).stdout == ""
    assert verbs("status", "a", "b", code=1).stdout.count(" running\n") >= 2


def test_status_of_all(verbs: Verbs) -> None:
    """`status` without NAME is a table; with NAME its first line is the contract's."""
    verbs.begin("one", PROGRAM)
    verbs.begin("two", PROGRAM)
    verbs("stop", "two")
    head, *rows = verbs("status").stdout.splitlines()
    assert head.split()[:3] == ["NAME", "STATE", "PID"]
    assert [row.split()[:2] for row in rows] == [["one", "running"], ["two", "done"]]
    assert verbs("status", "one").stdout.splitlines()[0] == '"one" process is running'
    assert verbs("status", "two", code=1).stdout.splitlines()[0] == '"two" process is not running'


def test_log_follows(verbs: Verbs) -> None:
    """`log -f` shows the lines that are there and those that come; SIGTERM ends it."""
    verbs.begin("x", PROGRAM, "--respawn", "-t", "0")
    with verbs.here("log", "-f", "x") as follower:
        assert follower.stdout is not None
        assert "command: start x" in follower.stdout.readline()
        os.kill(verbs.status("x")["pid"], 9)
        assert any("restarted(1/0)" in line for line in iter(follower.stdout.readline, ""))
        follower.send_signal(signal.SIGTERM)
        assert follower.wait(10) == 0


def test_log_of_output(verbs: Verbs) -> None:
    """`log --output` shows what the program wrote, `-n` the last lines of it."""
    verbs.begin("x", f"echo one; echo two >&2; echo three; {PROGRAM}")
    assert verbs("log", "--output", "x").stdout == "one\ntwo\nthree\n"
    assert verbs("log", "--output", "-n", "1", "x").stdout == "three\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [(), ("-D",)])
def test_a_signal_ends_the_supervisor(verbs: Verbs, number: int, options: tuple[str, ...]) -> None:
    """SIGTERM and SIGINT to the supervisor stop its program, and it exits with 0."""
    with verbs.here("start", *options, "--name", "x", "--respawn", "--ready", "fd=3", "sh", "-c", PROGRAM) as process:
        verbs.await_line("x", r"x started, pid \d+")
        verbs("wait", "x", "--until", "ready", "--timeout", "10")
        found = verbs.status("x")
        os.kill(found["supervisor"], number)
        verbs("wait", "x", "--until", "stopped", "--timeout", "10")
        assert process.wait(10) == 0
    assert not alive(found["pid"])
    in_order(
        verbs.log("x"), rf"kill\(child pid {found['pid']}\)", rf"proc {found['pid']} killed by signo 15", "stopped"
    )


def test_a_second_signal_hurries(verbs: Verbs, tmp_path: Path) -> None:
    """A second SIGTERM to the supervisor does not wait for the stop timeout: what is deaf is killed at once."""
    with verbs.here(
        "start",
        "-D",
        "--name",
        "x",
        "--stop-timeout",
        "100",
        "--ready",
        "fd=3",
        "sh",
        "-c",
        DEAF.format(tmp_path / "pid"),
    ) as process:
        (pid,) = numbers(tmp_path / "pid", 1)
        verbs("wait", "x", "--until", "ready", "--timeout", "10")
        process.send_signal(signal.SIGTERM)
        verbs.await_line("x", rf"kill\(child pid {pid}\)")
        assert alive(pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not alive(pid)


def test_sighup_reloads_in_the_background(verbs: Verbs, tmp_path: Path) -> None:
    """SIGHUP to a supervisor in the background is passed on as a reload."""
    verbs.begin("x", LISTENS.format(tmp_path / "heard"))
    before = verbs.status("x")
    os.kill(before["supervisor"], signal.SIGHUP)
    assert numbers(tmp_path / "heard", 1) == [1]
    assert verbs.status("x")["pid"] == before["pid"]


def test_stop_with_a_timeout_of_its_own(verbs: Verbs, tmp_path: Path) -> None:
    """`stop --stop-timeout` wins over what `start` was told."""
    verbs.begin("x", DEAF.format(tmp_path / "pid"), "--stop-timeout", "100")
    verbs("stop", "--stop-timeout", "0.1", "x")
    assert not alive(numbers(tmp_path / "pid", 1)[0])


def test_a_stop_signal(verbs: Verbs) -> None:
    """--stop-signal is what ends it: a death by it is normal."""
    verbs.begin("x", "trap '' TERM; echo >&3; sleep 100", "--stop-signal", "QUIT", "--respawn")
    pid = verbs.status("x")["pid"]
    verbs("stop", "x")
    verbs.await_line("x", rf"proc {pid} killed by signo 3")
    assert verbs.log("x")[-1] == "stopped"


def test_a_relative_program(verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found from where lowrun is called, or from --cwd; it starts in / or there."""
    (tmp_path / "bin").mkdir()
    for place in (tmp_path, tmp_path / "bin"):
        (place / "x.sh").write_text("#!/bin/sh\npwd\n")
        (place / "x.sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    verbs("start", "--name", "a", "./x.sh")
    verbs("start", "--name", "b", "--cwd", "bin", "./x.sh")
    assert verbs("log", "--output", "a").stdout == "/\n"
    assert verbs("log", "--output", "b").stdout == f"{tmp_path}/bin\n"


def test_a_relative_argument(verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that fails at its start with a path that is here and not in / is said to need a directory."""
    (tmp_path / "file").write_text("text")
    monkeypatch.chdir(tmp_path)
    hint = f"lowrun: cat: its working directory was /, but file is in {tmp_path}: give --cwd (cwd in a file)"
    assert verbs("start", "cat", "file", code=1).stderr.splitlines()[-1] == hint
    assert "--cwd" not in verbs("start", "cat", tmp_path / "file2", code=1).stderr
    assert "--cwd" not in verbs("start", "-D", "cat", "file2", code=1).stderr
    assert verbs("start", "--cwd", ".", "cat", "file").stderr == ""
    (tmp_path / "x.toml").write_text("[program.x]\ncommand = 'cat file'\n")
    monkeypatch.chdir("/")
    assert verbs("start", "-f", tmp_path / "x.toml", code=1).stderr.splitlines()[-1] == hint.replace("cat:", "x:")
