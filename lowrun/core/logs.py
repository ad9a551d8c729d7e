"""Logs of system calls, read line by line: bytes go in, rows come out (_native/log*.c).

A `LogScanner` is fed the bytes of a log in chunks of any size. Its memory is bounded by the calls that are under way
in the log, and by its longest line: one of more than 16 MiB is not understood.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from lowrun._native import ffi, lib

__all__ = ["EVENTS", "FIXED", "STRACEPY", "LogScanner", "PathRow"]

#: Rows of CSV as bmwcarit/stracepy makes them; with the same columns, right; all fields of an Event.
STRACEPY = "stracepy"
FIXED = "fixed"
EVENTS = "events"
_FORMS: dict[str, int] = {STRACEPY: lib.LR_LOG_STRACEPY, FIXED: lib.LR_LOG_FIXED, EVENTS: lib.LR_LOG_EVENTS}


class PathRow(NamedTuple):
    """Which arguments of a call are paths (two at the most), and which the directories that they begin at."""

    name: str
    #: (index of the path, index of its directory or -1); the first is the file that the call is about.
    paths: tuple[tuple[int, int], ...]


def _table(rows: Iterable[PathRow]) -> Any:
    table = [
        {
            "name": row.name.encode(),
            "count": len(row.paths),
            "path": [path for path, _ in row.paths],
            "directory": [directory for _, directory in row.paths],
        }
        for row in rows
    ]
    return ffi.new("struct lr_path_row[]", table)


class LogScanner:
    """Turns a log into rows of one of the forms STRACEPY, FIXED and EVENTS, all of them UTF-8 and ended by a newline.

    EVENTS separates fields by 0x1f and has no quotes: what is no UTF-8 and control characters are octal escapes, None
    is nothing, `paths` is an array of JSON. The other two are CSV with every field quoted; `extra` adds columns to
    them, 1: args and found_by, 2: strace_line, too. Raises MemoryError only.
    """

    __slots__ = ("_counts", "_log")

    def __init__(self, form: str, rows: Iterable[PathRow], extra: int = 0) -> None:
        log = ffi.new("struct lr_log **")
        table = _table(rows)
        self._check(lib.lr_log_create(_FORMS[form], extra, table, len(table), log))
        self._log = ffi.gc(log[0], lib.lr_log_free)
        self._counts = ffi.new("struct lr_log_counts *")

    @staticmethod
    def _check(result: int) -> None:
        if result < 0:
            raise MemoryError(os.strerror(-result))

    def _rows(self) -> bytes:
        rows = ffi.new("char **")
        size = lib.lr_log_rows(self._log, rows)
        lib.lr_log_counts(self._log, self._counts)
        return bytes(ffi.buffer(rows[0], size)) if size else b""

    def feed(self, data: bytes | bytearray | memoryview) -> bytes:
        """Return the rows of the lines that `data` ends."""
        self._check(lib.lr_log_feed(self._log, ffi.from_buffer("char[]", data), len(data)))
        return self._rows()

    def finish(self) -> bytes:
        """Return the rows that are left when the log is over. Nothing is fed afterwards."""
        self._check(lib.lr_log_finish(self._log))
        return self._rows()

    @property
    def lines(self) -> int:
        """How many lines there were."""
        return int(self._counts.lines)

    @property
    def rows(self) -> int:
        """How many rows they gave."""
        return int(self._counts.rows)

    @property
    def led(self) -> int:
        """How many lines began with a thread and a time."""
        return int(self._counts.led)

    @property
    def unknown(self) -> int:
        """How many lines no rule understands."""
        return int(self._counts.unknown)

    @property
    def unknown_lines(self) -> list[int]:
        """The numbers, from 1, of the first 20 of them."""
        return [int(number) for number in self._counts.unknown_lines[0 : min(self.unknown, lib.LR_LOG_UNKNOWN_LINES)]]
