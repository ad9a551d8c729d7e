"""How much longer a command takes when it is traced by lowrun than by strace.

The command is a loop of open, read and close that measures itself, so what
lowrun and strace do before and after it does not count. The case on one
processor leaves out how each wakes up across processors, which is most of
the first and differs much from machine to machine: there the stops
themselves remain, which cost both the same (a tracer that makes the three
calls that a stop needs and nothing else takes 0.55 of strace's time).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.bench.harness import Case, lowrun_program

MOCK = Path(__file__).parents[2] / "mock"
CALLS = 5000
STRACE = "strace -f -tt -T -y -yy -s 2048 -o /dev/null".split()
ONE_PROCESSOR = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]


def told(argv: list[str], directory: Path) -> float:
    """Seconds that the loop says it took, traced by `argv`."""
    command = [*argv, str(directory / "corners"), "loop", str(CALLS)]
    return float(
        subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=directory, check=True).stdout
    )


def cases() -> Iterator[Case]:
    """Both ways to trace, on all processors and on one."""
    if shutil.which("strace") is None:
        return
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        subprocess.run(["cc", "-O1", "-pthread", "-w", "-o", directory / "corners", MOCK / "corners.c"], check=True)
        for where, prefix, limit in (("", [], 0.6), (" on one processor", ONE_PROCESSOR, 0.75)):
            yield Case(
                f"{CALLS} open/read/close: -ct / strace{where}",
                partial(told, [*prefix, lowrun_program(), "-ct"], directory),
                partial(told, [*prefix, *STRACE], directory),
                limit,
                rounds=9,
            )
