"""`lowrun analyze diff DIR`, the runs that --keep failed+1 keeps, and what is said behind a repetition's summary."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lowrun as lr
from lowrun import comparison, kept
from tests.programs import LOWRUN

#: Fails in each second run, on a file that is not there.
SECOND = "read n < count; echo $((n + 1)) > count; test $((n % 2)) = 0 || cat /nowhere/file"
TOLD = 'openat("/nowhere/file"'


def lowrun(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run lowrun in a directory where `count` is 0 at first."""
    if not (directory / "count").exists():
        (directory / "count").write_text("0\n")
    return subprocess.run([LOWRUN, *words], cwd=directory, capture_output=True, text=True, timeout=60)


def repeated(directory: Path, *options: str, count: int = 4) -> subprocess.CompletedProcess[str]:
    """Repeat SECOND, with its calls, into out."""
    return lowrun(directory, "-c", str(count), "-ct", "-o", "out", *options, "--", "sh", "-c", SECOND)


def compared(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Compare what is in out."""
    return lowrun(directory, "analyze", "diff", *options, "out")


def names_in(directory: Path) -> list[str]:
    """Names of the runs in out."""
    return sorted(path.name for path in (directory / "out").glob("run-*"))


def test_the_difference_is_told(tmp_path: Path) -> None:
    """As text, and as JSON with the same values; both on standard output, with exit 0."""
    done = repeated(tmp_path, "--keep", "all", "-q")
    assert done.returncode == 1  # two of each: the tie is the failing code's
    text, data = compared(tmp_path), compared(tmp_path, "--format", "json")
    assert (text.returncode, data.returncode, text.stderr, data.stderr) == (0, 0, "", "")
    (line,) = (line for line in text.stdout.splitlines()[:3] if TOLD in line)
    assert "ENOENT" in line and "in 2 of 2 failing, 0 of 2 passing" in line
    value = json.loads(data.stdout)
    assert value["failing"] == [2, 4] and value["passing"] == [1, 3]
    assert any(one["text"].startswith(TOLD) for one in value["groups"][0]["findings"][:3])


def test_a_page_is_written(tmp_path: Path) -> None:
    """--html writes the page, and says nothing else."""
    repeated(tmp_path, "--keep", "all", "-q")
    done = compared(tmp_path, "--html", "page.html")
    assert (done.returncode, done.stdout) == (0, "")
    assert "/nowhere/file" in (tmp_path / "page.html").read_text()


def test_limit(tmp_path: Path) -> None:
    """--limit is about the lists; the first lines stay."""
    repeated(tmp_path, "--keep", "all", "-q")
    done = compared(tmp_path, "--limit", "1")
    assert "more (--limit)" in done.stdout
    assert done.stdout.splitlines()[:3] == compared(tmp_path).stdout.splitlines()[:3]


def test_a_passing_run_is_kept_as_the_reference(tmp_path: Path) -> None:
    """--keep failed+1: all that fail and the first that passes, which is kept at once; then they are compared."""
    done = repeated(tmp_path, "--keep", "failed+1", "-q", count=6)
    assert names_in(tmp_path) == ["run-0001", "run-0002", "run-0004", "run-0006"]
    assert TOLD in done.stderr and "lowrun analyze diff" in done.stderr
    assert TOLD in "".join(compared(tmp_path).stdout.splitlines()[:3])


def test_a_reference_without_a_failure(tmp_path: Path) -> None:
    """The directory is there although no run has failed; nothing is said of differences."""
    done = lowrun(tmp_path, "-c", "3", "-ct", "--keep", "failed+1", "-o", "out", "--", "true")
    assert names_in(tmp_path) == ["run-0001"] and "part from" not in done.stderr
    assert "No failing run was kept" in compared(tmp_path).stdout


def test_one_reference_of_many_runs_at_a_time(tmp_path: Path) -> None:
    """With -j, a warm-up and a prepare command: still one passing run, and one that counts."""
    done = lowrun(
        tmp_path, "-c", "8", "-j", "4", "--warmup", "2", "--prepare", "true", "-ct", "--keep", "failed+1", "-o", "out",
        "--", "true",
    )  # fmt: skip
    assert done.returncode == 0 and len(names_in(tmp_path)) == 1


def test_the_library_keeps_a_reference_too(tmp_path: Path) -> None:
    """lr.repeat(keep="failed+1")."""
    (tmp_path / "count").write_text("0\n")
    command = lr.Command(("sh", "-c", SECOND), cwd=tmp_path)
    options = {"record": [lr.Calls()], "keep": "failed+1", "output": tmp_path / "out", "quiet": True}
    results = list(lr.repeat(command, count=5, **options))
    assert [bool(result.artifacts) for result in results] == [True, True, False, True, False]
    runs = kept.kept_runs(tmp_path / "out")
    assert any(TOLD in line for line in comparison.first_lines(comparison.differences(runs.failing, runs.passing)))


@pytest.mark.parametrize("options", [("--keep", "failed"), ()])
def test_without_passing_runs(tmp_path: Path, options: tuple[str, ...]) -> None:
    """What is needed is said; nothing is said behind the summary."""
    done = repeated(tmp_path, *options, "-q")
    assert "part from" not in done.stderr
    told = compared(tmp_path)
    assert told.returncode == 0 and "Only failing runs were kept" in told.stdout and "--keep failed+1" in told.stdout


def test_failures_of_a_supervised_program(tmp_path: Path) -> None:
    """A directory without a summary (a supervisor's failures) has failing runs alone."""
    repeated(tmp_path, "-q")
    (tmp_path / "out" / "summary.json").unlink()
    told = compared(tmp_path)
    assert told.returncode == 0 and "Only failing runs were kept" in told.stdout


def test_without_calls(tmp_path: Path) -> None:
    """Runs of which only samples were kept are compared by what was measured; that no calls were kept is said."""
    lowrun(tmp_path, "-c", "4", "-st", "--keep", "all", "-o", "out", "-q", "--", "sh", "-c", SECOND)
    told = compared(tmp_path).stdout
    assert "Of run 1 no calls were kept" in told and "wall time (s)" in told


@pytest.mark.parametrize("content", [b"", b"\0\xff\n\x1b[31m\n", b"1 10:00:00.000000 openat("])
def test_a_log_that_is_spoilt(tmp_path: Path, content: bytes) -> None:
    """An empty log, one of other bytes, one that is cut off: plain sentences, nothing raw on a terminal."""
    repeated(tmp_path, "--keep", "all", "-q")
    (tmp_path / "out" / "run-0002" / "calls.strace").write_bytes(content)
    told = compared(tmp_path)
    assert told.returncode == 0 and "\x1b" not in told.stdout
    assert "The log of run 2 has no calls." in told.stdout or "run 2" in told.stdout
    (tmp_path / "out" / "run-0002" / "calls.strace").unlink()
    assert "Of run 2 no calls were kept" in compared(tmp_path).stdout


def test_one_run_is_not_all_of_them(tmp_path: Path) -> None:
    """The directory of one run: the line names the one that is needed."""
    repeated(tmp_path, "--keep", "all", count=2)
    done = lowrun(tmp_path, "analyze", "diff", "out/run-0001")
    assert done.returncode == 2
    assert done.stderr == f"lowrun: out/run-0001: is one run; the directory of all runs is {tmp_path / 'out'}\n"


@pytest.mark.parametrize("words", [("nowhere",), (".",), ("count",), (), ("out", "out")])
def test_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    """No such directory, one without runs, a file, none, two: exit 2 with one line."""
    done = lowrun(tmp_path, "analyze", "diff", *words)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stdout == ""


def test_packets_that_one_side_has(tmp_path: Path) -> None:
    """A service that only failing runs ask, and which refuses."""
    script = (
        "import pathlib, socket, sys\n"
        "path = pathlib.Path('count'); number = int(path.read_text()); path.write_text(str(number + 1))\n"
        "if number % 2:\n"
        "    try: socket.create_connection(('127.0.0.1', 9))\n"
        "    except OSError: sys.exit(1)\n"
    )
    words = (
        "-c",
        "4",
        "-ct",
        "-nt",
        "-i",
        "lo",
        "--keep",
        "all",
        "-o",
        "out",
        "-q",
        "--",
        sys.executable,
        "-c",
        script,
    )
    done = lowrun(tmp_path, *words)
    assert "warning" not in done.stderr
    told = compared(tmp_path).stdout
    network = told[told.index("\nnetwork\n") :]
    assert "in 2 of 2 failing, 0 of 2 passing: tcp 127.0.0.1:9 is asked" in network


def test_the_end_of_a_repetition_stays_as_it_was(tmp_path: Path) -> None:
    """The exit code, and with --json - standard output, are as without a difference."""
    done = repeated(tmp_path, "--keep", "all", "--json", "-", count=3)
    assert done.returncode == 0 and json.loads(done.stdout)["exit_code"] == 0
    assert TOLD in done.stderr


def test_spoilt_runs_do_not_change_the_end(tmp_path: Path) -> None:
    """What cannot be compared is left to the hint: here COMMAND removes what was kept of its own runs."""
    script = f"{SECOND} || {{ rm -rf out/run-0001/run.json; echo x > out/run-0001/calls.strace; exit 1; }}"
    done = lowrun(tmp_path, "-c", "3", "-ct", "--keep", "all", "-o", "out", "-q", "--", "sh", "-c", script)
    assert done.returncode == 0 and "lowrun analyze diff" in done.stderr and "defect" not in done.stderr


def test_logs_too_long_are_left_to_the_hint(tmp_path: Path) -> None:
    """More than 24 MiB of logs are not compared unasked."""
    script = f"{SECOND.replace('cat /nowhere/file', 'false')}"
    loop = "import os\nfor _ in range(60000): os.path.exists('/etc/' + 'x' * 240)"
    words = ("sh", "-c", f'{sys.executable} -I -S -c "{loop}"; {script}')
    done = lowrun(tmp_path, "-c", "2", "-ct", "--keep", "all", "-o", "out", "-q", "--", *words)
    said = done.stderr.splitlines()[-1]
    out = f"{tmp_path}/out"
    assert said == f"where failing runs part from passing ones: lowrun analyze diff {out}, lowrun show {out}"
    assert done.returncode == 1


def test_interrupting_the_comparison(tmp_path: Path) -> None:
    """^C while runs are compared ends that, with nothing behind it; the exit code is the runs'."""
    script = (
        "import signal, sys\n"
        "from lowrun import comparison, kept\n"
        "comparison.differences = lambda *a, **k: signal.raise_signal(signal.SIGINT)\n"
        "from lowrun.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    (tmp_path / "count").write_text("0\n")
    words = [
        sys.executable,
        "-c",
        script,
        "-c",
        "2",
        "-ct",
        "--keep",
        "all",
        "-o",
        "out",
        "-q",
        "--",
        "sh",
        "-c",
        SECOND,
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "part from" not in done.stderr and "Traceback" not in done.stderr


def test_progress_is_for_terminals(tmp_path: Path) -> None:
    """Standard error gets a line that is erased in the end, when it is a terminal and it takes long; else nothing."""
    repeated(tmp_path, "--keep", "all", "-q")
    log = tmp_path / "out" / "run-0002" / "calls.strace"
    log.write_bytes(b'7 10:00:00.000000 openat(AT_FDCWD, "/nowhere/file", O_RDONLY) = 3 <0.000010>\n' * 200_000)
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [LOWRUN, "analyze", "diff", "out"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, timeout=60
        )
        os.set_blocking(ours, False)
        shown = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0 and b"comparing" not in done.stdout
    assert "lowrun: comparing runs" in shown and shown.endswith("\r\x1b[K")


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    """`| head -1`."""
    repeated(tmp_path, "--keep", "all", "-q")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [LOWRUN, "analyze", "diff", "out"], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL),
        )  # fmt: skip
    finally:
        os.close(writer)
    assert done.stderr == "" and done.returncode == 0
