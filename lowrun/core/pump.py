"""Moves a command's output from its pipe into a file, and on to where the caller's own output goes.

A move never waits for a reader. The caller's standard output is shared with
whoever else has it open, so O_NONBLOCK, a flag of the open file description
(fcntl(2)), must not be set on it. Instead:

- a pipe or terminal is opened once more through /proc/self/fd: that is a new
  description of the same pipe or terminal, with flags of its own (proc(5));
- a socket is sent to with MSG_DONTWAIT (send(2));
- a file or /dev/null is written as it is, since it has no reader to wait for,
  and since O_APPEND and the shared offset are to be kept;
- where opening is refused (a terminal after su(1), no /proc) the caller's
  description is polled, then given at most PIPE_BUF bytes, which a pipe that
  polls writable has room for (pipe(7)); only another writer at that very
  moment can make it wait.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from enum import IntEnum

from lowrun._native import ffi, lib
from lowrun.core import kernel
from lowrun.core.fd import OwnedFd

__all__ = [
    "BUFFER",
    "HUNG_UP",
    "Destination",
    "Moved",
    "Pump",
    "PumpBuffer",
    "bytes_in",
    "open_pipe",
    "wait_writable",
]

#: Bytes that one move takes at most, but for one read: other sources of the loop have their turn.
BATCH = 4 << 20
BUFFER = 128 << 10
#: What a pipe holds, where /proc/sys/fs/pipe-max-size and pipe-user-pages-soft allow it (pipe(7)):
#: the larger, the fewer the wake-ups.
PIPE_SIZE = 1 << 20
#: Errors by which a destination says that nobody reads any more (EIO: a terminal that was hung up).
HUNG_UP = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EIO})

PTMX = os.makedev(5, 2)


def open_pipe() -> tuple[OwnedFd, OwnedFd]:
    """Return (read end, write end) of a large pipe; only the read end is non-blocking. Raises OSError."""
    import fcntl

    source, sink = map(OwnedFd, os.pipe2(os.O_CLOEXEC))
    os.set_blocking(source.fileno(), False)
    try:
        fcntl.fcntl(sink.fileno(), getattr(fcntl, "F_SETPIPE_SZ", 1031), PIPE_SIZE)
    except OSError:  # the limit of an ordinary user: a pipe of the usual size does as well
        pass
    return source, sink


def bytes_in(pipe: int) -> int:
    """Return the number of bytes in a pipe (FIONREAD, pipe(7))."""
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


class Destination(OwnedFd):
    """Where output is passed on to: the file, pipe, socket or terminal behind the caller's `fd`.

    Raises OSError: EBADF when the caller has no such descriptor.
    """

    __slots__ = ("kind",)

    def __init__(self, fd: int) -> None:
        super().__init__(-1)
        status = os.fstat(fd)
        self.kind: int = lib.LR_DESTINATION_OWN
        if stat.S_ISSOCK(status.st_mode):
            self.kind = lib.LR_DESTINATION_SOCKET
        elif stat.S_ISFIFO(status.st_mode) or os.isatty(fd):
            try:
                if status.st_rdev == PTMX:  # opening it makes another terminal
                    raise PermissionError
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._fd = os.open(f"/proc/self/fd/{fd}", flags)
                return
            except OSError:
                self.kind = lib.LR_DESTINATION_SHARED
        self._fd = os.dup(fd)


class Moved(IntEnum):
    """How a move ended: the pipe is empty, may have more, or the destination takes nothing now."""

    DRAINED = lib.LR_PUMP_DRAINED
    MORE = lib.LR_PUMP_MORE
    BLOCKED = lib.LR_PUMP_BLOCKED


class PumpBuffer:
    """Where bytes are on their way; many pumps of one thread can share one while they pass nothing on."""

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory = ffi.new_allocator(should_clear_after_alloc=False)("unsigned char[]", BUFFER)

    def first(self, count: int) -> bytes:
        """Return its first `count` bytes: all that was moved, when that was not more than BUFFER."""
        return bytes(ffi.buffer(self.memory, count))


class Pump:
    """Moves bytes from `source` into `record` and on to `destination`, all the caller's to close.

    A record or destination that fails is let go; `record_error` and
    `destination_error` are the errno then, else 0.
    """

    __slots__ = ("_buffer", "_pump", "_referents")

    def __init__(
        self,
        source: OwnedFd,
        record: OwnedFd | None,
        destination: Destination | None,
        buffer: PumpBuffer | None = None,
    ) -> None:
        self._referents = source, record, destination
        self._buffer = buffer or PumpBuffer()
        self._pump = ffi.new(
            "struct lr_pump *",
            {
                "source": source.fileno(),
                "record": -1 if record is None else record.fileno(),
                "destination": -1 if destination is None else destination.fileno(),
                "kind": lib.LR_DESTINATION_OWN if destination is None else destination.kind,
                "size": BUFFER,
                "buffer": self._buffer.memory,
            },
        )

    def move(self, limit: int = BATCH) -> Moved:
        """Move what there is, some `limit` bytes at most, and no more at all when that is up to BUFFER.

        It never waits for a reader. MORE means only that the source was not seen empty. Raises OSError when the source
        failed.
        """
        self._pump.size = min(BUFFER, limit)
        return Moved(kernel.check(lib.lr_pump_move(self._pump, limit), "read"))

    @property
    def record_error(self) -> int:
        """The errno by which the record failed, 0 while it has not."""
        return int(self._pump.record_error)

    @property
    def destination_error(self) -> int:
        """The errno by which the destination failed, 0 while it has not."""
        return int(self._pump.destination_error)

    @property
    def taken(self) -> int:
        """Bytes read from the source so far."""
        return int(self._pump.taken)

    def waiting(self) -> int:
        """Return the number of bytes in the source."""
        return bytes_in(self._pump.source)

    def record_to(self, record: OwnedFd) -> None:
        """Write what comes from now on to another file, the caller's to close; an error of the former is forgotten."""
        self._referents = self._referents[0], record, self._referents[2]
        self._pump.record, self._pump.record_error = record.fileno(), 0

    def drop_destination(self) -> None:
        """Pass nothing on from now on."""
        self._pump.destination = -1


def wait_writable(destinations: list[Destination]) -> bool:
    """Wait until one of `destinations` can take more or has failed; False when the user wants an end.

    That is when a signal that ends programs is pending for this thread, as it
    is in a program that blocks it to read it from a signalfd of its own: a
    signalfd polls readable then (signalfd(2)) and, not being read, takes
    nothing away. A signal that is not blocked runs its handler meanwhile.
    """
    with OwnedFd(kernel.signals_create(kernel.ENDING)) as signals:
        poll = select.poll()
        poll.register(signals.fileno(), select.POLLIN)
        for destination in destinations:
            poll.register(destination.fileno(), select.POLLOUT)
        return signals.fileno() not in (fd for fd, _ in poll.poll())
