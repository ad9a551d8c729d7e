"""The words between a command and the supervisor: a socket STATE/NAME/control and one JSON object a message (unix(7)).

    lowrun stop NAME                                    supervisor
    ask(state, {"do": "stop"}) --{"do","name"}--> ControlServer --> on_request(request, reply)
           <---------------------{...}------------------------------ reply({...}), now or later

One SOCK_SEQPACKET socket serves all programs of a process: STATE/NAME/control of each is a hard link to it (link(2) is
for any file that is no directory, and connect(2) looks for the inode), and a request says whom it is for. So a thousand
programs take two descriptors: the socket, and one that is kept in reserve for a client, one at a time, when no other is
left: `stop` and its like work then, too, and a connection that cannot be accepted does not keep the loop awake
(accept(2)). The name appears by a rename, when the socket listens already, and replaces what a killed supervisor left.

Both ends go by /proc/self/fd/DIRECTORY/control: sun_path has room for 107 bytes, a state directory may have a longer
path. Both ends look who the other one is (SO_PEERCRED): the same user, or root.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.loop import IoSource, Loop, Timer
from lowrun.errors import DeniedError, GoneError, LowrunError, ProtocolError
from lowrun.steps import tell
from lowrun.supervise.state import ProgramState

if TYPE_CHECKING:
    import socket

__all__ = ["ControlPoint", "ControlServer", "Message", "Reply", "Request", "ask"]

Message = dict[str, Any]

NAME, NEW_NAME = "control", ".control"
#: Bytes of a message, at most; far below what a socket's buffer holds (net.core.wmem_default).
LARGEST = 64 << 10
BACKLOG = 64
#: Seconds after which clients are looked for again that nobody could be given a descriptor for.
AGAIN = 1.0
#: Seconds between two looks for a supervisor that is about to listen.
STEP = 0.01


def _encode(message: Message) -> bytes:
    import json

    data = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(data) > LARGEST:
        raise ProtocolError(f"a message of {len(data)} bytes is too long")
    return data


def _decode(data: bytes) -> Message:
    import json

    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a message that is no JSON has come") from error
    if len(data) > LARGEST or not isinstance(message, dict):
        raise ProtocolError("a message that is no JSON object has come")
    return message


def _is_friend(connection: socket.socket) -> bool:
    """True when the other end is of our user or root (SO_PEERCRED: struct ucred, pid, uid, gid)."""
    import socket
    import struct

    uid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    return uid in (0, os.geteuid())


# -- the supervisor's end


class Reply:
    """Answers a request, once, at any time; does nothing when the client has gone away, which `on_gone()` tells of."""

    __slots__ = ("_client", "on_gone")

    def __init__(self, client: _Client) -> None:
        self._client = client
        self.on_gone: Callable[[], object] | None = None

    def __call__(self, message: Message) -> None:
        """Send the answer."""
        self._client.answer(self, message)


Request = Callable[[Message, Reply], object]


def _open_reserve() -> OwnedFd:
    return OwnedFd(os.open("/", os.O_PATH | os.O_CLOEXEC))


class ControlServer:
    """Serves all programs of this process; opens its socket with the first one and closes it after the last."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._points: dict[str, ControlPoint] = {}
        self._clients: set[_Client] = set()
        self._listener: socket.socket | None = None
        self._watch: IoSource | None = None
        self._reserve = OwnedFd(-1)
        self._later: Timer | None = None

    def serve(self, state: ProgramState, on_request: Request) -> ControlPoint:
        """Call `on_request(request, reply)` for what is asked of the program, whose lock the caller holds.

        What it raises is answered as {"error": text}: no request ends the supervisor. Raises OSError.
        """
        point = ControlPoint(self, state, on_request)
        _unlink(state, NEW_NAME)
        former = next(iter(self._points.values()), None)
        if former is None:
            self._open(state)
        else:
            os.link(NAME, NEW_NAME, src_dir_fd=former.state.fileno(), dst_dir_fd=state.fileno(), follow_symlinks=False)
        os.rename(NEW_NAME, NAME, src_dir_fd=state.fileno(), dst_dir_fd=state.fileno())
        _unlink(state, NEW_NAME)  # rename(2) does nothing when both are the same socket
        self._points[state.name] = point
        return point

    def _open(self, state: ProgramState) -> None:
        import socket

        kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        listener = socket.socket(socket.AF_UNIX, kind)
        try:
            os.fchmod(listener.fileno(), 0o600)  # bind(2) gives the name the socket's own mode
            listener.bind(f"/proc/self/fd/{state.fileno()}/{NEW_NAME}")
            listener.listen(BACKLOG)
            self._watch = self._loop.add_io(listener.fileno(), kernel.READ, self._accept)
        except BaseException:
            listener.close()
            raise
        self._listener = listener
        self._reserve = _open_reserve()

    def _accept(self, _events: int) -> None:
        connection = self._take()
        if connection is not None and _is_friend(connection):
            connection.setblocking(False)
            self._clients.add(_Client(self, self._loop, connection))
            return
        if connection is not None:
            connection.close()
        if self._reserve.closed and self._later is None:
            self._listen()

    def _take(self) -> socket.socket | None:
        """Return the next client. When no descriptor is left it has the reserve, and the others wait."""
        assert self._watch is not None
        try:
            return self._take_one()
        except OSError as error:
            tell("control", "one client at a time: %s", error)
        self._reserve.close()
        try:
            return self._take_one()
        except OSError:
            self._watch.watch(0)
            self._later = self._loop.add_timer(AGAIN, self._listen)
            return None

    def _take_one(self) -> socket.socket | None:
        assert self._listener is not None
        try:
            return self._listener.accept()[0]
        except (BlockingIOError, ConnectionAbortedError):
            return None

    def _listen(self) -> None:
        """Take the reserve back, and whoever waits."""
        later, self._later = self._later, None
        if later is not None:
            later.close()
        if self._reserve.closed:
            with suppress(OSError):
                self._reserve = _open_reserve()
        if self._watch is not None:
            self._watch.watch(kernel.READ)

    def _asked(self, message: Message, reply: Reply) -> None:
        """Hand a request on to the program that it is for."""
        name = message.get("name")
        point = self._points.get(name) if isinstance(name, str) else None
        if point is None:
            reply({"error": "no such program is supervised here"})
            return
        try:
            point.on_request(message, reply)
        except LowrunError as error:
            reply({"error": str(error)})
        except Exception as error:
            tell("control", "request %.200r: %r", message, error)
            reply({"error": f"{type(error).__name__}: {error} (a defect of lowrun)"})

    def _forget(self, client: _Client) -> None:
        self._clients.discard(client)
        if self._reserve.closed and self._listener is not None:
            self._listen()

    def _withdraw(self, point: ControlPoint) -> None:
        if self._points.pop(point.state.name, None) is None:
            return
        _unlink(point.state, NAME)
        if not self._points:
            self.close()

    def withdraw(self) -> None:
        """Take all names away, before their locks are let go; who waits for an answer can have it until `close`."""
        points, self._points = self._points, {}
        for point in points.values():
            _unlink(point.state, NAME)

    def close(self) -> None:
        """Serve nobody any more; the second time does nothing."""
        self.withdraw()
        for client in list(self._clients):
            client.close()
        watch, self._watch = self._watch, None
        listener, self._listener = self._listener, None
        if watch is not None and listener is not None:
            watch.close()
            listener.close()
        if self._later is not None:
            self._later.close()
        self._reserve.close()


class ControlPoint:
    """One program's name in a ControlServer."""

    __slots__ = ("_server", "on_request", "state")

    def __init__(self, server: ControlServer, state: ProgramState, on_request: Request) -> None:
        self._server = server
        self.state = state
        self.on_request = on_request

    def close(self) -> None:
        """Take the program's name away, before its lock is let go; the second time does nothing."""
        self._server._withdraw(self)


def _unlink(state: ProgramState, name: str) -> None:
    try:
        os.unlink(name, dir_fd=state.fileno())
    except OSError:
        pass


class _Client:
    """One connection: requests come, each is answered when its answer is there."""

    def __init__(self, server: ControlServer, loop: Loop, connection: socket.socket) -> None:
        self._server = server
        self._connection = connection
        self._source = loop.add_io(connection.fileno(), kernel.READ, self._ready)
        #: Of requests that were not answered yet, the first one first.
        self._open: dict[Reply, None] = {}

    def _ready(self, _events: int) -> None:
        try:
            data = self._connection.recv(LARGEST + 1)
            if not data:
                self.close()
                return
            message = _decode(data)
        except BlockingIOError:
            return
        except (OSError, ProtocolError):
            self.close()
            return
        reply = Reply(self)
        self._open[reply] = None
        self._server._asked(message, reply)

    def answer(self, reply: Reply, message: Message) -> None:
        """Send the answer to a request that has none yet."""
        if reply not in self._open:
            return
        del self._open[reply]
        try:
            self._connection.send(_encode(message))
        except (OSError, ProtocolError):  # it has gone away, does not read what it asks for, or it is too much
            self.close()

    def close(self) -> None:
        """Forget the client; the second time does nothing."""
        if self._source.closed:
            return
        self._source.close()
        self._connection.close()
        replies, self._open = self._open, {}
        for reply in replies:
            if reply.on_gone is not None:
                reply.on_gone()
        self._server._forget(self)


# -- the command's end


def ask(state: ProgramState, request: Message, timeout: float | None) -> Message:
    """Ask the supervisor of a program, and wait for the answer; `timeout` seconds, None: for ever.

    Raises GoneError when no supervisor listens or it ends without an answer; DeniedError when it is another user's;
    TimeoutError; ProtocolError.
    """
    import socket

    message = _encode({**request, "name": state.name})
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(timeout)
        _connect(connection, state, timeout)
        if not _is_friend(connection):
            raise DeniedError(f"{state.path}/{NAME} is another user's; remove {state.path}")
        try:
            connection.send(message)
            data = connection.recv(LARGEST + 1)
        except TimeoutError as error:
            raise _silent(state, timeout) from error
        except (BrokenPipeError, ConnectionResetError):
            data = b""
    if not data:
        raise GoneError(f'the supervisor of "{state.name}" has ended without an answer')
    return _decode(data)


def _connect(connection: socket.socket, state: ProgramState, timeout: float | None) -> None:
    """Connect to its supervisor; to one that has the lock and does not listen yet, or no more, as soon as it can be."""
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            connection.connect(f"/proc/self/fd/{state.fileno()}/{NAME}")
            return
        except (FileNotFoundError, ConnectionRefusedError) as error:
            supervisor = state.supervisor()
            if supervisor is None:
                raise GoneError(f'no supervisor of "{state.name}" is running') from error
            if until is not None and time.monotonic() > until:
                raise _silent(state, timeout) from error
            supervisor.await_end(STEP)
        except TimeoutError as error:
            raise _silent(state, timeout) from error


def _silent(state: ProgramState, timeout: float | None) -> TimeoutError:
    return TimeoutError(f'the supervisor of "{state.name}" has not answered within {timeout:g} s')
