"""The main process of real programs: found, named, held, and its end told."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core.fd import Closable
from lowrun.core.lineage import Held, children_of
from lowrun.core.process import Process
from lowrun.supervise.mainprocess import MainProcess
from lowrun.supervise.pidfile import PidFile, check
from tests.trees import House


class Followed:
    """A program whose main process is followed."""

    def __init__(self, house: House, *argv: str, awaits_name: bool = False) -> None:
        self.mains: list[int] = []
        self.over: list[lr.ExitStatus] = []
        self.watched: list[Held] = []
        self.forgotten: list[Held] = []
        self.house = house
        self.process = house.spawn(*argv, on_reaped=self._reaped, on_start=self._started, on_end=self._ended)
        self.process.when_exited(lambda status: self.main.exited(self.process.pid or 0, status))
        self.main = MainProcess(
            self.process.keeper_pid,
            awaits_name=awaits_name,
            watch=self._watch,
            on_main=self.mains.append,
            on_over=self.over.append,
        )

    def _started(self, process: Process) -> None:
        self.main.started(process.pid or 0, process)

    def _reaped(self, pid: int, status: lr.ExitStatus) -> None:
        self.main.exited(pid, status)

    def _ended(self, _process: Process) -> None:
        self.main.ended()

    def _watch(self, held: Held, on_exit: Callable[[lr.ExitStatus], object]) -> Closable:
        """A pidfd that tells of the end; the status is the business of lowrun.core.watch."""
        self.watched.append(held)
        watch = contextlib.ExitStack()
        watch.callback(self.forgotten.append, held)
        watch.enter_context(self.house.loop.add_io(held.fileno(), lr.READ, lambda _: on_exit(lr.ExitStatus(1))))
        return watch


@pytest.fixture
def follow(house: House) -> Iterator[Callable[..., Followed]]:
    made: list[Followed] = []

    def make(*argv: str, **how: bool) -> Followed:
        made.append(Followed(house, *argv, **how))
        return made[-1]

    yield make
    for each in made:
        each.main.close()


DAEMON = "import os, sys, time\nif os.fork(): os._exit(0)\nos.setsid()\n"


def test_the_command_is_the_main_process(house: House, follow: Callable[..., Followed]) -> None:
    """While it lives; its exit status is the program's, whatever its children do."""
    program = follow("sh", "-c", "sh -c 'exit 9' & wait; sleep 60 & exec sleep 60")
    house.wait(lambda: program.main.pid is not None)
    assert program.main.pid == program.process.pid
    program.main.send_signal(signal.SIGTERM)
    house.wait(lambda: program.over)
    assert program.over == [lr.ExitStatus(143, 15)] and program.mains == []
    with pytest.raises(lr.GoneError):
        program.main.send_signal(signal.SIGTERM)


def test_a_daemon_that_forks_away_is_found(house: House, follow: Callable[..., Followed]) -> None:
    """Its starter exits with 0: the one that remains is the main process, held by its pidfd; its status is told."""
    program = follow(sys.executable, "-S", "-c", DAEMON + "time.sleep(60)")
    house.wait(lambda: program.mains)
    (daemon,) = program.mains
    house.wait(lambda: os.getsid(daemon) == daemon)
    assert daemon == program.main.pid
    assert program.main.start is not None
    program.main.send_signal(signal.SIGKILL)
    house.wait(lambda: program.over)
    assert program.over == [lr.ExitStatus(137, 9)]


def test_a_double_fork_is_followed(house: House, follow: Callable[..., Followed]) -> None:
    """The one in the middle may be found first; then the daemon is."""
    program = follow(sys.executable, "-S", "-c", DAEMON + "if os.fork(): os._exit(0)\ntime.sleep(60)")

    def leads() -> bool:
        try:
            return bool(program.mains) and os.getsid(program.mains[-1]) != program.mains[-1]
        except ProcessLookupError:
            return False

    house.wait(leads)
    assert not program.over
    os.kill(program.mains[-1], signal.SIGTERM)
    house.wait(lambda: program.over)


@pytest.mark.parametrize("pause", [0, 0.05])
def test_a_daemon_that_fails_at_once_has_failed(house: House, follow: Callable[..., Followed], pause: float) -> None:
    """However its starter's exit and its own overtake each other on their way."""
    for _ in range(10):
        program = follow(sys.executable, "-S", "-c", DAEMON + f"time.sleep({pause})\nos._exit(7)")
        house.wait(lambda: program.over)  # noqa: B023
        assert program.over == [lr.ExitStatus(7)]


def test_the_oldest_leads_and_the_next_follows(house: House, follow: Callable[..., Followed]) -> None:
    """Of several that remain the oldest; after its exit with 0 the next, until the last has ended."""
    script = "(exec sleep 0.3) & sleep 0.05; (exec sleep 0.6) & exit 0"
    program = follow("sh", "-c", script)
    house.wait(lambda: program.over)
    assert program.over == [lr.ExitStatus(0)]
    assert len(program.mains) == 2


def test_a_program_that_leaves_nothing_ends_with_its_status(house: House, follow: Callable[..., Followed]) -> None:
    """0 as well as a failure."""
    for code in (0, 3):
        program = follow("sh", "-c", f"exit {code}")
        house.wait(lambda: program.over)  # noqa: B023
        assert program.over == [lr.ExitStatus(code)] and program.mains == []


def test_a_named_process_of_the_keepers_leads(house: House, follow: Callable[..., Followed]) -> None:
    """Nobody leads before; an orphan's exit comes from the keeper, no watch is needed."""
    script = "(exec sleep 60) & (exec sleep 60) & exit 0"
    program = follow("sh", "-c", script, awaits_name=True)
    house.wait(lambda: len(children_of(program.process.keeper_pid)) == 2 and program.process.status)
    assert program.main.pid is None
    (_, _), (second, _) = children_of(program.process.keeper_pid)
    program.main.named(check(second, program.process.keeper_pid))
    assert program.mains == [second] and program.watched == []
    os.kill(second, signal.SIGKILL)
    house.wait(lambda: program.over)
    assert program.over == [lr.ExitStatus(137, 9)]


def test_a_named_process_with_a_parent_is_watched(house: House, follow: Callable[..., Followed]) -> None:
    """A worker: its parent reaps it, so the keeper does not hear of its end."""
    program = follow("sh", "-c", "sleep 60 & wait; sleep 60", awaits_name=True)
    house.wait(lambda: program.process.pid and children_of(program.process.pid))
    ((worker, _),) = children_of(program.process.pid or 0)
    program.main.named(check(worker, program.process.keeper_pid))
    assert [held.pid for held in program.watched] == [worker]
    os.kill(worker, signal.SIGKILL)
    house.wait(lambda: program.over)


def test_a_named_process_that_loses_its_parent_is_the_keepers(house: House, follow: Callable[..., Followed]) -> None:
    """A pidfile written before its starter has ended: the watch is given up, the keeper tells the exit."""
    program = follow("sh", "-c", "sleep 60 & wait", awaits_name=True)
    house.wait(lambda: program.process.pid and children_of(program.process.pid))
    ((daemon, _),) = children_of(program.process.pid or 0)
    program.main.named(check(daemon, program.process.keeper_pid))
    assert len(program.watched) == 1
    program.process.send_signal(signal.SIGTERM)
    house.wait(lambda: program.forgotten)
    os.kill(daemon, signal.SIGKILL)
    house.wait(lambda: program.over)
    assert program.over == [lr.ExitStatus(137, 9)]


def test_a_named_command_stays_what_it_is(house: House, follow: Callable[..., Followed]) -> None:
    """A program in the foreground with a pidfile: nobody new leads, no descriptor is kept."""
    program = follow("sleep", "60", awaits_name=True)
    house.wait(lambda: program.process.pid)
    program.main.named(check(program.process.pid or 0, program.process.keeper_pid))
    program.main.named(check(program.process.pid or 0, program.process.keeper_pid))
    assert program.main.pid == program.process.pid
    program.main.send_signal(signal.SIGTERM)
    house.wait(lambda: program.over)
    assert program.over == [lr.ExitStatus(143, 15)]


LIGHTTPD = """
server.document-root = "{here}"
server.port = {port}
server.bind = "127.0.0.1"
server.pid-file = "{here}/pid"
"""
NGINX = """
pid {here}/pid; error_log {here}/error.log; worker_processes 1; daemon on;
events {{ }}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; root {here}; }} }}
"""
DAEMONS = {
    "lighttpd": (LIGHTTPD, "lighttpd", "-f", "{here}/conf"),
    "nginx": (NGINX, "nginx", "-e", "{here}/error.log", "-c", "{here}/conf"),
    "redis": (
        "",
        "redis-server",
        "--daemonize",
        "yes",
        "--pidfile",
        "{here}/pid",
        "--port",
        "{port}",
        "--save",
        "",
        "--dir",
        "{here}",
    ),
}


@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.parametrize("by_pidfile", [True, False])
def test_real_daemons(
    house: House, follow: Callable[..., Followed], tmp_path: Path, name: str, by_pidfile: bool
) -> None:
    """Their pidfile names the process that is found without it, too; its death by a signal is told as it was."""
    configuration, *argv = DAEMONS[name]
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        words = {"here": tmp_path, "port": sock.getsockname()[1]}
    (tmp_path / "conf").write_text(configuration.format(**words))
    believed: list[int] = []

    def named(pid: int) -> bool:
        believed.append(pid)
        if by_pidfile:
            program.main.named(check(pid, program.process.keeper_pid))
        return True

    with contextlib.closing(PidFile(house.loop, f"{tmp_path}/pid", on_pid=named, on_trouble=print)):
        program = follow(*(word.format(**words) for word in argv), awaits_name=by_pidfile)
        house.wait(lambda: program.mains and believed)
        house.wait(lambda: program.process.status and len(program.watched) == len(program.forgotten))
    assert program.mains == believed == [program.main.pid]
    program.main.send_signal(signal.SIGKILL)
    house.wait(lambda: program.over)
    assert program.over == [lr.ExitStatus(137, 9)]
