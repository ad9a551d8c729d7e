"""What one run does that none of some others does, thing by thing. Pure.

    call      a call with this outcome is in none of the others
    more      it is there more often than in any of the others
    answer    its outcome is known, but what it returned is in none of the others, or less often
    order     it is known, but not at this place of its thread: in the alignments it has no partner
    missing   all others have it at this place of the thread, and it went on without; or it is a program that all
              others start
    end       all others go on there, and this thread ends
    slow      it took a multiple of what it took in any of the others

The same is asked of each passing run against the other passing ones: what is found there is found by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowrun.comparison.align import align, matched_threads
from lowrun.comparison.meaning import Meaning
from lowrun.comparison.trail import EXECUTING, NOTED_NS, SLOW_FACTOR, SLOW_NS, Thread, Trail

__all__ = ["Evidence", "evidence_of"]

#: Of a thread at most so many calls are aligned.
ALIGNED = 100_000


class Evidence(NamedTuple):
    """One thing in one run."""

    kind: str
    #: What it is, to be found again in other runs: a key, for "answer" an entry (Meaning).
    what: int
    #: Where: an index into the trail; that of "missing" is of the next call in the thread.
    at: int
    #: The entry itself.
    entry: int
    #: How often it is there at this point: 1 but for "more".
    times: int = 1
    #: What the other run that is most alike has there (an entry), -1: nothing.
    instead: int = -1
    #: Whether its thread is none that the other runs have.
    stranger: bool = False


def evidence_of(trail: Trail, others: Sequence[Trail], near: Sequence[Trail], meaning: Meaning) -> list[Evidence]:
    """Return what `trail` has and `others` have not, in the log's order, each thing once, at its first place.

    Places are compared with the runs `near` only, some of `others`.
    """
    found: dict[tuple[str, int], Evidence] = {}
    aligned = _Alignment(trail, near, meaning)
    keys, answers = meaning.key, meaning.answer
    key_limit, answer_limit = _most(others, keys), _most(others, answers)
    seen_keys: dict[int, int] = {}
    seen_answers: dict[int, int] = {}
    for at, entry in enumerate(trail.entries):
        key, answer = keys[entry], answers[entry]
        times = seen_keys[key] = seen_keys.get(key, 0) + 1
        limit = key_limit.get(key, 0)
        if times == limit + 1:
            kind = "more" if limit else "call"
            found[kind, key] = Evidence(kind, key, at, entry, times, aligned.instead(at), aligned.is_stranger(at))
        elif times <= limit:
            times = seen_answers[answer] = seen_answers.get(answer, 0) + 1
            if times == answer_limit.get(answer, 0) + 1:
                found["answer", answer] = Evidence("answer", answer, at, entry, times, aligned.instead(at))
            if aligned.is_strange(at) and ("order", key) not in found:
                found["order", key] = Evidence("order", key, at, entry, 1, aligned.instead(at))
    for one in (*aligned.missing(), *aligned.not_started(), *_slow(trail, others, meaning)):
        found.setdefault((one.kind, one.what), one)
    return sorted(found.values(), key=lambda one: one.at)


def _most(trails: Sequence[Trail], meant: Sequence[int]) -> dict[int, int]:
    most: dict[int, int] = {}
    for trail in trails:
        counts: dict[int, int] = {}
        for entry, times in trail.counts.items():
            what = meant[entry]
            counts[what] = counts.get(what, 0) + times
        for what, times in counts.items():
            if times > most.get(what, 0):
                most[what] = times
    return most


def _slow(trail: Trail, others: Sequence[Trail], meaning: Meaning) -> list[Evidence]:
    longest: dict[int, int] = {}
    for other in others:
        for entry, (duration, _) in other.slow.items():
            key = meaning.key[entry]
            longest[key] = max(longest.get(key, 0), duration)
    known = {meaning.key[entry] for other in others for entry in other.counts}
    found = []
    for entry, (duration, line) in trail.slow.items():
        key = meaning.key[entry]
        if key in known and duration >= SLOW_NS and duration > SLOW_FACTOR * longest.get(key, NOTED_NS):
            at = next((at for at, one in enumerate(trail.lines) if one == line), -1)
            if at >= 0:
                found.append(Evidence("slow", key, at, entry))
    return found


class _Alignment:
    """A trail's threads beside the same ones of some other runs."""

    def __init__(self, trail: Trail, near: Sequence[Trail], meaning: Meaning) -> None:
        self._trail, self._meaning = trail, meaning
        self._near = near
        places = _places(trail)
        #: By index into the trail: how many runs have no partner for it, of how many that have the thread.
        strange = bytearray(len(trail.entries))
        asked = bytearray(len(places))
        gaps: list[dict[int, tuple[int, int]] | None] = [None] * len(places)
        self._instead: dict[int, int] = {}
        #: Index into the first of the near runs -> index into the trail.
        self._partners: dict[int, int] = {}
        for other in near:
            pairs = matched_threads(trail, other, lambda entry: meaning.key[entry])
            other_places = _places(other)
            for number, partner in pairs.items():
                mine, theirs = places[number][:ALIGNED], other_places[partner][:ALIGNED]
                partners = align(_keys(trail, mine, meaning), _keys(other, theirs, meaning))
                asked[number] += 1
                for place, found in enumerate(partners):
                    if found < 0:
                        strange[mine[place]] += 1
                    elif other is near[0]:
                        self._partners[theirs[found]] = mine[place]
                self._note_gaps(mine, partners, other, theirs, gaps, number)
        self._strange, self._asked, self._gaps, self._places = strange, asked, gaps, places

    def _note_gaps(
        self,
        mine: Sequence[int],
        partners: Sequence[int],
        other: Trail,
        theirs: Sequence[int],
        gaps: list[dict[int, tuple[int, int]] | None],
        number: int,
    ) -> None:
        """Note what the other run has and this one has not, and beside which of its calls that stands."""
        here: dict[int, tuple[int, int]] = {}
        taken = 0
        begin = 0
        for place, found in enumerate((*partners, len(theirs))):
            if found < 0:
                continue
            for count, there in enumerate(theirs[taken:found]):
                entry = other.entries[there]
                here.setdefault(self._meaning.key[entry], (begin, entry))
                if begin + count < place:
                    self._instead.setdefault(mine[begin + count], entry)
            taken, begin = found + 1, place + 1
        known = gaps[number]
        gaps[number] = here if known is None else {key: known[key] for key in known if key in here}

    def is_strange(self, at: int) -> bool:
        """Whether no run that has this thread has a partner for the call."""
        asked = self._asked[self._trail.owners[at]]
        return 0 < asked == self._strange[at]

    def is_stranger(self, at: int) -> bool:
        """Whether no run has the thread of the call."""
        return not self._asked[self._trail.owners[at]]

    def instead(self, at: int) -> int:
        """Return what another run has in the place of this call that has no partner."""
        return self._instead.get(at, -1)

    def missing(self) -> list[Evidence]:
        """Return for each thread the first call that all others have, where this one has none in its place."""
        found = []
        for number, gap in enumerate(self._gaps):
            mine = self._places[number]
            if not gap or not mine or self._asked[number] < len(self._near):
                continue
            key, (place, entry) = min(gap.items(), key=lambda item: item[1][0])
            ended = place >= len(mine)
            if not ended and self.is_strange(mine[place]):
                continue
            at = mine[-1] if ended else mine[place]
            if not ended and self._asks_the_same(self._trail.entries[at], entry):
                key = self._meaning.key[self._trail.entries[at]]
                found.append(Evidence("order", key, at, self._trail.entries[at], 1, entry))
                continue
            found.append(Evidence("end" if ended else "missing", key, at, entry))
        return found

    def not_started(self) -> list[Evidence]:
        """Return the first program of each thread that all others start and this run does not.

        It stands at the last call that the one who starts it has in common with the other run; further programs are
        what comes of that.
        """
        if not self._partners:
            return []
        meaning, lexicon = self._meaning, self._meaning.lexicon
        mine = {meaning.key[entry] for entry in self._trail.counts}
        others = [{meaning.key[entry] for entry in other.counts} for other in self._near]
        other = self._near[0]
        #: By the number of the thread in the other run that starts it.
        found: dict[int, Evidence] = {}
        #: Thread of the other run -> the index into the trail that its last call is partner of.
        beside: dict[int, int] = {}
        for there, (entry, owner) in enumerate(zip(other.entries, other.owners, strict=True)):
            if there in self._partners:
                beside[owner] = self._partners[there]
            key, call = meaning.key[entry], lexicon.key_of[entry]
            if lexicon.names[lexicon.class_of[call]] not in EXECUTING or lexicon.calls[call].outcome != "ok":
                continue
            starter: Thread | None = other.threads[owner]
            while starter is not None and starter.number not in beside:
                starter = starter.parent
            if starter is not None and key not in mine and all(key in keys for keys in others):
                found.setdefault(starter.number, Evidence("missing", key, beside[starter.number], entry))
        return list(found.values())

    def _asks_the_same(self, entry: int, other: int) -> bool:
        """Whether two calls differ in what came of them only."""
        lexicon = self._meaning.lexicon
        questions = {lexicon.calls[lexicon.key_of[one]].question for one in (entry, other)}
        return len(questions) == 1


def _places(trail: Trail) -> list[list[int]]:
    """Return by thread the indices of its calls."""
    places: list[list[int]] = [[] for _ in trail.threads]
    for at, owner in enumerate(trail.owners):
        places[owner].append(at)
    return places


def _keys(trail: Trail, places: Sequence[int], meaning: Meaning) -> list[int]:
    entries, keys = trail.entries, meaning.key
    return [keys[entries[at]] for at in places]
