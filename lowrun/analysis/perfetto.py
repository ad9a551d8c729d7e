"""Perfetto's own trace: packets of tracks and of what is on them, which https://ui.perfetto.dev opens.

    Trace { repeated TracePacket packet = 1; }          protos/perfetto/trace/trace_packet.proto and track_event/

A process has a track with its programs, each of its threads one below it with its calls. Names are interned: the first
packet that uses one brings its text, all others its number. So they need the state that the sequence's first packet
begins (SEQ_INCREMENTAL_STATE_CLEARED). Times are nanoseconds of the boot clock, beginning at one second; where the log
has dates, a snapshot says which time of day that is. Written as it comes: memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from lowrun.analysis.protobuf import bytes_field, number, text
from lowrun.analysis.slices import Began, Call, Ended, Ran, Signal, pieces
from lowrun.kept.calltext import clipped
from lowrun.kept.timeline import ending_of
from lowrun.trace.event import UNFINISHED, Event

__all__ = ["write"]

# Fields, by message.
TRACE_PACKET = 1
CLOCK_SNAPSHOT, TIMESTAMP, SEQUENCE_ID, TRACK_EVENT, INTERNED, SEQUENCE_FLAGS, TRACK_DESCRIPTOR = (
    6,
    8,
    10,
    11,
    12,
    13,
    60,
)
SNAPSHOT_CLOCKS, CLOCK_ID, CLOCK_TIME = 1, 1, 2
TRACK_UUID, TRACK_PROCESS, TRACK_THREAD, TRACK_PARENT = 1, 3, 4, 5
PROCESS_PID, PROCESS_NAME, PROCESS_START = 1, 6, 7
THREAD_PID, THREAD_TID, THREAD_NAME = 1, 2, 5
EVENT_CATEGORY, EVENT_ANNOTATION, EVENT_TYPE, EVENT_NAME, EVENT_TRACK = 3, 4, 9, 10, 11
ANNOTATION_NAME, ANNOTATION_INT, ANNOTATION_TEXT = 1, 4, 6
INTERNED_CATEGORIES, INTERNED_NAMES, INTERNED_ANNOTATIONS = 1, 2, 3
INTERNED_ID, INTERNED_TEXT = 1, 2

BEGIN, END, INSTANT = 1, 2, 3
CLEARED, NEEDS_STATE = 1, 2
REALTIME, BOOTTIME = 1, 6
#: Where the boot clock stands when the log begins.
BEGINNING = 1_000_000_000
#: A time beyond this is one since 1970 (1973), not since midnight.
DATED = 100_000_000 * 1_000_000_000
#: The only sequence of packets.
SEQUENCE = 1
#: Characters of an argument list.
ARGUMENTS = 4096
BATCH = 1 << 16
#: What each packet has: its sequence, and whether it needs what came before.
FIRST, LATER = (number(SEQUENCE_ID, SEQUENCE) + number(SEQUENCE_FLAGS, flag) for flag in (CLEARED, NEEDS_STATE))


def write(events: Iterable[Event], out: BinaryIO) -> None:
    """Write the trace of `events` to `out`. Raises UsageError when they have no times, OSError."""
    parts: list[bytes] = []
    size = 0
    for packet in _Writer().packets(events):
        parts.append(bytes_field(TRACE_PACKET, packet))
        size += len(packet)
        if size >= BATCH:
            out.write(b"".join(parts))
            parts.clear()
            size = 0
    out.write(b"".join(parts))


class _Interned:
    """Texts of one kind, numbered from 1."""

    def __init__(self, field: int) -> None:
        self.field = field
        self._numbers: dict[str, int] = {}

    def get(self, value: str, news: list[bytes]) -> int:
        """Return the number of `value`; what the packet has to bring for it goes to `news`."""
        iid = self._numbers.get(value)
        if iid is None:
            iid = self._numbers[value] = len(self._numbers) + 1
            news.append(bytes_field(self.field, number(INTERNED_ID, iid) + text(INTERNED_TEXT, value)))
        return iid


class _Writer:
    def __init__(self) -> None:
        self._categories = _Interned(INTERNED_CATEGORIES)
        self._names = _Interned(INTERNED_NAMES)
        self._annotations = _Interned(INTERNED_ANNOTATIONS)
        #: (process's serial, thread or None for the process) -> track.
        self._tracks: dict[tuple[int, int | None], int] = {}
        self._next_track = 1
        self._base = 0
        self._cleared = False
        #: Processes that have a slice of a program on their track.
        self._running: set[int] = set()

    def packets(self, events: Iterable[Event]) -> Iterator[bytes]:
        """Give the packets one by one."""
        for part in pieces(events):
            if isinstance(part, Call):
                yield from self._call(part)
            elif isinstance(part, Began):
                yield from self._began(part)
            elif isinstance(part, Ran):
                yield from self._ran(part)
            elif isinstance(part, Signal):
                track = self._tracks[part.member.serial, part.event.tid]
                info = [("info", clipped(part.event.arguments, ARGUMENTS))]
                yield self._event(part.at_ns, INSTANT, track, "signal", part.event.name, info)
            else:
                yield from self._ended(part)

    def _call(self, part: Call) -> Iterator[bytes]:
        event = part.event
        track = self._tracks[part.member.serial, event.tid]
        result = "it never returned" if event.kind == UNFINISHED else clipped(event.result, ARGUMENTS)
        notes: list[tuple[str, str | int]] = [("arguments", clipped(event.arguments, ARGUMENTS)), ("result", result)]
        notes += [("path", event.path)] if event.path else []
        notes += [("error", event.error)] if event.error else []
        notes.append(("line", event.line))
        category = "failed" if event.error else "call"
        yield self._event(part.start_ns, BEGIN, track, category, event.name, notes)
        yield self._event(part.end_ns, END, track)

    def _began(self, part: Began) -> Iterator[bytes]:
        member = part.member
        if not self._tracks and not self._base:
            self._base = part.at_ns
            if part.at_ns > DATED:
                yield self._snapshot(part.at_ns)
        if part.tid == member.pid:
            self._tracks[member.serial, None] = self._new_track()
            yield self._process(part, member.name)
        track = self._tracks[member.serial, part.tid] = self._new_track()
        name = member.name if part.tid == member.pid else f"thread {part.tid}"
        yield self._thread(member.pid, part.tid, track, self._tracks[member.serial, None], name)

    def _new_track(self) -> int:
        self._next_track += 1
        return self._next_track

    def _ran(self, part: Ran) -> Iterator[bytes]:
        member = part.member
        track = self._tracks[member.serial, None]
        yield self._process(part, part.name)
        yield self._thread(member.pid, member.pid, self._tracks[member.serial, member.pid], track, part.name)
        if member.serial in self._running:
            yield self._event(part.at_ns, END, track)
        self._running.add(member.serial)
        yield self._event(part.at_ns, BEGIN, track, "process", part.name, [("executable", member.executable)])

    def _ended(self, part: Ended) -> Iterator[bytes]:
        member = part.member
        track = self._tracks[member.serial, None]
        if part.known:
            yield self._event(part.at_ns, INSTANT, track, "exit", ending_of(member)[1])
        if member.serial in self._running:
            self._running.discard(member.serial)
            yield self._event(part.at_ns, END, track)
        for tid in (None, member.pid, *member.threads):
            self._tracks.pop((member.serial, tid), None)

    def _process(self, part: Began | Ran, name: str) -> bytes:
        body = number(PROCESS_PID, part.member.pid) + text(PROCESS_NAME, name)
        body += number(PROCESS_START, self._clock(part.member.start_ns or part.at_ns))
        uuid = self._tracks[part.member.serial, None]
        return self._described(number(TRACK_UUID, uuid) + bytes_field(TRACK_PROCESS, body))

    def _thread(self, pid: int, tid: int, track: int, parent: int, name: str) -> bytes:
        body = number(THREAD_PID, pid) + number(THREAD_TID, tid) + text(THREAD_NAME, name)
        head = number(TRACK_UUID, track) + bytes_field(TRACK_THREAD, body)
        return self._described(head + number(TRACK_PARENT, parent))

    def _described(self, track: bytes) -> bytes:
        return self._head() + bytes_field(TRACK_DESCRIPTOR, track)

    def _head(self) -> bytes:
        first, self._cleared = not self._cleared, True
        return FIRST if first else LATER

    def _clock(self, ns: int) -> int:
        return max(1, ns - self._base + BEGINNING)

    def _snapshot(self, ns: int) -> bytes:
        clocks = [number(CLOCK_ID, BOOTTIME) + number(CLOCK_TIME, BEGINNING)]
        clocks.append(number(CLOCK_ID, REALTIME) + number(CLOCK_TIME, ns))
        body = b"".join(bytes_field(SNAPSHOT_CLOCKS, clock) for clock in clocks)
        head = self._head() + number(TIMESTAMP, BEGINNING)
        return head + bytes_field(CLOCK_SNAPSHOT, body)

    def _event(
        self,
        ns: int,
        kind: int,
        track: int,
        category: str = "",
        name: str = "",
        notes: Iterable[tuple[str, str | int]] = (),
    ) -> bytes:
        news: list[bytes] = []
        body = number(EVENT_TYPE, kind) + number(EVENT_TRACK, track)
        if category:
            body += number(EVENT_CATEGORY, self._categories.get(category, news))
        if name:
            body += number(EVENT_NAME, self._names.get(name, news))
        for key, value in notes:
            what = number(ANNOTATION_NAME, self._annotations.get(key, news))
            what += number(ANNOTATION_INT, value) if isinstance(value, int) else text(ANNOTATION_TEXT, value)
            body += bytes_field(EVENT_ANNOTATION, what)
        packet = number(TIMESTAMP, self._clock(ns)) + self._head()
        if news:
            packet += bytes_field(INTERNED, b"".join(news))
        return packet + bytes_field(TRACK_EVENT, body)
