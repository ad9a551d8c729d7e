"""What the keeper tells of the orphans of its tree, and what can be done to one process of it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.process import Process
from tests.programs import alive, mock


class Told:
    """A command in a loop of its own, and all that is told of it, in order."""

    def __init__(self, loop: lr.Loop, keepers: Keepers, launch: Launch, fds: dict[int, int]) -> None:
        self.events: list[tuple[str, int, int]] = []
        self.loop = loop
        self.process = Process(loop, keepers, launch, fds, on_end=self._ended, on_reaped=self._reaped, linger=None)
        self.process.when_exited(lambda status: self._add("exited", 0, status))
        self._until: Callable[[], bool] = lambda: False

    def _add(self, kind: str, pid: int, status: lr.ExitStatus | None) -> None:
        self.events.append((kind, pid, 0 if status is None else status.code))
        if self._until():
            self.loop.stop()

    def _reaped(self, pid: int, status: lr.ExitStatus) -> None:
        self._add("reaped", pid, status)

    def _ended(self, _process: Process) -> None:
        self._add("ended", 0, None)

    def wait(self, until: Callable[[], bool]) -> None:
        """Run the loop until something was told that makes `until()` true."""
        self._until = until
        if not until():
            self.loop.run()

    def wait_for(self, kind: str) -> None:
        """Run the loop until `kind` was told."""
        self.wait(lambda: any(event[0] == kind for event in self.events))


@contextmanager
def running(*words: object, fds: dict[int, int] | None = None) -> Iterator[Told]:
    """A command under way; what is left of it in the end is killed."""
    with lr.Loop() as loop:
        keepers = Keepers(loop)
        launch = Launch(lr.Command.of([str(word) for word in words]))
        told = Told(loop, keepers, launch, fds or {})
        try:
            yield told
        finally:
            told.process.close()
            keepers.close()
            launch.close()


@contextmanager
def family(tmp_path: Path) -> Iterator[tuple[Told, list[int]]]:
    """The tree of mock/family.sh when it is ready: itself, a child, one in another session, an orphan."""
    read, write = os.pipe()
    with running(mock("family.sh"), tmp_path / "pids", fds={1: write}) as told:
        os.close(write)
        assert os.read(read, 10)
        os.close(read)
        yield told, [int(word) for word in (tmp_path / "pids").read_text().split()]


def test_a_daemon_that_forked_away_is_told_of(tmp_path: Path) -> None:
    """The starter's exit comes first, then the daemon's own pid and status; then the tree's end."""
    pids = tmp_path / "pid"
    with running("sh", "-c", f"setsid sh -c 'echo $$ >{pids}; read line <{tmp_path}/fifo; exit 5' &") as told:
        os.mkfifo(tmp_path / "fifo")
        told.wait_for("exited")
        assert told.events == [("exited", 0, 0)]
        (tmp_path / "fifo").write_text("go\n")
        told.wait_for("ended")
        assert told.events[1:] == [("reaped", int(pids.read_text()), 5), ("ended", 0, 0)]


def test_every_orphan_is_told_of_once() -> None:
    """Two thousand orphans, each with a status of its own, while nobody listens: none is lost, none told twice."""
    script = 'for i in $(seq 2000); do (sh -c "exit $((i % 7))" &) ; done; exit 3'
    with running("sh", "-c", script) as told:
        told.wait_for("ended")
        reaped = [event for event in told.events if event[0] == "reaped"]
        assert len({pid for _, pid, _ in reaped}) == len(reaped) == 2000
        assert [sum(code == i for _, _, code in reaped) for i in range(7)] == [285] + [286] * 5 + [285]
        assert [event for event in told.events if event[0] != "reaped"] == [("exited", 0, 3), ("ended", 0, 0)]


def test_a_signal_that_killed_an_orphan_is_told(tmp_path: Path) -> None:
    """An orphan of the tree that is killed ends with 128 and its signal; the others go on, without a time limit."""
    with family(tmp_path) as (told, pids):
        (orphan,) = dict(told.process.children()).keys() - {pids[0]}
        os.kill(orphan, signal.SIGKILL)
        told.wait_for("reaped")
        assert told.events == [("reaped", orphan, 128 + signal.SIGKILL)]
        assert sum(alive(pid) for pid in pids) == 3


def test_the_keepers_children(tmp_path: Path) -> None:
    """They are the command and its orphans, with start times; who has a parent of its own is not among them."""
    with family(tmp_path) as (told, pids):
        children = dict(told.process.children())
        assert len(children) == 2
        assert children.keys() < set(pids)
        started = Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[19]
        assert children[pids[0]] == int(started)
    assert told.process.children() == []


def test_signals_for_one_process_of_the_tree(tmp_path: Path) -> None:
    """Any of the tree can be signalled by its pid, grandchildren too; a stranger never, whatever its pid."""
    stranger = subprocess.Popen(["sleep", "100"])
    with family(tmp_path) as (told, pids):
        for pid in (stranger.pid, os.getpid(), told.process.keeper_pid, 1, 1 << 30):
            with pytest.raises(lr.GoneError):
                told.process.send_signal_to(pid, signal.SIGKILL)
        pidfd = os.pidfd_open(pids[2])
        told.process.send_signal_to(pids[2], signal.SIGUSR1)
        assert select.select([pidfd], [], [], 10)[0]
        os.close(pidfd)
        assert stranger.poll() is None
        told.process.signal_tree(signal.SIGTERM)
        told.wait_for("ended")
        assert not any(alive(pid) for pid in pids)
    stranger.kill()
    stranger.wait()
