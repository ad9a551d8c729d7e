"""Events and kept runs for tests of what is read: made by hand, or of strace's text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lowrun.kept.directory import KeptRun
from lowrun.trace.event import CALL, EXIT, KILLED, SIGNAL, UNFINISHED, Event
from lowrun.trace.parse import events

MS = 1_000_000


def event(kind: str, at_ms: float, pid: int = 1, tid: int | None = None, **fields: Any) -> Event:
    """An event of one moment; `at_ms` is on the log's clock."""
    at = round(at_ms * MS)
    empty = {
        "line": 1, "time": "", "start_ns": at, "end_ns": at, "executable": "/bin/prog", "name": "", "arguments": "",
        "path": "", "paths": (), "target": "", "value": None, "result": "", "error": "", "duration_ns": None,
    }  # fmt: skip
    return Event(kind=kind, pid=pid, tid=pid if tid is None else tid, **{**empty, **fields})


def call(at_ms: float, name: str, value: int | None = 0, error: str = "", ms: float = 0, **fields: Any) -> Event:
    """A call that took `ms`."""
    end = round((at_ms + ms) * MS)
    result = f"-1 {error}" if error else "?" if value is None else str(value)
    fields = {"end_ns": end, "duration_ns": round(ms * MS), **fields}
    return event(CALL, at_ms, name=name, value=-1 if error else value, error=error, result=result, **fields)


def failed_open(at_ms: float, path: str, error: str = "ENOENT", **fields: Any) -> Event:
    """An openat that failed."""
    return call(at_ms, "openat", error=error, path=path, arguments=f'AT_FDCWD, "{path}", O_RDONLY', **fields)


def fork(at_ms: float, child: int, pid: int = 1) -> Event:
    """A process is made."""
    return call(at_ms, "clone", child, pid=pid, arguments="child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD")


def wait(at_ms: float, child: int, pid: int = 1) -> Event:
    """The end of a child is heard of."""
    return call(at_ms, "wait4", child, pid=pid, arguments="-1, NULL, 0, NULL")


def kill(at_ms: float, order: str, pid: int = 1) -> Event:
    """A signal is sent; `order` are the call's arguments."""
    name = "pidfd_send_signal" if "<pid:" in order else "kill"
    return call(at_ms, name, pid=pid, arguments=order)


def end(at_ms: float, code: int | None = None, signal: str = "", pid: int = 1, tid: int | None = None) -> Event:
    """A thread ends."""
    return event(KILLED if signal else EXIT, at_ms, pid=pid, tid=tid, name=signal, value=code)


def signal(at_ms: float, name: str, info: str = "{si_signo=...}", pid: int = 1) -> Event:
    """A signal comes."""
    return event(SIGNAL, at_ms, pid=pid, name=name, arguments=info)


def unfinished(at_ms: float, name: str, pid: int = 1, **fields: Any) -> Event:
    """A call of which the log says no more."""
    return event(UNFINISHED, at_ms, pid=pid, name=name, **fields)


def parsed(text: str | bytes) -> list[Event]:
    """The events of a log's text."""
    return list(events([text.encode() if isinstance(text, str) else text]))


def run_of(code: int | None = 1, **fields: Any) -> KeptRun:
    """A run of which nothing but its end is known."""
    known = {"index": 1, "directory": Path("run-0001"), "ok": code == 0, "code": code, "command": ("prog",), "pid": 1}
    return KeptRun(**{**known, **fields})


def keep_run(directory: Path, number: int, files: dict[str, bytes] | None = None, **facts: Any) -> Path:
    """Write a run's directory as lowrun does: `files` by their artifact's name."""
    place = directory / f"run-{number:04d}"
    place.mkdir(parents=True)
    names = {"calls": "calls.strace", "packets": "net.pcapng", "samples": "samples.svg"}
    names |= {"stdout": "stdout.log", "stderr": "stderr.log"}
    artifacts = {}
    for name, content in (files or {}).items():
        path = place / names.get(name, f"{name}.csv")
        path.write_bytes(content)
        artifacts[name] = f"{place.name}/{path.name}"
    known = {"index": number, "code": 1, "signal": None, "ok": False, "timed_out": False, "interrupted": False}
    known |= {"pid": 1, "started": "2026-11-21T01:02:03.456789+00:00", "wall_s": 0.5, "user_s": 0.1, "sys_s": 0.05}
    known |= {"max_rss_kib": 2048, "processes": 2, "artifacts": artifacts, "faults": []}
    (place / "run.json").write_text(json.dumps({**known, **facts}))
    return place


def keep_summary(directory: Path, codes: dict[int, Iterable[int]], command: Iterable[str] = ("prog",)) -> None:
    """Write a repetition's summary."""
    by_code = {str(code): list(runs) for code, runs in codes.items()}
    runs = [{"index": number} for numbers in by_code.values() for number in numbers]
    (directory / "summary.json").write_text(json.dumps({"command": list(command), "codes": by_code, "runs": runs}))
