"""Timelines for other programs' viewers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from lowrun.errors import UsageError
from lowrun.trace.event import Event

__all__ = ["TIMELINES", "export_timeline"]

#: Kinds of files that can be written.
TIMELINES = ("perfetto", "chrome")


def export_timeline(kind: str, events: Iterable[Event], out: BinaryIO) -> None:
    """Write processes, threads and calls to `out` as `kind` has it: "perfetto" (protobuf) or "chrome" (JSON).

    Raises UsageError for another kind, or when the log has no times; OSError.
    """
    if kind == "perfetto":
        from lowrun.analysis.perfetto import write_perfetto

        write_perfetto(events, out)
    elif kind == "chrome":
        from lowrun.analysis.chrome import write_chrome

        write_chrome(events, out)
    else:
        raise UsageError(f"{kind}: no such timeline; known are {', '.join(TIMELINES)}")
