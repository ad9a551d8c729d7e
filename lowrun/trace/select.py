"""Which calls are of interest once they have returned: `strace -e status=failed`. Pure.

A filter takes records and yields those that are left. A call's entry waits for
its exit here, so what is left is printed in one piece, by the time of its entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lowrun.errors import UsageError
from lowrun.trace.records import Detached, Enter, Exec, Exit, Exited, Record

__all__ = ["STATUSES", "StatusFilter"]

#: How a call can end: it returned with success or failure, it never returned, its result is not known, it was left.
STATUSES = ("successful", "failed", "unfinished", "unavailable", "detached")


class StatusFilter:
    """Lets pass the calls that ended in one of `statuses`, and all that is no call.

    `statuses` is a list as strace's -e status= takes it: "failed,unfinished", "!successful".
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
            elif isinstance(record, Exited):
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
