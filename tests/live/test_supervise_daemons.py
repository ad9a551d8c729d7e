"""nginx and redis-server, as daemons and in the foreground: the scene of lighttpd with others of Debian's."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.programs import alive
from tests.supervised import Verbs, await_port, free_port, in_order

NGINX = """\
daemon on;
pid {root}/nginx.pid;
error_log {root}/error.log;
worker_processes 2;
events {{}}
http {{
    access_log off;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "here I am\\n"; }} }}
}}
"""
REDIS = 'port {port}\nbind 127.0.0.1\ndaemonize yes\npidfile {root}/redis.pid\nsave ""\ndir {root}\n'


def answer(port: int, request: bytes) -> bytes:
    """What a server on `port` answers."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


class Daemon:
    """One of them: how it is started, and how it is seen to serve."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.port = name, free_port()
        self.pidfile = root / f"{name.split('-')[0]}.pid"
        configuration = root / "daemon.conf"
        text = NGINX if name == "nginx" else REDIS
        configuration.write_text(text.format(root=root, port=self.port))
        self.words = (name, "--", "-c", str(configuration)) if name == "nginx" else (name, "--", str(configuration))

    def serves(self) -> bool:
        """True when it answers as it should."""
        if self.name == "nginx":
            return answer(self.port, b"GET / HTTP/1.0\r\n\r\n").endswith(b"here I am\n")
        return answer(self.port, b"PING\r\n") == b"+PONG\r\n"


@pytest.fixture(params=["nginx", "redis-server"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Daemon:
    """The daemon."""
    return Daemon(request.param, tmp_path)


def kill_and_await(verbs: Verbs, daemon: Daemon) -> None:
    """Kill its main process, see it down, see it serve again, reload it, and end it with SIGTERM."""
    name = daemon.name
    first = verbs.status(name)["pid"]
    assert daemon.serves()
    os.kill(first, signal.SIGKILL)
    verbs.await_line(name, rf"proc {first} killed by signo 9")
    assert verbs("status", name, code=1).stdout.splitlines()[0] == f'"{name}" process is not running'
    second = int(verbs.await_line(name, rf"start trace {name} daemon pid (\d+)", 2)[1])
    verbs("wait", name, "--until", "ready", "--timeout", "10")
    await_port(daemon.port)
    assert daemon.serves()
    assert verbs.status(name)["pid"] == second
    os.kill(second, signal.SIGTERM)
    verbs("wait", name, "--until", "stopped", "--timeout", "20")
    assert not alive(second)
    in_order(
        verbs.log(name),
        rf"{name} started, pid \d+",
        rf"start trace {name} daemon pid {first}",
        rf"proc {first} killed by signo 9",
        rf"{name} restarted\(1/0\), pid \d+",
        rf"start trace {name} daemon pid {second}",
        rf"proc {second} exited, status 0",
        r"stopped",
    )


def test_a_daemon_with_a_pidfile(verbs: Verbs, daemon: Daemon) -> None:
    """With -p it is ready when its pidfile names it; killed it is started again; its normal end ends both."""
    verbs("start", "--respawn", "-t", "1", "-p", daemon.pidfile, *daemon.words)
    assert verbs.status(daemon.name)["pid"] == int(daemon.pidfile.read_text())
    kill_and_await(verbs, daemon)


def test_a_daemon_without_a_pidfile(verbs: Verbs, daemon: Daemon) -> None:
    """Without -p its main process is found."""
    verbs("start", "--respawn", "-t", "1", "--ready", f"tcp=127.0.0.1:{daemon.port}", *daemon.words)
    assert verbs.status(daemon.name)["pid"] == int(daemon.pidfile.read_text())
    kill_and_await(verbs, daemon)


def test_stop_ends_all_of_it(verbs: Verbs, daemon: Daemon) -> None:
    """`stop` leaves neither master nor workers, and nobody listens."""
    verbs("start", "-p", daemon.pidfile, *daemon.words)
    assert daemon.serves()
    verbs("stop", daemon.name)
    with pytest.raises(ConnectionRefusedError):
        daemon.serves()
