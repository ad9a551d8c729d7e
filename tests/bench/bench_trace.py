"""How much longer a command takes when it is traced by lowrun than by strace.

The command is a loop of open, read and close that measures itself, so what
lowrun and strace do before and after it does not count. The case on one
processor leaves out how each wakes up across processors, which is most of
the first and differs much from machine to machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.bench.harness import Case

MOCK = Path(__file__).parents[2] / "mock"
CALLS = 5000
STRACE = "strace -f -tt -T -y -yy -s 2048 -o /dev/null".split()
#: What a passing run with -ct costs, through the library.
LOWRUN = [
    sys.executable,
    "-c",
    "import sys, lowrun; from lowrun.recorders.calls import Calls; lowrun.run(sys.argv[1:], record=[Calls()])",
]
ONE_PROCESSOR = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]


def told(argv: list[str], directory: Path) -> float:
    """Seconds that the loop says it took, traced by `argv`."""
    command = [*argv, str(directory / "corners"), "loop", str(CALLS)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, cwd=directory, check=True).stdout)


def cases() -> Iterator[Case]:
    """Both ways to trace, on all processors and on one."""
    if shutil.which("strace") is None:
        return
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        subprocess.run(["cc", "-O1", "-pthread", "-w", "-o", directory / "corners", MOCK / "corners.c"], check=True)
        for where, prefix in (("", []), (" on one processor", ONE_PROCESSOR)):
            yield Case(
                f"{CALLS} open/read/close: -ct / strace{where}",
                partial(told, [*prefix, *LOWRUN], directory),
                partial(told, [*prefix, *STRACE], directory),
                0.6,
                rounds=9,
            )
