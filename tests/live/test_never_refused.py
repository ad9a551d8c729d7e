"""Socket activation under load: clients that connect all the time, a server that dies all the time."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.programs import alive, mock
from tests.supervised import PATIENCE, Verbs, state

CLIENTS = 3


@pytest.fixture
def verbs(tmp_path: Path) -> Iterator[Verbs]:
    """The verbs, with a state directory of their own."""
    with state(tmp_path / "state") as found:
        yield found


class Load:
    """Clients that connect again and again, until the end of the context."""

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        #: What connect said but yes.
        self.refusals: list[OSError] = []
        self.answers = 0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(CLIENTS)]

    def ask(self) -> int | None:
        """Return the server's pid; None when it was killed before it answered."""
        with socket.create_connection(self.address, PATIENCE) as client, suppress(ConnectionResetError):
            if said := client.recv(16):
                return int(said)
        return None

    def _go_on(self) -> None:
        while not self._end.is_set():
            try:
                self.answers += self.ask() is not None
            except OSError as error:
                self.refusals.append(error)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def kill_server(self) -> None:
        """Kill the server, and come back when another one answers."""
        first = self.await_server(None)
        os.kill(first, signal.SIGKILL)
        self.await_server(first)

    def await_server(self, former: int | None) -> int:
        until = time.monotonic() + PATIENCE
        while (pid := self.ask()) in (None, former):
            assert time.monotonic() < until
        assert pid is not None
        return pid


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_over_fifty_respawns(verbs: Verbs) -> None:
    """No connect is refused while the server is killed and respawned 50 times; then the port is free."""
    port = free_port()
    verbs("start", "--respawn", "-t", "0", "--name", "server", "--socket", f"tcp:127.0.0.1:{port}", mock("activated"))
    with Load(port) as load:
        for _ in range(50):
            load.kill_server()
    assert load.refusals == []
    assert load.answers > 50
    assert json.loads(verbs("status", "--json", "server").stdout)["restarts"] == 50
    verbs("stop", "server")
    with pytest.raises(ConnectionRefusedError):
        load.ask()


def test_over_the_death_of_supervisors(verbs: Verbs) -> None:
    """With --on-lost keep the socket goes over to the next supervisor: nobody is refused, before, between and after."""
    port = free_port()
    options = ("--respawn", "-t", "0", "--on-lost", "keep", "--name", "server", "--socket", f"tcp:127.0.0.1:{port}")
    verbs("start", *options, mock("activated"))
    with Load(port) as load:
        for _ in range(3):
            load.kill_server()
            now = json.loads(verbs("status", "--json", "server").stdout)
            os.kill(now["supervisor"], signal.SIGKILL)
            while alive(now["supervisor"]):
                time.sleep(0.001)
            assert load.await_server(None) == now["pid"]
            verbs("start", *options, mock("activated"))
            assert load.await_server(None) == now["pid"]
            load.kill_server()
    assert load.refusals == []
