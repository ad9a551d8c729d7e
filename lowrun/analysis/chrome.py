"""The Trace Event Format of Chrome, in JSON: processes and threads, calls as complete events, signals as instant ones.

The format is that of "Trace Event Format" (Google, 2016), which chrome://tracing, Perfetto's UI and speedscope read.
Times are microseconds with three decimals, from the log's first; a process's programs are nestable async events.
Written as it comes: memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from lowrun.analysis.slices import Began, Call, Ended, Piece, Ran, Signal, pieces
from lowrun.kept.calltext import clipped
from lowrun.kept.timeline import ending_of
from lowrun.trace.event import UNFINISHED, Event

__all__ = ["write"]

#: Characters of an argument list.
ARGUMENTS = 4096
BATCH = 512


def write(events: Iterable[Event], out: BinaryIO) -> None:
    """Write the trace of `events` to `out`. Raises UsageError when they have no times, OSError."""
    import json

    encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
    out.write(b'{"displayTimeUnit":"ns","traceEvents":[')
    lines: list[str] = []
    between = "\n"
    for entry in _entries(pieces(events)):
        lines.append(encode(entry))
        if len(lines) >= BATCH:
            out.write((between + ",\n".join(lines)).encode("ascii"))
            lines.clear()
            between = ",\n"
    if lines:
        out.write((between + ",\n".join(lines)).encode("ascii"))
    out.write(b"\n]}\n")


def _entries(parts: Iterable[Piece]) -> Iterator[dict[str, Any]]:
    base: int | None = None
    names: dict[int, str] = {}

    def us(ns: int) -> float:
        return round(max(0, ns - (base or 0)) / 1000, 3)

    for part in parts:
        pid = part.member.pid
        if isinstance(part, Call):
            start = max(part.start_ns, base or 0)
            yield _call(part, us(start), round(max(0, part.end_ns - start) / 1000, 3))
        elif isinstance(part, Began):
            base = part.at_ns if base is None else base
            if part.tid != pid:
                yield _meta("thread_name", pid, part.tid, f"thread {part.tid}")
        elif isinstance(part, Ran):
            yield _meta("process_name", pid, pid, part.name)
            yield _meta("thread_name", pid, pid, part.name)
            if part.member.serial in names:
                yield _program("e", part, names[part.member.serial], us(part.at_ns), {})
            names[part.member.serial] = part.name
            yield _program("b", part, part.name, us(part.at_ns), {"pid": pid})
        elif isinstance(part, Signal):
            event = part.event
            where = {"ph": "i", "s": "t", "ts": us(part.at_ns), "pid": pid, "tid": event.tid}
            yield {"name": event.name, "cat": "signal", **where, "args": {"info": clipped(event.arguments, ARGUMENTS)}}
        else:
            name = names.pop(part.member.serial, "")
            end = ending_of(part.member)[1]
            yield _program("e", part, name, us(part.at_ns), {"end": end})
            if part.known:
                where = {"ph": "i", "s": "p", "ts": us(part.at_ns), "pid": pid, "tid": pid}
                yield {"name": end, "cat": "exit", **where}


def _meta(kind: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "ts": 0, "args": {"name": name}}


def _program(phase: str, part: Ran | Ended, name: str, at: float, args: dict[str, Any]) -> dict[str, Any]:
    where = {"ph": phase, "ts": at, "pid": part.member.pid, "tid": part.member.pid}
    return {"name": name, "cat": "process", "id": part.member.serial, **where, "args": args}


def _call(part: Call, start: float, length: float) -> dict[str, Any]:
    event = part.event
    args: dict[str, Any] = {"arguments": clipped(event.arguments, ARGUMENTS)}
    args["result"] = "it never returned" if event.kind == UNFINISHED else clipped(event.result, ARGUMENTS)
    if event.path:
        args["path"] = event.path
    args["line"] = event.line
    entry: dict[str, Any] = {
        "ph": "X",
        "name": event.name,
        "cat": "failed" if event.error else "call",
        "ts": start,
        "dur": length,
    }
    entry |= {"pid": part.member.pid, "tid": event.tid, "args": args}
    if event.error:
        entry["cname"] = "terrible"
    return entry
