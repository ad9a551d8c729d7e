"""A run's processes and threads as lanes of a picture, with marks where calls failed. Pure.

However long the log, a lane has a bounded number of marks: when there are too many, neighbours become one that knows
how many it stands for. Failing calls that healthy programs make (noise.py) are counted, but are no mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lowrun.kept.calltext import call_text
from lowrun.kept.family import Family, Member
from lowrun.kept.noise import is_noise
from lowrun.trace.event import CALL, SIGNAL, UNFINISHED, Event

__all__ = ["Lane", "Mark", "Timeline", "Timelines", "ending_of"]

#: Lanes of a picture, marks of a lane, and marks in memory.
LANES, MARKS, ALL_MARKS = 300, 96, 60_000
#: Marks of a picture.
PICTURE_MARKS = 8000
#: Threads of one process that have a lane.
THREADS = 32
TEXT = 140


@dataclass(frozen=True, slots=True)
class Mark:
    """Failing calls, or a signal, at nearly one moment."""

    at_ns: int
    #: How many it stands for.
    count: int
    #: The first of them.
    text: str
    #: "error" or "signal".
    kind: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A process, or a thread that is not its process's first. Times are ns since the timeline's begin."""

    pid: int
    tid: int
    parent: int | None
    name: str
    #: How deep in the tree.
    depth: int
    start_ns: int
    end_ns: int
    #: "ok", "failed", "killed", "running" (the log does not tell its end), "thread".
    state: str
    #: `exit 3`, `killed by SIGSEGV`.
    end: str
    calls: int
    errors: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """All lanes, a parent before its children."""

    #: As the log has it; None when it has no times.
    start_ns: int | None
    duration_ns: int
    lanes: tuple[Lane, ...]
    #: Processes and threads there was no room for.
    left_out: int = 0


class Timelines:
    """Takes a log's events with their process, for the picture of a `Family`."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._marks: dict[tuple[int, int], list[Mark]] = {}
        self._room = MARKS
        self._total = 0

    def add(self, event: Event, member: Member) -> None:
        """Take an event."""
        if event.start_ns is None:
            return
        if event.kind == CALL:
            if event.error and not is_noise(event):
                self._mark(event, member, "error", call_text(event, TEXT))
        elif event.kind == SIGNAL and event.name != "SIGCHLD":
            self._mark(event, member, "signal", event.name)
        elif event.kind == UNFINISHED:
            self._mark(event, member, "error", f"never returned: {call_text(event, TEXT)}")

    def _mark(self, event: Event, member: Member, kind: str, text: str) -> None:
        marks = self._marks.setdefault((member.serial, event.tid), [])
        marks.append(Mark(event.start_ns or 0, 1, text, kind))
        self._total += 1
        if len(marks) > 2 * self._room:
            self._thin(marks)
        if self._total > ALL_MARKS and self._room > 1:
            self._room //= 2
            for each in self._marks.values():
                while len(each) > 2 * self._room:
                    self._thin(each)

    def _thin(self, marks: list[Mark]) -> None:
        """Make one of each two marks of a kind that follow one another."""
        before = len(marks)
        pairs = [marks[i : i + 2] for i in range(0, len(marks), 2)]
        marks[:] = [_joined(pair) for pair in pairs]
        self._total -= before - len(marks)

    def picture(self, most: int = LANES) -> Timeline:
        """Return what there is so far; at most `most` lanes: those that failed first, then the longest."""
        start = self._family.start_ns
        end = self._family.end_ns
        if start is None or end is None:
            return Timeline(None, 0, (), len(self._family.members))
        ranked = sorted(self._family.members, key=lambda m: (m.serial > 0, not m.failed, -_length(m), m.serial))
        chosen: dict[int, list[int]] = {}
        room = most
        for member in ranked:
            if room < 1:
                break
            threads = sorted(member.threads)[: max(0, min(THREADS, room - 1))]
            chosen[member.serial] = threads
            room -= 1 + len(threads)
        keys = {(serial, tid) for serial, tids in chosen.items() for tid in tids}
        keys |= {(member.serial, member.pid) for member in ranked if member.serial in chosen}
        self._fit(keys)
        lanes = [lane for member, depth in self._tree(chosen) for lane in self._lanes(member, depth, chosen, start)]
        everything = self._family.count + sum(len(member.threads) for member in self._family.members)
        return Timeline(start, end - start, tuple(lanes), everything - len(lanes))

    def _fit(self, shown: set[tuple[int, int]]) -> None:
        """Join marks until no more than PICTURE_MARKS are on these lanes, if that is possible."""
        lanes = [marks for key, marks in self._marks.items() if key in shown]
        while sum(map(len, lanes)) > PICTURE_MARKS and max(map(len, lanes)) > 1:
            longest = max(map(len, lanes))
            for marks in lanes:
                if 2 * len(marks) > longest:
                    self._thin(marks)

    def _tree(self, chosen: dict[int, list[int]]) -> Iterator[tuple[Member, int]]:
        """Give the chosen ones, each behind its parent, with its depth; a loop is not possible: a parent is older."""
        stack = [(m, 0) for m in reversed(self._family.members) if m.serial in chosen and not _above(m, chosen)]
        while stack:
            member, depth = stack.pop()
            yield member, depth
            children = sorted(member.children.values(), key=lambda m: (m.start_ns or 0, m.serial))
            stack += [(m, depth + 1) for m in reversed(children) if m.serial in chosen]

    def _lanes(self, member: Member, depth: int, chosen: dict[int, list[int]], start: int) -> Iterator[Lane]:
        parent = member.parent.pid if member.parent is not None else None
        state, end = ending_of(member)
        marks = self._marks_of(member, member.pid, start)
        sums = member.calls, member.errors
        begin, until = _since(member.start_ns, start), _since(member.end_ns, start)
        yield Lane(
            member.pid, member.pid, parent, member.name, depth, begin, until, state, end, *sums, marks
        )  # fmt: skip
        for tid in chosen[member.serial]:
            first, last = member.threads[tid]
            marks = self._marks_of(member, tid, start)
            name = f"thread of {member.name}"
            span = _since(first, start), _since(last, start)
            yield Lane(member.pid, tid, member.pid, name, depth + 1, *span, "thread", "", 0, 0, marks)

    def _marks_of(self, member: Member, tid: int, start: int) -> tuple[Mark, ...]:
        marks = self._marks.get((member.serial, tid), [])
        return tuple(Mark(mark.at_ns - start, mark.count, mark.text, mark.kind) for mark in marks)


def _joined(marks: Iterable[Mark]) -> Mark:
    first, *rest = marks
    kept = next((mark for mark in (first, *rest) if mark.kind == "signal"), first)
    return Mark(first.at_ns, first.count + sum(mark.count for mark in rest), kept.text, kept.kind)


def _above(member: Member, chosen: dict[int, list[int]]) -> bool:
    return member.parent is not None and member.parent.serial in chosen


def _length(member: Member) -> int:
    return (member.end_ns or 0) - (member.start_ns or 0)


def _since(at: int | None, start: int) -> int:
    return max(0, at - start) if at is not None else 0


def ending_of(member: Member) -> tuple[str, str]:
    """Return a process's state, as Lane has it, and how it ended, in words."""
    if not member.ended:
        return "running", "its end is not in the log"
    if member.signal:
        return "killed", f"killed by {member.signal}"
    return ("failed" if member.code else "ok"), f"exit {member.code}"
