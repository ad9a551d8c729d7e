"""Which of all that failing runs did otherwise is the cause. Pure.

What a failing run did otherwise is evidence (evidence.py). Its weight is how many of the failing runs have it, less
how often the same happens among the passing runs alone: each of them is compared with the other passing ones, and
calls of a class that differ there differ by chance. A cause comes before its consequences: of what weighs at least
half as much as the heaviest, the earliest is named first. Runs that do not have it have another cause: they are
ranked anew, among themselves. Where all share an error, only another error makes such groups.

One or two passing runs tell little of chance. Then the failing runs are witnesses of it as well: each is compared with
as many other failing ones, and what differs there, but for what is a reason to look by itself, comes of no cause that
they share.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lowrun.comparison.evidence import Evidence, evidence_of
from lowrun.comparison.meaning import Meaning
from lowrun.comparison.normal import CHILDREN, WAITING, WRITING, is_error
from lowrun.comparison.trail import EXECUTING, Trail

__all__ = ["Ranked", "Ranking", "rank"]

#: What a kind weighs by itself.
KINDS = {"call": 1.0, "more": 0.8, "answer": 0.75, "order": 0.75, "missing": 0.6, "end": 0.6, "slow": 0.7}
#: With no passing runs to tell chance by, or few, it is taken to be this; with more of them that matters less and less.
UNKNOWN_CHANCE = {"call": 0.0, "answer": 0.3, "order": 0.5, "missing": 0.3}
#: What is no reason to look by itself (Lexicon.telling) weighs less by this.
NOT_TELLING = 0.85
#: So does what a program writes when only the data are others: they come of something before.
OTHER_DATA = 0.5
#: So does a failure that is none, such as a search for a file that is found in the next place.
USUAL = 0.4
#: And what a process does that passing runs do not start at all, when nothing is wrong with it.
STRANGER = 0.5
#: How often, and in which order, such calls are made is up to the scheduler, and so is what these come to.
SCHEDULED = (
    CHILDREN
    | WAITING
    | frozenset("futex rt_sigreturn restart_syscall nanosleep clock_nanosleep sched_yield rt_sigtimedwait".split())
)
SCHEDULED_KINDS = frozenset(("more", "order", "missing"))
SCHEDULED_OUTCOMES = frozenset(("EAGAIN", "EINTR"))
BY_TIMING = 0.5
#: The end of a process that fails is never its cause: it only counts where there is nothing else.
ENDS, ENDING = frozenset(("exit", "exit_group")), 0.8
#: So does who is asked to end, by a timeout or a user.
ENDINGS = frozenset(("killed", "SIGTERM", "SIGINT", "SIGHUP"))
#: With fewer passing runs than this the failing ones tell of chance, too.
FEW = 3
#: What weighs this part of the heaviest is a candidate.
CANDIDATE = 0.5
#: That calls of its name differ by chance counts so much of that calls of its class do.
BY_NAME = 0.5
#: So many things are read by everybody.
FIRST_LINES = 3
#: So many other runs each run is aligned with, and so many passing runs tell what is chance.
NEAR = 5
CHANCE = 8
#: With more calls than this in all runs together fewer are aligned.
MANY = 400_000


_NAME = re.compile(r'"(?:[^"]*/)?([^"/]+)"')


class Ranked(NamedTuple):
    """A thing and the runs that have it."""

    kind: str
    what: int
    weight: float
    #: Mean place among the evidence of the runs that have it, 0: it is the first.
    place: float
    #: Index of a failing run -> evidence.
    where: dict[int, Evidence]


class Ranking(NamedTuple):
    """Groups of failing runs (indices), each with what it did, the likeliest cause first."""

    groups: tuple[tuple[tuple[int, ...], tuple[Ranked, ...]], ...]
    #: All evidence of all runs, heaviest first.
    everything: tuple[Ranked, ...]


def rank(
    failing: Sequence[Trail],
    passing: Sequence[Trail],
    meaning: Meaning,
    progress: Callable[[float], object] = lambda part: None,
) -> Ranking:
    """Rank what the failing runs did that the passing ones did not; both sides have at least one run.

    `progress` is called with the part that is done, 0 to 1.
    """
    total = sum(len(trail.entries) for trail in (*failing, *passing))
    count = max(1, NEAR if total <= MANY else 2 if total <= 10 * MANY else 1)
    chance_of = passing[:CHANCE] if total <= MANY else passing[: 2 * count]
    witnesses = failing[:CHANCE] if len(passing) < FEW and len(failing) > 1 else []
    steps = len(failing) + len(witnesses) + (len(chance_of) if len(passing) > 1 else 0)
    done = 0
    found = []
    for trail in failing:
        found.append(evidence_of(trail, passing, _near(trail, passing, count), meaning))
        progress((done := done + 1) / steps)
    chance = _Chance(meaning, failing, passing)
    if len(passing) > 1:
        for trail in chance_of:
            others = [other for other in passing if other is not trail]
            chance.add(evidence_of(trail, others, _near(trail, others, count), meaning))
            progress((done := done + 1) / steps)
    for place, trail in enumerate(witnesses):
        others = [*failing[place + 1 :], *failing[:place]][: len(passing)]
        different = evidence_of(trail, others, others, meaning)
        chance.add([one for one in different if not meaning.lexicon.telling[meaning.lexicon.key_of[one.entry]]])
        progress((done := done + 1) / steps)
    return _ranking(found, chance, meaning)


def _near(trail: Trail, others: Sequence[Trail], count: int) -> list[Trail]:
    """Return the runs that did most nearly as many calls."""
    return sorted(others, key=lambda other: abs(other.total - trail.total))[:count]


class _Chance:
    """How likely it is that something means nothing.

    How often things of a class, and of a call's name, differ among runs of one side; what passing runs ask and write.
    """

    def __init__(self, meaning: Meaning, failing: Sequence[Trail], passing: Sequence[Trail]) -> None:
        self._meaning = meaning
        lexicon = meaning.lexicon
        keys = {lexicon.key_of[entry] for trail in passing for entry in trail.counts}
        self._asked = {lexicon.class_of[key] for key in keys}
        self._found_by = [{path.rpartition("/")[2] for path in trail.files} for trail in failing]
        self._written = {
            (lexicon.class_of[key], lexicon.calls[key].outcome)
            for key in keys
            if lexicon.names[lexicon.class_of[key]] in WRITING
        }
        self._runs = 0
        self._classes: Counter[tuple[str, int]] = Counter()
        self._names: Counter[tuple[str, str]] = Counter()

    def add(self, found: Sequence[Evidence]) -> None:
        """Take what one run has and others of its side have not."""
        self._runs += 1
        lexicon = self._meaning.lexicon
        classes = {(_sort(one.kind), _class(one, self._meaning)) for one in found}
        self._classes.update(classes)
        self._names.update({(sort, lexicon.names[number]) for sort, number in classes})

    def is_usual(self, one: Evidence, run: int) -> bool:
        """Tell whether a failing run (its index) asks what no passing one does, and fails as healthy programs do.

        Or looks for a file in vain in one place, and finds it in another.
        """
        lexicon = self._meaning.lexicon
        key = lexicon.key_of[one.entry]
        call = lexicon.calls[key]
        if lexicon.class_of[key] in self._asked:
            return False
        name = _NAME.search(call.question) if call.outcome == "ENOENT" else None
        return lexicon.usual[key] or (name is not None and name[1] in self._found_by[run])

    def is_other_data(self, one: Evidence) -> bool:
        """Tell whether passing runs write as well there, but other data."""
        key = self._meaning.lexicon.key_of[one.entry]
        return (self._meaning.lexicon.class_of[key], self._meaning.lexicon.calls[key].outcome) in self._written

    def of(self, one: Evidence) -> float:
        """Return how likely such a thing is by chance, 0 to 1."""
        number, sort = _class(one, self._meaning), _sort(one.kind)
        by_class = self._classes[sort, number]
        by_name = BY_NAME * self._names[sort, self._meaning.lexicon.names[number]]
        return (max(by_class, by_name) + UNKNOWN_CHANCE.get(sort, 0.0)) / (self._runs + 1)


def _sort(kind: str) -> str:
    """Missing here is more there; what ends early is missing."""
    return {"end": "missing", "more": "call"}.get(kind, kind)


def _class(one: Evidence, meaning: Meaning) -> int:
    lexicon = meaning.lexicon
    return lexicon.class_of[lexicon.key_of[one.entry]]


def _ranking(found: Sequence[Sequence[Evidence]], chance: _Chance, meaning: Meaning) -> Ranking:
    runs = list(range(len(found)))
    everything = _weighed(found, runs, chance, meaning)
    groups: list[tuple[tuple[int, ...], tuple[Ranked, ...]]] = []

    def telling(one: Ranked) -> bool:
        key = meaning.lexicon.key_of[next(iter(one.where.values())).entry]
        outcome = meaning.lexicon.calls[key].outcome
        return meaning.lexicon.telling[key] and outcome not in ENDINGS and not outcome.startswith("exit ")

    while runs:
        ranked = _ordered(_weighed(found, runs, chance, meaning), telling)
        if not ranked:
            groups.append((tuple(runs), ()))
            break
        shared = [one for one in ranked if one.kind == "call" and len(one.where) == len(runs)]
        if not telling(ranked[0]) and any(map(telling, shared)):
            ranked.sort(key=lambda one: len(one.where) < len(runs))
        members = tuple(run for run in runs if run in ranked[0].where)
        if len(members) < len(runs):
            ranked = _ordered(_weighed(found, list(members), chance, meaning), telling)
        groups.append((members, tuple(ranked)))
        runs = [run for run in runs if run not in members]
    return Ranking(tuple(groups), tuple(sorted(everything, key=lambda one: (-one.weight, one.place))))


def _weighed(
    found: Sequence[Sequence[Evidence]], runs: Sequence[int], chance: _Chance, meaning: Meaning
) -> list[Ranked]:
    where: dict[tuple[str, int], dict[int, Evidence]] = defaultdict(dict)
    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for run in runs:
        for place, one in enumerate(found[run]):
            where[one.kind, one.what][run] = one
            places[one.kind, one.what].append(place)
    ranked = []
    telling, key_of = meaning.lexicon.telling, meaning.lexicon.key_of
    for (kind, what), having in where.items():
        example = next(iter(having.values()))
        weight = KINDS[kind] * len(having) / len(runs) * (1 - chance.of(example))
        if not telling[key_of[example.entry]]:
            weight *= NOT_TELLING
        if _is_scheduling(example, meaning):
            weight *= BY_TIMING
        if _is_ending(example, meaning):
            weight *= ENDING
        if kind == "call" and chance.is_other_data(example):
            weight *= OTHER_DATA
        if kind == "call" and chance.is_usual(example, min(having)):
            weight *= USUAL
        elif example.stranger and not telling[key_of[example.entry]] and not _is_start(example, meaning):
            weight *= STRANGER
        mean = sum(places[kind, what]) / len(having)
        ranked.append(Ranked(kind, what, weight, mean, having))
    return ranked


def _is_scheduling(one: Evidence, meaning: Meaning) -> bool:
    """Tell whether it is a matter of when the scheduler let whom run, as far as the call alone tells."""
    lexicon = meaning.lexicon
    key = lexicon.key_of[one.entry]
    name, outcome = lexicon.names[lexicon.class_of[key]], lexicon.calls[key].outcome
    if lexicon.telling[key] or name not in SCHEDULED:
        return False
    began_anew = name in CHILDREN and outcome.startswith("ERESTART")  # another child ended meanwhile
    return outcome in SCHEDULED_OUTCOMES or began_anew or (one.kind in SCHEDULED_KINDS and not is_error(outcome))


def _is_ending(one: Evidence, meaning: Meaning) -> bool:
    lexicon = meaning.lexicon
    key = lexicon.key_of[one.entry]
    call = lexicon.calls[key]
    is_end = lexicon.names[lexicon.class_of[key]] in ENDS or call.question.startswith("ends with ")
    return is_end or call.outcome == "killed"


def _is_start(one: Evidence, meaning: Meaning) -> bool:
    lexicon = meaning.lexicon
    return lexicon.names[lexicon.class_of[lexicon.key_of[one.entry]]] in EXECUTING


def _ordered(ranked: Sequence[Ranked], telling: Callable[[Ranked], bool]) -> list[Ranked]:
    """Return candidates in the order of their places, then the others in the order of their weights.

    The first error that only failing runs have is among the first: it is the cause, or shows it.
    """
    if not ranked:
        return []
    least = CANDIDATE * max(one.weight for one in ranked)
    candidates = [one for one in ranked if one.weight >= least]
    rest = [one for one in ranked if one.weight < least]
    candidates.sort(key=lambda one: (one.place, -one.weight))
    for place, one in enumerate(candidates):
        if one.kind == "call" and CANDIDATE * one.weight >= NOT_TELLING * least and telling(one):
            if place >= FIRST_LINES:
                candidates.insert(FIRST_LINES - 1, candidates.pop(place))
            break
    return candidates + sorted(rest, key=lambda one: -one.weight)
