"""Every call that came in some runs, once, and a number for it that all runs share. Pure.

    entry   a call with what came of it and what it returned
    key     the same without what it returned
    class   the question alone, and all that has digits in it is the same

Memory is bounded. A class with more than OF_CLASS questions of one outcome is about numbers, counters, names made up:
further ones are not told apart, nor is, in a comparison, any of them. The same holds for a key with more than OF_KEY
answers. Beyond TEXTS entries in all, calls are told apart by their classes only, beyond as many classes by their names.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter

from lowrun.comparison.normal import MARKS, Call, coarse, is_telling
from lowrun.kept.noise import is_noise
from lowrun.trace.event import CALL, UNFINISHED, Event

__all__ = ["Lexicon"]

OF_CLASS = 1000
OF_KEY = 100
TEXTS = 150_000
#: An example's text is cut here.
EXAMPLE = 600
LONG_STRING = re.compile(r'"((?:[^"\\]|\\.){160})(?:[^"\\]|\\.)*"(?:\.\.\.)?')
#: Where paths begin at: everybody knows.
WORKING_DIRECTORY = re.compile(r"^AT_FDCWD(?:<(?:->|[^<>])*>)?, ")
#: In the place of a question, or an answer, that is not told apart from others.
ANY = "…"


class Lexicon:
    """Numbers for calls; see the module."""

    def __init__(self) -> None:
        self._entries: dict[Call, int] = {}
        self._keys: dict[tuple[str, str], int] = {}
        self._classes: dict[tuple[str, str], int] = {}
        #: How many keys a class has with an outcome, how many entries a key has.
        self._keys_of: Counter[tuple[int, str]] = Counter()
        self._entries_of: Counter[int] = Counter()
        #: By entry: its key.
        self.key_of = array("L")
        #: By key: its class.
        self.class_of = array("L")
        #: By key.
        self.calls: list[Call] = []
        self.telling: list[bool] = []
        #: By key: whether it failed as calls of healthy programs do.
        self.usual: list[bool] = []
        #: By entry: as it stands in the log it was first found in.
        self.examples: list[str] = []
        #: By class: the call's name.
        self.names: list[str] = []
        #: Whether calls are not told apart because there are too many.
        self.full = False

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, call: Call, event: Event) -> int:
        """Return the number of `call`, which `event` is an example of."""
        number = self._entries.get(call)
        if number is None:
            number = self._new_entry(call, event)
        return number

    def is_many(self, key: int) -> bool:
        """Tell whether the questions of a key's class and outcome are too many to be told apart."""
        return self._keys_of[self.class_of[key], self.calls[key].outcome] > OF_CLASS

    def has_many_answers(self, key: int) -> bool:
        """Tell whether a key's answers are too many to be told apart."""
        return self._entries_of[key] > OF_KEY

    def _new_entry(self, call: Call, event: Event) -> int:
        self.full = self.full or len(self._entries) >= TEXTS
        key = self._key(call, event)
        question = self.calls[key].question
        answer = ANY if self.full or self.has_many_answers(key) else call.answer
        call = Call(question, call.outcome, answer)
        number = self._entries.get(call)
        if number is None:
            number = self._entries[call] = len(self._entries)
            self._entries_of[key] += 1
            self.key_of.append(key)
            self.examples.append(example(event, call))
        return number

    def _key(self, call: Call, event: Event) -> int:
        number = self._keys.get(call[:2])
        if number is not None:
            return number
        place = self._class(call.question, event.name)
        if self.full or self._keys_of[place, call.outcome] > OF_CLASS:
            call = Call(f"{event.name}({ANY}{place})", call.outcome, "")
            number = self._keys.get(call[:2])
        if number is None:
            number = self._keys[call[:2]] = len(self._keys)
            self._keys_of[place, call.outcome] += 1
            self.calls.append(call)
            self.telling.append(is_telling(event.name, call.outcome))
            self.usual.append(event.error != "" and is_noise(event))
            self.class_of.append(place)
        return number

    def _class(self, question: str, name: str) -> int:
        kind = name, coarse(question)
        if kind not in self._classes and len(self._classes) >= TEXTS:
            kind = name, ANY
        if kind not in self._classes:
            self._classes[kind] = len(self._classes)
            self.names.append(name)
        return self._classes[kind]


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
