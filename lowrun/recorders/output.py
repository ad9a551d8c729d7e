"""Standard output and standard error of a run, byte for byte, each in a file of its own.

Both are pipes to the command, always: a program that opens /dev/stderr opens
whatever descriptor 2 is once more, and a file would be truncated by that.

    command --1--> pipe --> stdout.log and the caller's standard output
    command --2--> pipe --> stderr.log and the caller's standard error

A stream waits for one thing at a time: for its pipe to be readable or, when
the caller's reader is slow, for the destination to be writable; meanwhile the
pipe fills and the command waits, as it would without lowrun. Where the reader
goes away (`| head -1`), the pipe's read end is closed, so the command gets the
SIGPIPE or EPIPE that it would have got.

The write ends stay open here until `stop`, so neither pipe ever shows a
hang-up to the loop while a tree lives on that has closed its output. The end
is not end-of-file: when the tree is gone nobody writes, and an empty pipe is
all there was.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from lowrun.core import kernel
from lowrun.core.loop import IoSource, Loop
from lowrun.core.pump import BUFFER, HUNG_UP, PIPE_SIZE, Destination, Moved, Pump, open_pipe, wait_writable
from lowrun.core.tape import Tape
from lowrun.errors import FULL, DeniedError, explain
from lowrun.runs.recorder import RunInfo
from lowrun.values import Artifact

__all__ = ["Output"]

STREAMS = {"stdout": 1, "stderr": 2}


class Output:
    """Records what the command writes: artifacts `stdout` (stdout.log) and `stderr` (stderr.log).

    Both are kept of every run that is kept, empty ones too: an empty file is
    the proof that nothing was written. Unless the run is quiet, output is also
    passed on, at once and unchanged, to the caller's own descriptors 1 and 2;
    nothing keeps the two in step with each other, as with any two pipes.
    """

    name = "output"

    def __init__(self) -> None:
        self._streams: list[_Stream] = []
        self._run: RunInfo | None = None

    def start(self, run: RunInfo, loop: Loop) -> None:
        """Put the two pipes in place.

        Raises DeniedError when `run.scratch` cannot be written to; OSError
        when there are no descriptors left.
        """
        with ExitStack() as undo:
            streams = []
            for name in STREAMS:
                streams.append(_Stream(name, run, loop))
                undo.callback(streams[-1].close)
            for stream in streams:
                stream.watch()
            undo.pop_all()
        for stream in streams:
            stream.redirect()
        self._streams, self._run = streams, run
        run.settle(self._settle)

    def _settle(self, done: Callable[[], None]) -> None:
        """Record what is left in the pipes and pass it on, as fast as its reader takes it."""
        waiting = len(self._streams)

        def one_is_through() -> None:
            nonlocal waiting
            waiting -= 1
            if waiting == 0:
                done()

        for stream in self._streams:
            stream.finish()
            stream.drain_in_loop(one_is_through)

    def stop(self) -> None:
        """Record what is left in the pipes, if the run did not let it settle, and pass it on.

        Waits for a reader that is slow, unless the run was interrupted or a
        signal that ends programs arrives: then only passing on is given up.
        """
        run, self._run = self._run, None
        assert run is not None, "stop() without start()"
        try:
            for stream in self._streams:
                stream.finish()
            blocked = [stream for stream in self._streams if not stream.drain()]
            while blocked:
                waited = [stream.destination for stream in blocked if stream.destination is not None]
                if run.interrupted or not wait_writable(waited):
                    for stream in blocked:
                        stream.give_up()
                blocked = [stream for stream in blocked if not stream.drain()]
        finally:
            for stream in self._streams:
                stream.end()

    def keep(self, into: Path) -> list[Artifact]:
        """Name the two files in `into`. Raises OSError."""
        streams, self._streams = self._streams, []
        try:
            return [stream.keep(into) for stream in streams]
        finally:
            for stream in streams:
                stream.close()

    def discard(self) -> None:
        """Forget the two files."""
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()


class _Stream:
    """One of the two: its pipe, its file, its destination."""

    def __init__(self, name: str, run: RunInfo, loop: Loop) -> None:
        self._name = name
        self._run = run
        self._loop = loop
        self._waiting: IoSource | None = None
        self._reported: set[str] = set()
        #: What `Pump.taken` is when all that the tree left behind has been taken.
        self._goal = 0
        with ExitStack() as undo:
            self._record = undo.enter_context(_tape(run))
            self._source, self._sink = map(undo.enter_context, open_pipe())
            self.destination = None if run.quiet else _destination(run.outputs.get(STREAMS[name]))
            self._pump = Pump(self._source, self._record.newer, self.destination)
            undo.pop_all()
        self._marks = None if run.window is None or run.window.seconds is None else _Marks(run.window.seconds)

    def watch(self) -> None:
        """Wait for what the command will write."""
        self._wait(self._source.fileno(), kernel.READ)

    def redirect(self) -> None:
        """Give the command the write end."""
        self._run.redirect(STREAMS[self._name], self._sink.fileno())

    def _wait(self, fd: int, events: int) -> None:
        self._wait_no_more()
        self._waiting = self._loop.add_io(fd, events, self._ready)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    def _ready(self, events: int) -> None:
        moved = self._move()
        if self._source.closed:
            return
        if moved is Moved.BLOCKED and self.destination is not None:
            self._wait(self.destination.fileno(), kernel.WRITE)
        elif events != kernel.READ:  # the destination was what it waited for
            self._wait(self._source.fileno(), kernel.READ)

    def _move(self) -> Moved:
        moved = self._pump.move() if self._run.window is None else self._move_on(self._record)
        if self._pump.record_error:
            self._report_once("record", self._record_fault)
        error = self._pump.destination_error
        if error in HUNG_UP:
            self._hang_up()
        elif error:
            self._report_once("destination", self._destination_fault)
        return moved

    def _move_on(self, record: Tape) -> Moved:
        """Move what the record has room for before its turn; on a full disk a turn makes room."""
        if record.room == 0 or self._pump.record_error:
            record.turn()
            self._pump.record_to(record.newer)
        moved = self._pump.move(min(record.room or BUFFER, BUFFER))
        if self._marks is not None:
            self._marks.passed(self._pump.taken)
        return moved

    def _hang_up(self) -> None:
        """Nobody reads: let the command know by its next write, and record what it has written until now."""
        self._pump.move(PIPE_SIZE)
        self._wait_no_more()
        self._source.close()

    def _report_once(self, what: str, text: Callable[[], str]) -> None:
        if what not in self._reported:
            self._reported.add(what)
            self._run.fault(text())

    def _record_fault(self) -> str:
        error, size = self._pump.record_error, os.fstat(self._record.fileno()).st_size
        what = f"of {self._name} the first {size} bytes are recorded" if size else f"{self._name} is not recorded"
        if self._run.window is not None:
            what = f"{self._name} is recorded with gaps"
        return f"{what}: {explain(OSError(error, os.strerror(error), self._run.scratch))}"

    def _destination_fault(self) -> str:
        error = self._pump.destination_error
        remedy = ": make room where it goes" if error in FULL else ""
        return f"{self._name} is passed on only in part: {os.strerror(error)}{remedy}"

    def finish(self) -> None:
        """Watch no more; what is in the pipe now is the last that the tree wrote.

        So no more than that is drained: a process outside the tree that got
        hold of the pipe could write for ever.
        """
        self._wait_no_more()
        if self._marks is not None:
            self._marks.end()
        if not self._source.closed:
            self._goal = self._pump.taken + self._pump.waiting()

    def drain_in_loop(self, through: Callable[[], None]) -> None:
        """Move what the tree left behind; go on when the destination takes more, then call `through`."""

        def go_on(_events: int) -> None:
            if self.drain():
                self._wait_no_more()
                through()

        if self.drain() or self.destination is None:
            through()
        else:
            self._wait_no_more()
            self._waiting = self._loop.add_io(self.destination.fileno(), kernel.WRITE, go_on)

    def drain(self) -> bool:
        """Move what the tree left behind; False when the destination takes nothing now."""
        while not self._source.closed:
            moved = self._move()
            if moved is Moved.BLOCKED:
                return False
            if moved is Moved.DRAINED or self._pump.taken >= self._goal:
                break
        return True

    def give_up(self) -> None:
        """Pass nothing more on; what is left is still recorded."""
        self._pump.drop_destination()
        self._run.fault(f"the end of {self._name} was not passed on: its reader is slow and the run was interrupted")

    def end(self) -> None:
        """Close all but the record."""
        self._wait_no_more()
        self._source.close()
        self._sink.close()
        if self.destination is not None:
            self.destination.close()

    def keep(self, into: Path) -> Artifact:
        """Name the record, or the end of it that is wanted."""
        path = into / f"{self._name}.log"
        if self._run.window is None:
            self._record.newer.link(path)
        else:
            recent = self._pump.taken if self._marks is None else self._marks.recent(self._pump.taken)
            with self._record.tail(min(self._run.window.size, recent)) as file:
                file.link(path)
        return Artifact(self._name, path)

    def close(self) -> None:
        """Close everything."""
        self.end()
        self._record.close()


class _Marks:
    """How much had been written when, for the last `seconds`: to a hundredth of them."""

    def __init__(self, seconds: float) -> None:
        self._every, self._seconds = seconds / 100, seconds * 1.01
        #: (CLOCK_MONOTONIC, bytes before it)
        self._marks: deque[tuple[float, int]] = deque()
        self._before = 0
        self._ended: float | None = None

    def end(self) -> None:
        """The seconds are counted back from now on; the second time does nothing."""
        self._ended = self._ended or time.monotonic()

    def passed(self, total: int) -> None:
        """So many bytes have come until now."""
        now = time.monotonic()
        if total > self._before and (not self._marks or now - self._marks[-1][0] > self._every):
            self._marks.append((now, self._before))
            while len(self._marks) > 1 and self._marks[1][0] < now - self._seconds:
                self._marks.popleft()
        self._before = total

    def recent(self, total: int) -> int:
        """Return how many of `total` bytes came in the last seconds before the end."""
        since = (self._ended or time.monotonic()) - self._seconds
        return total - next((before for at, before in self._marks if at >= since), total)


def _tape(run: RunInfo) -> Tape:
    try:
        return Tape(run.scratch, size=None if run.window is None else run.window.size)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        text = (
            f"output cannot be recorded in {run.scratch}: {error.strerror}; choose a directory that can be written to"
        )
        raise DeniedError(text) from error


def _destination(fd: int | None) -> Destination | None:
    if fd is None:
        return None
    try:
        return Destination(fd)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return None
