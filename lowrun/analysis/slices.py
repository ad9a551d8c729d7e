"""A log's events as what timelines are drawn of: processes, their programs, and calls that never overlap. Pure.

Viewers nest what overlaps on one thread, so a call is to end before the next begins. A log's times do not always say so
(strace -tt cuts them to microseconds, -T rounds them), hence each thread's last call is held back until its next line.
A call that never returned lasts as long as its thread is seen.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from lowrun.errors import UsageError
from lowrun.kept.family import EXECS, Family, Member
from lowrun.trace.event import CALL, EXIT, KILLED, SIGNAL, UNFINISHED, Event

__all__ = ["Began", "Call", "Ended", "Piece", "Ran", "Signal", "pieces"]


@dataclass(frozen=True, slots=True)
class Began:
    """A thread is seen for the first time; its process too, when `tid` is its pid."""

    member: Member
    tid: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Ran:
    """A process runs a program from now on."""

    member: Member
    name: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call, from its begin to its end."""

    member: Member
    event: Event
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal came."""

    member: Member
    event: Event
    at_ns: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A process ended, or the log ends before it: then `known` is False."""

    member: Member
    at_ns: int
    known: bool


Piece = Began | Ran | Call | Signal | Ended


class _Thread:
    __slots__ = ("event", "free_ns", "start_ns")

    def __init__(self) -> None:
        #: The call that is held back.
        self.event: Event | None = None
        self.start_ns = 0
        #: Nothing begins before.
        self.free_ns = 0


def pieces(events: Iterable[Event]) -> Iterator[Piece]:
    """Give the pieces, those of one thread in the order of time; strace's own words may have none and are left out.

    Raises UsageError when nothing in the log has a time.
    """
    family = Family()
    threads: dict[tuple[int, int], _Thread] = {}
    #: Process -> its program, and since when.
    programs: dict[int, tuple[Member, str, int]] = {}
    by_pid: dict[int, Member] = {}
    timeless = False
    for event in events:
        if event.start_ns is None:
            timeless = True
            continue
        member = family.add(event)
        at = event.start_ns
        if member.serial not in programs:
            leader = _Thread()
            former = by_pid.get(member.pid)
            if former is not None:  # its end is not in the log
                leader.free_ns = yield from _lost(threads, former, max(at, programs.pop(former.serial)[2]))
            by_pid[member.pid] = member
            programs[member.serial] = member, "", at
            yield Began(member, member.pid, at)
            threads[member.serial, member.pid] = leader
        thread = threads.get((member.serial, event.tid))
        if thread is None:
            thread = threads[member.serial, event.tid] = _Thread()
            yield Began(member, event.tid, at)
        yield from _held(thread, member, at)
        if event.kind in (CALL, UNFINISHED):
            thread.event, thread.start_ns = event, max(at, thread.free_ns)
        elif event.kind == SIGNAL:
            yield Signal(member, event, max(at, thread.free_ns))
        ran = event.kind == CALL and event.name in EXECS and not event.error
        _, name, since = programs[member.serial]
        if member.name != name and (ran or not name):
            since = max(since, _end_of(event) if name else at)
            programs[member.serial] = member, member.name, since
            yield Ran(member, member.name, since)
        if event.kind in (EXIT, KILLED):
            threads.pop((member.serial, event.tid), None)
            if member.ended:
                yield from _last(threads, member, at)
                at = max(at, programs.pop(member.serial)[2])
                by_pid.pop(member.pid, None)
                yield Ended(member, at, True)
    if timeless and family.end_ns is None:
        raise UsageError("the log has no times: strace -tt, -ttt or -r writes them")
    end = family.end_ns or 0
    for member, *_ in list(programs.values()):
        yield from _last(threads, member, end)
        yield Ended(member, end, False)


def _lost(threads: dict[tuple[int, int], _Thread], member: Member, at: int) -> Generator[Piece, None, int]:
    """Give what is left of a process whose pid another one has now; return when its first thread is free."""
    leader = threads.get((member.serial, member.pid))
    yield from _last(threads, member, at)
    end = max(at, leader.free_ns if leader is not None else 0)
    yield Ended(member, end, False)
    return end


def _end_of(event: Event) -> int:
    return event.end_ns if event.end_ns is not None else event.start_ns or 0


def _held(thread: _Thread, member: Member, until: int) -> Iterator[Piece]:
    """Give the call that was held back; it ends at `until` at the latest."""
    event, thread.event = thread.event, None
    if event is None:
        return
    never_returned = event.kind == UNFINISHED or (event.value is None and event.duration_ns is None)
    end = until if never_returned else min(_end_of(event), until)
    thread.free_ns = max(thread.start_ns, end)
    yield Call(member, event, thread.start_ns, thread.free_ns)


def _last(threads: dict[tuple[int, int], _Thread], member: Member, until: int) -> Iterator[Piece]:
    """Give what is held back of a process's threads, which are no more."""
    for key in (*((member.serial, tid) for tid in member.threads), (member.serial, member.pid)):
        thread = threads.pop(key, None)
        if thread is not None:
            yield from _held(thread, member, until)
