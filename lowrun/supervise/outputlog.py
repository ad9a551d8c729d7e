"""What a program writes to its standard output and standard error, of all its lives.

    file     program --1,2--> pipe --> STATE/NAME/output.log, .1, .2 ...     renamed when it is full
    direct   program --1,2--> STATE/NAME/output.log                          copied and truncated when it is full
    syslog   program --1,2--> pipe --> the system's log, line by line
    pass     the caller's own descriptors

One pipe serves all lives, and both its ends stay open here: what the end of one life wrote is read in the next one,
and the pipe never hangs up. It has the usual 64 KiB: larger ones of a thousand programs would be more than a user may
have (pipe-user-pages-soft, pipe(7)). A turn of the loop takes no more of a program than that, so that one that writes
without end has its turn like all others; it waits in write(2) meanwhile.

A program that outlives lowrun (`on_lost` "keep") has no pipe: a write to one that nobody reads is death by SIGPIPE,
and one that nobody empties is full. It has the file itself, opened with O_APPEND, and that is watched by inotify. It
cannot be renamed under the program, so what is full is copied, then truncated: what is written in the moment between
the two is lost, and while no lowrun lives nobody bounds the file. A new life begins with a new file where the old one
is full.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from lowrun.core import kernel
from lowrun.core.fd import Closable, OwnedFd
from lowrun.core.inotify import Watched, watch_file
from lowrun.core.loop import IoSource, Loop
from lowrun.core.process import open_standard_fds
from lowrun.core.pump import BUFFER, Pump, PumpBuffer, bytes_in
from lowrun.errors import LowrunError
from lowrun.supervise.journal import Syslog
from lowrun.supervise.reading import Follower, tail
from lowrun.supervise.settings import Program
from lowrun.supervise.state import ProgramState

__all__ = [
    "DirectOutput",
    "FileOutput",
    "Output",
    "PassedOutput",
    "PipedOutput",
    "SyslogOutput",
    "open_output",
    "output_names",
]

OUTPUT, COPY = "output.log", ".output.log"
PIPE = 64 << 10
#: Bytes of a pipe that are sent to the system's log at a turn: it is a system call a line.
SYSLOG_TURN = 4 << 10
#: Lines that are remembered where no file has them, and bytes of one.
REMEMBERED, LONGEST = 20, 4 << 10


def output_names(state: ProgramState) -> tuple[str, ...]:
    """Return the names of the files that a program's output is in, newest first."""
    names = os.listdir(state.fileno())
    numbers = [name.removeprefix(f"{OUTPUT}.") for name in names if name.startswith(f"{OUTPUT}.")]
    return _names(max((int(number) for number in numbers if number.isdecimal()), default=0))


def _names(keep: int) -> tuple[str, ...]:
    return (OUTPUT, *(f"{OUTPUT}.{number}" for number in range(1, keep + 1)))


class Output(Protocol):
    """Where a program's output goes."""

    #: Descriptor in the program -> ours; the same for all lives.
    fds: Mapping[int, int]

    def begin_life(self) -> None:
        """Prepare for a life that is about to begin."""

    def drain(self) -> None:
        """Take all that was written until now."""

    def last_lines(self, count: int) -> list[str]:
        """Return the last lines of the present life, or the last one; [] where they are not known."""

    def close(self) -> None:
        """Close all; the second time does nothing."""


# -- files that are rotated


def _exists(state: ProgramState, name: str) -> bool:
    try:
        os.stat(name, dir_fd=state.fileno(), follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _shift(state: ProgramState, keep: int) -> None:
    """Make room for a new `.1`: each old file is one older, the oldest goes."""
    for newer, older in reversed(list(itertools.pairwise(_names(keep)[1:]))):
        if _exists(state, newer):
            os.rename(newer, older, src_dir_fd=state.fileno(), dst_dir_fd=state.fileno())


def _rotate(state: ProgramState, keep: int) -> None:
    """Take the name OUTPUT from its file."""
    _shift(state, keep)
    if keep > 0:
        os.rename(OUTPUT, f"{OUTPUT}.1", src_dir_fd=state.fileno(), dst_dir_fd=state.fileno())
    else:
        os.unlink(OUTPUT, dir_fd=state.fileno())


def _open_log(state: ProgramState) -> OwnedFd:
    return state.open(OUTPUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _lines(state: ProgramState, keep: int, count: int, newest: int) -> list[str]:
    try:
        text = b"".join(tail(state, _names(keep), count, newest)) if newest > 0 else b""
    except OSError:  # no descriptor is left, or the disk fails
        return []
    return text.decode(errors="backslashreplace").splitlines()


# -- by a pipe


class PipedOutput:
    """A pipe that is read on the loop; `_take(limit)` moves up to `limit` bytes and says how many it did."""

    def __init__(self, loop: Loop) -> None:
        source, sink = map(OwnedFd, os.pipe2(os.O_CLOEXEC))
        os.set_blocking(source.fileno(), False)
        self._source, self._sink = source, sink
        bytes_in(source.fileno())  # loads what `drain` needs while there are descriptors left for that
        self._listener: Callable[[bytes], object] | None = None
        self._watch: IoSource = loop.add_io(source.fileno(), kernel.READ, self._ready)
        self.fds: Mapping[int, int] = {1: sink.fileno(), 2: sink.fileno()}

    def listen(self, listener: Callable[[bytes], object] | None) -> None:
        """Call `listener(data)` with all that comes from now on; None ends it. It costs a copy."""
        self._listener = listener

    def _tell(self, data: Callable[[], bytes]) -> None:
        if self._listener is not None:
            self._listener(data())

    def _ready(self, _events: int) -> None:
        self._take(PIPE)

    def _take(self, limit: int) -> int:
        raise NotImplementedError

    def drain(self) -> None:
        """See Output: a process outside the tree that has the pipe could write for ever, so no more than is in now."""
        if self._source.closed:
            return
        left = bytes_in(self._source.fileno())
        while left > 0 and (taken := self._take(left)):
            left -= taken

    def close(self) -> None:
        """See Output."""
        self._watch.close()
        self._source.close()
        self._sink.close()


#: One for all programs of a loop.
_buffers: weakref.WeakKeyDictionary[Loop, PumpBuffer] = weakref.WeakKeyDictionary()


class FileOutput(PipedOutput):
    """Output by a pipe to a file that holds `size` bytes at most, and `keep` older ones.

    `on_fault(text)` is called once when nothing can be written; what comes is lost until there is room again, the
    program goes on.
    """

    def __init__(
        self, loop: Loop, state: ProgramState, size: int, keep: int, on_fault: Callable[[str], object]
    ) -> None:
        self._state, self._size, self._keep, self._on_fault = state, max(1, size), keep, on_fault
        self._buffer = _buffers.setdefault(loop, PumpBuffer())
        self._file: OwnedFd | None = None
        self._pump: Pump | None = None
        self._failing = False
        #: Bytes of this life.
        self._written = 0
        super().__init__(loop)
        self._room()

    def begin_life(self) -> None:
        """See Output."""
        self._written = 0

    def _room(self) -> int:
        """Return how much the file takes; a new one is begun when that is nothing. 0 when nothing can be written."""
        try:
            if self._file is None:
                self._use(_open_log(self._state))
            room = self._size - self._length()
            if room <= 0:
                _rotate(self._state, self._keep)
                self._use(_open_log(self._state))
                room = self._size - self._length()
        except OSError as error:
            self._fail(error.errno or 0)
            self._use(None)
            return 0
        return max(0, room)

    def _length(self) -> int:
        assert self._file is not None
        return os.fstat(self._file.fileno()).st_size

    def _use(self, file: OwnedFd | None) -> None:
        former, self._file = self._file, file
        if former is not None:
            former.close()
        self._pump = Pump(self._source, file, None, self._buffer)

    def _fail(self, error: int) -> None:
        if not self._failing:
            self._failing = True
            self._on_fault(f"output is lost, {self._state.path}/{OUTPUT}: {os.strerror(error)}")

    def _take(self, limit: int) -> int:
        room = self._room()
        pump = self._pump
        assert pump is not None
        before = pump.taken
        pump.move(min(limit, room or limit, BUFFER))
        taken = pump.taken - before
        if pump.record_error:
            self._fail(pump.record_error)
            self._use(None)
        elif room and taken:
            self._failing = False
        self._written += taken
        if taken:
            self._tell(lambda: self._buffer.first(taken))
        return taken

    def last_lines(self, count: int) -> list[str]:
        """See Output."""
        self.drain()
        return _lines(self._state, self._keep, count, self._written)

    def close(self) -> None:
        """See Output."""
        super().close()
        if self._file is not None:
            self._file.close()


class SyslogOutput(PipedOutput):
    """Output by a pipe to the system's log, a line each, as the program's own words: ident is its name.

    Lines are lost that the log's daemon is too busy for.
    """

    def __init__(self, loop: Loop, name: str, syslog: Syslog) -> None:
        self._name, self._syslog = name, syslog
        self._part = b""
        self._last: deque[bytes] = deque(maxlen=REMEMBERED)
        super().__init__(loop)

    def begin_life(self) -> None:
        """See Output."""
        self._last.clear()

    def _ready(self, _events: int) -> None:
        self._take(SYSLOG_TURN)

    def _take(self, limit: int) -> int:
        try:
            data = os.read(self._source.fileno(), limit)
        except BlockingIOError:
            return 0
        *lines, self._part = (self._part + data).split(b"\n")
        if len(self._part) >= LONGEST:
            lines.append(self._part)
            self._part = b""
        for line in lines:
            self._send(line)
        self._tell(lambda: data)
        return len(data)

    def _send(self, line: bytes) -> None:
        self._last.append(line[:LONGEST])
        self._syslog.send(self._name, os.getpid(), line.decode(errors="backslashreplace"))

    def last_lines(self, count: int) -> list[str]:
        """See Output."""
        self.drain()
        lines = [*self._last, self._part] if self._part else [*self._last]
        return [line.decode(errors="backslashreplace") for line in lines[-count:]]

    def close(self) -> None:
        """See Output; a last line without a newline is one."""
        part, self._part = self._part, b""
        if part:
            self._send(part)
        super().close()


# -- without a pipe


class DirectOutput:
    """The file itself is the program's: it goes on when lowrun is killed."""

    def __init__(
        self, loop: Loop, state: ProgramState, size: int, keep: int, on_fault: Callable[[str], object]
    ) -> None:
        self._loop, self._state, self._size, self._keep = loop, state, max(1, size), keep
        self._on_fault = on_fault
        self._watched: Watched | None = None
        self._began = 0
        self._file = _open_log(state)
        self.fds: Mapping[int, int] = {1: self._file.fileno(), 2: self._file.fileno()}
        self._watch()

    def _watch(self) -> None:
        try:
            path = f"/proc/self/fd/{self._state.fileno()}/{OUTPUT}"
            self._watched = watch_file(self._loop, path, self._changed)
        except (OSError, LowrunError) as error:
            self._on_fault(f"output is not bounded: {error}")

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.close()

    def _length(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def begin_life(self) -> None:
        """See Output; a file that is full is not the new life's."""
        if self._length() >= self._size:
            self._unwatch()
            with contextlib.suppress(OSError):
                _rotate(self._state, self._keep)
            with _open_log(self._state) as new:
                os.dup2(new.fileno(), self._file.fileno(), inheritable=False)
            self._watch()
        self._began = self._length()

    def follow(self, listener: Callable[[bytes], object]) -> Closable:
        """Call `listener(data)` with what is written from now on, until what is returned is closed. Raises OSError."""
        return Follower(self._loop, self._state, _names(self._keep), 0, listener)

    def _changed(self) -> None:
        if self._length() < self._size:
            return
        try:
            self._copy()
        except OSError as error:
            self._on_fault(f"output is lost, {self._state.path}/{OUTPUT}: {error.strerror}")
        os.ftruncate(self._file.fileno(), 0)
        self._began = 0

    def _copy(self) -> None:
        if self._keep == 0:
            return
        directory = self._state.fileno()
        with (
            self._state.open(OUTPUT, os.O_RDONLY) as source,
            self._state.open(COPY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as copy,
        ):
            offset = 0
            # One that writes without end is not chased for ever.
            while offset < 2 * self._size and (sent := os.sendfile(copy.fileno(), source.fileno(), offset, self._size)):
                offset += sent
        _shift(self._state, self._keep)
        os.rename(COPY, f"{OUTPUT}.1", src_dir_fd=directory, dst_dir_fd=directory)

    def drain(self) -> None:
        """See Output: all of it is in the file."""

    def last_lines(self, count: int) -> list[str]:
        """See Output."""
        return _lines(self._state, 0, count, self._length() - self._began)

    def close(self) -> None:
        """See Output."""
        self._unwatch()
        self._file.close()


class PassedOutput:
    """The program has the caller's own standard output and standard error."""

    def __init__(self) -> None:
        self.fds: Mapping[int, int] = {fd: own for fd, own in open_standard_fds().items() if fd != 0}

    def begin_life(self) -> None:
        """See Output."""

    def drain(self) -> None:
        """See Output: there is nothing between."""

    def last_lines(self, _count: int) -> list[str]:
        """See Output: the caller has seen them."""
        return []

    def close(self) -> None:
        """See Output: they stay the caller's."""


def open_output(
    loop: Loop, state: ProgramState, program: Program, syslog: Syslog, on_fault: Callable[[str], object]
) -> Output:
    """Return where the output of `program` goes, as its settings say. Raises OSError."""
    if program.output == "pass":
        return PassedOutput()
    if program.output == "syslog":
        if syslog.fault:
            on_fault(f"its output is lost: {syslog.fault}")
        return SyslogOutput(loop, state.name, syslog)
    kind = DirectOutput if program.on_lost == "keep" else FileOutput
    return kind(loop, state, program.log_size, program.log_keep, on_fault)
