"""What keeping a program running costs: from its death to the next life, and the memory meanwhile.

Against s6-supervise, which has the shortest way from death to exec of Debian's supervisors (runit's runsv and
supervisord are measured by `python -m tests.bench.bench_supervise`), and against supervisord's memory. s6 leaves a
second between two starts, so each program lives a little longer than that before it is killed.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.bench.harness import Case, lowrun_program

MOCK = Path(__file__).parents[2] / "mock"
KILLS, LIFE = 5, 1.2
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
SUPERVISORD = """\
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={root}/supervisord.pid
[program:beacon]
command={root}/beacon {fifo}
autorestart=true
startsecs=0
stdout_logfile=NONE
stderr_logfile=NONE
"""


def lowrun(root: Path, fifo: Path, name: str = "beacon") -> list[str]:
    """The words of lowrun."""
    words = [lowrun_program(), "start", "-D", "--respawn", "-t", "0", "--name", name]
    return [*words, str(root / "beacon"), str(fifo)]


def s6(root: Path, fifo: Path) -> list[str]:
    """Those of s6-supervise, with its service directory."""
    return ["s6-supervise", str(_service(root / "s6", root, fifo))]


def runit(root: Path, fifo: Path) -> list[str]:
    """Those of runsv."""
    return ["runsv", str(_service(root / "runit", root, fifo))]


def supervisord(root: Path, fifo: Path) -> list[str]:
    """Those of supervisord."""
    (root / "supervisord.conf").write_text(SUPERVISORD.format(root=root, fifo=fifo))
    return ["supervisord", "-c", str(root / "supervisord.conf")]


def _service(directory: Path, root: Path, fifo: Path) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "run").write_text(f"#!/bin/sh\nexec {root}/beacon {fifo}\n")
    (directory / "run").chmod(0o755)
    return directory


@contextmanager
def supervised(root: Path, words: Callable[[Path, Path], list[str]]) -> Iterator[tuple[int, Callable[[], list[int]]]]:
    """The supervisor's pid and a function that waits for the next life: its pid, and when it began (ns)."""
    fifo = root / f"fifo-{time.monotonic_ns()}"
    os.mkfifo(fifo)
    reader = os.fdopen(os.open(fifo, os.O_RDWR))
    env = {**os.environ, "LOWRUN_STATE_DIR": str(root / "state")}
    process = subprocess.Popen(words(root, fifo), env=env, start_new_session=True, **QUIET)  # type: ignore[call-overload]
    pid = 0

    def next_life() -> list[int]:
        nonlocal pid
        life = [int(word) for word in reader.readline().split()]
        pid = life[0]
        return life

    try:
        yield process.pid, next_life
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        reader.close()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def respawn_seconds(root: Path, words: Callable[[Path, Path], list[str]]) -> float:
    """Median seconds from SIGKILL to the next one's first instruction."""
    found = []
    with supervised(root, words) as (_, next_life):
        pid, _ = next_life()
        for _ in range(KILLS):
            time.sleep(LIFE)
            killed = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            pid, began = next_life()
            found.append((began - killed) / 1e9)
    return statistics.median(found)


def tree_pss(root: int, without: int) -> float:
    """KiB of PSS of `root` and all below it but `without`."""
    total, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        if pid != without:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(float(line.split()[1]) for line in lines if line.startswith("Pss:"))
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return total


def megabytes(root: Path, words: Callable[[Path, Path], list[str]]) -> float:
    """MB that supervising one program takes; printed as seconds would be."""
    with supervised(root, words) as (pid, next_life):
        program, _ = next_life()
        time.sleep(0.5)  # until what it does at its start is over
        return tree_pss(pid, program) / 1024


@contextmanager
def place() -> Iterator[Path]:
    """A directory with the program in it."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["cc", "-O1", "-w", "-o", f"{directory}/beacon", MOCK / "beacon.c"], check=True)
        yield Path(directory)


def cases() -> Iterator[Case]:
    """From death to life against s6-supervise; memory against supervisord's."""
    with ExitStack() as stack:
        root = stack.enter_context(place())
        yield Case(
            "start --respawn -t 0, SIGKILL to exec : s6-supervise",
            partial(respawn_seconds, root, lowrun),
            partial(respawn_seconds, root, s6),
            1.0,
            3,
        )
        yield Case(
            "PSS of one supervised program in GB : supervisord",
            lambda: megabytes(root, lowrun) / 1e3,
            lambda: megabytes(root, supervisord) / 1e3,
            0.6,
            3,
        )


if __name__ == "__main__":
    with place() as here:
        for way in (lowrun, s6, runit, supervisord):
            milliseconds, memory = respawn_seconds(here, way) * 1e3, megabytes(here, way)
            sys.stdout.write(f"{way.__name__:<12} {milliseconds:8.2f} ms {memory:8.2f} MB\n")
