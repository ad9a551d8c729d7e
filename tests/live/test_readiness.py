"""Programs that tell that they serve, each in its way; and those that have to go on telling that they live."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

import lowrun as lr
from lowrun.core.process import Process
from lowrun.supervise.notify import Notice, NotifySocket
from lowrun.supervise.readiness import MAX_LINE, Readiness, open_readiness
from lowrun.supervise.readyspec import parse_ready
from lowrun.supervise.watchdog import Watchdog
from tests.trees import House

PYTHON = (sys.executable, "-S", "-c")


@pytest.fixture
def ready(house: House) -> Iterator[Callable[[str], Readiness]]:
    made: list[Readiness] = []

    def make(spec: str) -> Readiness:
        readiness = open_readiness(house.loop, parse_ready(spec))
        assert readiness is not None
        made.append(readiness)
        return readiness

    yield make
    for each in made:
        each.close()


class Marks(list[str]):
    """What has happened, in order."""

    def __call__(self) -> None:
        self.append("ready")


def test_the_ways_of_others_need_nothing_here(house: House) -> None:
    """notify has its socket, pidfile its file."""
    assert open_readiness(house.loop, parse_ready("notify")) is open_readiness(house.loop, parse_ready("pidfile"))


# -- fd=N


def test_a_newline_on_a_descriptor(house: House, ready: Callable[[str], Readiness]) -> None:
    """s6's way: what comes before the newline does not count, what comes after wakes nobody; in every life anew."""
    way = ready("fd=5")
    for _ in range(3):
        marks = Marks()
        way.begin(marks)
        house.start("sh", "-c", "printf 'rea' >&5; sleep 0.05; printf 'dy\\n\\n' >&5; exec sleep 60", fds=way.fds)
        house.wait(lambda: marks)  # noqa: B023
        way.end()
        house.loop.dispatch()
        assert marks == ["ready"]


def test_what_a_former_life_wrote_does_not_count(house: House, ready: Callable[[str], Readiness]) -> None:
    """It is thrown away when the next one begins."""
    way = ready("fd=5")
    os.write(way.fds[5], b"\n" * 10000)
    marks = Marks()
    way.begin(marks)
    house.loop.dispatch()
    assert not marks


# -- tcp


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


SERVE = "import socket, time; s = socket.socket({family}); time.sleep(0.1); s.bind(('{host}', {port})); s.listen()\n"


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", ""), ("::1", "socket.AF_INET6"), ("localhost", "")])
def test_somebody_accepts(house: House, ready: Callable[[str], Readiness], host: str, family: str) -> None:
    """Whoever binds late is found; a name is tried at all its addresses; nothing wakes lowrun after that."""
    port = free_port()
    way = ready(f"tcp={'[::1]' if ':' in host else host}:{port}")
    marks = Marks()
    way.begin(marks)
    script = SERVE.format(family=family, host="127.0.0.1" if host == "localhost" else host, port=port)
    house.start(*PYTHON, script + "time.sleep(60)")
    house.wait(lambda: marks)
    ticks: list[int] = []
    with house.loop.add_timer(0.3, lambda: ticks.append(1)):
        house.loop.dispatch(-1)
    assert ticks and marks == ["ready"]


def test_a_port_that_nobody_serves_is_not_ready(house: House, ready: Callable[[str], Readiness]) -> None:
    """It is asked seldom: eight times in the first second."""
    way = ready(f"tcp=127.0.0.1:{free_port()}")
    marks, turns, over = Marks(), 0, Marks()
    way.begin(marks)
    with house.loop.add_timer(1.0, over):
        while not over:
            house.loop.dispatch(-1)
            turns += 1
    assert not marks and turns < 20


def test_an_unknown_host_is_refused(house: House) -> None:
    """At once, not at the end of the start timeout."""
    with pytest.raises(lr.UsageError, match=r"no\.such\.host\.invalid"):
        open_readiness(house.loop, parse_ready("tcp=no.such.host.invalid:80"))


# -- log


def test_a_line_of_output(ready: Callable[[str], Readiness]) -> None:
    """In whatever pieces it comes; a match over two lines is none, a line without its end not yet one."""
    way = ready("log=^ready to serve$")
    marks = Marks()
    way.begin(marks)
    for piece in (b"not ready to serve\nready ", b"\nto serve\nrea", b"dy to ser", b"ve"):
        way.feed(piece)
        assert not marks
    way.feed(b"\r\nready to serve\n")
    assert marks == ["ready"]
    way.feed(b"ready to serve\n")
    assert marks == ["ready"]
    way.begin(marks)
    way.feed(b"ready to serve\n")
    assert marks == ["ready", "ready"]


def test_a_line_without_end_takes_bounded_memory(ready: Callable[[str], Readiness]) -> None:
    """The first 64 KiB of a line are looked at, whatever its length."""
    way = ready("log=end")
    marks = Marks()
    way.begin(marks)
    for _ in range(100):
        way.feed(b"x" * MAX_LINE)
    way.feed(b"end\nbegin\nend\n")
    assert len(way._line) <= MAX_LINE  # type: ignore[attr-defined]
    assert marks == ["ready"]


# -- notify


class Heard:
    """A notify socket and what was heard on it."""

    def __init__(self, house: House, uid: int | None = None) -> None:
        self.house = house
        self.notices: list[Notice] = []
        self.socket = NotifySocket(house.loop, uid)

    def start(self, *argv: str) -> Process:
        self.socket.begin(self.notices.append)
        process = self.house.spawn(*argv, env=self.socket.env)
        self.socket.listen(process.keeper_pid)
        return process


@pytest.fixture
def heard(house: House) -> Iterator[Heard]:
    heard = Heard(house)
    yield heard
    heard.socket.close()


SEND = """
import os, socket, sys, time
def say(text):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.sendto(text.encode(), '\\0' + os.environ["NOTIFY_SOCKET"][1:])
    sock.close()
"""


def test_a_program_notifies(house: House, heard: Heard) -> None:
    """The program itself, and a grandchild whose parent has gone."""
    script = (
        SEND + "say('READY=1')\nif os.fork() == 0:\n if os.fork() == 0: say('STATUS=up\\nMAINPID=%d' % os.getpid())\n"
    )
    script += " os._exit(0)\nos.wait(); time.sleep(60)"
    heard.start(*PYTHON, script)
    house.wait(lambda: len(heard.notices) == 2)
    assert heard.notices[0] == Notice(ready=True)
    assert heard.notices[1].status == "up" and heard.notices[1].main_pid


def test_one_who_has_gone_was_of_the_program_by_its_user(house: House, heard: Heard) -> None:
    """There is no tree to look in for a sender that has been reaped: its user decides."""
    heard.socket.begin(heard.notices.append)
    process = house.start(*PYTHON, SEND + "say('READY=1')", env=heard.socket.env)
    house.wait(lambda: process.status)
    heard.socket.listen(process.keeper_pid)
    house.wait(lambda: heard.notices)


@pytest.mark.skipif(os.getuid() != 0, reason="needs a second user")
def test_another_user_who_has_gone_is_not_heard(house: House, heard: Heard) -> None:
    """The name is no secret (/proc/net/unix): what a stranger says is thrown away."""
    heard.start("sleep", "60")
    subprocess.run([*PYTHON, SEND + "os.setuid(12345)\nsay('READY=1')"], env=heard.socket.env, check=True)
    house.loop.dispatch()
    assert heard.notices == []


def test_a_stranger_is_not_heard(house: House, heard: Heard) -> None:
    """Of the same user, but none of the program's: not while it can be looked at."""
    process = heard.start("sleep", "60")
    house.wait(lambda: process.pid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"READY=1", "\0" + heard.socket.env["NOTIFY_SOCKET"][1:])
        house.loop.dispatch()
    assert heard.notices == []


def test_what_was_sent_before_a_life_is_not_of_it(house: House, heard: Heard) -> None:
    """A message that comes too late is no word of the next life."""
    former = heard.start(*PYTHON, SEND + "say('READY=1')\nsay('STATUS=x')")
    heard.socket.end()
    house.wait(lambda: former.status)
    process = heard.start("sleep", "60")
    house.wait(lambda: process.pid)
    house.loop.dispatch()
    assert heard.notices == []


def test_nothing_is_kept_of_what_comes_along(house: House, heard: Heard) -> None:
    """Descriptors are closed at once (FDSTORE=1 stores nothing), a message that is too long says nothing."""
    script = SEND + "sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    script += "address = '\\0' + os.environ['NOTIFY_SOCKET'][1:]\nr, w = os.pipe()\n"
    script += "sock.connect(address)\nsocket.send_fds(sock, [b'FDSTORE=1'], [w] * 200)\nos.close(w)\n"
    script += "assert os.read(r, 1) == b''\n"
    script += "sock.send(b'READY=1\\n' + b'x' * 5000)\nsay('STATUS=done')\ntime.sleep(60)"
    before = len(os.listdir("/proc/self/fd"))
    heard.start(*PYTHON, script)
    house.wait(lambda: heard.notices and heard.notices[-1].status == "done")
    assert heard.notices == [Notice(), Notice(status="done")]
    assert len(os.listdir("/proc/self/fd")) <= before + 6


def test_systemd_notify_is_heard_and_comes_back(house: House, heard: Heard) -> None:
    """The real one: it waits until it was heard (a barrier), so the shell that runs it goes on at once."""
    assert shutil.which("systemd-notify"), "systemd-notify is missing (package systemd)"
    command = "systemd-notify --ready --status='serving it' && exec sleep 60"
    process = heard.start("sh", "-c", command)
    house.wait(lambda: any(notice.ready for notice in heard.notices))
    notice = next(notice for notice in heard.notices if notice.ready)
    assert notice.status == "serving it"
    house.wait(lambda: open(f"/proc/{process.pid}/comm").read() == "sleep\n")


# -- watchdog


def test_a_watchdog_barks_when_it_hears_nothing(house: House, heard: Heard) -> None:
    """WATCHDOG=1 puts it off; the first silence that is too long is told, once."""
    watchdog = Watchdog(house.loop, 0.3)
    assert watchdog.env == {"WATCHDOG_USEC": "300000"}
    said: list[str] = []
    script = SEND + "say('READY=1')\nfor _ in range(10): time.sleep(0.1); say('WATCHDOG=1')\ntime.sleep(60)"
    heard.start(*PYTHON, script)
    house.wait(lambda: heard.notices)
    watchdog.begin(said.append)
    done = 1
    while not said:
        house.loop.dispatch(-1)
        for notice in heard.notices[done:]:
            watchdog.heard(notice)
        done = len(heard.notices)
    assert done == 11, "it barked at one who spoke"
    assert said == ["its watchdog has heard nothing for 0.3 s"]
    watchdog.close()


def test_a_program_sets_its_watchdog_itself(house: House) -> None:
    """Another time for this life (WATCHDOG_USEC=), before it is ready or after; or it asks to be taken for late."""
    watchdog = Watchdog(house.loop, 3600)
    said: list[str] = []
    watchdog.heard(Notice(watchdog=0.01))
    watchdog.begin(said.append)
    house.wait(lambda: said)
    assert said == ["its watchdog has heard nothing for 0.01 s"]
    watchdog.renew()
    watchdog.begin(said.append)
    watchdog.heard(Notice(hangs=True))
    assert len(said) == 2 and "hangs" in said[1]
    watchdog.heard(Notice(hangs=True))
    watchdog.begin(said.append)
    watchdog.end()
    assert len(said) == 2
    watchdog.close()
