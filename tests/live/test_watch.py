"""The end of a process that is no child of ours, both ways: told by its pidfd, and followed by ptrace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core import watch as watch_module
from lowrun.core.lineage import read_stat
from lowrun.core.watch import Watch

#: Starts `sh -c SCRIPT` as a stranger's child, says its pid, and at a line of input reaps it; or never sees its end.
PARENT = """
import os, signal, subprocess, sys
if sys.argv[2] == "blind":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
# A group of its own, with a parent beside it: in one without (orphaned, setpgid(2)) SIGTSTP stops nobody.
child = subprocess.Popen(["sh", "-c", sys.argv[1]], restore_signals=True, preexec_fn=os.setpgrp)
print(child.pid, flush=True)
sys.stdin.readline()
child.wait()
sys.stdin.readline()
"""
WAYS = ["pidfd", "ptrace"]


def choose(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the pidfd where the kernel can, as it can here; or as on an older kernel."""
    assert watch_module.pidfds_tell_exits()
    if way != "pidfd":
        monkeypatch.setattr(watch_module, "pidfds_tell_exits", lambda: False)
        monkeypatch.setattr(watch_module, "told_by_pidfd", lambda _pidfd: None)


class Stranger:
    """A process whose parent is another one, and what is told of its end."""

    def __init__(self, script: str, parent: str = "reaps") -> None:
        self.loop = lr.Loop()
        words = [sys.executable, "-c", PARENT, script, parent]
        self.parent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.parent.stdout is not None
        self.output = self.parent.stdout
        self.pid = int(self.output.readline())
        stat = read_stat(self.pid)
        assert stat is not None
        self.start = stat.start
        self.told: list[lr.ExitStatus | None] = []

    def watch(self) -> Watch:
        """Watch it; on an "older kernel" from when the keeper has it."""
        watch = Watch(self.loop, self.pid, self.start, self._exit)
        while not watch_module.pidfds_tell_exits() and watch.reason is None and self.is_untraced():
            pass
        return watch

    def is_untraced(self) -> bool:
        return "TracerPid:\t0\n" in Path(f"/proc/{self.pid}/status").read_text()

    def _exit(self, status: lr.ExitStatus | None) -> None:
        self.told.append(status)
        self.loop.stop()

    def reap(self) -> None:
        assert self.parent.stdin is not None
        self.parent.stdin.write("\n")
        self.parent.stdin.flush()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> lr.ExitStatus | None:
        """Run the loop until its end is told; the parent reaps it meanwhile."""
        self.reap()
        self.loop.run()
        (status,) = self.told
        return status

    def state(self) -> str:
        stat = read_stat(self.pid)
        return "gone" if stat is None else stat.state

    def await_state(self, states: str) -> None:
        """Nothing tells of a stranger's state."""
        until = time.monotonic() + 10
        while self.state() not in states:
            assert time.monotonic() < until, self.state()

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *error: object) -> None:
        if self.state() not in ("Z", "gone"):
            self.signal(signal.SIGKILL)
        self.parent.communicate("\n\n")
        self.loop.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("parent", ["reaps", "blind"])
@pytest.mark.parametrize(
    ("script", "expected"),
    [("read line; exit 3", lr.ExitStatus(3)), ("read line; kill -SEGV $$", lr.ExitStatus(139, signal.SIGSEGV))],
)
def test_how_a_stranger_ended(
    script: str, expected: lr.ExitStatus, parent: str, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Code and signal arrive, though another process is its parent, and even when nobody reaps it."""
    choose(way, monkeypatch)
    os.mkfifo(tmp_path / "fifo")
    with Stranger(f"exec <{tmp_path}/fifo; {script}", parent) as stranger:
        watch = stranger.watch()
        (tmp_path / "fifo").write_text("\n")
        assert stranger.wait() == expected
        assert watch.reason is None


@pytest.mark.parametrize("way", WAYS)
def test_signals_are_passed_on_unchanged(way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stopped it stays, continued it goes on, a SIGHUP that it handles does not kill it; in the end SIGTERM does."""
    choose(way, monkeypatch)
    log = tmp_path / "log"
    script = f"exec >{log}; trap 'echo HUP' HUP; trap 'echo USR1' USR1; echo ready; while :; do sleep 0.01; done"
    with Stranger(script) as stranger:
        stranger.await_state("S")
        while not log.exists() or not log.read_text():
            pass
        watch = stranger.watch()
        for said, number in enumerate((signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP), 2):
            watch.send_signal(number)
            while len(log.read_text().split()) < said:
                stranger.loop.dispatch()
        for stop in (signal.SIGSTOP, signal.SIGTSTP):
            watch.send_signal(stop)
            stranger.await_state("Tt")
            time_before = Path(f"/proc/{stranger.pid}/schedstat").read_text()
            assert Path(f"/proc/{stranger.pid}/schedstat").read_text() == time_before
            watch.send_signal(signal.SIGCONT)
            stranger.await_state("SR")
        assert stranger.told == []
        watch.send_signal(signal.SIGTERM)
        assert stranger.wait() == lr.ExitStatus(143, signal.SIGTERM)
        assert log.read_text().split() == ["ready", "HUP", "USR1", "HUP"]


@pytest.mark.parametrize("way", WAYS)
def test_a_watch_that_is_closed_leaves_no_trace(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process lives on, traced by nobody, even when it was stopped meanwhile."""
    choose(way, monkeypatch)
    with Stranger("while :; do sleep 0.01; done") as stranger:
        watch = stranger.watch()
        watch.send_signal(signal.SIGSTOP)
        stranger.await_state("Tt")
        watch.close()
        watch.close()
        assert stranger.is_untraced()
        stranger.await_state("T")
        stranger.signal(signal.SIGCONT)
        stranger.await_state("SR")
        with pytest.raises(lr.GoneError):
            watch.send_signal(signal.SIGTERM)


def test_a_zombie_that_nobody_reaps() -> None:
    """Its end is told all the same, when we may look at it; at the latest when it is reaped."""
    with Stranger("exit 5") as stranger:
        stranger.await_state("Z")
        stranger.watch()
        stranger.loop.run()
        assert stranger.told == [lr.ExitStatus(5)]


def test_where_neither_way_is_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An old kernel, and somebody else traces it: its end is noticed; how it ended is not known, and it is said why."""
    choose("ptrace", monkeypatch)
    os.mkfifo(tmp_path / "fifo")
    with Stranger(f"read line <{tmp_path}/fifo; exit 3", "blind") as stranger:
        words = ["strace", "-o", "/dev/null", "-p", str(stranger.pid)]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            assert "attached" in tracer.stderr.readline()
            watch = stranger.watch()
            while watch.reason is None:
                stranger.loop.dispatch(-1)
            assert "Operation not permitted" in watch.reason
            (tmp_path / "fifo").write_text("\n")
            assert stranger.wait() in (None, lr.ExitStatus(3))
            tracer.communicate()


def test_another_process_with_the_pid_is_not_watched() -> None:
    """The start time has to be right."""
    with Stranger("exec sleep 100") as stranger, pytest.raises(lr.GoneError):
        Watch(stranger.loop, stranger.pid, stranger.start - 1, stranger.told.append)
    with lr.Loop() as loop, pytest.raises(lr.GoneError):
        Watch(loop, 1 << 30, 1, lambda _status: None)


@pytest.mark.parametrize("way", WAYS)
def test_a_thread_that_ends_the_program(way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first thread may be gone long before: the status is that of the whole program."""
    choose(way, monkeypatch)
    first, second = tmp_path / "first", tmp_path / "second"
    os.mkfifo(first)
    os.mkfifo(second)
    script = "import ctypes, os, sys, threading; act = lambda: (open(sys.argv[2]).read(), os._exit(6)); "
    script += "threading.Thread(target=act).start(); open(sys.argv[1]).read(); ctypes.CDLL(None).pthread_exit(None)"
    with Stranger(f"exec {sys.executable} -c '{script}' {first} {second}") as stranger:
        stranger.watch()
        first.write_text("go")
        stranger.await_state("Z")
        second.write_text("go")
        assert stranger.wait() == lr.ExitStatus(6)
