"""What failing runs did that passing ones did not: reads what was kept of them and compares it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lowrun import trace
from lowrun.comparison.capturefacts import facts
from lowrun.comparison.difference import Difference, Finding, Group
from lowrun.comparison.explain import Explainer, one_sided
from lowrun.comparison.figures import figures
from lowrun.comparison.lexicon import Lexicon
from lowrun.comparison.meaning import Meaning
from lowrun.comparison.normal import is_error
from lowrun.comparison.ranking import rank
from lowrun.comparison.trail import CALLS, Trail
from lowrun.errors import ProtocolError, UsageError, explain
from lowrun.kept.directory import KeptRun
from lowrun.trace import Event
from lowrun.trace.event import KILLED, SIGNAL

__all__ = ["differences", "differences_of"]

#: Of each side so many runs are compared: more tell nothing new and cost time and memory.
RUNS = 40
#: The artifact.
PACKETS = "packets"
#: Progress is told after so many events.
STEP = 20_000
#: Reading is this part of the work, comparing the rest.
READING = 0.8

Progress = Callable[[float], object]


def differences(
    failing: Sequence[KeptRun], passing: Sequence[KeptRun], progress: Progress = lambda part: None
) -> Difference:
    """Compare two sides of kept runs by their calls, samples and packets.

    `progress` is called now and then with the part that is done, 0 to 1; what it raises ends the work. Raises
    UsageError when there are no runs at all, OSError.
    """
    if not failing and not passing:
        raise UsageError("there are no runs to compare")
    notes = [*_fewer("failing", failing), *_fewer("passing", passing)]
    bad, good = failing[:RUNS], passing[:RUNS]
    lexicon = Lexicon()
    reader = _Reader(lexicon, len(bad) + len(good), progress, notes)
    trails = [[trail for run in side if (trail := reader.read(run)) is not None] for side in (bad, good)]
    found = _of_trails(trails[0], trails[1], lexicon, lambda part: progress(READING + (1 - READING) * part))
    hosts: tuple[Finding, ...] = ()
    if bad and good:
        theirs, ours = (
            {run.index: _peers(run, notes) for run in side if PACKETS in run.artifacts} for side in (bad, good)
        )
        if theirs and ours:
            hosts = sum(one_sided("host", theirs, ours), ())
    progress(1.0)
    return Difference(
        failing=tuple(run.index for run in bad),
        passing=tuple(run.index for run in good),
        groups=found.groups,
        only_failing=found.only_failing,
        only_passing=found.only_passing,
        figures=figures(bad, good),
        hosts=hosts,
        notes=(*_sides(failing, passing), *notes, *found.notes),
    )


def differences_of(
    failing: Sequence[tuple[int, Iterable[Event]]], passing: Sequence[tuple[int, Iterable[Event]]]
) -> Difference:
    """Compare runs by their calls alone; each is a number and its events."""
    lexicon = Lexicon()
    sides = []
    for side in (failing, passing):
        trails = [Trail(index, lexicon) for index, _ in side]
        for trail, (_, events) in zip(trails, side, strict=True):
            trail.feed(events)
        sides.append(trails)
    return _of_trails(sides[0], sides[1], lexicon, lambda part: None)


def _of_trails(failing: Sequence[Trail], passing: Sequence[Trail], lexicon: Lexicon, progress: Progress) -> Difference:
    notes = list(_cuts([*failing, *passing], lexicon))
    groups: tuple[Group, ...] = ()
    only_failing: tuple[Finding, ...] = ()
    only_passing: tuple[Finding, ...] = ()
    failing, passing = _not_empty(failing, notes), _not_empty(passing, notes)
    if failing and passing:
        meaning = Meaning(lexicon, [*failing, *passing])
        ranking = rank(failing, passing, meaning, progress)
        explainer = Explainer(failing, passing, meaning)
        groups = explainer.groups(ranking)
        if not any(group.findings for group in groups):
            notes.append("No call tells the failing runs from the passing ones.")
            groups = ()
        more = [_one_sided(kind, failing, passing, lexicon) for kind in ("error", "signal", "program", "file")]
        only_failing = explainer.only_failing(ranking) + sum((bad for bad, _ in more), ())
        only_passing = explainer.only_passing() + sum((good for _, good in more), ())
    return Difference(
        tuple(trail.index for trail in failing), tuple(trail.index for trail in passing), groups, only_failing,
        only_passing, notes=tuple(notes),
    )  # fmt: skip


def _one_sided(
    kind: str, failing: Sequence[Trail], passing: Sequence[Trail], lexicon: Lexicon
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    bad, good = ({trail.index: _things(kind, trail, lexicon) for trail in side} for side in (failing, passing))
    return one_sided(kind, bad, good)


def _things(kind: str, trail: Trail, lexicon: Lexicon) -> set[str]:
    if kind == "file":
        return trail.files
    if kind == "program":
        return {thread.program for thread in trail.threads if thread.program}
    found = set()
    for entry in trail.counts:
        key = lexicon.key_of[entry]
        outcome = lexicon.calls[key].outcome
        if kind == "signal" and lexicon.calls[key].question.startswith("signal "):
            found.add(outcome)
        elif kind == "error" and is_error(outcome) and not outcome.startswith("ERESTART"):  # no program sees those
            found.add(f"{lexicon.names[lexicon.class_of[key]]}: {outcome}")
    return found


class _Reader:
    """Reads runs' logs into trails."""

    def __init__(self, lexicon: Lexicon, runs: int, progress: Progress, notes: list[str]) -> None:
        self._lexicon, self._runs, self._progress, self._notes = lexicon, max(1, runs), progress, notes
        self._done = 0

    def read(self, run: KeptRun) -> Trail | None:
        """Return a run's trail, None when its calls were not kept."""
        self._done += 1
        path = run.artifacts.get("calls")
        if path is None:
            self._notes.append(f"Of run {run.index} no calls were kept (-ct keeps them).")
            return None
        trail = Trail(run.index, self._lexicon)
        try:
            with trace.read_log(path) as events:
                for count, event in enumerate(events):
                    if not _is_from_lowrun(run, event):
                        trail.add(event)
                    if count % STEP == 0:
                        self._progress(READING * (self._done - 1) / self._runs)
                if events.unknown:
                    self._notes.append(f"In the log of run {run.index} lines were not understood: {events.unknown}.")
        except (OSError, ProtocolError) as error:
            text = explain(error) if isinstance(error, OSError) else str(error)
            self._notes.append(f"The log of run {run.index} could be read in part only: {text}.")
        return trail


def _is_from_lowrun(run: KeptRun, event: Event) -> bool:
    """Tell whether it is how a run ends that took too long: lowrun's signals say nothing of why it did."""
    return run.timed_out and event.kind in (SIGNAL, KILLED) and event.name in ("SIGTERM", "SIGKILL")


def _peers(run: KeptRun, notes: list[str]) -> frozenset[str]:
    try:
        return facts(run.artifacts[PACKETS])
    except OSError as error:
        notes.append(f"The packets of run {run.index} cannot be read: {explain(error)}.")
        return frozenset()


def _fewer(side: str, runs: Sequence[KeptRun]) -> Iterable[str]:
    if len(runs) > RUNS:
        yield f"Of {len(runs)} {side} runs the first {RUNS} were compared."


def _sides(failing: Sequence[KeptRun], passing: Sequence[KeptRun]) -> Iterable[str]:
    if not passing:
        yield "Only failing runs were kept: nothing to compare them with (--keep failed+1 keeps a passing one, too)."
    elif not failing:
        yield "No failing run was kept: there is nothing to compare."
    elif len(failing) == len(passing) == 1:
        yield "One run of each side: what differs by chance cannot be told from what matters."


def _not_empty(trails: Sequence[Trail], notes: list[str]) -> list[Trail]:
    for trail in trails:
        if not trail.total:
            notes.append(f"The log of run {trail.index} has no calls.")
    return [trail for trail in trails if trail.total]


def _cuts(trails: Sequence[Trail], lexicon: Lexicon) -> Iterable[str]:
    for trail in trails:
        if trail.cut:
            yield (
                f"Run {trail.index} made {trail.total} calls: after {CALLS} most are only counted, "
                "and their order is not compared."
            )
    if lexicon.full:
        yield "The runs made so many different calls that of some only the name was compared."
