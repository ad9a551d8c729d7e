"""Socket activation: what a program is handed, and that no client is refused between two lives."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.supervise.sockets import ListenError, ListenSockets
from tests.trees import House


@pytest.fixture
def opened() -> Iterator[Callable[..., ListenSockets]]:
    made: list[ListenSockets] = []

    def make(*specs: str, name: str = "web") -> ListenSockets:
        made.append(ListenSockets(specs, name))
        return made[-1]

    yield make
    for each in made:
        each.close()


def port_of(sockets: ListenSockets, number: int = 3) -> int:
    """The port that the kernel chose."""
    with socket.socket(fileno=os.dup(sockets.fds[number])) as sock:
        port: int = sock.getsockname()[1]
        return port


SERVE_ONE = """
import os, socket
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_FDNAMES"] == "web", os.environ
with socket.socket(fileno=3) as listening:
    connection, _ = listening.accept()
    connection.sendall(b"pid %d" % os.getpid())
"""


def test_no_client_is_refused_between_two_lives(house: House, opened: Callable[..., ListenSockets]) -> None:
    """Each life serves one client and ends; who connects while nobody lives waits, and is served by the next."""
    sockets = opened("tcp:127.0.0.1:0")
    answers: list[bytes] = []
    port = port_of(sockets)

    def connect() -> None:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                answers.append(client.recv(100))

    client = threading.Thread(target=connect)
    client.start()
    pids = []
    for _ in range(20):
        process = house.start(sys.executable, "-S", "-c", SERVE_ONE, fds=sockets.fds, env=sockets.env)
        pids.append(process.pid)
        house.wait(lambda: process.status)  # noqa: B023
        assert process.status == lr.ExitStatus(0)
    client.join()
    assert answers == [b"pid %d" % pid for pid in pids if pid]


ACTIVATED = """
import os, socket
for number in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    with socket.socket(fileno=number) as sock:
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        name = sock.getsockname()
        where = name if isinstance(name, (str, bytes)) else name[0]
        print(sock.family.name, sock.type.name, listens, sock.getblocking(), where, flush=True)
print(os.environ["LISTEN_FDNAMES"], flush=True)
"""


def test_sockets_of_every_kind(house: House, opened: Callable[..., ListenSockets], tmp_path: Path) -> None:
    """From descriptor 3 on in the order asked for, blocking, listening where that is a thing, with their names."""
    sockets = opened(
        "tcp:127.0.0.1:0,name=http",
        "tcp6:[::1]:0",
        "udp:127.0.0.1:0",
        "udp6:[::1]:0",
        f"unix:{tmp_path}/stream,mode=0600",
        f"unixgram:{tmp_path}/datagram",
        f"unixpacket:{tmp_path}/packets",
        "ListenStream=0",
        name="a:b",
    )
    assert list(sockets.fds) == list(range(3, 11))
    assert os.stat(tmp_path / "stream").st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "datagram").st_mode & 0o777 == 0o666
    out = tmp_path / "out"
    with open(out, "wb") as file:
        fds = {**sockets.fds, 1: file.fileno()}
        process = house.start(sys.executable, "-S", "-c", ACTIVATED, fds=fds, env=sockets.env)
        house.wait(lambda: process.status)
    assert out.read_text().splitlines() == [
        "AF_INET SOCK_STREAM 1 True 127.0.0.1",
        "AF_INET6 SOCK_STREAM 1 True ::1",
        "AF_INET SOCK_DGRAM 0 True 127.0.0.1",
        "AF_INET6 SOCK_DGRAM 0 True ::1",
        f"AF_UNIX SOCK_STREAM 1 True {tmp_path}/stream",
        f"AF_UNIX SOCK_DGRAM 0 True {tmp_path}/datagram",
        f"AF_UNIX SOCK_SEQPACKET 1 True {tmp_path}/packets",
        "AF_INET6 SOCK_STREAM 1 True ::",
        "http:a_b:a_b:a_b:a_b:a_b:a_b:a_b",
    ]
    sockets.close()
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_ipv6_and_ipv4_share_a_port(opened: Callable[..., ListenSockets]) -> None:
    """tcp6: is IPv6 alone, so tcp: may have the same port; systemd's bare port is both at once."""
    sockets = opened("tcp:127.0.0.1:0")
    opened(f"tcp6:[::1]:{port_of(sockets)}")
    both = opened("ListenStream=0")
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port_of(both)), timeout=20).close()


def test_a_stale_unix_socket_is_replaced(opened: Callable[..., ListenSockets], tmp_path: Path) -> None:
    """Its file outlives who was killed; one that somebody listens on does not go, nor a file that is no socket."""
    for kind, word in ((socket.SOCK_STREAM, "unix"), (socket.SOCK_DGRAM, "unixgram")):
        path = tmp_path / word
        with socket.socket(socket.AF_UNIX, kind) as killed:
            killed.bind(str(path))
        sockets = opened(f"{word}:{path}")
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(str(path))
        with pytest.raises(ListenError, match=rf"{path}: in use by \S+ \(pid {os.getpid()}\)"):
            opened(f"{word}:{path}")
        assert path.exists()
        sockets.close()
        assert not path.exists()
    plain = tmp_path / "plain"
    plain.write_text("precious")
    with pytest.raises(ListenError, match="no socket"):
        opened(f"unix:{plain}")
    assert plain.read_text() == "precious"


def test_what_has_taken_the_place_of_our_file_stays(opened: Callable[..., ListenSockets], tmp_path: Path) -> None:
    """Only the very socket that we made is removed at the end."""
    path = tmp_path / "socket"
    sockets = opened(f"unix:{path}")
    path.rename(tmp_path / "old")
    path.write_text("another's")
    sockets.close()
    assert path.read_text() == "another's"


def test_a_port_in_use_names_its_owner(opened: Callable[..., ListenSockets], tmp_path: Path) -> None:
    """Program and pid; and nothing that was opened before stays behind."""
    script = (
        "import socket, sys, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    )
    command = [sys.executable, "-S", "-c", f"{script}; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        port = int(other.stdout.readline())
        with pytest.raises(ListenError) as refused:
            opened(f"unix:{tmp_path}/first", f"tcp:127.0.0.1:{port}")
        other.kill()
    assert f"--socket tcp:127.0.0.1:{port}: in use by python" in str(refused.value)
    assert f"(pid {other.pid}); stop it, or choose another address" in str(refused.value)
    assert refused.value.errno == errno.EADDRINUSE
    assert os.listdir(tmp_path) == []


def test_an_address_of_nobodys_names_the_remedy(opened: Callable[..., ListenSockets], tmp_path: Path) -> None:
    """Another machine's address, a directory that does not exist, a host that nobody knows."""
    with pytest.raises(ListenError, match="no interface of this machine"):
        opened("tcp:192.0.2.1:8080")
    with pytest.raises(ListenError, match="make that directory"):
        opened(f"unix:{tmp_path}/none/socket")
    with pytest.raises(lr.UsageError, match=r"no\.such\.host\.invalid"):
        opened("tcp:no.such.host.invalid:80")


PRIVILEGED = """
import os, sys
sys.path[:] = {path!r}
from lowrun.errors import DeniedError
from lowrun.supervise.sockets import ListenSockets
"localhost".encode("idna")  # of a Python that another user may not read
os.setgid(12345); os.setuid(12345)
try:
    ListenSockets(["tcp:127.0.0.1:" + sys.argv[1]], "web")
except DeniedError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="drops root's privileges")
def test_a_privileged_port_names_the_remedy() -> None:
    """The capability and the setting that would let an ordinary user have it."""
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first == 0:
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("1024")
    try:
        done = subprocess.run(
            [sys.executable, "-c", PRIVILEGED.format(path=sys.path), "81"], capture_output=True, text=True, check=True
        )
    finally:
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text(str(first))
    assert "CAP_NET_BIND_SERVICE" in done.stdout and "tcp:127.0.0.1:81" in done.stdout
