"""How much longer a command takes when it is traced by lowrun than by strace.

The programs measure themselves, so what lowrun and strace do before and after
does not count. The cases on one processor leave out how each wakes up across
processors, which is most of the others and differs much from machine to
machine: there the stops themselves remain, which cost both the same (a tracer
that makes the three calls that a stop needs and nothing else takes 0.55 of
strace's time).
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
STRACE = "strace -f -tt -T -y -yy -s 2048 -o /dev/null".split()
ONE_PROCESSOR = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]
#: In a shell whose loop is timed by itself, since so many short programs cannot.
STORM = """
began=$(date +%s%N)
i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i+1)); done
echo $(($(date +%s%N) - began))e-9
"""
#: What it is, the command ({corners} stands for the program of mock/), and its limits: everywhere, on one processor.
CASES = (
    ("5000 open/read/close", ["{corners}", "loop", "5000"], 0.55, 0.75),
    ("15000 getppid", ["{corners}", "getppid", "15000"], 0.75, 0.9),
    ("4 threads, 4000 getppid each", ["{corners}", "contended", "4", "4000"], 0.7, None),
    ("500 /bin/true from a shell", ["sh", "-c", STORM], 0.7, None),
)
#: Nothing of these is in the set: a filter lets it run. What it is, the command, its limit.
FILTERED = (
    ("300000 open/read/close", ["{corners}", "loop", "300000"], 1.1),
    ("1000000 getppid", ["{corners}", "getppid", "1000000"], 1.3),
)


def told(argv: list[str], directory: Path) -> float:
    """Seconds that the command says it took, traced by `argv`."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=directory, check=True)
    return float(done.stdout)


def cases() -> Iterator[Case]:
    """Each command traced both ways, on all processors, the plain loops on one as well; and with a set against bare."""
    if shutil.which("strace") is None:
        return
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        corners = directory / "corners"
        subprocess.run(["cc", "-O1", "-pthread", "-w", "-o", corners, MOCK / "corners.c"], check=True)
        for name, words, limit, limit_on_one in CASES:
            command = [word.replace("{corners}", str(corners)) for word in words]
            for where, prefix, most in (("", [], limit), (" on one processor", ONE_PROCESSOR, limit_on_one)):
                if most is not None:
                    ours, theirs = [*prefix, lowrun_program(), "-ct", *command], [*prefix, *STRACE, *command]
                    a, b = partial(told, ours, directory), partial(told, theirs, directory)
                    yield Case(f"{name}: -ct / strace{where}", a, b, most, rounds=9)
        for name, words, limit in FILTERED:
            command = [word.replace("{corners}", str(corners)) for word in words]
            a = partial(told, [lowrun_program(), "-ct", "--calls", "%network", *command], directory)
            yield Case(f"{name}: --calls %network / bare", a, partial(told, command, directory), limit, rounds=5)
