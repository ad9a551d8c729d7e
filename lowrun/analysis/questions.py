"""What can be asked of a log by name, and into what it can be exported; moments, as users write them. Pure.

The first eight names, and their titles, are those of bmwcarit/stracepy's strace_analyzer.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

__all__ = ["EXPORTS", "QUERIES", "Moment"]

#: Name of a query -> what it answers.
QUERIES = {
    "summary": "programs executed, and counts of failed calls",
    "programs_executed": "programs executed, in the order of time",
    "count_errors": "failed calls, counted by program, call and error",
    "count_files": "accesses of files, counted by program and file",
    "count_device_files": "the same of devices (/dev, /sys/devices, gpio)",
    "file_access": "every access of a file, in the order of time",
    "file_access_errors": "those that failed",
    "device_file_access": "those of devices",
    "calls": "counts, times (total, mean, p50, p99, max) and errors by call",
    "slow": "the slowest calls",
    "processes": "the tree of processes: program, start, wall time, exit, CPU time",
    "files": "opens, reads, writes, bytes, errors and time by file",
    "network": "peers: protocol, addresses, bytes, connects, errors",
}
#: Kinds of files that a log is exported to.
EXPORTS = ("parquet", "csv", "jsonl", "perfetto", "chrome")

_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d)(\.\d{1,9})?)?", re.ASCII)
_NUMBER = re.compile(r"(\+?)(\d{1,10})(\.\d{1,9})?", re.ASCII)
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


def _fraction(text: str | None) -> int:
    return int((text or ".").removeprefix(".").ljust(9, "0"))


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in a log's time.

    `kind` is "clock" (a time of day), "offset" (since the log's beginning) or "epoch" (since 1970); `ns` is so many
    nanoseconds.
    """

    kind: str
    ns: int

    @classmethod
    def parse(cls, text: str) -> Moment:
        """Read HH:MM[:SS[.ffffff]], +SECONDS, or seconds since 1970. Raises ValueError that says what is needed."""
        if (match := _CLOCK.fullmatch(text)) and int(match[1]) < 24:
            seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)
            return cls("clock", seconds * SECOND + _fraction(match[4]))
        if match := _NUMBER.fullmatch(text):
            return cls("offset" if match[1] else "epoch", int(match[2]) * SECOND + _fraction(match[3]))
        raise ValueError("HH:MM:SS[.ffffff], +SECONDS or seconds since 1970 are needed")

    def within(self, first_ns: int, last_ns: int) -> int:
        """Return it as the nanoseconds that a log counts whose events begin at `first_ns`, the last at `last_ns`.

        A log with dates counts from 1970, one without from its first day's midnight; in one that goes on after
        midnight a time of day before its first event's is of the next day. Raises ValueError when a log without
        dates is asked for a date.
        """
        has_dates = first_ns >= 365 * DAY
        if self.kind == "offset":
            return first_ns + self.ns
        if self.kind == "epoch":
            if not has_dates:
                raise ValueError("this log has no dates: give HH:MM:SS or +SECONDS")
            return self.ns
        midnight = _midnight(first_ns) if has_dates else 0
        moment = midnight + self.ns
        crosses = last_ns - midnight >= DAY
        return moment + DAY if crosses and moment < first_ns - first_ns % SECOND else moment


def _midnight(ns: int) -> int:
    """The local midnight before `ns` (nanoseconds since 1970)."""
    local = time.localtime(ns // SECOND)
    return ns - ns % SECOND - (local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec) * SECOND
