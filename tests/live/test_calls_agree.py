"""lowrun's call trace has the calls that strace has: same calls, same order, per thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import compare_strace
from tests.programs import LOWRUN, mock

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
PROGRAMS = {
    "ls -l": ["ls", "-l", "/usr/share"],
    "eight threads": [sys.executable, "-S", mock("eight_threads.py")],
    "pipeline": ["sh", "-c", "ls /usr/share | sort -r | head -3 | wc -c"],
    "gcc -c": ["gcc", "-c", "-o", "/dev/null", "hello.c"],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_calls_as_strace(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From execve to exit every call is there, as far as two recordings of strace agree with each other.

    Two that agree by chance (on how many SIGCHLD came apart, say) need not agree with a third, so what
    is missing is recorded again; what lowrun does not see is missing every time.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.c").write_text(HELLO)
    verdicts = []
    for _ in range(3):
        verdict = compare_strace.compare(*compare_strace.record(PROGRAMS[name]))
        print(f"{name}: {verdict.agreed}/{verdict.total}, left out {verdict.by_chance}")
        assert verdict.total > 50
        verdicts.append(verdict.missing)
        if not verdict.missing:
            break
    assert [] in verdicts, verdicts


@pytest.mark.parametrize("code", ["0", "1"])
def test_a_passing_run_records_as_much(code: str, tmp_path: Path) -> None:
    """The same program exiting 0 and 1 has the same calls; the execve is the first line, the exit the last."""
    kept = tmp_path / code
    done = subprocess.run([LOWRUN, "-q", "-ct", "--keep", "all", "-o", kept, "sh", "-c", f"true; exit {code}"])
    assert done.returncode == int(code)
    lines = (kept / "run-0001" / "calls.strace").read_text().splitlines()
    names = [line.split()[2].partition("(")[0] for line in lines]
    assert names[0] == "execve"
    assert names.count("exit_group") == 1
    assert f"+++ exited with {code} +++" in lines[-1]
    assert len(lines) > 20


def test_nothing_is_kept_of_a_passing_run(tmp_path: Path) -> None:
    """By default a run that passes leaves no directory."""
    subprocess.run([LOWRUN, "-q", "-ct", "-o", tmp_path / "out", "true"], check=True)
    assert not (tmp_path / "out").exists()
