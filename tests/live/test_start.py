"""`lowrun start`, `stop`, `status` as a user types them: the three scenes that a respawner has to play."""

from __future__ import annotations

import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.programs import MOCK, alive
from tests.supervised import Verbs, free_port, in_order

FOREVER, SINGLE = MOCK / "forever.sh", MOCK / "single.sh"
LIGHTTPD = """\
server.document-root = "{root}/www"
server.port = {port}
server.bind = "127.0.0.1"
server.pid-file = "{root}/lighttpd.pid"
server.errorlog = "{root}/error.log"
index-file.names = ( "index.html" )
"""


def test_a_loop_that_is_killed(verbs: Verbs) -> None:
    """forever.sh, killed with SIGKILL, is started again after the delay, and ends at `stop`."""
    verbs("start", "--respawn", "-t", "0.2", FOREVER)
    first = int(verbs.await_line("forever.sh", r"forever\.sh started, pid (\d+)")[1])
    assert verbs("status", "forever.sh").stdout.splitlines()[0] == '"forever.sh" process is running'
    os.kill(first, signal.SIGKILL)
    second = int(verbs.await_line("forever.sh", r"forever\.sh restarted\(1/0\), pid (\d+)")[1])
    verbs("stop", "forever.sh")
    assert not alive(second)
    in_order(
        verbs.log("forever.sh"),
        r"started \(pid \d+\), command: start forever\.sh",
        rf"forever\.sh started, pid {first}",
        rf"proc {first} killed by signo 9",
        rf"forever\.sh restarted\(1/0\), pid {second}",
        rf"kill\(child pid {second}\)",
        rf"proc {second} exited, status 0",
        r"stopped",
    )
    assert verbs("status", "forever.sh", code=1).stdout.splitlines()[0] == '"forever.sh" process is not running'


def test_a_program_that_fails(verbs: Verbs) -> None:
    """single.sh with exit code 1 is started again and again until `stop`."""
    verbs("start", "--respawn", "-t", "0.1", SINGLE, "--", "1", "0.1")
    third = int(verbs.await_line("single.sh", r"single\.sh restarted\(3/0\), pid (\d+)")[1])
    verbs("stop", "single.sh")
    assert not alive(third)
    lines = verbs.log("single.sh")
    for life in (1, 2, 3):
        in_order(lines, r"proc \d+ exited, status 1", rf"single\.sh restarted\({life}/0\), pid \d+")
    assert lines[-1] == "stopped"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cwd", "/nope"), "sleep: working directory /nope: No such file or directory"),
        (("--chroot", "/nope"), "sleep: chroot /nope: No such file or directory"),
        (("--cwd", "/nope", "--name", "x"), "x: working directory /nope: No such file or directory"),
        (("--env", "PATH=/nope"), "sleep: exec: No such file or directory"),
        (("--env", "PATH=/nope", "--name", "x"), "x: sleep: exec: No such file or directory"),
    ],
)
def test_what_could_not_be_begun(verbs: Verbs, options: tuple[str, ...], said: str) -> None:
    """One line names the program once, and the directory that is not there."""
    assert verbs("start", *options, "sleep", "3", code=1).stderr == f"lowrun: {said}\n"


@pytest.fixture
def lighttpd(tmp_path: Path) -> tuple[Path, str]:
    """Its configuration, and the address of its page."""
    port = free_port()
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("here I am\n")
    configuration = tmp_path / "lighttpd.conf"
    configuration.write_text(LIGHTTPD.format(root=tmp_path, port=port))
    return configuration, f"http://127.0.0.1:{port}/"


def page(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def test_a_daemon_with_a_pidfile(verbs: Verbs, lighttpd: tuple[Path, str]) -> None:
    """lighttpd is running, not so when killed, running again after the delay; SIGHUP harms none, SIGTERM ends both."""
    configuration, address = lighttpd
    pidfile = configuration.parent / "lighttpd.pid"
    words = ("start", "--respawn", "-t", "1", "-e", "0,1", "-p", pidfile, "lighttpd", "--", "-f", configuration)
    verbs(*words)
    first = int(verbs.await_line("lighttpd", r"start trace lighttpd daemon pid (\d+)")[1])
    assert verbs("status", "lighttpd").stdout.splitlines()[0] == '"lighttpd" process is running'
    assert page(address) == "here I am\n"
    os.kill(first, signal.SIGKILL)
    verbs.await_line("lighttpd", rf"proc {first} killed by signo 9")
    assert verbs("status", "-p", "lighttpd", code=1).stdout.splitlines()[0] == '"lighttpd" process is not running'
    second = int(verbs.await_line("lighttpd", r"start trace lighttpd daemon pid (\d+)", 2)[1])
    verbs("wait", "lighttpd", "--until", "ready", "--timeout", "10")
    assert verbs("status", "lighttpd").stdout.splitlines()[0] == '"lighttpd" process is running'
    assert page(address) == "here I am\n"
    os.kill(second, signal.SIGHUP)
    assert page(address) == "here I am\n"
    assert verbs.status("lighttpd")["pid"] == second
    os.kill(second, signal.SIGTERM)
    verbs("wait", "lighttpd", "--until", "stopped", "--timeout", "10")
    assert not alive(second)
    in_order(
        verbs.log("lighttpd"),
        r"started \(pid \d+\), command: start lighttpd",
        r"lighttpd started, pid \d+",
        r"proc \d+ exited, status 0",
        rf"start trace lighttpd daemon pid {first}",
        rf"proc {first} killed by signo 9",
        r"lighttpd restarted\(1/0\), pid \d+",
        r"proc \d+ exited, status 0",
        rf"start trace lighttpd daemon pid {second}",
        rf"proc {second} exited, status [01]",
        r"stopped",
    )


def test_lighttpd_in_the_foreground(verbs: Verbs, lighttpd: tuple[Path, str]) -> None:
    """lighttpd -D is a plain program: it serves, is killed, serves again, and stops."""
    configuration, address = lighttpd
    verbs("start", "--respawn", "-t", "0.1", "--ready", f"tcp={address[7:-1]}", "lighttpd", "-D", "-f", configuration)
    assert page(address) == "here I am\n"
    first = verbs.status("lighttpd")["pid"]
    os.kill(first, signal.SIGKILL)
    verbs.await_line("lighttpd", r"lighttpd restarted\(1/0\), pid (\d+)")
    verbs("wait", "lighttpd", "--until", "ready", "--timeout", "10")
    assert page(address) == "here I am\n"
    verbs("stop", "lighttpd")
    with pytest.raises(OSError, match="refused"):
        page(address)


def test_a_daemon_without_a_pidfile(verbs: Verbs, lighttpd: tuple[Path, str]) -> None:
    """A daemon that forks away is still ours without a pidfile: its end is seen, and `stop` ends it."""
    configuration, address = lighttpd
    verbs("start", "--respawn", "-t", "0.1", "lighttpd", "-f", configuration)
    first = int(verbs.await_line("lighttpd", r"start trace lighttpd daemon pid (\d+)")[1])
    os.kill(first, signal.SIGKILL)
    second = int(verbs.await_line("lighttpd", r"start trace lighttpd daemon pid (\d+)", 2)[1])
    verbs("stop", "lighttpd")
    assert not alive(second)
    with pytest.raises(OSError, match="refused"):
        page(address)
