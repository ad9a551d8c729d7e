"""The engine "python": wholly on python-ptrace, with the native tracer's interface.

Slow, and simple: each stop is Python. A second opinion on the native loop, and a way where that does not know the
machine. Its loop (pyloop.py) runs in the process that is made for the native one (_native/tracer_process.c), so it
waits for its own tracees alone.

    run(pid) --C--> [the tracer's process] seize(pid) -- follow() -- back
"""

from __future__ import annotations

import _thread
import errno
import os
import time
from collections.abc import Sequence

from lowrun.core import kernel
from lowrun.core.tracing import NativeTracer, Tampering, TracedUsage
from lowrun.errors import UnsupportedError, UsageError
from lowrun.trace.pyloop import PythonLoop

__all__ = ["PythonTracer"]

BUFFER_SIZE = 1 << 20


class _Sink:
    """Takes records: to the descriptor `output`, or -1: until they are taken, raising `wake`."""

    def __init__(self, output: int, wake: int) -> None:
        self._output, self._wake = output, wake
        self._lock = _thread.allocate_lock()
        self._buffer = bytearray()
        self.error: OSError | None = None
        self.lost = 0
        self.closing = False

    def put(self, record: bytes) -> None:
        """Take one record; where they are read as they come, wait for the reader when it is far behind."""
        while self._output < 0 and len(self._buffer) > BUFFER_SIZE and not self.closing:
            kernel.counter_add(self._wake)
            time.sleep(0.001)
        with self._lock:
            if self.error is not None:
                self.lost += 1
                return
            was_empty = not self._buffer
            self._buffer += record
            if self._output >= 0 and len(self._buffer) > BUFFER_SIZE:
                self._write()
        if self._output < 0 and was_empty:
            kernel.counter_add(self._wake)

    def _write(self) -> None:
        data, self._buffer = memoryview(self._buffer), bytearray()
        try:
            while data:
                data = data[os.write(self._output, data) :]
        except OSError as error:
            self.error, self.lost = error, self.lost + 1

    def flush(self) -> None:
        """Write what is in memory. Raises OSError: the first error of any write."""
        with self._lock:
            if self._output >= 0:
                self._write()
        if self.error is not None:
            raise self.error

    def take(self) -> memoryview:
        """Return the records since the last time."""
        with self._lock:
            data, self._buffer = self._buffer, bytearray()
        return memoryview(data)


class PythonTracer:
    """In the place of lowrun.core.tracing.NativeTracer, with the same interface; it attaches to nothing that runs.

    Raises UnsupportedError without python-ptrace, and UsageError for injections.
    """

    def __init__(
        self,
        output: int,
        plan: bytes,
        only: frozenset[int] | None,
        string_limit: int,
        wake: int = -1,
        tampering: Tampering | None = None,
    ) -> None:
        if tampering is not None and tampering.places:
            raise UsageError("the python engine injects nothing; use hooks, or the engine ptrace")
        self._sink = _Sink(output, wake)
        self._loop = PythonLoop(self._sink.put, plan, only, string_limit, tampering)
        #: Attaching is refused altogether.
        self.refused = 0
        self._native = NativeTracer(output, plan, only, string_limit, wake, engine=self._loop)

    def run(self, pid: int) -> None:
        """As NativeTracer."""
        self._native.run(pid)
        if self._loop.failure is not None:
            raise OSError(errno.EIO, self._loop.failure)

    def attach(self, pids: Sequence[int]) -> None:
        """Refuse."""
        raise UnsupportedError("the python engine traces commands only; attach with the engine ptrace")

    def await_seized(self, timeout: float) -> None:
        """As NativeTracer."""
        self._native.await_seized(timeout)

    def abort(self) -> None:
        """Kill what is traced, so that `run` returns; from any thread."""
        self._sink.closing = True
        self._loop.abort()

    def detach(self) -> None:
        """Nothing is attached to."""

    def take(self) -> memoryview:
        """Return the records since the last time."""
        return self._sink.take() if self._loop.recording else memoryview(b"")

    def flush(self) -> None:
        """Write what is still in memory. Raises OSError: the first error of any write."""
        self._sink.flush()

    @property
    def lost(self) -> int:
        """How many records could not be written."""
        return self._sink.lost

    @property
    def write_error(self) -> str | None:
        """Why records were lost, None without an error."""
        return None if self._sink.error is None else self._sink.error.strerror

    def usage(self) -> TracedUsage:
        """Return how many processes there were; what they used is not known."""
        return 0, 0, 0, self._loop.processes, 1, self._loop.untraced

    @property
    def unprivileged(self) -> int:
        """How many set-user-ID programs ran without their privilege because they were traced."""
        return self._loop.unprivileged

    def close(self) -> None:
        """Free the process's memory."""
        self._native.close()
