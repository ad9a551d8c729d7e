"""A log in another form: Parquet, CSV, JSON lines, and timelines for a browser.

parquet   typed columns, NULL for what is unknown, zstd, in groups of rows that engines read at the same time
csv       the same columns as text, every field quoted, after a header
jsonl     an object a line
perfetto  } a timeline of processes, threads and calls
chrome    }
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import islice
from typing import BinaryIO

from lowrun.analysis.answer import Answer, Column
from lowrun.analysis.engine import Engine
from lowrun.analysis.questions import EXPORTS
from lowrun.core.fd import write_all
from lowrun.errors import UsageError
from lowrun.trace.event import FIELDS, Event

__all__ = ["export", "export_timeline"]

#: Rows that make a group, which an engine gives to one processor.
ROW_GROUP = 122_880
#: Nanoseconds that a log counts without dates are fewer: a year.
YEAR_NS = 365 * 86_400 * 1_000_000_000
#: Kind -> module with `write(events, out)`.
TIMELINES = {"perfetto": "lowrun.analysis.perfetto", "chrome": "lowrun.analysis.chrome"}


def export(engine: Engine, kind: str, fd: int, limit: int | None, events: Callable[[], Iterator[Event]]) -> None:
    """Write the view `events`, or what `events()` yields, to the descriptor `fd`. Raises UsageError, OSError."""
    if kind not in EXPORTS:
        raise UsageError(f"unknown kind {kind!r}; there are {', '.join(EXPORTS)}")
    if kind == "parquet":
        _write_parquet(engine, fd, limit)
    elif kind in TIMELINES:
        with os.fdopen(os.dup(fd), "wb") as out:
            export_timeline(kind, islice(events(), limit), out)
    else:
        select = f"SELECT {', '.join(FIELDS)} FROM events{_limit(limit)}"
        if kind == "csv":  # a list is JSON there, as in the events that are read
            select = select.replace("paths", "CAST(to_json(coalesce(paths, [])) AS VARCHAR) AS paths")
        result = engine.run(select)
        columns = tuple(Column(name, str(its)) for name, its, *_ in result.description)
        answer = Answer("", columns, (row for batch in engine.batches(result) for row in batch))
        for piece in answer.csv() if kind == "csv" else answer.json_lines():
            write_all(fd, piece.encode())


def _limit(limit: int | None) -> str:
    return "" if limit is None else f" LIMIT {limit}"


def _write_parquet(engine: Engine, fd: int, limit: int | None) -> None:
    times = ""
    (first,) = engine.run("SELECT min(start_ns) FROM all_events").fetchone()
    if first is not None and first >= YEAR_NS:  # microseconds, since not every engine knows finer ones
        times = ", make_timestamptz(start_ns // 1000) AS start_time, make_timestamptz(end_ns // 1000) AS end_time"
    engine.run(
        f"COPY (SELECT {', '.join(FIELDS)}{times} FROM events{_limit(limit)}) TO '/proc/self/fd/{fd}' "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}, USE_TMP_FILE false)"
    )


def export_timeline(kind: str, events: Iterator[Event], out: BinaryIO) -> None:
    """Write `events` as a timeline: "perfetto" or "chrome". Raises OSError."""
    import_module(TIMELINES[kind]).write(events, out)
