"""The call recorder: what is kept, when, and what becomes of it when something is in its way."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lowrun as lr
from tests.programs import LOWRUN, alive, mock


def kept_lines(result: lr.Result) -> list[str]:
    return result.artifacts["calls"].read_text(errors="surrogateescape").splitlines()


def traced(command: list[str], tmp_path: Path, **options: object) -> lr.Result:
    return lr.run(
        command,
        record=[lr.Calls(**options)],  # type: ignore[arg-type]
        keep="all",
        output=tmp_path / "out",
        quiet=True,
    )


def test_a_set_of_calls(tmp_path: Path) -> None:
    """Only the calls of the set are there, and the exit, as under strace -e trace=."""
    result = traced(["ls", "/"], tmp_path, only="openat,%process")
    names = {line.split()[2].partition("(")[0] for line in kept_lines(result)}
    assert {"execve", "openat", "exit_group"} <= names
    assert not names & {"mmap", "read", "close", "newfstatat"}


@pytest.mark.parametrize("only", ["opneat", "%nothing"])
def test_a_wrong_set_is_named(only: str) -> None:
    """An unknown name is wrong usage before any run: exit 2 and one line that names it."""
    done = subprocess.run([LOWRUN, "-ct", "--calls", only, "true"], capture_output=True, text=True)
    assert done.returncode == 2
    assert only.lstrip("%") in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_command_that_is_not_found_keeps_no_calls(tmp_path: Path) -> None:
    """There is nothing to trace: code 127, no calls, no fault of the recorder."""
    result = traced(["nonexistent-command"], tmp_path)
    assert result.status.code == 127
    assert "calls" not in result.artifacts
    assert result.faults == ()


def test_runs_at_a_time(tmp_path: Path) -> None:
    """Four traced runs at a time: each has its own calls."""
    results = list(
        lr.repeat(
            ["sh", "-c", "echo $$; exit 1"],
            count=8,
            jobs=4,
            record=[lr.Calls(), lr.Output()],
            quiet=True,
            output=tmp_path / "o",
        )
    )
    for result in results:
        assert result.usage.processes == 1
        assert {line.split()[0] for line in kept_lines(result)} == {str(result.pid)}
        assert result.artifacts["stdout"].read_text() == f"{result.pid}\n"


def test_names_no_encoding_has(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are shown as strace shows them: in octal."""
    result = traced(["cat", os.fsdecode(b"/nonexistent/\xff\xfe")], tmp_path)
    assert any(r'"/nonexistent/\377\376"' in line and "ENOENT" in line for line in kept_lines(result))


def test_a_traced_command_that_traces(tmp_path: Path) -> None:
    """strace inside a traced run cannot trace: it says so and ends, and the run is whole."""
    result = traced(["strace", "-o", "/dev/null", "true"], tmp_path)
    assert result.status.code != 0
    assert any("EPERM" in line for line in kept_lines(result))


def unnamed_files(pid: int, directory: Path) -> int:
    """How many files without a name the process has open in `directory`."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
            count += link.startswith(str(directory)) and link.endswith(" (deleted)")
    return count


def test_a_signal_while_the_text_is_made(tmp_path: Path) -> None:
    """SIGTERM in the middle of a long text: lowrun ends soon, says what is not kept, leaves no half file.

    The run had ended by itself: it counts.
    """
    storm = "import os\nfor _ in range(150_000): os.getppid()\nprint(os.getpid(), flush=True)\nraise SystemExit(1)"
    out = tmp_path / "out"
    program = subprocess.Popen(
        [LOWRUN, "-ct", "-o", out, sys.executable, "-S", "-c", storm], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    pid = int(program.stdout.readline())
    while alive(pid) or unnamed_files(program.pid, tmp_path) < 2:  # the records, and the text that is made of them
        assert program.poll() is None
    program.send_signal(signal.SIGTERM)
    _, words = program.communicate(timeout=5)
    assert program.returncode == 1
    assert b"not kept" in words
    assert not list(out.rglob("calls.strace"))


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to drop to another user")
def test_an_ordinary_user_may_trace(tmp_path: Path) -> None:
    """Without privileges -ct works on one's own commands."""
    os.chmod(tmp_path, 0o777)
    for directory in tmp_path.parents:
        if directory.stat().st_mode & 0o077 == 0:
            os.chmod(directory, 0o755)
    words = ["-q", "-ct", "--keep", "all", "-o", str(tmp_path / "out"), "true"]
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", LOWRUN, *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done
    assert "execve" in (tmp_path / "out" / "run-0001" / "calls.strace").read_text()


@pytest.mark.figures
@pytest.mark.parametrize("keep", ["none", "all"])
def test_memory_stays_small(tmp_path: Path, keep: str) -> None:
    """A quarter of a million system calls: lowrun's peak is far below what their records and their text take."""
    storm = "import os\nfor _ in range(250_000): os.getppid()"
    words = [LOWRUN, "-q", "-ct", "--keep", keep, "-o", str(tmp_path / "o"), sys.executable, "-S", "-c", storm]
    result = lr.run(words, quiet=True)
    assert result.ok
    assert result.usage.max_rss_kib is not None
    assert result.usage.max_rss_kib < 50 << 10


def test_reading_a_file_of_records_takes_little_memory(tmp_path: Path) -> None:
    """lowrun.trace.read keeps no part of a long file in memory."""
    storm = "import os\nfor _ in range(250_000): os.getppid()"
    lr.run([sys.executable, "-S", "-c", storm], record=[lr.Calls(keep_binary=True)], keep="all", output=tmp_path / "o")
    file = tmp_path / "o" / "run-0001" / "calls.records"
    assert file.stat().st_size > 20 << 20
    count = "import sys, lowrun.trace\nassert sum(1 for _ in lowrun.trace.read(sys.argv[1])) > 250_000"
    result = lr.run([sys.executable, "-c", count, str(file)])
    assert result.ok
    assert result.usage.max_rss_kib is not None
    assert result.usage.max_rss_kib < 50 << 10


# -- children made in uncommon ways


def test_a_child_nobody_reports(tmp_path: Path) -> None:
    """CLONE_PTRACE | CLONE_UNTRACED: the child is traced, but no event tells of it; the run ends all the same."""
    result = lr.run([mock("clones"), "ptraced"], record=[lr.Calls()], timeout=20, keep="all", output=tmp_path / "o")
    assert result.ok
    assert len({line.split()[0] for line in kept_lines(result)}) == 2


def test_a_child_that_is_not_to_be_traced(tmp_path: Path) -> None:
    """CLONE_UNTRACED is respected, and then the number of processes is not known: null and the reason."""
    result = traced([mock("clones"), "untraced"], tmp_path)
    assert result.ok
    assert result.usage.processes is None
    assert any("CLONE_UNTRACED" in fault for fault in result.faults)


def test_every_process_is_counted_once_on_a_busy_machine(tmp_path: Path) -> None:
    """32 threads with 50 children each, all processors busy: 1,601 processes, however late their creators tell."""
    hogs = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(4)]
    try:
        for turn in range(2):
            result = traced([mock("clones"), "storm", "32", "50"], tmp_path / str(turn))
            assert result.ok
            assert result.usage.processes == 1601
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def test_a_long_vector_is_shown_whole(tmp_path: Path) -> None:
    """Every element of a vector of 40 is shown with its contents."""
    (line,) = [line for line in kept_lines(traced([mock("clones"), "vectors"], tmp_path)) if "writev" in line]
    assert line.count('{iov_base="abc", iov_len=3}') == 40
    assert "], 40) = 120" in line


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a set-user-ID program and to drop to another user")
def test_a_setuid_program_without_its_privilege_is_told(tmp_path: Path) -> None:
    """Traced by an ordinary user a set-user-ID program gains nothing, and a fault says so; traced by root it gains."""
    program = tmp_path / "id"
    shutil.copy("/usr/bin/id", program)
    os.chmod(program, 0o4755)
    os.chmod(tmp_path, 0o777)
    for directory in tmp_path.parents:
        if directory.stat().st_mode & 0o077 == 0:
            os.chmod(directory, 0o755)
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run([*drop, LOWRUN, "-ct", program], capture_output=True, text=True, cwd=tmp_path)
    assert "euid=0" not in done.stdout
    assert "set-user-ID" in done.stderr
    plain = subprocess.run([*drop, LOWRUN, program], capture_output=True, text=True, cwd=tmp_path)
    assert "euid=0" in plain.stdout
    root = subprocess.run([LOWRUN, "-ct", *drop, program], capture_output=True, text=True, cwd=tmp_path)
    assert "euid=0" in root.stdout
    assert "set-user-ID" not in root.stderr
