"""Programs that fail now and then: the true cause is in the first three lines of `lowrun analyze diff`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lowrun import comparison
from lowrun.kept import kept_runs
from tests.programs import LOWRUN, MOCK, mock

PYTHON = (sys.executable, "-I", "-S")
#: Program -> its command, options of lowrun, its own truth of a failing run as a trace shows it.
FLAKY = {
    "lock": (
        (*PYTHON, str(MOCK / "flaky_lock.py"), "DIR"),
        (),
        r'openat\("[^"]*work/lock", O_WRONLY\|O_CREAT\|O_EXCL.*\) = -1 EEXIST .*; passing runs: = \d+</',
    ),
    "dns": (
        (*PYTHON, str(MOCK / "flaky_dns.py")),
        (),
        # the end of the server's process may interrupt it; the kernel goes on with restart_syscall then
        r"poll\(\[\{fd=\d+.*, events=POLLIN\}\], 1, \d+\) = (0 \(Timeout\)|\? ERESTART_RESTARTBLOCK)|no sendto\(",
    ),
    "full disk": (
        ("FULL", "DIR"),
        (),
        r"write\(\d+<.*work/data>, .*4096\) = -1 ENOSPC \(No space left on device\)",
    ),
    "timeout": (
        (*PYTHON, str(MOCK / "flaky_late.py"), "poll"),
        (),
        r"(select6?|poll)\(.*\) = 0 \(Timeout\)|clock_nanosleep\(.*tv_nsec=3\d{8}\}",
    ),
    "hanging": (
        (*PYTHON, str(MOCK / "flaky_late.py"), "wait"),
        ("-t", "0.3"),
        r"(recvfrom|clock_nanosleep)\(.*(never returned|= \? ERESTART)",
    ),
    "lost addition": (
        (*PYTHON, str(MOCK / "flaky.py")),
        (),
        r'pread64\(\d+<[^"]*, "0", 8, 0\) = 1, 2 times; passing runs: once at most',
    ),
    "stale file": (
        (*PYTHON, str(MOCK / "flaky_stale.py"), "DIR"),
        (),
        r'openat\("[^"]*work/job.tmp", O_RDONLY\|O_CLOEXEC\) = \d+<.*work/job.tmp>; passing runs: = -1 ENOENT',
    ),
}


@pytest.mark.parametrize("name", FLAKY)
def test_the_cause_is_in_the_first_three_lines(name: str, tmp_path: Path) -> None:
    """Of 30 runs some fail; what they did first that the passing ones did not is what the program is made to do."""
    words, options, truth = FLAKY[name]
    directory, output = tmp_path / "work", tmp_path / "out"
    directory.mkdir()
    command = [str(directory) if word == "DIR" else mock("flaky_full") if word == "FULL" else word for word in words]
    line = [LOWRUN, "-c", "30", "-ct", "--keep", "all", "-q", "-o", str(output), *options, "--", *command]
    said = subprocess.run(line, capture_output=True, text=True).stderr
    codes = json.loads((output / "summary.json").read_text())["codes"]
    assert set(codes) <= {"0", "1", "124"}, said
    assert 1 <= len(codes["0"]) < 30, "it did not fail now and then"
    told = subprocess.run([LOWRUN, "analyze", "diff", str(output)], capture_output=True, text=True, check=True).stdout
    first = told.splitlines()[:3]
    assert any(re.search(truth, line) for line in first), "\n".join(first)
    assert not any("SIGTERM" in line for line in first), "how lowrun ended a run is no cause"
    assert re.search(truth, said), "the same is said behind the summary"
    assert f"lowrun analyze diff {output}" in said
    runs = kept_runs(output)
    few = comparison.first_lines(comparison.differences(runs.failing, runs.passing[-3:]))
    assert any(re.search(truth, line) for line in few), "with a few passing runs:\n" + "\n".join(few)
