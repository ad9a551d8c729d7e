"""System calls: the table, the live tracer, records, text.

    import lowrun.trace
    for call in lowrun.trace.read("calls.records"): ...

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowrun.trace.calls import RecordedCall, file_header, read
    from lowrun.trace.counts import Counts
    from lowrun.trace.event import Event
    from lowrun.trace.live import LiveTrace
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
    "PathFilter",
    "Record",
    "StatusFilter",
    "StraceWriter",
    "TerminalWriter",
    "RecordedCall",
    "file_header",
    "numbers_of",
    "read",
    "records_of",
]

#: Name -> module, name there.
_HOME = {
    "Buffer": ("records", "Buffer"),
    "Counts": ("counts", "Counts"),
    "Event": ("event", "Event"),
    "LiveTrace": ("live", "LiveTrace"),
    "PathFilter": ("select", "PathFilter"),
    "Record": ("records", "Record"),
    "StatusFilter": ("select", "StatusFilter"),
    "StraceWriter": ("text", "StraceWriter"),
    "TerminalWriter": ("terminal", "TerminalWriter"),
    "RecordedCall": ("calls", "RecordedCall"),
    "file_header": ("calls", "file_header"),
    "numbers_of": ("table", "numbers_of"),
    "read": ("calls", "read"),
    "records_of": ("records", "read"),
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, there = _HOME[name]
    return getattr(import_module(f"{__name__}.{module}"), there)
