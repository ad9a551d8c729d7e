"""What it costs to write the text of a kept trace, against what strace spends to record the same run.

Seconds of processor time, not of the clock. strace is attached to the program, so
that what it spends is its own: what it starts itself would be added to it.
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

from tests.bench.harness import Case, lowrun_program

MOCK = Path(__file__).parents[2] / "mock"
STRACE = "strace -f -tt -T -y -yy -s 2048".split()
#: Three calls each.
ROUNDS = int(os.environ.get("LOWRUN_BENCH_ROUNDS", "33333"))
WRITE = """
import os, sys, time
from pathlib import Path
from lowrun.core.tape import Tape
from lowrun.trace.calls import HEADER
from lowrun.trace.textfile import TextFile
data, directory = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
with Tape(directory, data[: HEADER.size]) as tape:
    os.write(tape.fileno(), data[HEADER.size :])
    with TextFile(tape, directory) as text:
        began = time.process_time()
        while not text.step(1):
            pass
        print(time.process_time() - began)
"""


def by_lowrun(records: Path) -> float:
    """Seconds of processor time for the text of `records`."""
    words = [sys.executable, "-c", WRITE, str(records), str(records.parent)]
    return float(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)


def by_strace(program: Path) -> float:
    """Seconds of processor time that strace takes to record the program."""
    loop = ["sh", "-c", f"read line; exec {program} loop {ROUNDS}"]
    with subprocess.Popen(loop, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as target:
        assert target.stdin is not None
        words = [*STRACE, "-o", program.with_name("strace.log"), "-p", str(target.pid)]
        tracer = subprocess.Popen(words, stderr=subprocess.PIPE)
        assert tracer.stderr is not None and b"attached" in tracer.stderr.readline()
        target.stdin.write(b"go\n")
        target.stdin.close()
        _, status, usage = os.wait4(tracer.pid, 0)
        tracer.returncode = os.waitstatus_to_exitcode(status)
        tracer.stderr.close()
    return usage.ru_utime + usage.ru_stime


def cases() -> Iterator[Case]:
    """One: a loop of open, read and close."""
    if shutil.which("strace") is None:
        return
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        corners = directory / "corners"
        subprocess.run(["cc", "-O1", "-pthread", "-w", "-o", corners, MOCK / "corners.c"], check=True)
        words = [lowrun_program(), "-q", "-ct", "--keep", "all", "--keep-binary", "-o", directory / "kept"]
        subprocess.run([*words, corners, "loop", str(ROUNDS)], stderr=subprocess.DEVNULL, check=True)
        records = directory / "kept" / "run-0001" / "calls.records"
        a, b = partial(by_lowrun, records), partial(by_strace, corners)
        yield Case(f"text of {3 * ROUNDS:,} calls : strace, CPU seconds", a, b, 1.0, rounds=3)
