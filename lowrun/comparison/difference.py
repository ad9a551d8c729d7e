"""What failing runs did that passing ones did not, as values: text, JSON and HTML are made of these. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Difference", "Figure", "Finding", "Group"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that tells failing runs from passing ones."""

    #: "call" (it, or its outcome, is on the failing side only), "more" (more often), "order" (known, but not at this
    #: place), "answer" (it returned other data), "slow", "missing" (only passing runs have it), "end" (a thread
    #: ends here), "file", "error", "program", "signal", "host".
    kind: str
    #: `openat(AT_FDCWD, "/tmp/lock", O_WRONLY|O_CREAT|O_EXCL, 0600) = -1 EEXIST`; nothing that is a control character.
    text: str
    #: What the passing runs have there: `3</tmp/lock>`, a whole call, or "".
    instead: str
    #: The numbers of the runs of each side of which it is true: that have it; of "missing" and "end", that lack it.
    failing: tuple[int, ...]
    passing: tuple[int, ...]
    #: How often in such a run, at least; 1 where it is not about how often.
    times: int = 1
    #: The program and which of its processes and threads: `sort (process 2), thread 3`; "" when it is none.
    process: str = ""
    #: The call before it in its thread, "" if there is none.
    after: str = ""
    #: (run's number, line of its log) of an example, None when there is no such line.
    where: tuple[int, int] | None = None
    #: From 0 to 1: how well it separates the sides, less what differs among passing runs by chance.
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Failing runs that part from the passing ones in the same way; the likeliest cause first."""

    runs: tuple[int, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that was measured in runs of both sides."""

    #: "wall time", "peak memory", ...
    name: str
    #: "s", "KiB", "bytes", "".
    unit: str
    #: Least, median, most; None when that side has none.
    failing: tuple[float, float, float] | None
    passing: tuple[float, float, float] | None
    #: True when the two ranges do not overlap.
    apart: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs. Runs are named by their numbers."""

    failing: tuple[int, ...]
    passing: tuple[int, ...]
    #: Where the failing runs part from the passing ones; more than one group when they have several causes.
    groups: tuple[Group, ...] = ()
    #: Calls, files, errors, programs and signals that one side has and the other has not, best separated first.
    only_failing: tuple[Finding, ...] = ()
    only_passing: tuple[Finding, ...] = ()
    figures: tuple[Figure, ...] = ()
    #: Hosts and ports of the packets that one side has and the other has not.
    hosts: tuple[Finding, ...] = ()
    #: Plain sentences on what could not be compared, and why.
    notes: tuple[str, ...] = ()
