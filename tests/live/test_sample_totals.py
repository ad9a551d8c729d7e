"""The last row of the samples' tables is exact, as a user reads it: lowrun -st, then the CSV files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import LOWRUN, mock

CHILDREN, MILLISECONDS, BYTES = 500, 4, 8192


def last_row(run: Path, table: str) -> dict[str, str]:
    """The tree's."""
    with (run / f"{table}.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row.get("row", "tree") == "tree"][-1]


@pytest.mark.figures
@pytest.mark.parametrize("parent", ["wait", "ignore"])
def test_five_hundred_short_children(parent: str, tmp_path: Path) -> None:
    """Each lives for milliseconds: CPU is theirs within 5 %, bytes and processes exactly, SIGCHLD ignored or not."""
    words = [LOWRUN, "-q", "-st", "-lt", "-o", str(tmp_path / "kept"), mock("burners")]
    words += [str(CHILDREN), str(MILLISECONDS), parent, str(BYTES), "1"]
    assert subprocess.run(words, stderr=subprocess.DEVNULL).returncode == 1
    run = tmp_path / "kept" / "run-0001"
    printed = (run / "stdout.log").read_text()
    clocks = sum(int(line) for line in printed.splitlines() if line != "ready") / 1e9
    processes, disk = last_row(run, "processes"), last_row(run, "disk")
    assert json.loads((run / "run.json").read_text())["faults"] == []
    assert processes["processes_total"] == str(CHILDREN + 1)
    assert float(processes["cpu_s"]) == pytest.approx(clocks, rel=0.05)
    assert float(processes["user_s"]) + float(processes["sys_s"]) == pytest.approx(float(processes["cpu_s"]), abs=1e-5)
    assert int(disk["call_written_bytes"]) == CHILDREN * BYTES + len(printed)


EMBEDDED = """
import sys, lowrun as lr
ballast = bytearray(500_000_000)
small = lr.run(["false"], record=[lr.Samples()], output=sys.argv[1])
large = lr.run([sys.executable, "-c", "x = bytearray(200 * 2**20); raise SystemExit(1)"], record=[lr.Samples()],
               output=sys.argv[2])
print(small.usage.max_rss_kib, large.usage.max_rss_kib)
"""


@pytest.mark.figures
def test_peak_memory_has_no_floor(tmp_path: Path) -> None:
    """From a process with 500 MB: `false` has less than 10 MB at its peak, one that takes 200 MiB 200 to 215."""
    out = [str(tmp_path / "small"), str(tmp_path / "large")]
    done = subprocess.run([sys.executable, "-c", EMBEDDED, *out], stdout=subprocess.PIPE, text=True, check=True)
    told = [int(word) for word in done.stdout.split()]
    tables = [int(last_row(Path(directory) / "run-0001", "memory")["peak_kib"]) for directory in out]
    assert tables == told
    assert tables[0] < 10 * 1024
    assert 200 * 1024 <= tables[1] <= 215 * 1024
