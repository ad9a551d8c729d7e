"""System calls: the table, the live tracer, records, text.

    import lowrun.trace
    for call in lowrun.trace.read("calls.records"): ...

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowrun.later import importer

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

#: Name -> module.
__getattr__ = importer(
    __name__,
    {
        "Buffer": "records",
        "Counts": "counts",
        "Event": "event",
        "LiveTrace": "live",
        "LogReader": "parse",
        "LogScanner": "parse",
        "LogText": "logfile",
        "PathFilter": "select",
        "Record": "records",
        "StatusFilter": "select",
        "StraceWriter": "text",
        "TerminalWriter": "terminal",
        "RecordedCall": "calls",
        "csv_header": "parse",
        "events": "parse",
        "file_header": "calls",
        "numbers_of": "table",
        "open_log": "logfile",
        "read": "calls",
        "read_log": "parse",
        "scanner": "parse",
        "records_of": "records:read",
    },
)
