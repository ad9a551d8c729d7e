"""A run's calls, as little of each as a comparison needs: which call, in which thread, on which line. Pure.

Memory is bounded: of a run at most CALLS calls keep their place; after that only such keep it as are rare, the rest
are counted.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from lowrun.comparison.lexicon import Lexicon
from lowrun.comparison.normal import MAKING, Call, Normaliser, masked
from lowrun.trace.event import CALL, EXIT, KILLED, SUPERSEDED, Event

__all__ = ["CALLS", "EXECUTING", "NOTED_NS", "SLOW_FACTOR", "SLOW_NS", "Thread", "Trail"]

CALLS = 300_000
#: A call that a run has made so often is not rare.
RARE = 20
#: Paths that are noted of a run.
FILES = 100_000
#: Calls that take less are never called slow, and slow is what takes so many times as long as elsewhere; ns.
SLOW_NS = 50_000_000
SLOW_FACTOR = 8
#: What takes so long is noted: a slow call's like, elsewhere, is noted or was faster than this.
NOTED_NS = SLOW_NS // SLOW_FACTOR
EXECUTING = frozenset(("execve", "execveat"))


class Thread:
    """A thread of one run."""

    __slots__ = ("children", "first", "number", "parent", "pid", "program")

    def __init__(self, number: int, program: str) -> None:
        self.number = number
        #: Its process, as far as the log tells; 0: it has done nothing yet.
        self.pid = 0
        self.parent: Thread | None = None
        self.children: list[Thread] = []
        #: What it executed first (an entry), if it did.
        self.first: int | None = None
        #: The path of the program it executes.
        self.program = program


class Trail:
    """One run's calls; feed it events in the log's order."""

    def __init__(self, index: int, lexicon: Lexicon) -> None:
        self.index = index
        self.lexicon = lexicon
        #: In the log's order: entry, thread's number, line.
        self.entries = array("L")
        self.owners = array("L")
        self.lines = array("Q")
        #: Entry -> how often, also of what has no place.
        self.counts: Counter[int] = Counter()
        self.threads: list[Thread] = []
        #: Entry -> the longest time in it and its line, of those that took NOTED_NS or more.
        self.slow: dict[int, tuple[int, int]] = {}
        #: How many calls there were, and whether only a part of them has a place.
        self.total = 0
        self.cut = False
        #: Paths of calls that did not fail.
        self.files: set[str] = set()
        self._normaliser = Normaliser()
        self._living: dict[int, Thread] = {}
        #: Ended before the call that made them returned.
        self._unclaimed: dict[int, Thread] = {}
        #: Key -> how often it came after CALLS calls.
        self._late: dict[int, int] = {}

    def feed(self, events: Iterable[Event]) -> None:
        """Take events. What reading them raises is passed on; what was read by then stays."""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Take the next event."""
        thread = self._living.get(event.tid)
        if thread is None:
            thread = self._living[event.tid] = self._new_thread(event.executable)
        thread.pid = thread.pid or event.pid or event.tid
        if event.path and event.kind == CALL and not event.error and len(self.files) < FILES:
            self.files.add(_masked_path(event.path))
        call = self._normaliser.call(event)
        if call is not None:
            self._record(event, call, thread)
        if event.value and event.kind == CALL and event.name in MAKING:
            self._claim(thread, event.value)
        elif event.kind in (EXIT, KILLED):
            if thread.parent is None:
                self._unclaimed[event.tid] = thread
            self._living.pop(event.tid, None)
        elif event.kind == SUPERSEDED and event.value in self._living:
            self._living[event.tid] = self._living.pop(event.value)

    def _new_thread(self, program: str) -> Thread:
        thread = Thread(len(self.threads), program)
        self.threads.append(thread)
        return thread

    def _record(self, event: Event, call: Call, thread: Thread) -> None:
        entry = self.lexicon.entry(call, event)
        self.total += 1
        self.counts[entry] += 1
        if len(self.entries) < CALLS or self._is_rare(entry):
            self.entries.append(entry)
            self.owners.append(thread.number)
            self.lines.append(event.line)
        if event.kind == CALL and event.name in EXECUTING and event.value == 0 and thread.first is None:
            thread.first = entry
        thread.program = event.executable or thread.program
        duration = event.duration_ns or 0
        if duration >= NOTED_NS and duration > self.slow.get(entry, (0, 0))[0]:
            self.slow[entry] = duration, event.line

    def _is_rare(self, entry: int) -> bool:
        key = self.lexicon.key_of[entry]
        times = self._late[key] = self._late.get(key, 0) + 1
        self.cut = True
        return times <= RARE

    def _claim(self, parent: Thread, tid: int) -> None:
        child = self._unclaimed.pop(tid, None) or self._living.get(tid)
        if child is None:
            child = self._living[tid] = self._new_thread(parent.program)
        if child.parent is None and not _is_above(child, parent):
            child.parent = parent
            parent.children.append(child)


@lru_cache(maxsize=16384)
def _masked_path(path: str) -> str:
    """Return `path` masked; most calls are about few paths."""
    return masked(path)


def _is_above(thread: Thread, other: Thread | None) -> bool:
    """Whether `other` is `thread` or comes from it; a log in which numbers come again could say so."""
    while other is not None:
        if other is thread:
            return True
        other = other.parent
    return False
