"""A tree that outlives the lowrun that started it: one instance, the same pid, its end not lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core.door import query
from lowrun.core.fd import OwnedFd
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.process import Process
from tests.programs import alive, processes
from tests.supervised import calls_in

#: Says that it is ready. At a line of input it starts `sh -c SCRIPT` behind the door PATH and says its pid; at the next
#: it ends as that says, at the input's end without a word.  PATH SCRIPT
OWNER = """
import os, sys
import lowrun as lr
from pathlib import Path
from lowrun.core.door import open_door
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.process import Process

def hear(_events):
    if os.read(0, 100) == b"close\\n":
        process.close()
        keepers.close()
    loop.stop()

def started(process):
    print(process.pid, flush=True)
    loop.add_io(0, lr.READ, hear)

with lr.Loop() as loop:
    keepers = Keepers(loop)
    launch = Launch(lr.Command.of(["sh", "-c", sys.argv[2]]))
    print("ready", flush=True)
    os.read(0, 3)
    stay = open_door(Path(sys.argv[1]))
    process = Process(
        loop, keepers, launch, {}, stay=stay, linger=None,
        on_start=started, on_reaped=lambda *_: None, on_end=lambda _p: None,
    )
    loop.run()
os._exit(0)
"""


@contextmanager
def owner(door: Path, script: str) -> Iterator[subprocess.Popen[str]]:
    """The OWNER under way; killed in the end."""
    words = [sys.executable, "-c", OWNER, door, script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def said_pid(process: subprocess.Popen[str]) -> int:
    """Let the owner begin, and return the pid of its program."""
    say(process, "go")
    assert process.stdout is not None
    return int(process.stdout.readline())


def lose(process: subprocess.Popen[str]) -> None:
    """Kill the owner, and wait for its death."""
    process.kill()
    process.wait()


class Adopter:
    """The next lowrun: adopts what is behind a door, and hears what becomes of it."""

    def __init__(self, door: Path) -> None:
        self.loop = lr.Loop()
        self.keepers = Keepers(self.loop)
        self.events: list[tuple[object, ...]] = []
        self._until: Callable[[], bool] = lambda: False
        try:
            keeper = self.keepers.adopt(door)
        except BaseException:
            self.close()
            raise
        assert keeper.stay is not None
        self.stay: OwnedFd = keeper.stay
        self.process = self._listen(Process.adopted(self.loop, self.keepers, keeper, linger=None, **self._callbacks()))

    def _callbacks(self) -> dict[str, Callable[..., object]]:
        return {
            "on_end": lambda process: self._add("ended", process.status),
            "on_reaped": lambda pid, status: self._add("reaped", pid, status.code),
        }

    def _listen(self, process: Process) -> Process:
        process.when_exited(lambda status: self._add("exited", status.code))
        return process

    def spawn(self, launch: Launch) -> None:
        """Start the next life."""
        self.process = self._listen(
            Process(self.loop, self.keepers, launch, {}, stay=self.stay, linger=None, **self._callbacks())
        )

    def _add(self, *event: object) -> None:
        self.events.append(event)
        if self._until():
            self.loop.stop()

    def wait_for(self, kind: str) -> None:
        """Run the loop until `kind` was told."""
        self._until = lambda: any(event[0] == kind for event in self.events)
        if not self._until():
            self.loop.run()

    def close(self) -> None:
        """End all that was adopted."""
        self.keepers.close()
        self.loop.close()

    def __enter__(self) -> Adopter:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.close()
        self.close()
        self.stay.close()


def traced_owner(door: Path, script: str, *options: object) -> None:
    """Run the owner to its end, from its beginning on traced by strace with `options`: it alone, not what it makes."""
    with owner(door, script) as process:
        words = ["strace", "-p", process.pid, *options]
        with subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            assert "attached" in tracer.stderr.readline()
            process.communicate("go\n")
            tracer.communicate()


def keepers_alive() -> set[int]:
    return {pid for pid, (_, name) in processes().items() if name == "lowrun-keeper"}


def wait_until(condition: Callable[[], bool]) -> None:
    """For what nothing tells of: the end of processes that are none of ours."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        os.sched_yield()


def test_the_next_lowrun_adopts_the_program_that_lives(tmp_path: Path) -> None:
    """After SIGKILL of its owner the program goes on, with its pid; the adopter can signal it and hears of its end."""
    with owner(tmp_path / "door", "exec sleep 100") as process:
        pid = said_pid(process)
        lose(process)
        assert alive(pid)
        with Adopter(tmp_path / "door") as adopter:
            assert adopter.process.pid == pid
            assert adopter.process.alive
            assert alive(pid)
            adopter.process.send_signal(signal.SIGUSR1)
            adopter.wait_for("ended")
            code = 128 + signal.SIGUSR1
            assert adopter.events == [("exited", code), ("ended", lr.ExitStatus(code, signal.SIGUSR1))]
            assert adopter.process.started_ns < adopter.process.ended_ns


def test_an_end_that_nobody_heard_of_is_told(tmp_path: Path) -> None:
    """The program ends while it has no owner: the next one gets its status, its orphans' too."""
    fifos = [tmp_path / "one", tmp_path / "two"]
    for fifo in fifos:
        os.mkfifo(fifo)
    script = f"(read line <{fifos[0]}; exit 4) & (read line <{fifos[1]}; exit 5) & exit 3"
    with owner(tmp_path / "door", script) as process:
        pid = said_pid(process)
        lose(process)
        for fifo in fifos:
            fifo.write_text("\n")
        wait_until(lambda: (tree := query(tmp_path / "door")) is not None and tree.gone)
        with Adopter(tmp_path / "door") as adopter:
            assert adopter.process.pid == pid
            adopter.wait_for("ended")
            assert adopter.events[0] == ("exited", 3)
            assert sorted(event[2] for event in adopter.events[1:-1]) == [4, 5]  # type: ignore[type-var]
            assert adopter.events[-1] == ("ended", lr.ExitStatus(3))


def test_a_lowrun_that_closes_ends_its_tree(tmp_path: Path) -> None:
    """Staying is for an owner that is lost: one that closes its process ends it, as ever."""
    before = keepers_alive()
    with owner(tmp_path / "door", "exec sleep 100") as process:
        pid = said_pid(process)
        say(process, "close")
        assert process.wait(10) == 0
        assert not alive(pid)
        assert keepers_alive() <= before
        assert query(tmp_path / "door") is None
        with pytest.raises(ConnectionError):
            Adopter(tmp_path / "door")


def test_a_question_changes_nothing(tmp_path: Path) -> None:
    """Anybody with the right may ask while it has an owner and while it has none; the answer is the same."""
    assert query(tmp_path / "door") is None
    with owner(tmp_path / "door", "exec sleep 100") as process:
        pid = said_pid(process)
        for owned in (True, False):
            for _ in range(3):
                tree = query(tmp_path / "door")
                assert tree is not None
                assert (tree.pid, tree.owned, tree.gone, tree.status) == (pid, owned, False, None)
            if owned:
                lose(process)
        with Adopter(tmp_path / "door") as adopter:
            tree = query(tmp_path / "door")
            assert tree is not None
            assert tree.owned
            adopter.process.kill()
            adopter.wait_for("ended")
            tree = query(tmp_path / "door")
            assert tree is not None
            assert tree.gone
            assert tree.status == lr.ExitStatus(137, signal.SIGKILL)


def test_what_lives_is_not_taken_from_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wants to adopt while the owner lives waits for its death, and in vain in the end."""
    monkeypatch.setattr("lowrun.core.door.PATIENCE", 0.2)
    with owner(tmp_path / "door", "exec sleep 100") as process:
        pid = said_pid(process)
        with pytest.raises(lr.BusyError):
            Adopter(tmp_path / "door")
        monkeypatch.setattr("lowrun.core.door.PATIENCE", 20)
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -KILL {process.pid}"])
        with Adopter(tmp_path / "door") as adopter:
            assert adopter.process.pid == pid
            assert alive(pid)
        killer.wait()


def test_silent_visitors_hold_nothing_up(tmp_path: Path) -> None:
    """Connections that say nothing, or nonsense: the keeper answers others, and its tree goes on."""
    with owner(tmp_path / "door", "exec sleep 100") as process:
        pid = said_pid(process)
        visitors = []
        for words in (None, None, b"x", b"", None, b"y" * 4096, None, None, None):
            visitor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            visitor.connect(str(tmp_path / "door"))
            if words is not None:
                visitor.send(words)
            visitors.append(visitor)
        tree = query(tmp_path / "door")
        assert tree is not None
        assert tree.pid == pid
        lose(process)
        with Adopter(tmp_path / "door") as adopter:
            assert adopter.process.pid == pid
        for visitor in visitors:
            visitor.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root has another user to be")
def test_others_are_not_let_in(tmp_path: Path) -> None:
    """Who is neither root nor the keeper's user is turned away, even with the socket open for all."""
    with owner(tmp_path / "door", "exec sleep 100") as process:
        said_pid(process)
        assert os.stat(tmp_path / "door").st_mode & 0o777 == 0o600
        os.chmod(tmp_path / "door", 0o666)
        for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            os.chmod(directory, 0o755)
        script = "import os, socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); os.setgroups([]); "
        script += "os.setgid(12345); os.setuid(12345); s.connect(sys.argv[1]); print(len(s.recv(10)))"
        done = subprocess.run([sys.executable, "-c", script, tmp_path / "door"], capture_output=True, text=True)
        assert done.stdout == "0\n", done.stderr
        process.kill()
        process.wait()
        with Adopter(tmp_path / "door"):
            pass


def test_lives_after_an_adoption(tmp_path: Path) -> None:
    """The adopter respawns through the same keeper, is lost itself, and so on; what was forgotten is not kept."""
    with owner(tmp_path / "door", "exit 3") as process:
        said_pid(process)
        lose(process)
        with Adopter(tmp_path / "door") as adopter:
            keeper = adopter.process.keeper_pid
            adopter.wait_for("ended")
            launch = Launch(lr.Command.of(["sh", "-c", "exit 4"]))
            for _ in range(3):
                adopter.events.clear()
                adopter.spawn(launch)
                assert adopter.process.keeper_pid == keeper
                adopter.wait_for("ended")
                tree = query(tmp_path / "door")
                assert tree is not None
                assert tree.status == lr.ExitStatus(4)
            launch.close()
            adopter.keepers.forget(adopter.stay)
            assert query(tmp_path / "door") is None


@pytest.mark.parametrize("last", ["exec sleep 100", "exit 7"], ids=["lives", "ends"])
def test_an_owner_killed_at_any_call(last: str, tmp_path: Path) -> None:
    """SIGKILL at each system call that the owner makes from its first one on for the program: one instance, or none.

    Who comes next adopts it, alive or with its status; or finds nobody and may start afresh, as nothing of it lives.
    """
    log = tmp_path / "log"
    traced_owner(tmp_path / "door", last, "-o", log)
    with Adopter(tmp_path / "door"):
        pass
    calls = calls_in(log)
    adopted = 0
    for name, when in calls:
        place = tmp_path / f"{name}{when}"
        place.mkdir()
        lives = place / "lives"
        inject = f"inject={name}:signal=KILL:when={when}"
        traced_owner(place / "door", f"echo $$ >>{lives}; {last}", "-o", "/dev/null", "-e", inject)
        try:
            with Adopter(place / "door") as adopter:
                adopted += 1
                if last == "exit 7":
                    adopter.wait_for("ended")
                    assert adopter.events == [("exited", 7), ("ended", lr.ExitStatus(7))]
                wait_until(lambda lives=lives: lives.exists() and "\n" in lives.read_text())  # type: ignore[misc]
                assert lives.read_text() == f"{adopter.process.pid}\n"
                assert alive(int(lives.read_text())) == (last != "exit 7")
        except (FileNotFoundError, ConnectionError):
            assert not lives.exists() or not any(alive(int(word)) for word in lives.read_text().split())
    assert 0 < adopted < len(calls), (adopted, calls)
