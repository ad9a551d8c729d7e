"""System calls: the table, the live tracer, records, text.

    import lowrun.trace
    for call in lowrun.trace.read("calls.records"): ...

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowrun.core.logs import LogScanner
    from lowrun.trace.calls import RecordedCall, file_header, read
    from lowrun.trace.counts import Counts
    from lowrun.trace.event import Event
    from lowrun.trace.live import LiveTrace
    from lowrun.trace.logfile import LogText, open_log
    from lowrun.trace.parse import LogReader, csv_header, events, read_log, scanner
    from lowrun.trace.records import Buffer, Record
    from lowrun.trace.records import read as records_of
    from lowrun.trace.select import PathFilter, StatusFilter
    from lowrun.trace.table import numbers_of
    from lowrun.trace.terminal import TerminalWriter
    from lowrun.trace.text import StraceWriter

__all__ = [
    "Buffer",
    "Counts",
    "Event",
    "LiveTrace",
    "LogReader",
    "LogScanner",
    "LogText",
    "PathFilter",
    "Record",
    "StatusFilter",
    "StraceWriter",
    "TerminalWriter",
    "RecordedCall",
    "csv_header",
    "events",
    "file_header",
    "numbers_of",
    "open_log",
    "read",
    "read_log",
    "records_of",
    "scanner",
]

#: Name -> module, name there.
_HOME = {
    "Buffer": ("records", "Buffer"),
    "Counts": ("counts", "Counts"),
    "Event": ("event", "Event"),
    "LiveTrace": ("live", "LiveTrace"),
    "LogReader": ("parse", "LogReader"),
    "LogScanner": ("parse", "LogScanner"),
    "LogText": ("logfile", "LogText"),
    "PathFilter": ("select", "PathFilter"),
    "Record": ("records", "Record"),
    "StatusFilter": ("select", "StatusFilter"),
    "StraceWriter": ("text", "StraceWriter"),
    "TerminalWriter": ("terminal", "TerminalWriter"),
    "RecordedCall": ("calls", "RecordedCall"),
    "csv_header": ("parse", "csv_header"),
    "events": ("parse", "events"),
    "file_header": ("calls", "file_header"),
    "numbers_of": ("table", "numbers_of"),
    "open_log": ("logfile", "open_log"),
    "read": ("calls", "read"),
    "read_log": ("parse", "read_log"),
    "scanner": ("parse", "scanner"),
    "records_of": ("records", "read"),
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, there = _HOME[name]
    return getattr(import_module(f"{__name__}.{module}"), there)
