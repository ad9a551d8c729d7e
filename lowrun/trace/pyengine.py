"""The engine "python": wholly on python-ptrace, with the native tracer's interface.

Slow, and simple: each stop is Python. A second opinion on the native loop, and a way where that does not know the
machine. Its loop (pyloop.py) runs in the process that is made for the native one (_native/tracer_process.c), so it
waits for its own tracees alone.

    run(pid) --C--> [the tracer's process] seize(pid) -- follow() -- back
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import time

from lowrun.core import kernel
from lowrun.core.fd import write_all
from lowrun.core.tracing import NativeTracer, Tampering, TracedUsage
from lowrun.trace.ptracelib import check_engine
from lowrun.trace.pyloop import PythonLoop
from lowrun.trace.records import Lost, encode

__all__ = ["PythonTracer"]

BUFFER_SIZE = 1 << 20


class _Sink:
    """Takes records: to the descriptor `output`, or -1: until they are taken, raising `wake`."""

    def __init__(self, output: int, wake: int) -> None:
        self._output, self._wake = output, wake
        self._lock = _thread.allocate_lock()
        self._buffer = bytearray()
        self.error: OSError | None = None
        self.closing = False

    def put(self, record: bytes) -> None:
        """Take one record; where they are read as they come, wait for the reader when it is far behind."""
        while self._output < 0 and len(self._buffer) > BUFFER_SIZE and not self.closing:
            kernel.counter_add(self._wake)
            time.sleep(0.001)
        with self._lock:
            if self.error is not None:
                return
            was_empty = not self._buffer
            self._buffer += record
            if self._output >= 0 and len(self._buffer) > BUFFER_SIZE:
                self._write()
        if self._output < 0 and was_empty:
            kernel.counter_add(self._wake)

    def _write(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        begin = os.lseek(self._output, 0, os.SEEK_CUR)
        try:
            write_all(self._output, bytes(data))
        except OSError as error:
            self.error = error
            os.ftruncate(self._output, begin)
            os.lseek(self._output, begin, os.SEEK_SET)
            with contextlib.suppress(OSError):
                write_all(self._output, encode(Lost(0, 0, time.time_ns(), error.errno or 0)))

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
        check_engine(() if tampering is None else tampering.places)
        self._sink = _Sink(output, wake)
        self._loop = PythonLoop(self._sink.put, plan, only, string_limit, tampering)
        self._native = NativeTracer(output, plan, only, string_limit, wake, engine=self._loop)

    def run(self, pid: int) -> None:
        """As NativeTracer."""
        self._native.run(pid)
        if self._loop.failure is not None:
            raise OSError(errno.EIO, self._loop.failure)

    def await_seized(self, timeout: float) -> None:
        """As NativeTracer."""
        self._native.await_seized(timeout)

    def abort(self) -> None:
        """Kill what is traced, so that `run` returns; from any thread."""
        self._sink.closing = True
        self._loop.abort()

    def detach(self) -> None:
        """Nothing is attached to."""

    @property
    def output(self) -> int:
        """As NativeTracer."""
        return self._native.output

    #: It takes no turns.
    gap = None

    def take(self) -> memoryview:
        """Return the records since the last time."""
        return self._sink.take() if self._loop.recording else memoryview(b"")

    def flush(self) -> None:
        """Write what is still in memory. Raises OSError: the first error of any write."""
        self._sink.flush()

    @property
    def write_error(self) -> str | None:
        """Why records were lost, None without an error."""
        return None if self._sink.error is None else self._sink.error.strerror

    def usage(self) -> TracedUsage:
        """Return how many processes there were; what they used is not known."""
        return 0, 0, 0, self._loop.processes, 1, self._loop.untraced

    io = None  #: What was read and written is not known.

    def count_io(self) -> None:
        """It is not counted."""

    @property
    def unprivileged(self) -> int:
        """How many set-user-ID programs ran without their privilege because they were traced."""
        return self._loop.unprivileged

    def close(self) -> None:
        """Free the process's memory."""
        self._native.close()
