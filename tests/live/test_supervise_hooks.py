"""--pre, --post and --on-exit: commands at moments of a program's life, and what they are told."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

from tests.programs import LOWRUN, alive
from tests.supervised import PATIENCE, Verbs, numbers

PROGRAM = "echo >&3; exec sleep 100"


def told(file: Path, count: int) -> list[str]:
    """Wait until hooks have written `count` lines."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.01)
    raise AssertionError(f"no {count} lines in {file}")


def hook(file: Path, word: str) -> str:
    """A command that writes what it is told, a line."""
    facts = "$LOWRUN_NAME restarts=$LOWRUN_RESTARTS pid=$LOWRUN_PID code=$LOWRUN_EXIT_CODE signal=$LOWRUN_EXIT_SIGNAL"
    return f"sh -c 'echo {word} {facts} >>{file}'"


def test_what_hooks_are_told(verbs: Verbs, tmp_path: Path) -> None:
    """Before each life --pre, once it serves --post, after it --on-exit: with its pid, its code, its signal."""
    file = tmp_path / "told"
    hooks = [word for name in ("pre", "post", "on-exit") for word in (f"--{name}", hook(file, name))]
    verbs.begin("x", PROGRAM, "--respawn", "-t", "0", *hooks)
    first = verbs.status("x")["pid"]
    told(file, 2)
    os.kill(first, 9)
    told(file, 5)
    second = verbs.status("x")["pid"]
    verbs("stop", "x")
    assert told(file, 6) == [
        "pre x restarts=0 pid= code= signal=",
        f"post x restarts=0 pid={first} code= signal=",
        f"on-exit x restarts=0 pid={first} code=137 signal=9",
        f"pre x restarts=1 pid={first} code=137 signal=9",
        f"post x restarts=1 pid={second} code= signal=",
        f"on-exit x restarts=1 pid={second} code=143 signal=15",
    ]


HOOKS = ("pre", "post", "on-exit")


def lose(verbs: Verbs, name: str) -> None:
    """Kill its supervisor."""
    supervisor = verbs.status(name)["supervisor"]
    os.kill(supervisor, 9)
    until = time.monotonic() + PATIENCE
    while alive(supervisor):
        assert time.monotonic() < until
        time.sleep(0.005)


def test_hooks_of_a_life_that_runs_already(verbs: Verbs, tmp_path: Path) -> None:
    """--attach: neither --pre nor --post for it, as nobody starts it; --on-exit at its end. The next life has all."""
    file = tmp_path / "told"
    hooks = [word for name in HOOKS for word in (f"--{name}", hook(file, name))]
    with subprocess.Popen(["sleep", "100"]) as running:
        verbs("start", "--name", "x", "--respawn", "-t", "0", "--attach", str(running.pid), *hooks, "sleep", "100")
        assert verbs.status("x")["pid"] == running.pid
        running.kill()
    words = [line.split()[:3] for line in told(file, 3)]
    second = verbs.status("x")["pid"]
    assert words == [
        ["on-exit", "x", "restarts=0"],
        ["pre", "x", "restarts=1"],
        ["post", "x", "restarts=1"],
    ]
    lines = file.read_text().splitlines()
    assert f"pid={running.pid} " in lines[0] and f"pid={second} " in lines[2]


def test_hooks_of_a_life_that_is_taken_over(verbs: Verbs, tmp_path: Path) -> None:
    """--on-lost keep: what its first supervisor ran is not run again; --on-exit is, at its end, and then all."""
    file = tmp_path / "told"
    hooks = [word for name in HOOKS for word in (f"--{name}", hook(file, name))]
    options = ("--respawn", "-t", "0", "--on-lost", "keep", *hooks)
    verbs.begin("x", PROGRAM, *options)
    first = verbs.status("x")["pid"]
    told(file, 2)
    lose(verbs, "x")
    verbs.begin("x", PROGRAM, *options)
    assert verbs.status("x")["pid"] == first
    os.kill(first, 9)
    words = [line.split()[0] for line in told(file, 5)]
    assert words == ["pre", "post", "on-exit", "pre", "post"]


def test_a_life_that_is_taken_over_before_it_serves(verbs: Verbs, tmp_path: Path) -> None:
    """Its --post is run when it does, by the supervisor that it has then."""
    file = tmp_path / "told"
    hooks = [word for name in HOOKS for word in (f"--{name}", hook(file, name))]
    script = f"echo $$ >{tmp_path}/pid; until test -e {tmp_path}/go; do sleep 0.02; done; echo >&3; exec sleep 100"
    options = ("--name", "x", "--on-lost", "keep", "--ready", "fd=3", *hooks, "sh", "-c", script)
    with subprocess.Popen([LOWRUN, "start", "-D", *options], env=verbs.env) as supervisor:
        (pid,) = numbers(tmp_path / "pid", 1)
        verbs.await_line("x", "x started, .*")
        supervisor.kill()
    with verbs.here("start", "-D", *options):
        verbs.await_line("x", "x has outlived its supervisor, .*")
        (tmp_path / "go").touch()
        assert [line.split()[0] for line in told(file, 2)] == ["pre", "post"]
        assert f"pid={pid} " in told(file, 2)[1]
        verbs("stop", "x")


def test_a_pre_hook_that_fails(verbs: Verbs, tmp_path: Path) -> None:
    """A life whose --pre fails has failed, and the program is not executed; whatever -e says."""
    words = ("-e", "0,3", "--pre", "sh -c 'exit 3'", "sh", "-c", f"echo 1 >{tmp_path}/ran")
    said = verbs("start", "--name", "x", *words, code=1).stderr
    assert "its pre hook: exit 3" in said
    assert not (tmp_path / "ran").exists()


def test_a_pre_hook_that_fails_once(verbs: Verbs, tmp_path: Path) -> None:
    """With --respawn the next life has its own --pre, and runs when that succeeds."""
    words = ("--respawn", "-t", "0", "--pre", f"sh -c 'test -e {tmp_path}/seen && exit; touch {tmp_path}/seen; exit 1'")
    verbs.begin("x", PROGRAM, *words)
    verbs("wait", "x", "--until", "ready", "--timeout", "10")
    assert verbs.status("x")["restarts"] == 1


def test_a_post_hook_that_fails(verbs: Verbs) -> None:
    """A --post that fails or cannot be executed harms nobody; the log has it."""
    verbs.begin("x", PROGRAM, "--post", "/nonexistent")
    verbs.await_line("x", r"hook /nonexistent: .*")
    assert verbs.status("x")["ready"]


def test_a_pre_hook_that_takes_too_long(verbs: Verbs) -> None:
    """The life has failed, and it is said for what; a hook acts on SIGTERM at once, as its program would."""
    said = verbs("start", "--name", "x", "--start-timeout", "0.5", "--pre", "sleep 100", "sleep", "100", code=1).stderr
    assert said == "lowrun: x: its pre hook: it has taken longer than 0.5 s\n"
    assert "hook sleep: it has taken longer than 0.5 s" in verbs.log("x")


def test_no_signal_is_blocked_in_hooks(verbs: Verbs, tmp_path: Path) -> None:
    """What lowrun waits for by signalfd is blocked in it, and in no hook."""
    hooks = [word for name in ("pre", "on-exit") for word in (f"--{name}", f"cp /proc/self/status {tmp_path}/{name}")]
    verbs("start", "--name", "x", *hooks, "cp", "/proc/self/status", tmp_path / "life")
    verbs("stop", "x")
    masks = [re.findall(r"SigBlk:\s*(\w+)", (tmp_path / name).read_text()) for name in ("pre", "on-exit", "life")]
    assert masks == [["0" * 16]] * 3


def test_stop_while_pre_hangs(verbs: Verbs, tmp_path: Path) -> None:
    """`stop` ends a --pre hook that hangs, deaf or not; the program is not executed."""
    words = ("-D", "--stop-timeout", "0.2", "--pre", f"sh -c 'trap \"\" TERM; echo $$ >{tmp_path}/pid; sleep 100'")
    with verbs.here("start", "--name", "x", *words, "sh", "-c", f"echo 1 >{tmp_path}/ran") as supervisor:
        (pid,) = numbers(tmp_path / "pid", 1)
        verbs("stop", "x")
        assert supervisor.wait(10) == 0
    assert not alive(pid)
    assert not (tmp_path / "ran").exists()


def test_stop_while_on_exit_hangs(verbs: Verbs, tmp_path: Path) -> None:
    """An --on-exit that hangs is ended after the stop timeout: `stop` comes back with nothing left."""
    words = ("--stop-timeout", "0.3", "--on-exit", f"sh -c 'echo $$ >{tmp_path}/pid; exec sleep 100'")
    verbs.begin("x", PROGRAM, *words)
    verbs("stop", "x")
    assert not alive(numbers(tmp_path / "pid", 1)[0])


def test_post_ends_with_its_life(verbs: Verbs, tmp_path: Path) -> None:
    """A --post that is still under way when its program ends goes with it."""
    verbs.begin("x", PROGRAM, "--post", f"sh -c 'echo $$ >{tmp_path}/pid; exec sleep 100'")
    (pid,) = numbers(tmp_path / "pid", 1)
    assert alive(pid)
    verbs("stop", "x")
    assert not alive(pid)


def test_what_hooks_write(verbs: Verbs) -> None:
    """It goes where the program's output goes, so a start that fails by its hook shows it, and the log keeps it."""
    words = ("--pre", "sh -c 'echo no database >&2; exit 1'", "sleep", "100")
    said = verbs("start", "--name", "x", *words, code=1).stderr
    assert "its pre hook: exit 1" in said
    assert "no database" in said
    assert verbs("log", "--output", "x").stdout == "no database\n"
