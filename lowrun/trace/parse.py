"""Logs of system calls as events: strace's text, lowrun's text, lowrun's records.

with lowrun.trace.read_log("calls.strace") as log:
    for event in log: ...
print(log.unknown)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from lowrun.core.logs import EVENTS, STRACEPY, LogScanner
from lowrun.trace.event import Event
from lowrun.trace.logfile import LogText, open_log
from lowrun.trace.pathrows import path_rows

__all__ = ["LogReader", "csv_header", "events", "read_log", "scanner"]

HEADER = "timestamp,pid,executable,syscall,filepath,all_filepaths,ret_int,ret_str,syscall_time".split(",")
EXTRA = ("args", "found_by", "strace_line")


def scanner(form: str, extra: int = 0) -> LogScanner:
    """Return a scanner for "events", "fixed" or "stracepy" (LogScanner says what they are).

    `extra` adds columns to the last two: 1 args and found_by, 2 strace_line, too.
    """
    return LogScanner(form, () if form == STRACEPY else path_rows(), extra)


def csv_header(extra: int = 0) -> bytes:
    """Return the line that stands before the rows of the forms "fixed" and "stracepy"."""
    names = [*HEADER, *EXTRA[: (0, 2, 3)[extra]]]
    return (",".join(f'"{name}"' for name in names) + "\n").encode()


def _paths(text: str) -> tuple[str, ...]:
    if text == "[]":
        return ()
    if "\\" in text:
        import json

        return tuple(json.loads(text))
    return tuple(text[2:-2].split('","'))


def _event(row: str) -> Event:
    (line, kind, time, start, end, tid, pid, executable, name, arguments, path, paths, target, value, result, error,
     duration) = row.split("\x1f")  # fmt: skip
    return Event(
        int(line), kind, time, int(start) if start else None, int(end) if end else None, int(tid), int(pid), executable,
        name, arguments, path, _paths(paths), target, int(value) if value else None, result, error,
        int(duration) if duration else None,
    )  # fmt: skip


def _events(rows: bytes) -> Iterator[Event]:
    return map(_event, rows.decode().split("\n")[:-1])


def events(chunks: Iterable[bytes], using: LogScanner | None = None) -> Iterator[Event]:
    """Yield the events of a log's text, in the order in which they are complete.

    `using` (a new scanner of the form "events") counts the lines that no rule understands.
    """
    using = using or scanner(EVENTS)
    for chunk in chunks:
        yield from _events(using.feed(chunk))
    yield from _events(using.finish())


class LogReader:
    """The events of a log: an iterator; close it (a context manager). Iterating raises what LogText does."""

    def __init__(self, text: LogText) -> None:
        self._text = text
        self._scanner = scanner(EVENTS)
        self._events = events(text, self._scanner)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    @property
    def lines(self) -> int:
        """How many lines have been read."""
        return self._scanner.lines

    @property
    def unknown(self) -> int:
        """How many of them no rule understands."""
        return self._scanner.unknown

    @property
    def unknown_lines(self) -> list[int]:
        """The numbers, from 1, of the first 20 of those."""
        return self._scanner.unknown_lines

    def close(self) -> None:
        """Close the file; the second time does nothing."""
        self._text.close()

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def read_log(path: str | os.PathLike[str]) -> LogReader:
    """Read the log `path` (open_log says what it may be). Raises UsageError when it cannot be opened."""
    return LogReader(open_log(path))
