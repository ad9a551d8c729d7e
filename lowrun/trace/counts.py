"""Counts and times of system calls instead of lines: `strace -c -w`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lowrun.trace.arch import AUDIT_ARCH_X86_64
from lowrun.trace.records import Enter, Exec, Exit, Record
from lowrun.trace.table import FOREIGN, call_of

__all__ = ["SORTS", "Count", "Counts"]

HEAD = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
"""
FOOT = "------ ----------- ----------- --------- --------- ----------------\n"
#: What a table can be sorted by.
SORTS = ("time", "calls", "errors", "name")


@dataclass(slots=True)
class Count:
    """What became of the calls of one name: how many returned, how many of these failed, nanoseconds in them."""

    name: str
    calls: int = 0
    errors: int = 0
    time_ns: int = 0


class Counts:
    """Adds up records: `add` again and again, then `table`. Calls that never return (exit) are not counted.

    The time is the wall clock's, from the entry of a call to its exit: what the
    caller waited for, not what the kernel worked.
    """

    __slots__ = ("_calls", "_entered")

    def __init__(self) -> None:
        self._calls: dict[int, Count] = {}
        self._entered: dict[int, Enter] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Count what `records` hold."""
        for record in records:
            if isinstance(record, Enter):
                self._entered[record.tid] = record
            elif isinstance(record, Exit):
                entry = self._entered.pop(record.tid, None)
                if entry is not None:
                    self._count(entry, record)
            elif isinstance(record, Exec) and record.former in self._entered:
                self._entered[record.tid] = self._entered.pop(record.former)

    def _count(self, entry: Enter, leave: Exit) -> None:
        number = entry.number if entry.arch == AUDIT_ARCH_X86_64 else entry.number | FOREIGN
        count = self._calls.get(number)
        if count is None:
            count = self._calls[number] = Count(call_of(number).name)
        count.calls += 1
        count.errors += leave.failed
        count.time_ns += leave.time_ns - entry.time_ns if leave.duration_ns is None else leave.duration_ns

    def rows(self, sort: str = "time") -> list[Count]:
        """Return a Count per call, the largest by `sort` (one of SORTS) first; names go up."""
        rows = sorted(self._calls.values(), key=lambda count: count.name)
        keys = {"time": lambda c: -c.time_ns, "calls": lambda c: -c.calls, "errors": lambda c: -c.errors}
        return sorted(rows, key=keys[sort]) if sort in keys else rows

    def table(self, sort: str = "time") -> str:
        """Return the rows and their sum as text, as strace prints them."""
        rows = self.rows(sort)
        total = Count("total")
        for row in rows:
            total.calls, total.errors = total.calls + row.calls, total.errors + row.errors
            total.time_ns += row.time_ns
        lines = [_line(row, total.time_ns) for row in rows]
        return HEAD + "".join(lines) + FOOT + _line(total, total.time_ns)


def _line(row: Count, all_ns: int) -> str:
    share = 100 * row.time_ns / all_ns if all_ns else 100.0 if row.name == "total" else 0.0
    each = row.time_ns // 1000 // row.calls if row.calls else 0
    errors = str(row.errors) if row.errors else ""
    return f"{share:6.2f} {row.time_ns / 1e9:11.6f} {each:11d} {row.calls:9d} {errors:>9} {row.name}\n"
