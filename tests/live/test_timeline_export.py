"""`lowrun analyze ... export --to perfetto|chrome` of real traces: shells, threads, signals, deaths."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

from tests.programs import LOWRUN, mock
from tests.pure.test_timelines import nested


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of a shell with a pipe, of threads, and of a child that is killed."""
    path = tmp_path_factory.mktemp("log") / "calls.strace"
    script = f"ls / | wc -l; {mock('threaded')}; sh -c 'kill -SEGV $$'; cat /nonexistent"
    subprocess.run([LOWRUN, "trace", "-o", path, "sh", "-c", script], capture_output=True, timeout=60, check=False)
    return path


def exported(log: Path, kind: str) -> bytes:
    target = log.with_name(kind)
    subprocess.run([LOWRUN, "analyze", log, "export", "--to", kind, target], check=True, timeout=60)
    return target.read_bytes()


def test_chrome(log: Path) -> None:
    """Every call of the log is there; on no thread do calls overlap; the killed one says so."""
    entries = json.loads(exported(log, "chrome"))["traceEvents"]
    calls = [entry for entry in entries if entry["ph"] == "X"]
    nested(((e["pid"], e["tid"]), e["ts"], e["ts"] + e["dur"]) for e in calls)
    assert "killed by SIGSEGV" in [entry["name"] for entry in entries if entry["ph"] == "i"]
    assert {"sh", "ls", "wc", "cat"} <= {e["args"]["name"] for e in entries if e["name"] == "process_name"}
    assert {e["name"] for e in calls} >= {"execve", "openat", "wait4", "exit_group"}
    assert any(e["args"].get("path") == "/nonexistent" and "ENOENT" in e["args"]["result"] for e in calls)


def test_perfetto(log: Path) -> None:
    """The schema reads all of it, as many calls as Chrome's file has; tracks of threads below their process's."""
    data = exported(log, "perfetto")
    trace = Trace.FromString(data)
    trace.DiscardUnknownFields()
    assert trace.ByteSize() == len(data)
    tracks = {p.track_descriptor.uuid: p.track_descriptor for p in trace.packet if p.HasField("track_descriptor")}
    threads = {uuid for uuid, track in tracks.items() if track.HasField("thread")}
    begun = [p for p in trace.packet if p.track_event.type == 1 and p.track_event.track_uuid in threads]
    chrome = json.loads(exported(log, "chrome"))["traceEvents"]
    assert len(begun) == sum(entry["ph"] == "X" for entry in chrome)
    assert all(tracks[tracks[uuid].parent_uuid].process.pid == tracks[uuid].thread.pid for uuid in threads)
