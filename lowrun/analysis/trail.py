"""A run's calls, as little of each as a comparison needs: numbers of texts that all runs share. Pure.

    Lexicon     every call that came, once: a number for it with its answer, one for it without, one for its class
    Trail       one run: which call, in which thread, on which line, in the log's order
    Thread      who made it, what it executed

Memory is bounded: of a run at most CALLS calls keep their place, the rest are only counted; beyond TEXTS different
texts a call is known without its answer, and beyond twice as many by its name alone. Whatever was cut is told.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable

from lowrun.analysis.normal import MAKING, MARKS, Call, Normaliser, coarse, is_telling, masked
from lowrun.trace.event import CALL, EXIT, KILLED, SUPERSEDED, UNFINISHED, Event

__all__ = ["CALLS", "SLOW_NS", "TEXTS", "Lexicon", "Thread", "Trail"]

CALLS = 400_000
TEXTS = 300_000
#: Calls that take less are never called slow; ns.
SLOW_NS = 50_000_000
EXECUTING = frozenset(("execve", "execveat"))
#: An example's text is cut here.
EXAMPLE = 600
LONG_STRING = re.compile(r'"((?:[^"\\]|\\.){160})(?:[^"\\]|\\.)*"')
#: Where paths begin at: everybody knows.
WORKING_DIRECTORY = re.compile(r"^AT_FDCWD(?:<(?:->|[^<>])*>)?, ")


class Lexicon:
    """All calls of all runs. An entry is a call with its answer; a key is one without; a class forgets digits, too."""

    def __init__(self) -> None:
        self._entries: dict[Call, int] = {}
        self._keys: dict[tuple[str, str], int] = {}
        self._classes: dict[tuple[str, str], int] = {}
        #: By entry: its key.
        self.key_of = array("L")
        #: By key: its class; the class is that of the question: all its outcomes share it.
        self.class_of = array("L")
        #: By key.
        self.calls: list[Call] = []
        self.telling: list[bool] = []
        #: By entry: as it stands in the log it was first found in.
        self.examples: list[str] = []
        #: By class: the call's name.
        self.names: list[str] = []
        self.full = False

    def entry(self, call: Call, event: Event) -> int:
        """Return the number of `call`, which `event` is an example of."""
        number = self._entries.get(call)
        if number is None:
            if len(self._entries) >= TEXTS:
                self.full = True
                call = Call(call.question, call.outcome, "")
                if len(self._entries) >= 2 * TEXTS:
                    call = Call(f"{event.name}(…)", call.outcome, "")
                if call in self._entries:
                    return self._entries[call]
            number = self._entries[call] = len(self._entries)
            self.key_of.append(self._key(call, event.name))
            self.examples.append(example(event, call))
        return number

    def _key(self, call: Call, name: str) -> int:
        pair = call[:2]
        number = self._keys.get(pair)
        if number is None:
            number = self._keys[pair] = len(self._keys)
            self.calls.append(call)
            self.telling.append(is_telling(call))
            kind = name, coarse(call.question)
            if kind not in self._classes:
                self._classes[kind] = len(self._classes)
                self.names.append(name)
            self.class_of.append(self._classes[kind])
        return number

    def __len__(self) -> int:
        return len(self._entries)


def example(event: Event, call: Call) -> str:
    """Return the event as it is shown to people."""
    if event.kind not in (CALL, UNFINISHED):
        return call.question
    arguments = WORKING_DIRECTORY.sub("", event.arguments, count=1)
    if len(arguments) > EXAMPLE:
        arguments = LONG_STRING.sub(lambda match: f'"{match[1]}"...', arguments)
        arguments = arguments if len(arguments) <= EXAMPLE else arguments[:EXAMPLE] + "…"
    result = MARKS.sub("", event.result) if event.kind == CALL else "never returned"
    return f"{event.name}({arguments}) = {result}"


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
        #: Entry -> the longest time in it and its line, of those that took SLOW_NS or more.
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
        if event.path and event.kind == CALL and not event.error and len(self.files) < TEXTS:
            self.files.add(masked(event.path))
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
        if len(self.entries) < CALLS:
            self.entries.append(entry)
            self.owners.append(thread.number)
            self.lines.append(event.line)
        else:
            self.cut = True
        if event.kind == CALL and event.name in EXECUTING and event.value == 0 and thread.first is None:
            thread.first = entry
        thread.program = event.executable or thread.program
        duration = event.duration_ns or 0
        if duration >= SLOW_NS and duration > self.slow.get(entry, (0, 0))[0]:
            self.slow[entry] = duration, event.line

    def _claim(self, parent: Thread, tid: int) -> None:
        child = self._unclaimed.pop(tid, None) or self._living.get(tid)
        if child is None:
            child = self._living[tid] = self._new_thread(parent.program)
        if child.parent is None and not _is_above(child, parent):
            child.parent = parent
            parent.children.append(child)


def _is_above(thread: Thread, other: Thread | None) -> bool:
    """Whether `other` is `thread` or comes from it; a log in which numbers come again could say so."""
    while other is not None:
        if other is thread:
            return True
        other = other.parent
    return False
