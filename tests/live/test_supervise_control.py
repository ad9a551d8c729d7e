"""The socket between commands and the supervisor: one for all programs of a process."""

from __future__ import annotations

import os
import resource
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.supervise.control import LARGEST, ControlServer, Message, Reply, ask
from lowrun.supervise.state import ProgramState, StateDirectory


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StateDirectory]:
    monkeypatch.setenv("LOWRUN_STATE_DIR", str(tmp_path / ("long-" * 30) / "state"))
    with StateDirectory.open(create=True) as directory:
        yield directory


@pytest.fixture
def loop() -> Iterator[lr.Loop]:
    with lr.Loop() as loop:
        yield loop


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as undo:
        yield undo


@pytest.fixture
def state(directory: StateDirectory) -> Iterator[ProgramState]:
    with directory.program("job") as state:
        yield state


@pytest.fixture
def server(state: ProgramState, undo: ExitStack, loop: lr.Loop) -> Iterator[ControlServer]:
    server = ControlServer(loop)
    yield server
    server.close()


@contextmanager
def elsewhere(loop: lr.Loop, work: Callable[[], object]) -> Iterator[None]:
    """Run the loop while `work` is done by another thread; what that raises comes out."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)
        finally:
            loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=guarded)
    thread.start()
    loop.run()
    thread.join()
    if raised:
        raise raised[0]
    yield


def connect(state: ProgramState) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.connect(f"/proc/self/fd/{state.fileno()}/control")
    return end


def test_requests_reach_the_program_that_they_name(
    directory: StateDirectory, state: ProgramState, undo: ExitStack, loop: lr.Loop, server: ControlServer
) -> None:
    """Two programs, one socket, a path too long for sun_path; an error of lowrun's is an answer."""
    states = [undo.enter_context(directory.program(name)) for name in ("one", "two")]

    def answer(request: Message, reply: Reply) -> None:
        if request["do"] == "fail":
            raise lr.UsageError("no")
        reply({"to": request["name"], "did": request["do"]})

    for state in states:
        server.serve(state, answer)
        assert os.stat("control", dir_fd=state.fileno()).st_mode & 0o777 == 0o600
        assert os.listdir(state.fileno()) == ["control"]
    answers: list[Message] = []

    def work() -> None:
        answers.extend(ask(state, {"do": "it"}, 10) for state in states)
        answers.append(ask(states[0], {"do": "fail"}, 10))

    with elsewhere(loop, work):
        assert answers == [{"to": "one", "did": "it"}, {"to": "two", "did": "it"}, {"error": "no"}]


def test_an_answer_may_come_later(state: ProgramState, undo: ExitStack, loop: lr.Loop, server: ControlServer) -> None:
    """Three wait at once, a fourth has gone away; they are answered when it has happened."""
    replies: list[Reply] = []
    server.serve(state, lambda _request, reply: replies.append(reply))
    clients = [undo.enter_context(connect(state)) for _ in range(4)]
    for client in clients:
        client.send(b'{"do":"stop","name":"job"}')
    while len(replies) < 4:
        loop.dispatch(-1)
    clients[3].close()
    loop.dispatch(-1)
    for reply in replies:
        reply({"gone": True})
    assert [client.recv(100) for client in clients[:3]] == [b'{"gone":true}'] * 3


def test_the_last_answer_arrives_though_the_server_ends(state: ProgramState, loop: lr.Loop) -> None:
    """Who was told that the program is gone knows it, though its supervisor ends in the same breath."""
    server = ControlServer(loop)

    def answer(_request: Message, reply: Reply) -> None:
        reply({"gone": True})
        server.close()

    server.serve(state, answer)
    answers: list[Message] = []
    with elsewhere(loop, lambda: answers.append(ask(state, {"do": "stop"}, 10))):
        assert answers == [{"gone": True}]
    assert os.listdir(state.fileno()) == []


def test_nobody_listens(state: ProgramState, loop: lr.Loop, server: ControlServer) -> None:
    """No socket, a socket that a killed supervisor left, one that never answers, one that ends: said in a line."""
    with pytest.raises(lr.GoneError, match=r'^no supervisor of "job" is running$'):
        ask(state, {"do": "stop"}, 1)
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stale.bind(f"/proc/self/fd/{state.fileno()}/control")
    stale.close()
    with pytest.raises(lr.GoneError, match="no supervisor"):
        ask(state, {"do": "stop"}, 1)
    server.serve(state, lambda _request, _reply: None)
    with pytest.raises(TimeoutError, match=r"has not answered within 0\.05 s"):
        ask(state, {"do": "stop"}, 0.05)
    with pytest.raises(lr.GoneError, match="ended without an answer"), elsewhere(loop, lambda: closing(state)):
        pytest.fail("it was answered")


def closing(state: ProgramState) -> None:
    """A listener that accepts, reads and ends."""
    os.unlink("control", dir_fd=state.fileno())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"/proc/self/fd/{state.fileno()}/control")
        listener.listen()

        def end() -> None:
            connection, _ = listener.accept()
            connection.recv(100)
            connection.close()

        thread = threading.Thread(target=end)
        thread.start()
        try:
            ask(state, {"do": "stop"}, 10)
        finally:
            thread.join()


@pytest.mark.parametrize("data", [b"garbage", b"[1]", b"[" * 60000, b" " * LARGEST + b"{}", b'{"x":' + b'"' * 9])
def test_garbage_ends_its_connection_alone(
    state: ProgramState, loop: lr.Loop, server: ControlServer, data: bytes
) -> None:
    """Who sends no request is hung up on; others are served."""
    with connect_after(server, state) as bad, connect(state) as good:
        bad.send(data)
        good.send(b'{"name":"job"}')
        loop.dispatch(-1)
        while not readable(good):
            loop.dispatch(-1)
        assert bad.recv(10) == b""
        assert good.recv(100) == b'{"ok":1}'


def connect_after(server: ControlServer, state: ProgramState) -> socket.socket:
    server.serve(state, lambda _request, reply: reply({"ok": 1}))
    return connect(state)


def readable(end: socket.socket) -> bool:
    return bool(select.select([end], [], [], 0)[0])


def test_a_name_that_is_not_served(state: ProgramState, loop: lr.Loop, server: ControlServer) -> None:
    """It is an error to who asks; names that are no names too."""
    with connect_after(server, state) as client:
        for name in ('"other"', "null", "[]", "{}"):
            client.send(b'{"name":%s}' % name.encode())
            while not readable(client):
                loop.dispatch(-1)
            assert b"no such program" in client.recv(200)


def test_a_client_that_never_reads_is_let_go(state: ProgramState, loop: lr.Loop, server: ControlServer) -> None:
    """Answers are not heaped up for it, and the loop does not wait for it."""
    server.serve(state, lambda _request, reply: reply({"much": "x" * 60000}))
    with connect(state) as client:
        client.settimeout(10)
        with pytest.raises(OSError):
            ask_and_ask(client, loop)


def ask_and_ask(client: socket.socket, loop: lr.Loop) -> None:
    while True:
        client.send(b'{"name":"job"}')
        loop.dispatch()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_another_user_is_hung_up_on(state: ProgramState, loop: lr.Loop, server: ControlServer) -> None:
    """Even one that came by the directory's protection."""
    server.serve(state, lambda _request, reply: reply({"secret": 1}))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            end = connect_as(state, 12345)
            code = 0 if end.recv(100) == b"" else 1
        finally:
            os._exit(code)
    loop.dispatch(-1)
    assert os.waitpid(child, 0)[1] == 0


def connect_as(state: ProgramState, uid: int) -> socket.socket:
    """Credentials are those at connect(2); its path is looked up with the rights of the file system's uid."""
    import ctypes

    os.setresuid(uid, uid, 0)
    ctypes.CDLL(None).setfsuid(0)
    return connect(state)


def test_no_descriptors_left(state: ProgramState, undo: ExitStack, loop: lr.Loop, server: ControlServer) -> None:
    """One client is served at a time, the loop sleeps meanwhile; others wait until that one goes."""
    with connect_after(server, state) as first:
        first.send(b'{"name":"job"}')
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        late, later = (undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) for _ in range(2))
        while not readable(first):
            loop.dispatch(-1)
        for client in (late, later):
            client.connect(f"/proc/self/fd/{state.fileno()}/control")
            client.send(b'{"name":"job"}')
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
        try:
            taken = []
            with pytest.raises(OSError):
                taken.extend(os.dup(0) for _ in iter(int, 1))
            while not readable(late):
                loop.dispatch(-1)
            loop.dispatch(0)
            assert not select.select([loop.fileno()], [], [], 0.1)[0]
            assert not readable(later)
            late.shutdown(socket.SHUT_RDWR)
            while not readable(later):
                loop.dispatch(-1)
            for fd in taken:
                os.close(fd)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with connect(state) as again:
            again.send(b'{"name":"job"}')
            while not readable(again):
                loop.dispatch(-1)


def test_a_thousand_programs_take_two_descriptors(
    directory: StateDirectory, state: ProgramState, undo: ExitStack, loop: lr.Loop, server: ControlServer
) -> None:
    """The first one's end does not end the others'; after the last one nothing is left."""
    states = [undo.enter_context(directory.program(f"p{number}")) for number in range(1000)]
    before = len(os.listdir("/proc/self/fd"))
    points = [server.serve(state, lambda request, reply: reply({"is": request["name"]})) for state in states]
    assert len(os.listdir("/proc/self/fd")) - before == 2
    for point in points[:999]:
        point.close()
    answers: list[Message] = []
    with elsewhere(loop, lambda: answers.append(ask(states[999], {}, 10))):
        assert answers == [{"is": "p999"}]
    server.serve(states[0], lambda _request, reply: reply({}))
    points[999].close()
    assert os.listdir(states[0].fileno()) == ["control"]
    server.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert not [state.name for state in states if os.listdir(state.fileno())]
