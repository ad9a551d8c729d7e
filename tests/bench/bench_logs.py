"""`lowrun strace2csv` beside stracepy's strace2csv, on the same log of a million calls: whole processes, whole files.

stracepy is no part of this project. LOWRUN_STRACEPY names a checkout of it, LOWRUN_STRACEPY_PYTHON a Python that has
what it needs:

    git clone https://github.com/bmwcarit/stracepy /tmp/stracepy
    python3 -m venv /tmp/stracepy.venv && /tmp/stracepy.venv/bin/pip install pandas tabulate colorlog

Without them only lowrun's two forms are compared. LOWRUN_BENCH_CALLS says how many calls the log has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.bench.harness import Case, elapsed, lowrun_program
from tests.bench.tracelog import write_log

CALLS = int(os.environ.get("LOWRUN_BENCH_CALLS", "1000000"))
#: A log so many times as long.
LONGER = 15
HINT = "bench_logs: set LOWRUN_STRACEPY and LOWRUN_STRACEPY_PYTHON to compare with stracepy; its docstring says how"


def by_lowrun(log: Path, *options: str) -> float:
    """Seconds of lowrun."""
    return elapsed([lowrun_program(), "strace2csv", "--verbose", "0", str(log), "--out", f"{log}.csv", *options])


def by_stracepy(log: Path, checkout: Path, python: str) -> float:
    """Seconds of stracepy; its table has to be lowrun's."""
    words = [python, str(checkout / "stracepy" / "strace2csv.py"), str(log), "--verbose", "0", "--out", f"{log}.peer"]
    seconds = elapsed(["env", f"PYTHONPATH={checkout}", *words])
    if Path(f"{log}.csv").exists() and Path(f"{log}.csv").read_bytes() != Path(f"{log}.peer").read_bytes():
        raise AssertionError("the tables are not the same")
    return seconds


def memory(log: Path, times: int) -> float:
    """Peak memory in GB of a log that comes so many times in a row."""
    feed = f"for i in $(seq {times}); do cat {log}; done | {lowrun_program()} strace2csv - --verbose 0 --out /dev/null"
    words = [lowrun_program(), "--json", "-", "sh", "-c", feed]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return float(json.loads(done.stdout)["runs"][0]["max_rss_kib"]) / (1 << 20)


def cases() -> Iterator[Case]:
    """Against stracepy, where it is; then what mending costs, and that a longer log takes no more memory."""
    checkout, python = os.environ.get("LOWRUN_STRACEPY"), os.environ.get("LOWRUN_STRACEPY_PYTHON")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = directory / "log"
        write_log(log, CALLS)
        if checkout and python:
            by_lowrun(log)
            b = partial(by_stracepy, log, Path(checkout), python)
            yield Case(f"strace2csv of {CALLS:,} calls : stracepy", partial(by_lowrun, log), b, 0.1, rounds=3)
        else:
            print(HINT, file=sys.stderr)
        yield Case("strace2csv --fixed : without", partial(by_lowrun, log, "--fixed"), partial(by_lowrun, log), 1.5)
        longer, once = partial(memory, log, LONGER), partial(memory, log, 1)
        yield Case(f"memory, a log {LONGER} times as long", longer, once, 1.1, rounds=1, unit="MB")
