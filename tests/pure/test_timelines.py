"""Timelines for Perfetto and Chrome: checked against Perfetto's own schema, and the rules of Chrome's format."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TracePacket, TrackEvent

from lowrun.analysis.export import export_timeline
from lowrun.analysis.protobuf import number, text, varint
from lowrun.errors import UsageError
from lowrun.trace.event import Event
from tests.readings import call, end, failed_open, fork, parsed, signal, unfinished, wait

THREAD = call(1.5, "clone3", 5, arguments="{flags=CLONE_VM|CLONE_THREAD}")
LOG = [
    call(0, "execve", path="/bin/sh", executable="/bin/sh", ms=0.5), fork(1, 2), THREAD,
    call(2, "execve", path="/bin/cat", executable="/bin/cat", ms=0.25, pid=2), call(2, "futex", 0, pid=1, tid=5, ms=9),
    failed_open(3, "/no \u2028</script>", pid=2, executable="/bin/cat", ms=0.125), signal(3.5, "SIGUSR1", pid=2),
    end(4, signal="SIGSEGV", pid=2), wait(4, 2), end(12, 0, pid=1, tid=5), end(13, 139),
]  # fmt: skip


def written(kind: str, events: Iterable[Event]) -> bytes:
    out = io.BytesIO()
    export_timeline(kind, events, out)
    return out.getvalue()


def chrome(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events of a trace, checked by the format's rules."""
    trace = json.loads(written("chrome", events))
    assert set(trace) == {"displayTimeUnit", "traceEvents"} and trace["displayTimeUnit"] in ("ms", "ns")
    begun: dict[tuple[str, int], list[str]] = defaultdict(list)
    for entry in trace["traceEvents"]:
        assert {"ph", "name", "pid", "tid", "ts"} <= set(entry) and entry["ts"] >= 0
        phase = entry["ph"]
        assert phase in "MXibe"
        if phase == "X":
            assert entry["dur"] >= 0 and isinstance(entry["args"], dict)
        elif phase == "M":
            assert entry["name"] in ("process_name", "thread_name") and isinstance(entry["args"]["name"], str)
        elif phase == "i":
            assert entry["s"] in "tp"
        elif phase == "b":
            begun[entry["cat"], entry["id"]].append(entry["name"])
        else:
            assert begun[entry["cat"], entry["id"]].pop() == entry["name"]
    assert not any(begun.values()), "what is begun ends"
    return list(trace["traceEvents"])


def nested(spans: Iterable[tuple[object, float, float]]) -> None:
    """Spans of one thread do not overlap; thousandths of a microsecond are a float's noise."""
    last: dict[object, float] = {}
    for thread, start, stop in spans:
        assert start >= last.get(thread, 0) - 1e-3
        last[thread] = stop


def chrome_spans(entries: Iterable[dict[str, Any]]) -> list[tuple[object, float, float]]:
    return [((e["pid"], e["tid"]), e["ts"], e["ts"] + e["dur"]) for e in entries if e["ph"] == "X"]


class Perfetto:
    """A trace as its reader makes it: names resolved, slices matched."""

    def __init__(self, events: Iterable[Event]) -> None:
        data = written("perfetto", events)
        trace = Trace.FromString(data)
        trace.DiscardUnknownFields()
        assert trace.ByteSize() == len(data), "every field is one of the schema's"
        self.tracks: dict[int, Any] = {}
        self.slices: list[tuple[int, str, int, int, dict[str, Any]]] = []
        self.instants: list[tuple[int, str, int]] = []
        names: dict[str, dict[int, str]] = {"event_categories": {}, "event_names": {}, "debug_annotation_names": {}}
        begun: dict[int, list[tuple[str, int, dict[str, Any]]]] = defaultdict(list)
        for place, packet in enumerate(trace.packet):
            assert packet.trusted_packet_sequence_id == 1
            wanted = TracePacket.SEQ_NEEDS_INCREMENTAL_STATE if place else TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
            assert packet.sequence_flags == wanted
            for kind, known in names.items():
                for entry in getattr(packet.interned_data, kind):
                    assert entry.iid and entry.iid not in known
                    known[entry.iid] = entry.name
            if packet.HasField("track_descriptor"):
                track = packet.track_descriptor
                assert track.uuid and (not track.HasField("parent_uuid") or track.parent_uuid in self.tracks)
                self.tracks[track.uuid] = track
            elif packet.HasField("track_event"):
                self._event(packet, names, begun)
        assert not any(begun.values()), "what is begun ends"

    def _event(self, packet: Any, names: dict[str, dict[int, str]], begun: dict[int, list[Any]]) -> None:
        event = packet.track_event
        assert event.track_uuid in self.tracks and packet.timestamp > 0
        if event.type == TrackEvent.TYPE_SLICE_END:
            name, start, notes = begun[event.track_uuid].pop()
            assert packet.timestamp >= start
            self.slices.append((event.track_uuid, name, start, packet.timestamp, notes))
            return
        name = names["event_names"][event.name_iid]
        assert [names["event_categories"][iid] for iid in event.category_iids]
        notes = {
            names["debug_annotation_names"][note.name_iid]: note.int_value
            if note.HasField("int_value")
            else note.string_value
            for note in event.debug_annotations
        }
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            begun[event.track_uuid].append((name, packet.timestamp, notes))
        else:
            assert event.type == TrackEvent.TYPE_INSTANT
            self.instants.append((event.track_uuid, name, packet.timestamp))

    def spans(self) -> list[tuple[object, float, float]]:
        return [(track, start / 1e3, stop / 1e3) for track, _, start, stop, _ in self.slices]


def test_chrome() -> None:
    """Processes, threads, calls with what they returned, signals, ends; microseconds since the log's begin."""
    entries = chrome(LOG)
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in entries if e["name"] in ("process_name", "thread_name")}
    assert names == {(1, 1): "sh", (2, 2): "cat", (1, 5): "thread 5"}
    failed = next(e for e in entries if e.get("cat") == "failed")
    assert (failed["name"], failed["ts"], failed["dur"], failed["pid"]) == ("openat", 3000, 125, 2)
    assert failed["args"]["result"] == "-1 ENOENT" and failed["args"]["path"] == "/no \u2028</script>"
    assert [(e["name"], e["pid"]) for e in entries if e["ph"] == "i"] == [
        ("SIGUSR1", 2), ("killed by SIGSEGV", 2), ("exit 139", 1),
    ]  # fmt: skip
    programs = [(e["ph"], e["name"], e["ts"]) for e in entries if e.get("cat") == "process" and e["pid"] == 2]
    assert programs[-2:] == [("b", "cat", 2000.0), ("e", "cat", 4000.0)]
    nested(chrome_spans(entries))


def test_perfetto() -> None:
    """The same, as Perfetto's schema reads it; a thread's track is its process's child."""
    trace = Perfetto(LOG)
    processes = {t.process.pid: t for t in trace.tracks.values() if t.HasField("process")}
    threads = {t.thread.tid: t for t in trace.tracks.values() if t.HasField("thread")}
    assert {pid: t.process.process_name for pid, t in processes.items()} == {1: "sh", 2: "cat"}
    assert {tid: (t.thread.pid, t.thread.thread_name) for tid, t in threads.items()} == {
        1: (1, "sh"), 2: (2, "cat"), 5: (1, "thread 5"),
    }  # fmt: skip
    assert all(t.parent_uuid == processes[t.thread.pid].uuid for t in threads.values())
    call_ = next(s for s in trace.slices if s[1] == "openat")
    assert (call_[0], call_[2], call_[3]) == (threads[2].uuid, 1_003_000_000, 1_003_125_000)
    assert call_[4]["result"] == "-1 ENOENT" and call_[4]["line"] == 1 and call_[4]["error"] == "ENOENT"
    assert [(name, ns) for _, name, ns in trace.instants] == [
        ("SIGUSR1", 1_003_500_000), ("killed by SIGSEGV", 1_004_000_000), ("exit 139", 1_013_000_000),
    ]  # fmt: skip
    assert ("sh", 1_000_000_000, 1_013_000_000) in [(name, start, stop) for _, name, start, stop, _ in trace.slices]
    nested(trace.spans())


def test_a_log_with_dates_tells_the_time_of_day() -> None:
    """A snapshot of two clocks says when the boot clock's first second was."""
    ns = 1_790_000_000_000_000_000
    trace = Trace.FromString(written("perfetto", [call(ns / 1e6, "brk", start_ns=ns, end_ns=ns + 5)]))
    clocks = {clock.clock_id: clock.timestamp for clock in trace.packet[0].clock_snapshot.clocks}
    assert clocks == {6: 1_000_000_000, 1: ns}


def test_a_pid_that_is_used_again_has_tracks_of_its_own() -> None:
    """Two processes of one pid are not one."""
    events = [fork(1, 2), call(2, "brk", pid=2), end(3, 0, pid=2), fork(4, 2), call(5, "brk", pid=2), end(6, 1, pid=2)]
    trace = Perfetto([*events, end(7, 0)])
    assert len([t for t in trace.tracks.values() if t.HasField("process") and t.process.pid == 2]) == 2


def test_calls_under_way_end_with_their_thread() -> None:
    """A call that never returned lasts until the process is gone, or the log ends."""
    log = [call(0, "execve"), unfinished(5, "read"), end(50, signal="SIGKILL")]
    [read] = [e for e in chrome(log) if e["name"] == "read"]
    assert (read["ts"], read["dur"], read["args"]["result"]) == (5000, 45000, "it never returned")
    [read] = [e for e in chrome([*log[:2], call(70, "brk", pid=2)]) if e["name"] == "read"]
    assert read["dur"] == 65000


def test_overlaps_are_mended() -> None:
    """strace's rounded times make calls overlap by a microsecond: the first is cut."""
    log = [call(0, "read", 1, ms=2), call(1, "write", 1, ms=1), call(1.5, "close", ms=0), end(1, 0)]
    nested(chrome_spans(chrome(log)))
    nested(Perfetto(log).spans())


MAKERS = (
    lambda at, pid, tid: call(at, "read", 1, pid=pid, tid=tid, ms=3),
    lambda at, pid, tid: call(at, "exit_group", None, pid=pid, tid=tid, duration_ns=None),
    lambda at, pid, tid: unfinished(at, "poll", pid=pid, tid=tid),
    lambda at, pid, tid: signal(at, "SIGHUP", pid=pid),
    lambda at, pid, tid: end(at, 1, pid=pid, tid=tid),
    lambda at, pid, tid: fork(at, tid + 1, pid=pid),
    lambda at, pid, tid: call(at, "execve", path=f"/bin/{tid}", pid=pid),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(MAKERS), st.integers(0, 4), st.integers(1, 3), st.integers(1, 4)), max_size=30
)


@given(STEPS)
def test_any_events_make_a_trace_that_is_right(steps: list[Any]) -> None:
    """In any order: what is begun ends, nothing overlaps, all names are known."""
    at = 0
    events = []
    for make, later, pid, tid in steps:
        at += later
        events.append(make(at, pid, tid))
    nested(chrome_spans(chrome(events)))
    nested(Perfetto(events).spans())


@given(STEPS)
def test_a_clock_that_goes_back(steps: list[Any]) -> None:
    """Times are never before the beginning, and no call lasts less than nothing."""
    events = [make(10 - later, pid, tid) for make, later, pid, tid in steps]
    chrome(events)
    Perfetto(events)


@pytest.mark.parametrize("kind", ["chrome", "perfetto"])
def test_without_times_there_is_no_timeline(kind: str) -> None:
    """The remedy is said."""
    with pytest.raises(UsageError, match="strace -tt"):
        written(kind, parsed("1 brk(NULL) = 0x1000\n1 +++ exited with 0 +++\n"))


def test_words_of_straces_own_have_no_time() -> None:
    """A log of strace's standard error has them, and one of strace -k: they change nothing."""
    words = list(parsed("strace: Process 5 attached\n > /lib/libc.so.6(read+0x10) [0xf0]\n"))
    assert len(words) == 2
    assert chrome([*words, *LOG, *words]) == chrome(LOG)
    with pytest.raises(UsageError, match="no times"):
        written("chrome", words)


@given(st.integers(-(1 << 63), (1 << 64) - 1))
def test_varints(value: int) -> None:
    """Seven bits a byte, the lowest first."""
    data = varint(value)
    assert all(byte & 0x80 for byte in data[:-1]) and not data[-1] & 0x80
    assert sum((byte & 0x7F) << 7 * i for i, byte in enumerate(data)) == value % (1 << 64)


def test_texts_are_utf8() -> None:
    """A lone surrogate is no character."""
    assert text(1, "\udcff") == b"\x0a\x01?"
    assert number(1, 300) == b"\x08\xac\x02"
