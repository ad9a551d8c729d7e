"""Questions to a million calls, beside pandas, which reads them as texts and groups the same; and the memory of ten.

Without the start of either interpreter and its libraries: what is timed is reading and grouping, until all rows are
there. The whole processes are compared, too. Memory is the largest process's, as the kernel counts it (getrusage(2)).
LOWRUN_BENCH_CALLS sets how many calls the log for the memory has.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import lowrun as lr
from lowrun import analysis, trace
from tests.bench.harness import Case, elapsed, lowrun_program
from tests.bench.tracelog import write_log

ROWS = 1_000_000
CALLS = int(os.environ.get("LOWRUN_BENCH_CALLS", "10000000"))
#: What a session may take, in thousands of MB.
MOST = 2.0
LOWRUN = """
import sys, time
from lowrun.analysis.session import Analysis

with Analysis(sys.argv[1], queries=[sys.argv[2]]) as log:
    began = time.perf_counter()
    assert sum(1 for _ in log.query(sys.argv[2])) > 100
    print(time.perf_counter() - began)
"""
#: As stracepy's strace_analyzer does it.
PANDAS = """
import sys, time
import pandas as pd

def count_files(df):
    df = df[df["filepath"].str.contains(".+", regex=True, na=False)]
    df = df.groupby(["executable", "filepath"]).size().reset_index(name="count")
    return [df.sort_values(["count"], ascending=False)]

def summary(df):
    programs = df[df["syscall"].str.contains("^exec.*", regex=True, na=False)]
    programs = programs[["timestamp", "executable", "syscall", "filepath", "ret_int", "ret_str"]]
    failed = df[df["ret_int"] == "-1"].groupby(["executable", "syscall", "ret_str"]).size().reset_index(name="count")
    return [programs.sort_values(["timestamp"]), failed.sort_values(["count"], ascending=False)]

began = time.perf_counter()
tables = globals()[sys.argv[2]](pd.read_csv(sys.argv[1], keep_default_na=False, dtype=str))
assert sum(map(len, tables)) > 100
print(time.perf_counter() - began)
"""


def timed(script: str, path: Path, query: str) -> float:
    """Seconds, as the script has measured them."""
    return float(subprocess.run([sys.executable, "-c", script, path, query], stdout=subprocess.PIPE, check=True).stdout)


def peak(path: Path, query: str) -> float:
    """Peak resident memory of `lowrun analyze`, in thousands of MB: not this process's, since a keeper starts it."""
    result = lr.run([lowrun_program(), "analyze", path, query], quiet=True)
    assert result.ok and result.usage.max_rss_kib is not None
    return result.usage.max_rss_kib * 1024 / 1e9


def cases() -> Iterator[Case]:
    """Times from CSV and from Parquet, then the memory of every query."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log, csv, parquet = directory / "log", directory / "csv", directory / "parquet"
        write_log(log, ROWS)
        scanner = trace.scanner("stracepy")
        csv.write_bytes(trace.csv_header() + scanner.feed(log.read_bytes()) + scanner.finish())
        with analysis.Analysis(log) as session:
            session.export("parquet", parquet)
        for query in ("count_files", "summary"):
            by_pandas = partial(timed, PANDAS, csv, query)
            name = f"{query} of {ROWS:,} rows"
            yield Case(f"{name} from CSV : pandas", partial(timed, LOWRUN, csv, query), by_pandas, 0.2, 5)
            yield Case(f"{name} from Parquet : pandas", partial(timed, LOWRUN, parquet, query), by_pandas, 0.034, 5)
            whole = partial(elapsed, [sys.executable, "-c", PANDAS, str(csv), query])
            for path in (csv, parquet):
                own = partial(elapsed, [lowrun_program(), "analyze", str(path), query])
                yield Case(f"{name}, {path.name}, whole process : pandas", own, whole, 1.0, 3)
        write_log(log, CALLS)
        for query in analysis.QUERIES:
            name = f"{query} of {CALLS:,} calls : {MOST:.0f} GB"
            yield Case(name, partial(peak, log, query), lambda: MOST, 1.0, 1, "MB")
