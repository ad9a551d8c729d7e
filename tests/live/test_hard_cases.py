"""Corners in which a tree could get away, a host could be disturbed, or an end could be missed."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core import keepers as keepers_module
from lowrun.core.fd import OwnedFd
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.process import Process
from tests.programs import LOWRUN, alive, mock

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def gone(pid: int, seconds: float = 10) -> bool:
    """Wait until `pid` has ended."""
    deadline = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def pids_in(file: Path, count: int) -> list[int]:
    """Wait until `file` names `count` processes."""
    deadline = time.monotonic() + 10
    while not file.exists() or len(file.read_text().split()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return [int(word) for word in file.read_text().split()]


# -- the keeper


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_killed_process_group_takes_its_trees_along(jobs: str, tmp_path: Path) -> None:
    """SIGKILL to lowrun's whole process group, as timeout(1) and shells send it: no process of a run survives."""
    words = [LOWRUN, "-q", "-j", jobs, mock("family.sh"), str(tmp_path / "pids")]
    program = subprocess.Popen(words, process_group=0)
    family = pids_in(tmp_path / "pids", 4)
    os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    assert all(gone(pid) for pid in family)


def test_sigchld_ignored_by_the_caller(tmp_path: Path) -> None:
    """lowrun inherits SIGCHLD as ignored: the code is the command's all the same, and the command inherits it too."""
    script = f"trap '' CHLD; {LOWRUN} grep SigIgn /proc/self/status; {LOWRUN} sh -c 'exit 7'; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
    assert done.stdout.split()[-1] == "7"
    assert int(done.stdout.split()[1], 16) & 1 << signal.SIGCHLD - 1


def test_a_command_that_kills_its_keeper(tmp_path: Path) -> None:
    """The command itself and, with a cgroup, all of its tree end; lowrun says that it cannot know more, 125."""
    file = tmp_path / "pids"
    script = f"echo $$ >{file}; kill -KILL $PPID; sleep 100"
    done = subprocess.run([LOWRUN, "-q", "sh", "-c", script], capture_output=True, timeout=20)
    assert done.returncode == 125
    assert all(gone(pid) for pid in pids_in(file, 1))


def test_a_command_that_stops_its_keeper() -> None:
    """A stopped keeper is woken when the tree is to end: -t works."""
    words = ["-t", "0.3", "--kill-after", "0.3", "--json", "-", "sh", "-c", "kill -STOP $PPID; sleep 100"]
    done = subprocess.run([LOWRUN, *words], capture_output=True, timeout=20)
    assert done.returncode == 124
    assert json.loads(done.stdout)["wall_s"] < 3


def test_a_copy_of_the_socket_holds_nothing_up(tmp_path: Path) -> None:
    """A child that the host forked behind Python's back has a copy of the socket: the tree ends, and at once."""
    file = tmp_path / "pids"
    with lr.Loop() as loop:
        keepers = Keepers(loop)
        launch = Launch(lr.Command.of(["sh", "-c", f"echo $$ >{file}; exec sleep 100"]))
        process = Process(loop, keepers, launch, {}, on_end=lambda _p: None)
        (pid,) = pids_in(file, 1)
        child = ctypes.CDLL(None).fork()
        if child == 0:
            signal.pause()
        begun = time.monotonic()
        process.close()
        assert time.monotonic() - begun < 2
        assert not alive(pid)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        keepers.close()
        launch.close()


def test_many_direct_children() -> None:
    """Three thousand orphans, more than one read of /proc holds: all are ended, and nobody else."""
    script = "for i in $(seq 3000); do (sleep 100 &) ; done; exit 3"
    stranger = subprocess.Popen(["sleep", "100"])
    assert lr.run(["bash", "-c", script], quiet=True).status.code == 3
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_where_no_cgroup_can_be_entered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """clone3 into the cgroup is refused (here: it is none): the run does without, and leaves no directory."""
    directory = tmp_path / "no-cgroup"
    directory.mkdir()
    monkeypatch.setattr(
        keepers_module, "writable_cgroup", lambda: OwnedFd(os.open(directory, os.O_RDONLY | os.O_CLOEXEC))
    )
    assert lr.run(["sh", "-c", "exit 4"]).status.code == 4
    assert not list(directory.iterdir())


@ROOT_ONLY
def test_without_proc() -> None:
    """No /proc: the tree cannot be read, but -t ends the command itself all the same."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("needs a mount namespace of its own (not to be had in a chroot)")
    script = f"umount -l /proc; exec {LOWRUN} -q -t 0.3 --kill-after 0.2 sh -c 'trap \"\" TERM; exec sleep 100'"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=20)
    assert done.returncode == 124, done


def test_lowrun_inside_lowrun() -> None:
    """An inner lowrun that is killed with its keeper leaves its cgroup inside the outer one's: both are removed."""
    unified = Path("/sys/fs/cgroup/unified")
    before = set(unified.glob("lowrun-*")) if unified.is_dir() else set()
    inner = [LOWRUN, "-q", "sh", "-c", "trap '' TERM; sleep 100; sleep 100"]
    done = subprocess.run([LOWRUN, "-q", "-t", "0.4", "--kill-after", "0.1", *inner], capture_output=True, timeout=20)
    assert done.returncode == 124
    if unified.is_dir():
        deadline = time.monotonic() + 5
        while mine := [path for path in set(unified.glob("lowrun-*")) - before if _has_our_child(path)]:
            assert time.monotonic() < deadline, mine


def _has_our_child(cgroup: Path) -> bool:
    try:
        return any(path.name.startswith("lowrun-") for path in cgroup.iterdir())
    except OSError:
        return False


# -- where a command starts


@ROOT_ONLY
def test_a_directory_that_may_not_be_opened(tmp_path: Path) -> None:
    """The working directory is root's alone and the caller an ordinary user: commands run, as without lowrun."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", LOWRUN, "true"]
    assert subprocess.run(words, cwd=closed, capture_output=True).returncode == 0


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    """The working directory was removed: a command that needs none runs."""
    script = f"mkdir {tmp_path}/d; cd {tmp_path}/d; rmdir {tmp_path}/d; exec {LOWRUN} true"
    assert subprocess.run(["sh", "-c", script], capture_output=True).returncode == 0


@ROOT_ONLY
def test_an_output_directory_that_may_not_be_made(tmp_path: Path) -> None:
    """-o in another user's directory is refused before the first run: exit 2, one line."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", LOWRUN]
    done = subprocess.run([*words, "-lt", "-o", closed / "a" / "b", "true"], capture_output=True, text=True, cwd="/")
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1


def test_nul_in_the_environment() -> None:
    """A NUL in a variable would smuggle in another one: refused."""
    with pytest.raises(lr.UsageError):
        lr.run(lr.Command(("true",), env={"A": "1\0EVIL=2"}))


@pytest.mark.parametrize("options", [{"timeout": 1e300}, {"kill_after": float("nan")}, {"timeout": -1}])
def test_durations_that_make_no_sense(options: dict[str, float]) -> None:
    """They are refused before anything is started."""
    with pytest.raises(lr.UsageError):
        lr.run(["true"], **options)


# -- the order of ends


def test_a_timeout_does_not_lengthen_an_interruption() -> None:
    """SIGTERM at 0.1 s, the timeout at 0.3 s with a long --kill-after: all is over within a second of the signal."""
    words = ["-t", "0.4", "--kill-after", "5", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
    program = subprocess.Popen([LOWRUN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stdout.readline() == b"ready\n"
    begun = time.monotonic()
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    assert time.monotonic() - begun < 1.5
    assert program.returncode == 128 + signal.SIGTERM


def test_the_failure_limit_holds_for_runs_being_prepared(tmp_path: Path) -> None:
    """-fc 1 is reached while another run's prepare command is under way: that run does not start."""
    prepare = f"sh -c 'mkdir {tmp_path}/first || exec sleep 0.5'"
    words = ["-j", "2", "-c", "6", "-fc", "1", "--prepare", prepare, "--json", "-", "sh", "-c", "sleep 0.1; exit 3"]
    done = subprocess.run([LOWRUN, *words], capture_output=True, timeout=20)
    assert len(json.loads(done.stdout)["runs"]) == 1


# -- callbacks that raise, loops that are closed


def test_a_raising_result_callback_does_not_stop_the_others() -> None:
    """What on_result raises comes out of dispatch(); the repetition goes on to its end when the host does."""
    ends: list[lr.Repeater] = []
    with lr.Loop() as loop:
        repeater = lr.Repeater(["true"], count=3, on_result=lambda _r: 1 // 0, on_end=ends.append)
        with repeater:
            repeater.start(loop)
            raised = 0
            while not ends:
                try:
                    loop.dispatch(-1)
                except ZeroDivisionError:
                    raised += 1
        assert raised == 3
        assert len(repeater.summary.results) == 3


def test_a_raising_child_callback_does_not_lose_the_end() -> None:
    """What a child's callback raises comes out of dispatch(); the process's end is told all the same."""
    ends: list[Process] = []
    with lr.Loop() as loop:
        keepers = Keepers(loop)
        launch = Launch(lr.Command.of(["true"]))
        process = Process(loop, keepers, launch, {}, on_end=ends.append)
        loop.add_child(process, lambda _s: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            loop.run()
        assert ends == [process]
        keepers.close()
        launch.close()


def test_a_closed_loop_writes_into_nothing(tmp_path: Path) -> None:
    """Its eventfd's number may be another file's: deferring a call is refused."""
    loop = lr.Loop()
    loop.close()
    with open(tmp_path / "victim", "wb"), pytest.raises(lr.ClosedError):
        loop.call_soon_threadsafe(loop.stop)
    assert (tmp_path / "victim").stat().st_size == 0


def test_a_forked_child_leaves_its_parents_runs_alone(tmp_path: Path) -> None:
    """The child closes its copy of a traced repetition at once; the parent's goes on to its end."""
    command = ["sh", "-c", "echo ready; sleep 0.3; echo done; exit 5"]
    record = [lr.Calls(), lr.Output()]
    with lr.Loop() as loop:
        repeater = lr.Repeater(command, record=record, quiet=True, output=tmp_path / "o", on_end=lambda _r: loop.stop())
        with repeater:
            repeater.start(loop)
            while not repeater.active:
                loop.dispatch(-1)
            pid = os.fork()
            if pid == 0:
                begun = time.monotonic()
                repeater.close()
                os._exit(0 if time.monotonic() - begun < 1 else 1)
            loop.run()
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            (result,) = repeater.summary.results
    assert result.status.code == 5
    assert result.artifacts["stdout"].read_text() == "ready\ndone\n"
    assert "exit_group(5)" in result.artifacts["calls"].read_text()


def test_an_interrupt_in_a_host_leaves_nothing(tmp_path: Path) -> None:
    """KeyboardInterrupt while a host waits in lowrun.run: the tree is gone when it comes out."""
    script = f"import lowrun\nlowrun.run(['sh', '-c', 'echo $$ >{tmp_path}/pid; exec sleep 100'])"
    host = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    (pid,) = pids_in(tmp_path / "pid", 1)
    host.send_signal(signal.SIGINT)
    _, words = host.communicate(timeout=20)
    assert b"KeyboardInterrupt" in words
    assert not alive(pid)
