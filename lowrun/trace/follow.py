"""Puts a call's entry and exit together, with what its thread's descriptors are. Pure.

What text.py does for lines, for whoever wants calls as values.
"""

from __future__ import annotations

from collections.abc import Iterator

from lowrun.trace.context import Context
from lowrun.trace.decode import Format, call_format
from lowrun.trace.descriptors import Descriptors
from lowrun.trace.records import Detached, Enter, Exec, Exit, Exited, Exiting, Fork, Path, Record

__all__ = ["Follower", "OpenCall"]


class OpenCall:
    """A call that has been entered; when it has returned its context has the result."""

    __slots__ = ("context", "form", "leave", "record")

    def __init__(self, record: Enter, form: Format, context: Context) -> None:
        self.record = record
        self.form = form
        self.context = context
        #: Its exit; None as long as it has not returned, or when it never did.
        self.leave: Exit | None = None


class Follower:
    """Follows the threads of a trace, record by record, in their order."""

    __slots__ = ("_descriptors", "_open", "_previous")

    def __init__(self) -> None:
        self._descriptors = Descriptors()
        self._open: dict[int, OpenCall] = {}
        self._previous: dict[int, str] = {}

    def enter(self, record: Enter) -> OpenCall:
        """A thread enters a call."""
        tid, tgid = record.tid, record.tgid
        form = call_format(record.arch, record.number, record.arguments)
        table = self._descriptors.of(tid, tgid)
        context = Context(record.arguments, record.chunks, table, self._previous.get(tid, ""))
        call = self._open[tid] = OpenCall(record, form, context)
        self._previous[tid] = form.name
        return call

    def committed(self, call: OpenCall) -> None:
        """What the entry of `call` shows has been read: it takes effect on the descriptors."""
        record = call.record
        self._descriptors.entered(call.form.name, record.tid, record.tgid, record.arguments)

    def leave(self, record: Exit) -> OpenCall | None:
        """A thread leaves its call: return it; None when its entry was not seen."""
        call = self._open.pop(record.tid, None)
        if call is None:
            return None
        call.leave = record
        context = call.context
        context.at_exit, context.value, context.failed = record.chunks, record.value, record.failed
        return call

    def returned(self, call: OpenCall) -> None:
        """What the exit of `call` shows has been read: it takes effect on the descriptors."""
        record = call.record
        if not call.context.failed and call.leave is not None and not call.leave.injected:
            self._descriptors.left(call.form.name, record.tid, record.tgid, record.arguments)

    def pass_by(self, record: Record) -> Iterator[OpenCall]:
        """Anything else; yields calls that will never return."""
        match record:
            case Path():
                self._descriptors.record(record.tid, record.tgid, record.fd, record.kind, record.text, record.number)
            case Fork():
                self._descriptors.fork(record.tid, record.tgid, record.child, record.flags)
            case Exec():
                yield from self._execute(record)
            case Exiting():
                if record.tid in self._open:
                    yield self._open.pop(record.tid)
            case Exited() | Detached():
                self._descriptors.end(record.tid)
                self._previous.pop(record.tid, None)
                if record.tid in self._open:
                    yield self._open.pop(record.tid)

    def _execute(self, record: Exec) -> Iterator[OpenCall]:
        former = record.former or record.tid
        self._descriptors.execute(former, record.tid, record.tgid)
        if former == record.tid:
            return
        if record.tid in self._open:
            yield self._open.pop(record.tid)
        if former in self._open:
            self._open[record.tid] = self._open.pop(former)
