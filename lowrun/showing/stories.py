"""Why a run failed: what its recorders kept, put together as frozen values. Text, JSON and HTML are made of these.

What is missing or broken leaves a hole and a note, never an error: a run whose log is gone still has its output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from lowrun.comparison.difference import Difference
from lowrun.errors import LowrunError
from lowrun.kept.capturefile import peers_of
from lowrun.kept.directory import KeptRun, KeptRuns
from lowrun.kept.family import Family, Member
from lowrun.kept.hosts import Host, Lookup, Peers
from lowrun.kept.peaks import Peaks, peaks_of
from lowrun.kept.tails import Tail, tail_of
from lowrun.kept.timeline import Timeline, Timelines
from lowrun.showing.blame import Hang, culprits, hang_of, waited_for
from lowrun.showing.laststeps import Trails
from lowrun.showing.words import sentences, signal_name

if TYPE_CHECKING:
    from lowrun.trace.event import Event

__all__ = ["LINES", "Followed", "Link", "Step", "Story", "follow", "story"]

#: Lines of each kind that a story has, if not told otherwise.
LINES = 12
#: Bytes of logs that are compared, some seconds' work, and runs of each side.
COMPARED_BYTES, COMPARED_RUNS = 48 << 20, 8
#: Comparing is this part of the work.
COMPARING = 0.8
#: Progress is told after so many events; a log has one for some so many bytes.
STEP, LINE_BYTES = 20_000, 180

Progress = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class Link:
    """A process on the way from the main process to the one to blame."""

    pid: int
    program: str
    code: int | None
    #: "" when no signal killed it.
    signal: str


@dataclass(frozen=True, slots=True)
class Step:
    """A call of the process to blame."""

    event: Event
    #: Nanoseconds from its begin to the process's end; None: unknown.
    before_end_ns: int | None


@dataclass(frozen=True, slots=True)
class Followed:
    """What a log of calls tells of a run."""

    chain: tuple[Link, ...] = ()
    #: Why it failed, in plain sentences.
    why: tuple[str, ...] = ()
    hang: Hang | None = None
    #: The last failing calls of the process to blame, the latest last.
    failing: tuple[Step, ...] = ()
    #: Those of `failing` are only such as healthy programs make, too.
    only_noise: bool = False
    #: How many of those were left out among the last ones.
    noise: int = 0
    #: Its last calls of any kind.
    calls: tuple[Step, ...] = ()
    hosts: tuple[Host, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    timeline: Timeline | None = None
    #: How many events there were.
    events: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """All that is shown of a run."""

    run: KeptRun
    #: All runs that it is one of, if they are known.
    runs: KeptRuns | None = None
    followed: Followed = field(default_factory=Followed)
    tails: tuple[Tail, ...] = ()
    peaks: Peaks = field(default_factory=Peaks)
    hosts: tuple[Host, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    #: "calls" or "packets": where hosts and lookups are from; "" when neither was kept.
    hosts_from: str = ""
    #: Of its groups only those that the run is in, if there are any.
    difference: Difference | None = None
    #: What could not be read, and what was left out.
    notes: tuple[str, ...] = ()


def follow(events: Iterable[Event], run: KeptRun, lines: int = LINES) -> Followed:
    """Follow a log's events to the process that determined how `run` ended. Pure."""
    family, peers = Family(), Peers()
    trails, timelines = Trails(lines), Timelines(family)
    count = 0
    for event in events:
        member = family.add(event)
        trails.add(event, member)
        timelines.add(event, member)
        peers.add(event)
        count += 1
    root = _main(family, run.pid)
    if root is None:
        return Followed(events=count)
    wanted = "SIGTERM" if run.timed_out else signal_name(run.signal) if run.signal is not None else ""
    stopped = not run.ok and (run.timed_out or run.interrupted or bool(run.reason) or _from_outside(root))
    chain = waited_for(root, trails, wanted) if stopped else culprits(root)
    culprit = chain[-1]
    trail = trails.of(culprit)
    hang = hang_of(culprit, trails, wanted) if stopped else None
    telling = [failure.event for failure in trail.failures if not failure.noise]
    chosen = telling or [failure.event for failure in trail.failures]
    return Followed(
        chain=tuple(Link(m.pid, m.name, m.code, m.signal) for m in chain),
        why=sentences(run, chain, hang, trail.signal),
        hang=hang,
        failing=_steps(chosen[-lines:], culprit),
        only_noise=not telling and bool(chosen),
        noise=len(trail.failures) - len(telling) if telling else 0,
        calls=_steps(trail.calls, culprit),
        hosts=tuple(peers.hosts),
        lookups=tuple(peers.lookups),
        timeline=timelines.picture(),
        events=count,
    )


def _main(family: Family, pid: int | None) -> Member | None:
    return next((member for member in family.members if member.pid == pid), family.root)


def _from_outside(root: Member) -> bool:
    """Tell whether the main process was killed by a signal that asks, or orders, a process to end."""
    return root.signal in ("SIGTERM", "SIGKILL", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGALRM")


def _steps(events: Iterable[Event], member: Member) -> tuple[Step, ...]:
    end = member.end_ns
    return tuple(
        Step(event, None if end is None or event.start_ns is None else max(0, end - event.start_ns)) for event in events
    )


def story(
    run: KeptRun, runs: KeptRuns | None = None, lines: int = LINES, progress: Progress = lambda part: None
) -> Story:
    """Return all there is to tell of `run`, at most `lines` lines of each kind.

    `runs` are those it is one of: with passing ones among them, the story tells what differs. `progress` is called now
    and then with the part that is done, 0 to 1; what it raises ends the work.
    """
    notes: list[str] = []
    difference = None
    if runs is not None and not run.ok and not run.interrupted:
        difference = _difference(run, runs, notes, lambda part: progress(part * COMPARING))
    begun = COMPARING if difference is not None else 0.0
    followed = _followed(run, lines, notes, lambda part: progress(begun + part * (1 - begun)))
    tails = tuple(_tails(run, lines, notes))
    peaks = Peaks()
    try:
        peaks = peaks_of(run.artifacts)
    except OSError as error:
        notes.append(_reason("samples", error))
    hosts, lookups, origin = followed.hosts, followed.lookups, "calls" if "calls" in run.artifacts else ""
    if not (hosts or lookups) and "packets" in run.artifacts:
        hosts, lookups, origin = _captured(run.artifacts["packets"], notes)
    return Story(run, runs, followed, tails, peaks, hosts, lookups, origin, difference, tuple(notes))


def _reason(what: str, error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{what}: not read: {text}"


def _followed(run: KeptRun, lines: int, notes: list[str], progress: Progress) -> Followed:
    from lowrun.trace import read_log

    path = run.artifacts.get("calls")
    if path is None:
        return Followed()
    try:
        with closing(read_log(path)) as events:
            size = path.stat().st_size
            followed = follow(_watched(events, size / LINE_BYTES, progress), run, lines)
            if events.unknown:
                notes.append(f"calls: {events.unknown} lines of the log were not understood")
        return followed
    except (OSError, LowrunError) as error:
        notes.append(_reason("calls", error))
        return Followed()


def _watched(events: Iterable[Event], about: float, progress: Progress) -> Iterator[Event]:
    """Give `events`, of which there are some `about`, and tell how far that is."""
    for count, event in enumerate(events):
        if count % STEP == 0:
            progress(min(0.99, count / max(1.0, about)))
        yield event


def _tails(run: KeptRun, lines: int, notes: list[str]) -> Iterator[Tail]:
    for name in ("stderr", "stdout"):
        path = run.artifacts.get(name)
        if path is not None:
            try:
                yield tail_of(name, path, lines)
            except OSError as error:
                notes.append(_reason(name, error))


def _captured(path: Path, notes: list[str]) -> tuple[tuple[Host, ...], tuple[Lookup, ...], str]:
    try:
        peers, cut = peers_of(path)
    except OSError as error:
        notes.append(_reason("packets", error))
        return (), (), ""
    if cut:
        notes.append("packets: only the first of a long capture were looked at")
    return tuple(peers.hosts), tuple(peers.lookups), "packets"


def _difference(run: KeptRun, runs: KeptRuns, notes: list[str], progress: Progress) -> Difference | None:
    """Compare with as many of the other runs as can be read in a few seconds."""
    if "calls" not in run.artifacts:
        return None
    failing = [other for other in runs.failing if "calls" in other.artifacts and other.index != run.index]
    passing = [other for other in runs.passing if "calls" in other.artifacts]
    if not passing:
        return None
    from lowrun.comparison.sides import differences

    try:
        bad, good = _compared(run, failing, passing)
        if len(good) < len(passing) or len(bad) <= len(failing):
            notes.append(f"compared: {len(bad)} failing and {len(good)} passing runs; lowrun analyze diff takes all")
        found = differences(bad, good, progress)
        groups = tuple(group for group in found.groups if run.index in group.runs)
        return replace(found, groups=groups or found.groups)
    except (OSError, LowrunError) as error:
        notes.append(_reason("differences", error))
        return None


def _compared(
    run: KeptRun, failing: Sequence[KeptRun], passing: Sequence[KeptRun]
) -> tuple[list[KeptRun], list[KeptRun]]:
    """Return `run` and other failing runs, and passing ones, one at least; of each side in turn. Raises OSError."""
    sides: tuple[list[KeptRun], list[KeptRun]] = [run], [passing[0]]
    left = COMPARED_BYTES - sum(side[0].artifacts["calls"].stat().st_size for side in sides)
    for pair in islice(zip_longest(failing, passing[1:]), COMPARED_RUNS - 1):
        for other, side in zip(pair, sides, strict=True):
            if other is not None and (left := left - other.artifacts["calls"].stat().st_size) >= 0:
                side.append(other)
    return sides
