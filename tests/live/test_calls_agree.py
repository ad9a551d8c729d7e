"""lowrun's call trace has the lines that strace has: the same, in the same order, per thread."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import corpus
from tests.compare_strace import compare, record, report
from tests.programs import LOWRUN, mock

#: What two recordings of strace agree on by chance a third need not have (mostly what threads do to each other).
SHARE = 0.97


@pytest.mark.slow
@pytest.mark.parametrize("name", corpus.PROGRAMS)
def test_the_same_lines_as_strace(name: str, tmp_path: Path) -> None:
    """At least 97 % of the lines on which two recordings of strace agree are there.

    The better of two tries counts: a third recording of strace has not always that many either.
    """
    if corpus.missing_tool(name):
        pytest.skip("not installed")
    for _ in range(2):
        verdict, third = corpus.verdicts_of(name, tmp_path)
        print(corpus.HEADER, corpus.row(name, (verdict, third)), report(verdict, 3), sep="\n")
        assert verdict.total >= 20
        if verdict.share >= SHARE:
            break
    assert verdict.share >= SHARE


@pytest.mark.parametrize(
    "words", [["messages"], ["odd_values"], ["/bin/true", *map(str, range(100))]], ids=lambda words: words[0]
)
def test_vectors_and_messages_in_every_form(words: list[str]) -> None:
    """Iovecs, control messages, names, times and arguments, good and bad ones: every line is strace's."""
    command = [words[0] if words[0].startswith("/") else mock(words[0]), *words[1:]]
    verdict = compare(*record(command))
    assert verdict.total > 30
    assert not verdict.missing, report(verdict, 5)


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
