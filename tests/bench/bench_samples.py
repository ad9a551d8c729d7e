"""What sampling a tree of ten processes at 100 Hz costs: seconds of processor time of the sampler alone.

Against the clock, for the share of a core, start-up and tables included; and
against psrecord for each sample, since psrecord waits for its interval after
its work and so takes fewer of them.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.bench.harness import Case, lowrun_program, own_cpu

MOCK = Path(__file__).parents[2] / "mock"
PROCESSES, SECONDS, INTERVAL = 10, 20, 0.01


def by_lowrun(directory: Path, keep: str) -> tuple[float, int]:
    """(seconds, samples); the run is kept or not, as `keep` says."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        words = [lowrun_program(), "-q", "-st", "--interval", str(INTERVAL), "--keep", keep, "-o", f"{name}/kept"]
        command = [str(directory / "busy_tree"), str(PROCESSES), str(SECONDS)]
        seconds = own_cpu(subprocess.Popen([*words, *command], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        table = Path(name, "kept", "run-0001", "memory.csv")
        return seconds, sum(1 for _ in csv.reader(table.open())) - 1 if keep == "all" else 0


def by_psrecord(directory: Path) -> tuple[float, int]:
    """(seconds, samples)."""
    log = directory / "psrecord.csv"
    target = subprocess.Popen([directory / "busy_tree", str(PROCESSES), str(SECONDS)], stdout=subprocess.PIPE)
    with target:
        assert target.stdout is not None and target.stdout.readline() == b"ready\n"
        words = [str(Path(sys.executable).with_name("psrecord")), str(target.pid), "--include-children"]
        words += ["--interval", str(INTERVAL), "--log", str(log), "--log-format", "csv"]
        seconds = own_cpu(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    return seconds, sum(1 for _ in csv.reader(log.open())) - 1


def seconds_of(directory: Path, keep: str) -> float:
    """Seconds of lowrun."""
    return by_lowrun(directory, keep)[0]


def per_sample(spent: tuple[float, int]) -> float:
    """Seconds for each sample."""
    return spent[0] / spent[1]


def cases() -> Iterator[Case]:
    """Against the clock, passing and kept; against psrecord."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        subprocess.run(["cc", "-O1", "-w", "-o", directory / "busy_tree", MOCK / "busy_tree.c"], check=True)
        for what, keep in (("a passing run", "failed"), ("kept", "all")):
            a = partial(seconds_of, directory, keep)
            yield Case(f"-st, 10 processes at 100 Hz, {what}: CPU / clock", a, lambda: SECONDS, 0.03, 3)
        ours, theirs = partial(by_lowrun, directory, "all"), partial(by_psrecord, directory)
        yield Case("-st / psrecord, CPU for a sample", lambda: per_sample(ours()), lambda: per_sample(theirs()), 0.1, 3)
