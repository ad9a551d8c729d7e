"""What was ranked, told as findings: a call as it stands in a failing run's log, what passing runs have. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from os.path import basename

from lowrun.comparison.difference import Finding, Group
from lowrun.comparison.evidence import Evidence
from lowrun.comparison.meaning import Meaning
from lowrun.comparison.normal import coarse
from lowrun.comparison.ranking import Ranked, Ranking
from lowrun.comparison.trail import NOTED_NS, Thread, Trail

__all__ = ["Explainer", "one_sided"]

#: What weighs less than this part of the heaviest is chance.
LIGHT = 0.25
#: Of a group's findings, and of each list, so many are told at most.
MOST = 60


class Explainer:
    """Tells findings about some failing and passing runs."""

    def __init__(self, failing: Sequence[Trail], passing: Sequence[Trail], meaning: Meaning) -> None:
        self._failing, self._passing, self._meaning = failing, passing, meaning
        self._lexicon = meaning.lexicon
        self._key_runs = _runs_with(passing, meaning.key)
        self._answer_runs = _runs_with(passing, meaning.answer)
        #: A question -> what comes of it most often in passing runs (an entry).
        self._usual: dict[str, int] = {}
        times: dict[str, int] = {}
        for trail in passing:
            for entry, count in trail.counts.items():
                question = self._lexicon.calls[self._lexicon.key_of[entry]].question
                if count > times.get(question, 0):
                    times[question], self._usual[question] = count, entry

    def groups(self, ranking: Ranking) -> tuple[Group, ...]:
        """Return the groups of failing runs, each with its findings."""
        return tuple(
            Group(self._numbers(runs), tuple(self.finding(one) for one in _distinct(ranked)[:MOST]))
            for runs, ranked in ranking.groups
        )

    def only_failing(self, ranking: Ranking) -> tuple[Finding, ...]:
        """Return the calls that no passing run has, heaviest first."""
        return tuple(self.finding(one) for one in ranking.everything if one.kind == "call")[:MOST]

    def only_passing(self) -> tuple[Finding, ...]:
        """Return the calls that no failing run has and several passing ones have, or the only one."""
        key_runs = _runs_with(self._failing, self._meaning.key)
        least = min(2, len(self._passing))
        lacking = {key for key, runs in self._key_runs.items() if key not in key_runs and len(runs) >= least}
        examples: dict[int, tuple[Trail, int]] = {}
        for trail in self._passing:
            for at, entry in enumerate(trail.entries):
                key = self._meaning.key[entry]
                if key in lacking and key not in examples:
                    examples[key] = trail, at
        ranked = sorted(examples, key=lambda key: (-len(self._key_runs[key]), examples[key][1]))
        return tuple(self._missing_call(key, *examples[key]) for key in ranked[:MOST])

    def _missing_call(self, key: int, trail: Trail, at: int) -> Finding:
        runs = tuple(sorted(self._key_runs[key]))
        text = self._lexicon.examples[trail.entries[at]]
        weight = len(runs) / len(self._passing)
        where = trail.index, trail.lines[at]
        return Finding("call", text, "", (), runs, 1, self._process(trail, at), "", where, weight)

    def _numbers(self, runs: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted(self._failing[run].index for run in runs))

    def finding(self, ranked: Ranked) -> Finding:
        """Return one of what was ranked; the first failing run that has it is the example."""
        run = min(ranked.where)
        one, trail = ranked.where[run], self._failing[run]
        text, instead = self._lexicon.examples[one.entry], self._instead(one)
        if one.kind == "slow":
            text += f" takes {trail.slow[one.entry][0] / 1e9:.3g} s"
            instead = self._usual_time(one)
        return Finding(
            kind=one.kind,
            text=text,
            instead=instead,
            failing=self._numbers(ranked.where),
            passing=self._having(one),
            times=one.times,
            process=self._process(trail, one.at),
            after=self._before(trail, one),
            where=(trail.index, trail.lines[one.at]),
            weight=round(ranked.weight, 4),
        )

    def _instead(self, one: Evidence) -> str:
        """Return what passing runs have: another result of the same question, else the call beside it."""
        if one.kind in ("missing", "end", "slow"):
            return ""
        if one.times > 1:
            return "once at most" if one.times == 2 else f"{one.times - 1} times at most"
        lexicon = self._lexicon
        call = lexicon.calls[lexicon.key_of[one.entry]]
        usual = self._usual.get(call.question)
        if usual is not None and one.kind in ("call", "answer") and usual != one.entry:
            text = lexicon.examples[usual]
            return text[text.rfind(" = ") + 1 :] if one.kind == "call" else text
        return lexicon.examples[one.instead] if one.instead >= 0 else ""

    def _usual_time(self, one: Evidence) -> str:
        key = self._meaning.key
        times = [slow for trail in self._passing for entry, (slow, _) in trail.slow.items() if key[entry] == one.what]
        return f"at most {(max(times) if times else NOTED_NS) / 1e9:.3g} s"

    def _having(self, one: Evidence) -> tuple[int, ...]:
        """Return the passing runs that have it as well."""
        if one.kind in ("order", "slow"):
            return ()
        if one.kind in ("missing", "end"):
            return tuple(trail.index for trail in self._passing if trail.index not in self._key_runs.get(one.what, {}))
        runs = self._answer_runs if one.kind == "answer" else self._key_runs
        return tuple(sorted(run for run, times in runs.get(one.what, {}).items() if times >= one.times))

    def _before(self, trail: Trail, one: Evidence) -> str:
        owner, at = trail.owners[one.at], one.at if one.kind == "end" else one.at - 1
        while at >= 0 and trail.owners[at] != owner:
            at -= 1
        return self._lexicon.examples[trail.entries[at]] if at >= 0 else ""

    @staticmethod
    def _process(trail: Trail, at: int) -> str:
        return thread_name(trail, trail.threads[trail.owners[at]])


def thread_name(trail: Trail, thread: Thread) -> str:
    """Return a thread's program and place: `sort`, `sort (process 2)`, `sort, thread 3`."""
    processes = list(dict.fromkeys(one.pid for one in trail.threads if one.pid))
    siblings = [one.number for one in trail.threads if one.pid == thread.pid]
    name = basename(thread.program) or "?"
    if len(processes) > 1 and thread.pid in processes:
        name += f" (process {processes.index(thread.pid) + 1})"
    if len(siblings) > 1 and siblings[0] != thread.number:
        name += f", thread {siblings.index(thread.number) + 1}"
    return name


def _runs_with(trails: Sequence[Trail], meant: Sequence[int]) -> dict[int, dict[int, int]]:
    """Return what -> run's number -> how often."""
    found: dict[int, dict[int, int]] = {}
    for trail in trails:
        for entry, times in trail.counts.items():
            runs = found.setdefault(meant[entry], {})
            runs[trail.index] = runs.get(trail.index, 0) + times
    return found


def _distinct(ranked: Sequence[Ranked]) -> list[Ranked]:
    """Leave out what is light, and what tells the same place of the same run again."""
    seen: set[tuple[int, int]] = set()
    kept = []
    least = LIGHT * max((one.weight for one in ranked), default=0.0)
    for one in ranked:
        if one.weight < least:
            continue
        run = min(one.where)
        place = run, one.where[run].at
        if place not in seen:
            seen.add(place)
            kept.append(one)
    return kept


def one_sided(
    kind: str,
    failing: Mapping[int, Iterable[Hashable]],
    passing: Mapping[int, Iterable[Hashable]],
    text: Callable[[Hashable], str] = str,
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Return what only failing and what only passing runs have, of run's number -> its things; best separated first."""
    sides: list[dict[Hashable, list[int]]] = [{}, {}]
    for side, runs in zip(sides, (failing, passing), strict=True):
        for run, things in runs.items():
            for thing in things:
                side.setdefault(thing, []).append(run)
    bad, good = sides
    if kind != "host":
        _drop_random(bad, good)
    only_bad = [
        Finding(kind, text(thing), "", tuple(sorted(runs)), (), weight=round(len(runs) / len(failing), 4))
        for thing, runs in bad.items()
        if thing not in good
    ]
    only_good = [
        Finding(kind, text(thing), "", (), tuple(sorted(runs)), weight=round(len(runs) / len(passing), 4))
        for thing, runs in good.items()
        if thing not in bad
    ]
    return tuple(sorted(only_bad, key=_order)[:MOST]), tuple(sorted(only_good, key=_order)[:MOST])


def _drop_random(*sides: dict[Hashable, list[int]]) -> None:
    """Leave out what looks alike and is another one in each run (Meaning has the rule)."""
    owners: dict[str, dict[Hashable, int]] = {}
    for side in sides:
        for thing, runs in side.items():
            if len(runs) == 1:
                owners.setdefault(coarse(str(thing)), {})[thing] = runs[0]
    for things in owners.values():
        if len(set(things.values())) > 1:
            for thing in things:
                for side in sides:
                    side.pop(thing, None)


def _order(finding: Finding) -> tuple[float, str]:
    return -finding.weight, finding.text
