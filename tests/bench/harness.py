"""Two ways to do the same, measured in turns in one run, compared by the median.

A machine's speed drifts while a benchmark runs, so A and B take turns, and
which goes first alternates. The ratio is the median of the rounds' ratios
A/B: a disturbance hits one round and not the result.

A module `bench_*.py` beside this one has `cases()`, which yields a `Case` for
each comparison; `python -m tests.bench [NAME...]` runs them all.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HEADER", "Case", "Outcome", "compare", "elapsed", "lowrun_program", "own_cpu", "row"]

#: Of the clock of another process: linux/posix-timers.h has it, clock_getcpuclockid(3) makes it.
CPUCLOCK_SCHED = 2
HEADER = f"{'what':<58} {'A':>11} {'B':>11} {'A/B':>6} {'limit':>6}"


@dataclass(frozen=True)
class Case:
    """A comparison: `a` and `b` return the seconds of one round; A/B is to stay at or under `limit`.

    What is no time is returned in thousands of its `unit`, as seconds are thousands of ms.
    """

    name: str
    a: Callable[[], float]
    b: Callable[[], float]
    limit: float
    rounds: int = 7
    unit: str = "ms"


@dataclass(frozen=True)
class Outcome:
    """Medians of both ways in seconds, and of the rounds' ratios."""

    a_s: float
    b_s: float
    ratio: float


def compare(case: Case) -> Outcome:
    """Measure `case`; one round before the counted ones warms both up."""
    pairs = []
    for turn in range(case.rounds + 1):
        if turn % 2:
            a, b = case.a(), case.b()
        else:
            b, a = case.b(), case.a()
        if turn:
            pairs.append((a, b))
    return Outcome(
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def row(case: Case, outcome: Outcome) -> str:
    """One line of the table under HEADER."""
    over = "" if outcome.ratio <= case.limit else "  OVER"
    a, b = f"{outcome.a_s * 1e3:.2f} {case.unit:2}", f"{outcome.b_s * 1e3:.2f} {case.unit:2}"
    return f"{case.name:<58} {a:>11} {b:>11} {outcome.ratio:>6.2f} {case.limit:>6.2f}{over}"


def elapsed(argv: Sequence[str], *, cwd: Path | None = None) -> float:
    """Seconds that `argv` takes; what it writes is thrown away. Raises CalledProcessError when it fails."""
    began = time.perf_counter()
    subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd, check=True
    )
    return time.perf_counter() - began


def own_cpu(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor time that `process` itself took, not its children; waits for its end and reaps it."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    clock = ~process.pid << 3 | CPUCLOCK_SCHED
    seconds = time.clock_gettime(clock)
    process.wait()
    return seconds


def lowrun_program() -> str:
    """The `lowrun` that is installed beside this interpreter."""
    return str(Path(sys.executable).with_name("lowrun"))
