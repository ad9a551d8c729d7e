"""A run's records as strace writes them: `strace -f -tt -T -y -yy -s 2048 -o FILE`.

    PID   HH:MM:SS.ffffff name(arguments) = result <0.000012>

A line is begun at the entry of a call and ended at its exit. Anything else
that is printed in between ends it with ` <unfinished ...>`, and the call's
exit begins anew with `<... name resumed>`. What a call printed at entry is
never taken back, so a reader sees each thread's state at every moment.

Only the threads' states are kept in memory: the text leaves in batches.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from lowrun.trace.constants import signal_name
from lowrun.trace.context import Context
from lowrun.trace.decode import Format, call_format, result_text
from lowrun.trace.descriptors import Descriptors
from lowrun.trace.records import (
    Buffer,
    Detached,
    Enter,
    Exec,
    Exit,
    Exited,
    Exiting,
    Fork,
    Lost,
    Path,
    Record,
    Signal,
    Stopped,
    read,
)
from lowrun.trace.signals import siginfo_text

__all__ = ["Output", "StraceWriter", "write_strace"]

RESULT_COLUMN = 40
BATCH = 2000


class _Thread:
    """A thread between the records: the call that it is in."""

    __slots__ = ("column", "context", "entered_ns", "format", "previous", "tid")

    def __init__(self, tid: int) -> None:
        self.tid = tid
        self.format: Format | None = None
        self.context: Context | None = None
        self.entered_ns = 0
        #: Name of the call before the present one.
        self.previous = ""
        self.column = 0


class Output(Protocol):
    """What lines are written to."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`. Raises OSError."""


class StraceWriter:
    """Turns records into lines, as they come: `feed` again and again, then `close`.

    Never fails on what the records hold; only writing to `out` raises OSError.
    """

    __slots__ = ("_descriptors", "_handlers", "_line", "_out", "_parts", "_second", "_second_text", "_threads")

    def __init__(self, out: Output) -> None:
        self._out = out
        self._parts: list[str] = []
        self._threads: dict[int, _Thread] = {}
        self._descriptors = Descriptors()
        #: The thread whose line is not ended.
        self._line: _Thread | None = None
        self._second = -1
        self._second_text = ""
        self._handlers: dict[type[Record], Callable[..., None]] = {
            Enter: self._enter, Exit: self._exit, Signal: self._signal, Exited: self._exited, Fork: self._fork,
            Detached: self._detached, Exec: self._exec, Stopped: self._stopped, Path: self._path, Lost: self._lost,
            Exiting: self._exiting,
        }  # fmt: skip

    def feed(self, data: Buffer) -> None:
        """Write the lines of all records in `data`; a call that has not returned leaves its line open."""
        self.add(read(data))

    def add(self, records: Iterable[Record]) -> None:
        """The same for records as values."""
        handlers, parts = self._handlers, self._parts
        for record in records:
            handlers[type(record)](record)
            if len(parts) >= BATCH:
                self._flush()
        self._flush()

    def begin_line(self) -> None:
        """Begin a new line, whatever has been written of the last one: it went nowhere."""
        self._line = None

    def close(self) -> None:
        """End the last line."""
        self._break_line()
        self._flush()

    def _flush(self) -> None:
        self._out.write("".join(self._parts).encode("utf-8", "backslashreplace"))
        self._parts.clear()

    # -- lines

    def _leader(self, tid: int, time_ns: int) -> str:
        seconds, rest = divmod(time_ns, 1_000_000_000)
        if seconds != self._second:
            self._second = seconds
            self._second_text = time.strftime("%H:%M:%S", time.localtime(seconds))
        return f"{tid:<5} {self._second_text}.{rest // 1000:06d} "

    def _break_line(self) -> None:
        if self._line is not None:
            self._parts.append(" <unfinished ...>\n")
            self._line = None

    def _print(self, record: Record, text: str) -> None:
        self._break_line()
        self._parts.append(f"{self._leader(record.tid, record.time_ns)}{text}\n")

    def _resume(self, thread: _Thread, record: Record) -> int:
        """Go on with the thread's line; returns the column that it has reached."""
        if self._line is thread:
            return thread.column
        self._break_line()
        assert thread.format is not None
        begin = f"{self._leader(record.tid, record.time_ns)}<... {thread.format.name} resumed>"
        self._parts.append(begin)
        return len(begin)

    # -- calls

    def _enter(self, record: Enter) -> None:
        thread = self._threads.get(record.tid)
        if thread is None:
            thread = self._threads[record.tid] = _Thread(record.tid)
        elif thread.format is not None:
            thread.previous = thread.format.name
        form = thread.format = call_format(record.arch, record.number, record.arguments)
        context = thread.context = Context(
            record.arguments, record.chunks, self._descriptors.of(record.tid, record.tgid), thread.previous
        )
        thread.entered_ns = record.time_ns
        if self._line is not None:
            self._parts.append(" <unfinished ...>\n")
        begin = f"{self._leader(record.tid, record.time_ns)}{form.name}({form.enter(context)}"
        self._parts.append(begin)
        thread.column = len(begin)
        self._line = thread
        self._descriptors.entered(form.name, record.tid, record.tgid, record.arguments)

    def _exit(self, record: Exit) -> None:
        thread = self._threads.get(record.tid)
        if thread is None or thread.format is None or thread.context is None:
            return  # attached in the middle of a call: its entry was not seen, and strace shows nothing of it either
        column = self._resume(thread, record)
        form, context = thread.format, thread.context
        context.at_exit = record.chunks
        context.value = record.value
        context.failed = record.failed
        rest = form.leave(context) + ") "
        duration = record.time_ns - thread.entered_ns if record.duration_ns is None else record.duration_ns
        seconds, micro = divmod(max(duration, 0) // 1000, 1_000_000)
        rest = rest.ljust(RESULT_COLUMN - column) if column < RESULT_COLUMN else rest
        self._parts.append(f"{rest}= {result_text(form, context, record)} <{seconds}.{micro:06d}>\n")
        self._line = None
        thread.previous = form.name
        thread.format = thread.context = None
        if not record.failed and not record.injected:
            self._descriptors.left(form.name, record.tid, record.tgid, context.arguments)

    # -- everything else

    def _signal(self, record: Signal) -> None:
        number = int.from_bytes(record.siginfo[:4], "little", signed=True)
        text = siginfo_text(record.siginfo, self._descriptors.of(record.tid, record.tgid))
        self._print(record, f"--- {signal_name(number)} {text} ---")

    def _stopped(self, record: Stopped) -> None:
        self._print(record, f"--- stopped by {signal_name(record.signal)} ---")

    def _exiting(self, record: Exiting) -> None:
        thread = self._threads.get(record.tid)
        if thread is not None and thread.format is not None:
            self._cut(thread, record)

    def _exited(self, record: Exited) -> None:
        thread = self._threads.pop(record.tid, None)
        if thread is not None and thread.format is not None:
            self._cut(thread, record)
        status = record.status
        if os.WIFSIGNALED(status):
            core = " (core dumped)" if os.WCOREDUMP(status) else ""
            self._print(record, f"+++ killed by {signal_name(os.WTERMSIG(status))}{core} +++")
        else:
            self._print(record, f"+++ exited with {status >> 8 & 0xFF} +++")
        self._descriptors.end(record.tid)

    def _cut(self, thread: _Thread, record: Record) -> None:
        """A call that never returns: exit_group, or death in a call."""
        assert thread.format is not None
        column = self._resume(thread, record)
        rest = ") " if thread.format.decoded else " <unfinished ...>) "
        rest = rest.ljust(RESULT_COLUMN - column) if column < RESULT_COLUMN else rest
        self._parts.append(f"{rest}= ?\n")
        self._line = None
        thread.format = thread.context = None

    def _detached(self, record: Detached) -> None:
        thread = self._threads.pop(record.tid, None)
        if thread is not None and thread is self._line:
            self._parts.append(" <detached ...>\n")
            self._line = None

    def _fork(self, record: Fork) -> None:
        self._descriptors.fork(record.tid, record.tgid, record.child, record.flags)

    def _exec(self, record: Exec) -> None:
        self._descriptors.execute(record.former or record.tid, record.tid, record.tgid)
        if record.former in (0, record.tid):
            return
        leader = self._threads.get(record.tid)
        if leader is not None and leader.format is not None:
            self._cut(leader, record)
        thread = self._threads.pop(record.former, None)
        if thread is not None and thread is self._line:
            self._parts.append(f" <pid changed to {record.tid} ...>\n")
            self._line = None
        self._print(record, f"+++ superseded by execve in pid {record.former} +++")
        if thread is not None:
            thread.tid = record.tid
            self._threads[record.tid] = thread
        else:
            self._threads.pop(record.tid, None)

    def _path(self, record: Path) -> None:
        self._descriptors.record(record.tid, record.tgid, record.fd, record.kind, record.text, record.number)

    def _lost(self, record: Lost) -> None:
        self._print(record, f"+++ the rest was not recorded: {os.strerror(record.error)} +++")


def write_strace(records: Buffer, out: Output) -> None:
    """Write the strace text of `records` (bytes, or a memoryview of a mapped file) to `out`.

    Streams: memory does not grow with the number of records. Never fails on
    what the records hold; only writing may raise OSError.
    """
    writer = StraceWriter(out)
    writer.feed(records)
    writer.close()
