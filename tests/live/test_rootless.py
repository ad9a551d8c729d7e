"""`--net rootless`: a network of the command's own, captured without any privilege."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lowrun as lr
from tests.programs import LOWRUN, mock, processes

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
WITHOUT_ADMIN = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
#: Who may ask for it: root, root of a container, an ordinary user.
USERS = [
    pytest.param((), id="as we are"),
    pytest.param(WITHOUT_ADMIN, id="root without CAP_SYS_ADMIN", marks=ROOT_ONLY),
    pytest.param(NOBODY, id="nobody", marks=ROOT_ONLY),
]
ROOTLESS = ("-nt", "--net", "rootless")
#: The system's: nobody need not be able to reach the one that the tests run on.
PYTHON = "/usr/bin/python3"
#: Its name as a process: that of the program for this kind of processor, passt.avx2, too.
PASTA = ("pasta", "passt")
#: pasta's address of the machine itself: where the default route leads to.
GATEWAY = "ip route show default | sed 's/.* via \\([^ ]*\\) .*/\\1/'"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory that everybody may write in and reach."""
    closed = [path for path in (tmp_path, *tmp_path.parents) if not path.stat().st_mode & 0o001]
    modes = {path: path.stat().st_mode for path in closed}
    for path in closed:
        path.chmod(modes[path] | 0o001)
    tmp_path.chmod(0o777)
    yield tmp_path
    for path, mode in modes.items():
        path.chmod(mode)


def run(place: Path, who: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
    """lowrun as `who`, which keeps in place/out."""
    argv = [*who, LOWRUN, "-o", str(place / "out"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=place)


def tshark(place: Path, *words: str) -> list[str]:
    """The lines that tshark has about the first run's packets."""
    file = place / "out" / "run-0001" / "net.pcapng"
    done = subprocess.run(["tshark", "-r", file, *words], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def recording_faults(faults: Iterable[str]) -> list[str]:
    """Those that are not about what wait4 cannot count (the program has threads)."""
    return [fault for fault in faults if not fault.startswith("usage: ")]


def pastas() -> set[int]:
    return {pid for pid, (_, name) in processes().items() if name.startswith(PASTA)}


@contextmanager
def server_of_the_machine() -> Iterator[int]:
    """Port of an HTTP server on the machine's loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("who", USERS)
def test_a_loopback_exchange(place: Path, who: tuple[str, ...]) -> None:
    """An HTTP exchange on loopback, without a capability: request and response, each once."""
    done = run(place, who, *ROOTLESS, "--", PYTHON, mock("exchange.py"))
    assert (done.returncode, done.stdout) == (3, "ready\n1000\n")
    assert "warning" not in done.stderr
    assert tshark(place, "-d", "tcp.port==1-65535,http", "-Y", "http", "-T", "fields", "-e", "http.request.uri",
                  "-e", "http.response.code", "-e", "frame.interface_name") == ["/body\t\tlo", "\t200\tlo"]  # fmt: skip
    summary = json.loads((place / "out" / "summary.json").read_text())
    assert recording_faults(summary["runs"][0]["faults"]) == []
    assert not pastas()


@pytest.mark.parametrize("who", USERS)
def test_it_has_no_more_rights(place: Path, who: tuple[str, ...]) -> None:
    """Its user, its group and its capabilities are those that it has without a network of its own."""
    show = "id -u; id -g; grep Cap /proc/self/status; grep NoNewPrivs /proc/self/status"
    inside = run(place, who, *ROOTLESS, "--keep", "none", "--", "sh", "-c", show)
    assert inside.returncode == 0
    assert inside.stdout == run(place, who, "--", "sh", "-c", show).stdout


@pytest.mark.parametrize("who", USERS)
def test_the_way_out(place: Path, who: tuple[str, ...]) -> None:
    """With pasta a server of the machine answers, and that is in the capture, on the interface that leads out."""
    with server_of_the_machine() as port:
        command = f"curl -s http://$({GATEWAY}):{port}/; exit 4"
        done = run(place, who, *ROOTLESS, "--", "sh", "-c", command)
    assert (done.returncode, done.stdout) == (4, "hello")
    lines = tshark(place, "-d", f"tcp.port=={port},http", "-Y", "http.response", "-T", "fields", "-e",
                   "http.response.code", "-e", "frame.interface_name")  # fmt: skip
    assert len(lines) == 1
    code, interface = lines[0].split("\t")
    assert code == "200"
    assert interface != "lo"
    assert not pastas()


def test_without_a_way_out(place: Path) -> None:
    """Where pasta cannot find one, its words are a fault, and loopback is captured all the same."""
    done = run(place, ("unshare", "--net"), *ROOTLESS, "--", PYTHON, mock("exchange.py"))
    assert done.returncode == 3
    assert "warning: COMMAND has no way out of its own network: pasta: " in done.stderr
    assert tshark(place, "-d", "tcp.port==1-65535,http", "-Y", "http.response")


@pytest.mark.parametrize("who", USERS)
def test_with_the_trace_of_calls(place: Path, who: tuple[str, ...]) -> None:
    """The trace begins with the command's own execve, and has what the capture has."""
    done = run(place, who, *ROOTLESS, "-ct", "--", PYTHON, mock("exchange.py"))
    assert done.returncode == 3
    trace = (place / "out" / "run-0001" / "calls.strace").read_text()
    assert " execve(" in trace.splitlines()[0]
    assert "GET /body HTTP/1.1" in trace
    assert tshark(place, "-d", "tcp.port==1-65535,http", "-Y", "http.response")


@pytest.mark.parametrize("who", USERS)
def test_the_trace_of_some_calls(place: Path, who: tuple[str, ...]) -> None:
    """A filter for the tracer is installed before the rights that it takes are dropped."""
    done = run(place, who, *ROOTLESS, "-ct", "--calls", "connect", "--", PYTHON, mock("exchange.py"))
    assert done.returncode == 3
    trace = (place / "out" / "run-0001" / "calls.strace").read_text()
    assert "connect(" in trace
    assert "execve(" not in trace


def test_runs_at_the_same_time(place: Path) -> None:
    """Each run has a network of its own: the same port for all, and each capture has its own exchange alone."""
    done = run(place, (), *ROOTLESS, "-c", "6", "-j", "3", "--", PYTHON, mock("exchange.py"), "2")
    assert done.returncode == 3
    assert "warning" not in done.stderr
    for index in range(1, 7):
        file = place / "out" / f"run-{index:04}" / "net.pcapng"
        asked = ["tshark", "-r", file, "-d", "tcp.port==1-65535,http", "-Y", "http.response"]
        assert len(subprocess.run(asked, capture_output=True, check=True).stdout.splitlines()) == 2
    assert not pastas()


def test_passing_runs_leave_nothing(place: Path) -> None:
    """No file, no directory, no process."""
    assert run(place, (), *ROOTLESS, "-c", "2", "--", "true").returncode == 0
    assert list(place.iterdir()) == []
    assert not pastas()


@pytest.mark.parametrize("who", USERS)
def test_nothing_outlives_a_killed_lowrun(place: Path, who: tuple[str, ...]) -> None:
    """SIGKILL to lowrun ends the command and pasta."""
    before = set(processes())
    argv = [*who, LOWRUN, *ROOTLESS, "--", "sh", "-c", "echo ready; exec sleep 600"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=place) as lowrun:
        assert lowrun.stdout is not None
        ready, there = lowrun.stdout.readline(), pastas() - before
        lowrun.kill()
    assert ready == b"ready\n"
    assert there
    deadline = time.monotonic() + 10
    while rest := {pid: name for pid, name in processes().items() if pid not in before and name[1].startswith(OURS)}:
        assert time.monotonic() < deadline, rest
        time.sleep(0.01)
    assert list(place.iterdir()) == []


#: Beginnings of the names of what a rootless run consists of.
OURS = (*PASTA, "sleep", "lowrun")


def test_a_timeout(place: Path) -> None:
    """It ends the command, and pasta; the packets until then are kept."""
    done = run(place, (), *ROOTLESS, "-t", "0.5", "--", "sleep", "600")
    assert done.returncode == 124
    assert (place / "out" / "run-0001" / "net.pcapng").exists()
    assert not pastas()


def test_an_interrupt(place: Path) -> None:
    """SIGINT ends the run within a second, and pasta with it."""
    argv = [LOWRUN, *ROOTLESS, "--", "sh", "-c", "echo ready; exec sleep 600"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=place) as lowrun:
        assert lowrun.stdout is not None
        assert lowrun.stdout.readline() == b"ready\n"
        lowrun.send_signal(signal.SIGINT)
        assert lowrun.wait(timeout=10) == 130
    assert not pastas()


def test_a_command_that_does_not_exist(place: Path) -> None:
    """It has its code, and nothing stays."""
    assert run(place, (), *ROOTLESS, "--keep", "none", "--", "no-such-command").returncode == 127
    assert not pastas()


#: In a user namespace with all ids, where no further one can be made, becomes nobody and runs the rest of its words.
FORBID = """
import ctypes, os, sys
parent, child = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    os.write(parent[1], b"x")
    os.read(child[0], 1)
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")
    os.execvp(sys.argv[1], sys.argv[1:])
os.read(parent[0], 1)
for name in "uid_map", "gid_map":
    with open(f"/proc/{pid}/{name}", "w") as file:
        file.write("0 0 4294967295")
os.write(child[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@ROOT_ONLY
def test_where_namespaces_are_forbidden(place: Path) -> None:
    """The command is not run, lowrun fails, and the line names the setting."""
    done = run(place, (sys.executable, "-c", FORBID, *NOBODY), *ROOTLESS, "--", "touch", str(place / "was-here"))
    assert done.returncode == 125
    assert done.stderr.splitlines()[0] == (
        "lowrun: no network of its own for touch: user.max_user_namespaces is 0, so none can be made; "
        "raise it with sysctl"
    )
    assert list(place.iterdir()) == []


def test_a_filter_and_an_interface(place: Path) -> None:
    """They hold in there: only what comes from port 9, on loopback, as it is named in the command's network."""
    send = "import socket; s = socket.socket(type=2); [s.sendto(b'x', ('127.0.0.1', p)) for p in (9, 10)]; exit(5)"
    words = ("-i", "lo", "--net-filter", "udp dst port 9", "--", PYTHON, "-c", send)
    assert run(place, (), *ROOTLESS, *words).returncode == 5
    assert tshark(place, "-T", "fields", "-e", "udp.dstport") == ["9"]


def test_an_interface_that_is_not_there(place: Path) -> None:
    """A fault of the run, that names those there are; the command runs."""
    done = run(place, (), *ROOTLESS, "-i", "nosuch0", "--", "false")
    assert done.returncode == 1
    assert 'warning: no packets are captured in COMMAND\'s own network: no such interface: "nosuch0"' in done.stderr


@pytest.mark.parametrize("words", [["--net", "rootless", "true"], ["-nt", "--net", "bridge", "true"]])
def test_wrong_words(words: list[str]) -> None:
    """--net is for -nt, and has two values."""
    done = subprocess.run([LOWRUN, *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--net" in done.stderr


def test_by_the_library(place: Path) -> None:
    """A recorder is all that it takes."""
    result = lr.run([PYTHON, mock("exchange.py")], record=[lr.Packets(network="rootless"), lr.Output()], quiet=True,
                    output=place / "out")  # fmt: skip
    assert result.status.code == 3
    assert recording_faults(result.faults) == []
    assert set(result.artifacts) >= {"packets", "stdout"}
