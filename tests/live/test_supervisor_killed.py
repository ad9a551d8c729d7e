"""kill -9 of the supervisor at any system call of a start, a respawn and a stop: what is left, and what can be told."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lowrun import supervise
from lowrun.errors import LowrunError
from tests.programs import LOWRUN
from tests.supervised import PATIENCE, calls_in

#: LOWRUN_KILL_EVERY=N: at each call, from the Nth on; else at so many, spread over all.
SAMPLE = 16
EVERY = os.environ.get("LOWRUN_KILL_EVERY", "")
NAME = "victim"
#: Calls that were not made this time: how often a loop is woken is not always the same.
MISSED: list[tuple[str, int]] = []


class Scene:
    """`lowrun start -D` of a program that says its pid; `path` is unique in the environment of all that it starts."""

    def __init__(self, path: Path, on_lost: str) -> None:
        path.mkdir()
        self.path, self.lives = path, path / "lives"
        self.env = {**os.environ, "LOWRUN_STATE_DIR": str(path / "state"), "LOWRUN_LOG": ""}
        script = f"echo $$ >>{self.lives}; exec sleep 1000"
        options = ["-D", "--respawn", "-t", "0", "--on-lost", on_lost, "--name", NAME]
        self.words = [LOWRUN, "start", *options, "sh", "-c", script]

    def start(self, *tracer: str | Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*map(str, tracer), *self.words],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.path / "stderr").open("ab"),
        )

    def pids(self) -> list[int]:
        """All lives that there were, in their order."""
        try:
            return [int(word) for word in self.lives.read_text().split()]
        except FileNotFoundError:
            return []

    def instances(self) -> list[int]:
        """The processes that live now, the supervisor and keepers left out: by their environment."""
        found = []
        mark = f"LOWRUN_STATE_DIR={self.path}/state\0".encode()
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                name = Path(f"/proc/{entry}/comm").read_text().strip()
                if name in ("sh", "sleep") and mark in Path(f"/proc/{entry}/environ").read_bytes():
                    found.append(int(entry))
            except OSError:
                continue
        return found

    def truth(self) -> supervise.Truth | None:
        os.environ["LOWRUN_STATE_DIR"] = str(self.path / "state")
        with supervise.StateDirectory.open() as directory:
            state = directory.find(NAME)
            if state is None:
                return None
            with state:
                return state.truth()

    def stop(self) -> None:
        """Stop it through its supervisor, if that lives."""
        os.environ["LOWRUN_STATE_DIR"] = str(self.path / "state")
        with supervise.StateDirectory.open() as directory, directory.program(NAME) as state:
            supervise.ask(state, {"do": "stop"}, PATIENCE)

    def play(self, supervisor: subprocess.Popen[bytes]) -> None:
        """A start, a respawn and a stop; it may die at any moment."""

        def died() -> bool:
            return supervisor.poll() is not None

        def runs(life: int) -> bool:
            return died() or (len(self.pids()) >= life and (truth := self.truth()) is not None and truth.ready)

        await_(lambda: runs(1))
        for pid in self.pids()[-1:]:
            if not died():
                os.kill(pid, signal.SIGKILL)
        await_(lambda: runs(2))
        if not died():
            try:
                self.stop()
            except (LowrunError, OSError):
                assert supervisor.wait(PATIENCE) != 0
        supervisor.wait(PATIENCE)


def await_(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.002)


def calls_of(path: Path, on_lost: str) -> list[tuple[str, int]]:
    """Return each system call of a whole scene as its name and the how manieth of that name it is.

    From the first one on that concerns the program's state: until then there is nothing that could be left behind.
    """
    scene = Scene(path, on_lost)
    log = path / "calls"
    with scene.start("strace", "-o", log) as supervisor:
        scene.play(supervisor)
    assert supervisor.returncode == 0, (path / "stderr").read_text()
    lines = log.read_text(errors="replace").splitlines()
    begin = next(line for line in lines if re.search(r'mkdirat?\(.*state"', line))
    name = begin.partition("(")[0]
    calls = calls_in(log)
    return calls[calls.index((name, sum(line.startswith(name + "(") for line in lines[: lines.index(begin) + 1]))) :]


def check_after(scene: Scene, on_lost: str) -> None:
    """What is left, what is said of it, and that the next start works."""
    if on_lost == "kill":
        await_(lambda: not scene.instances())
        truth = scene.truth()
        assert truth is None or not truth.running, truth
    else:
        await_(lambda: tells_the_truth(scene))
    left = scene.instances()
    assert len(left) <= (on_lost == "keep"), left
    supervisor = scene.start()
    try:
        await_(lambda: supervisor.poll() is not None or serves(scene, supervisor.pid))
        assert supervisor.poll() is None, (scene.path / "stderr").read_text()
        truth = scene.truth()
        assert truth is not None
        assert truth.supervisor == supervisor.pid
        assert not set(scene.instances()) - {truth.pid}
        await_(lambda: scene.instances() == [truth.pid])  # what is in an exec has no environment
        scene.stop()
        assert supervisor.wait(PATIENCE) == 0, (scene.path / "stderr").read_text()
    finally:
        supervisor.kill()
        supervisor.wait()
    assert not scene.instances()
    truth = scene.truth()
    assert truth is not None
    assert (truth.running, truth.phase) == (False, "done")


def serves(scene: Scene, supervisor: int) -> bool:
    """The program is ready, and this is its supervisor: one that was kept is ready before."""
    truth = scene.truth()
    return truth is not None and truth.ready and truth.supervisor == supervisor


def tells_the_truth(scene: Scene) -> bool:
    """Status says what lives: a life that was told to end may do so just between two looks."""
    before, truth, after = scene.instances(), scene.truth(), scene.instances()
    if before != after:
        return False
    if truth is None or not truth.running:
        return not after
    assert truth.phase == "lost", truth
    return after == [truth.pid]


def killed_at(path: Path, call: tuple[str, int], on_lost: str) -> str:
    """Return what went wrong, "" when all was well.

    strace counts the calls of each name apart, with inject=all, too.
    """
    scene = Scene(path, on_lost)
    name, when = call
    supervisor = scene.start("strace", "-o", path / "calls", "-e", f"inject={name}:signal=KILL:when={when}")
    try:
        scene.play(supervisor)
        check_after(scene, on_lost)
    except (AssertionError, LowrunError) as error:
        calls = (path / "calls").read_text(errors="replace").splitlines()[-4:]
        log = path / "state" / NAME / "log"
        return f"{on_lost}, {call}: {error}\n{calls}\n{log.read_text() if log.exists() else ''}"
    finally:
        supervisor.kill()
        supervisor.wait()
        for pid in scene.instances():
            os.kill(pid, signal.SIGKILL)
    if "+++ killed by SIGKILL +++" not in (path / "calls").read_text(errors="replace"):
        MISSED.append(call)
    shutil.rmtree(path)
    return ""


@pytest.mark.slow
@pytest.mark.timeout(0 if EVERY else 120)
@pytest.mark.parametrize("on_lost", ["kill", "keep"])
def test_at_any_system_call(on_lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards status never lies and a start works; with kill nothing survives, with keep one instance at most."""
    monkeypatch.setenv("LOWRUN_STATE_DIR", "")  # set anew for each scene, and back in the end
    MISSED.clear()
    calls = calls_of(tmp_path / "whole", on_lost)
    step = 1 if EVERY else max(1, len(calls) // SAMPLE)
    failures = []
    for place in range(int(EVERY or 1) - 1, len(calls), step):
        if failure := killed_at(tmp_path / str(place), calls[place], on_lost):
            failures.append(failure)
            print(failure, flush=True)
    print(f"{on_lost}: {len(calls)} calls, step {step}, not reached {MISSED}")
    assert not failures, "\n".join(failures)
    assert len(MISSED) * 5 < len(calls) / step, f"the scene is another each time: {MISSED}"
