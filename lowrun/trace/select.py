"""Which calls are of interest: `strace -e status=failed`, `strace -P PATH`. Pure.

A filter takes records and yields those that are left.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from lowrun.errors import UsageError
from lowrun.trace.context import signed
from lowrun.trace.follow import Follower, OpenCall
from lowrun.trace.quoting import bare
from lowrun.trace.records import Detached, Enter, Exec, Exit, Exited, Exiting, Record

__all__ = ["STATUSES", "PathFilter", "StatusFilter"]

#: How a call can end: it returned with success or failure, it never returned, its result is not known, it was left.
STATUSES = ("successful", "failed", "unfinished", "unavailable", "detached")


class StatusFilter:
    """Lets pass the calls that ended in one of `statuses`, and all that is no call.

    `statuses` is a list as strace's -e status= takes it: "failed,unfinished", "!successful".
    A call's entry waits for its exit here, so what is left is printed in one piece.
    Raises UsageError for a status that is not known.
    """

    __slots__ = ("_entered", "_statuses")

    def __init__(self, statuses: str) -> None:
        names = {name.strip() for name in statuses.removeprefix("!").split(",")}
        for name in names - {*STATUSES, "all", "none"}:
            raise UsageError(f"there is no status {name!r} (there are: {', '.join(STATUSES)})")
        wanted = set(STATUSES) if "all" in names else names & set(STATUSES)
        self._statuses = set(STATUSES) - wanted if statuses.startswith("!") else wanted
        self._entered: dict[int, Enter] = {}

    def __call__(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield what is left of `records`, which follow those of the last time."""
        for record in records:
            if isinstance(record, Enter):
                self._entered[record.tid] = record
                continue
            if isinstance(record, Exit):
                yield from self._returned(record)
                continue
            if isinstance(record, Exec) and record.former != record.tid:
                yield from self._never_returned(record.tid, "unfinished")
                if record.former in self._entered:
                    entry = self._entered[record.tid] = self._entered.pop(record.former)
                    entry.tid = record.tid
            elif isinstance(record, (Exited, Exiting)):
                yield from self._never_returned(record.tid, "unfinished")
            elif isinstance(record, Detached):
                yield from self._never_returned(record.tid, "detached")
            yield record

    def _returned(self, record: Exit) -> Iterator[Record]:
        entry = self._entered.pop(record.tid, None)
        if entry is not None and ("failed" if record.failed else "successful") in self._statuses:
            yield entry
            yield record

    def _never_returned(self, tid: int, status: str) -> Iterator[Record]:
        entry = self._entered.pop(tid, None)
        if entry is not None and status in self._statuses:
            yield entry


class PathFilter:
    """Lets pass the calls that one of `paths` takes part in, named or by a descriptor; and all that is no call."""

    __slots__ = ("_follower", "_names", "_paths", "_wanted")

    def __init__(self, paths: Iterable[bytes]) -> None:
        self._paths = frozenset(paths)
        #: What the name of such a descriptor begins with: `</dev/null>`, `</dev/null<char 1:3>>`.
        self._names = tuple(f"<{bare(path)}{end}" for path in self._paths for end in ("<", ">"))
        self._follower = Follower()
        self._wanted: set[int] = set()

    def __call__(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield what is left of `records`, which follow those of the last time."""
        follower, wanted = self._follower, self._wanted
        for record in records:
            if isinstance(record, Enter):
                call = follower.enter(record)
                if self._takes_part(call):
                    wanted.add(record.tid)
                    yield record
                follower.committed(call)
            elif isinstance(record, Exit):
                returned = follower.leave(record)
                if returned is not None:
                    follower.returned(returned)
                if record.tid in wanted:
                    wanted.remove(record.tid)
                    yield record
            else:
                for lost in follower.pass_by(record):
                    wanted.discard(lost.record.tid)
                yield record

    def _takes_part(self, call: OpenCall) -> bool:
        context = call.context
        for index, argument in enumerate(call.form.call.arguments):
            if argument.kind in ("fd", "dirfd"):
                fds = [context.arguments[index] & 0xFFFFFFFF]
            elif index not in context.at_entry:
                continue
            elif argument.kind == "path":
                if context.at_entry[index].data.partition(b"\0")[0] in self._paths:
                    return True
                continue
            elif argument.kind == "pollfd":
                data = context.at_entry[index].data
                fds = [fd for fd, _ in struct.iter_unpack("<iI", data[: len(data) & ~7])]
            else:
                continue
            if any(context.descriptors.get(signed(fd), "").startswith(self._names) for fd in fds):
                return True
        return False
