"""The engine on python-ptrace says what the native loop says: the same calls, in the same order, with the same text."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lowrun as lr
from tests import compare_strace
from tests.programs import LOWRUN, mock

PROGRAMS = {
    "ls -l": ["ls", "-l", "/usr/share/doc"],
    "threads": [mock("corners"), "threads", "3"],
    "shell": ["sh", "-c", "ls /usr/share >/dev/null; wc -c </etc/passwd; (exit 4); exit 3"],
    "vfork": [mock("corners"), "vfork"],
    "signals": [mock("corners"), "signals"],
    "execve by a thread": [mock("corners"), "exec-by-thread"],
    "leader first": [mock("corners"), "leader-first"],
    "python": [sys.executable, "-S", "-c", "import threading; threading.Thread(target=print).start()"],
}

THREADED = ("threads", "execve by a thread", "leader first", "python")


def run(command: Sequence[str], into: Path, **options: Any) -> lr.Result:
    """Run `command` with its calls kept in `into`."""
    return lr.run(command, record=[lr.Calls(**options)], keep="all", output=into, quiet=True, timeout=60)


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_engines_tell_the_same(name: str, tmp_path: Path) -> None:
    """Whole calls that two runs of the native loop agree on are there, per thread, in order.

    Two that agree by chance need not agree with a third (what threads do to each other), so the best of three tries
    counts, and of a program with threads a few lines may differ.
    """
    share = 0.0
    for attempt in range(3):
        results = [
            run(PROGRAMS[name], tmp_path / f"{attempt}-{index}", engine=engine)
            for index, engine in enumerate(("ptrace", "ptrace", "python"))
        ]
        assert results[0].status == results[2].status
        assert results[0].usage.processes == results[2].usage.processes
        assert results[2].faults == ()
        logs = [compare_strace.read_lines(result.artifacts["calls"]) for result in results]
        verdict = compare_strace.compare(*logs)
        assert verdict.total > 30
        share = max(share, verdict.share)
        if share == 1:
            break
        print(compare_strace.report(verdict, 3))
    assert share >= (0.95 if name in THREADED else 1)


def test_a_set_of_calls(tmp_path: Path) -> None:
    """`only` holds for it, too."""
    result = run(["ls", "/"], tmp_path / "out", engine="python", only="openat,%process")
    names = {line.split()[2].partition("(")[0] for line in result.artifacts["calls"].read_text().splitlines()}
    assert {"execve", "openat", "exit_group"} <= names
    assert not names & {"mmap", "read", "close", "newfstatat"}


def test_hooks(tmp_path: Path) -> None:
    """A hook sees the call, skips it, changes its result, and what it raises is a fault."""
    results = []

    def on_call(call: lr.HookedCall, process: Any) -> None:
        assert process.pid == call.tid
        if len(results) == 1:
            call.skip(error="ENOSPC")
        if len(results) == 4:
            raise ValueError("no good")

    def on_return(call: lr.HookedCall, process: Any) -> None:
        results.append(call.result)
        if len(results) == 4:
            call.set_result(77)

    result = lr.run(
        [mock("tampered"), "uids"],
        record=[lr.Calls(engine="python", on_call=on_call, on_return=on_return, hook="geteuid"), lr.Output()],
        keep="all",
        output=tmp_path / "out",
        quiet=True,
    )
    uid = os.geteuid()
    assert results == [uid, -28, uid, uid, uid, uid]
    assert result.artifacts["stdout"].read_text().split() == ["ready", *map(str, (uid, -28, uid, 77, uid, uid))]
    assert result.artifacts["calls"].read_text().count("(INJECTED)") == 2
    assert result.faults == ("the hook of geteuid failed: ValueError: no good",)


def test_group_stops(tmp_path: Path) -> None:
    """SIGSTOP really stops and SIGCONT goes on."""
    script = (
        "sh -c 'kill -STOP $$; echo over' & until grep -q '^State:.[Tt]' /proc/$!/status; do :; done; "
        "kill -CONT $!; wait $!"
    )
    result = run(["sh", "-c", script], tmp_path / "out", engine="python", only="kill,%process")
    text = result.artifacts["calls"].read_text()
    assert result.status.code == 0
    assert "--- stopped by SIGSTOP ---" in text and "--- SIGCONT {" in text


def test_a_timeout(tmp_path: Path) -> None:
    """A command that hangs is killed."""
    result = lr.run(
        ["sleep", "100"], record=[lr.Calls(engine="python")], timeout=0.3, output=tmp_path / "o", quiet=True
    )
    assert result.timed_out
    assert "sleep" in result.artifacts["calls"].read_text()


def test_the_hosts_children_stay_its_own() -> None:
    """A host that waits for any child meanwhile gets its own only, and no stop is lost."""
    code = """
import os, threading
import lowrun as lr
def reap():
    found.append(os.waitpid(-1, 0)[0])
found = []
pid = os.fork()
if pid == 0:
    import time
    time.sleep(0.5)
    os._exit(0)
thread = threading.Thread(target=reap)
thread.start()
result = lr.run(["sh", "-c", "ls / | wc -l"], record=[lr.Calls(engine="python")], quiet=True)
thread.join()
print(found == [pid], result.status.code, result.faults)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True 0 ()\n", "")


def test_what_it_cannot(tmp_path: Path) -> None:
    """Injections are refused in one line."""
    with pytest.raises(lr.UsageError, match="python engine"):
        lr.Calls(engine="python", inject=[lr.Inject("read", error=5)])


def test_on_the_command_line(tmp_path: Path) -> None:
    """--engine python keeps the calls."""
    command = [LOWRUN, "-ct", "--engine", "python", "--keep", "all", "-o", tmp_path / "out", "true"]
    subprocess.run(command, check=True)
    assert "exit_group(0)" in (tmp_path / "out" / "run-0001" / "calls.strace").read_text()


def test_without_python_ptrace(tmp_path: Path) -> None:
    """One line says what is missing."""
    code = "import sys; sys.modules['ptrace.debugger'] = None; import lowrun as lr; lr.Calls(engine='python')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "UnsupportedError: the python engine needs python-ptrace" in done.stderr.splitlines()[-1]
