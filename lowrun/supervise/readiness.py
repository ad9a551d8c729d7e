"""How a program tells that it serves: `--ready`, and the ways that need nothing of the program but what it does anyway.

    notify          READY=1 of sd_notify(3): notify.py
    fd=N            a newline written to descriptor N (s6's notification-fd)
    pidfile         a pidfile that names its main process: pidfile.py
    tcp=HOST:PORT   it accepts a connection
    log=REGEX       a line of its output has a match

One `Readiness` serves all lives of a program, so that what is handed to it stays the same: `begin` for each life, `end`
when it is over. Nothing is watched any more once a life is ready.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from typing import Protocol

from lowrun.core import kernel
from lowrun.core.fd import Closable, OwnedFd
from lowrun.core.loop import IoSource, Loop, Timer
from lowrun.errors import UsageError
from lowrun.supervise.readyspec import Ready

__all__ = ["Readiness", "open_readiness"]

#: Bytes of a line of output that are looked at.
MAX_LINE = 64 << 10
#: Between two rounds of connecting: at first, and at most; seconds.
FIRST_DELAY, LAST_DELAY = 0.005, 0.25


#: Calls what it is given with all that a program writes, until what it returns is closed.
Follow = Callable[[Callable[[bytes], object]], Closable]


class Readiness(Protocol):
    """One way to know when a program serves."""

    #: The program's descriptor -> ours; the same for every life.
    fds: dict[int, int]

    def begin(self, on_ready: Callable[[], object]) -> None:
        """A new life begins: call `on_ready()`, once, when it serves. Before it is executed."""

    def feed(self, output: bytes) -> None:
        """The program has written this."""

    def hear(self) -> None:
        """Its main process has ended: take what it has said before."""

    def end(self) -> None:
        """The life is over, ready or not."""

    def close(self) -> None:
        """No life follows."""


def open_readiness(
    loop: Loop, ready: Ready, held: OwnedFd | None = None, follow: Follow | None = None
) -> Readiness | None:
    """Return the way; None for those of other modules, notify and pidfile. Raises UsageError for an unknown host.

    `held`, the way's from now on, is what a life that goes on was given for `fd=N`; `follow` is how the output is read
    that nobody calls `feed` with.
    """
    if ready.way == "fd":
        return _ByDescriptor(loop, ready.fd, held)
    if ready.way == "tcp":
        return _ByConnecting(loop, ready.host, ready.port)
    return None if ready.pattern is None else _ByOutput(ready.pattern, follow)


class _Way:
    """What the ways have in common: who is to be told, once in a life."""

    def __init__(self) -> None:
        self.fds: dict[int, int] = {}
        self._on_ready: Callable[[], object] | None = None

    def begin(self, on_ready: Callable[[], object]) -> None:
        self.end()
        self._on_ready = on_ready

    def feed(self, output: bytes) -> None:
        pass

    def hear(self) -> None:
        pass

    def end(self) -> None:
        self._on_ready = None

    def close(self) -> None:
        self.end()

    def _met(self) -> None:
        on_ready = self._on_ready
        self.end()
        if on_ready is not None:
            on_ready()


class _ByDescriptor(_Way):
    """A pipe, the same for every life: lowrun and the keeper have its other end as well, so it has no end of file.

    What a program gets can be read as well (fifo(7)): so one that outlives its lowrun is not killed by SIGPIPE when it
    writes, and the next lowrun, which gets `held` from its keeper, reads what it has written meanwhile.
    """

    def __init__(self, loop: Loop, number: int, held: OwnedFd | None) -> None:
        super().__init__()
        self._is_held = held is not None
        if held is None:
            read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            os.close(write)
            self._read = OwnedFd(read)
            self._given = OwnedFd(os.open(f"/proc/self/fd/{read}", os.O_RDWR | os.O_CLOEXEC))
        else:
            self._given = held
            path = f"/proc/self/fd/{held.fileno()}"
            self._read = OwnedFd(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        self.fds[number] = self._given.fileno()
        self._loop = loop
        self._source: IoSource | None = None

    def begin(self, on_ready: Callable[[], object]) -> None:
        super().begin(on_ready)
        while not self._is_held and self._take():  # what the life before has written
            pass
        self._is_held = False
        self._source = self._loop.add_io(self._read.fileno(), kernel.READ, self._written)

    def hear(self) -> None:
        self._written(kernel.READ)

    def end(self) -> None:
        super().end()
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def close(self) -> None:
        super().close()
        self._read.close()
        self._given.close()

    def _take(self) -> bytes:
        try:
            return os.read(self._read.fileno(), 4096)
        except BlockingIOError:
            return b""

    def _written(self, _events: int) -> None:
        if b"\n" in self._take():
            self._met()


class _ByConnecting(_Way):
    """Connects until somebody accepts.

    There is no event for a socket that begins to listen, so this is the one way that wakes lowrun: after 5 ms, then
    after twice that and so on, up to 4 times a second; until it is ready, never after. Whoever accepts counts, as for
    any client; what it gets is a connection that is closed at once.
    """

    def __init__(self, loop: Loop, host: str, port: int) -> None:
        super().__init__()
        import socket

        try:
            found = socket.getaddrinfo(host or "127.0.0.1", port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise UsageError(f"--ready tcp={host}:{port}: {error.strerror}") from error
        self._addresses = [(family, address) for family, _, _, _, address in found]
        self._loop = loop
        self._turn = 0
        self._delay = FIRST_DELAY
        self._socket: socket.socket | None = None
        self._source: IoSource | None = None
        self._timer: Timer | None = None

    def begin(self, on_ready: Callable[[], object]) -> None:
        super().begin(on_ready)
        self._turn, self._delay = 0, FIRST_DELAY
        self._timer = self._loop.add_timer(FIRST_DELAY, self._try)

    def end(self) -> None:
        super().end()
        self._hang_up()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    def _hang_up(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()

    def _try(self) -> None:
        import socket

        self._hang_up()
        family, address = self._addresses[self._turn % len(self._addresses)]
        self._turn += 1
        if self._turn % len(self._addresses) == 0:
            self._delay = min(2 * self._delay, LAST_DELAY)
        assert self._timer is not None
        self._timer.set(self._delay)
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:  # a family that this kernel does not have
            return
        result = self._socket.connect_ex(address)
        if result == errno.EINPROGRESS:
            self._source = self._loop.add_io(self._socket.fileno(), kernel.WRITE, self._answered)
        else:
            self._answer(result)

    def _answered(self, _events: int) -> None:
        import socket

        assert self._socket is not None
        self._answer(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _answer(self, error: int) -> None:
        sock = self._socket
        # A port of the ephemeral range that nobody listens on can be given to the very socket that connects to it.
        served = error == 0 and sock is not None and sock.getsockname() != sock.getpeername()
        self._hang_up()
        if served:
            self._met()


class _ByOutput(_Way):
    """Looks at each line of the output, at the first 64 KiB of a longer one; `follow` it where `feed` is not called."""

    def __init__(self, pattern: re.Pattern[bytes], follow: Follow | None) -> None:
        super().__init__()
        self._pattern, self._follow = pattern, follow
        self._followed: Closable | None = None
        self._line = bytearray()

    def begin(self, on_ready: Callable[[], object]) -> None:
        super().begin(on_ready)
        self._line.clear()
        if self._follow is not None:
            self._followed = self._follow(self.feed)

    def end(self) -> None:
        super().end()
        followed, self._followed = self._followed, None
        if followed is not None:
            followed.close()

    def feed(self, output: bytes) -> None:
        if self._on_ready is None:
            return
        *whole, rest = output.split(b"\n")
        for part in whole:
            self._line += part[: MAX_LINE - len(self._line)]
            line = bytes(self._line).removesuffix(b"\r")
            self._line.clear()
            if self._pattern.search(line):
                self._met()
                return
        self._line += rest[: MAX_LINE - len(self._line)]
