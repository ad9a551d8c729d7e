"""`lowrun start --attach PID`: which processes it refuses, and what becomes of one that nobody can end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lowrun as lr
from tests.programs import LOWRUN, alive
from tests.supervised import Verbs

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root for a pid namespace and to become somebody else")
#: Nobody's.
UID = 54321


def refusal(pid: int) -> str:
    """Why a process cannot be attached to."""
    program = lr.Program.of(["true"], attach=pid)
    with lr.Loop() as loop, pytest.raises((lr.UsageError, lr.DeniedError)) as refused:
        lr.Supervisor(loop, program)
    return str(refused.value)


def test_what_is_refused() -> None:
    """The first process, this one and those it runs below are named as such, before anything is done to them."""
    assert refusal(1).startswith("process 1 cannot be attached to: all others here end with it")
    for pid in (os.getpid(), os.getppid()):
        assert refusal(pid) == f"process {pid} cannot be attached to: lowrun itself runs in it or below it"


def test_a_thread_of_the_kernel_is_refused() -> None:
    """Where the kernel's own threads can be seen, they cannot be attached to; kthreadd is the process 2."""
    if Path("/proc/2/comm").exists() and Path("/proc/2/comm").read_text() == "kthreadd\n":
        assert refusal(2) == "process 2 cannot be attached to: it is a thread of the kernel"


@ROOT_ONLY
@pytest.mark.parametrize("which", ["1", "$$"])
def test_what_is_refused_by_the_verb(tmp_path: Path, which: str) -> None:
    """In a pid namespace of its own: process 1 there and the shell that types it; one line, exit code 2, no state."""
    script = f'sh -c \'"$0" start --attach {which} -- "$0"; echo "code $?"\' "$0"; echo "and on"'
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, LOWRUN],
        env={**os.environ, "LOWRUN_STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "code 2\nand on\n"
    assert len(done.stderr.splitlines()) == 1 and "cannot be attached to" in done.stderr
    assert not (tmp_path / "state").exists()


SEIZE = """
import ctypes, sys, time
PTRACE_SEIZE, PTRACE_O_TRACEEXIT = 0x4206, 0x40
ctypes.CDLL(None).ptrace.argtypes = [ctypes.c_long] * 4
assert ctypes.CDLL(None).ptrace(PTRACE_SEIZE, int(sys.argv[1]), 0, PTRACE_O_TRACEEXIT) == 0
print("seized", flush=True)
time.sleep(100)
"""


@contextmanager
def undying() -> Iterator[int]:
    """A process that SIGKILL does not end: its tracer holds it at its exit (PTRACE_EVENT_EXIT, ptrace(2))."""
    with subprocess.Popen(["sleep", "100"]) as process:
        tracer = subprocess.Popen([sys.executable, "-c", SEIZE, str(process.pid)], stdout=subprocess.PIPE, text=True)
        with tracer:
            try:
                assert tracer.stdout is not None and tracer.stdout.readline() == "seized\n"
                yield process.pid
            finally:
                tracer.kill()
                process.kill()


def test_a_process_that_does_not_die(verbs: Verbs) -> None:
    """`stop` comes back all the same, some seconds after SIGKILL, and says that the process lives on."""
    with undying() as pid:
        verbs("start", "--name", "x", "--attach", str(pid), "--stop-timeout", "0.1", "true")
        done = verbs("stop", "x", code=125)
        assert done.stderr == f"lowrun: x: pid {pid} has not ended, and is supervised no more; lowrun log x says why\n"
        assert alive(pid)
    verbs.await_line("x", rf"proc {pid} is let go of and lives on: it has not ended within 5 s after SIGKILL")
    assert (verbs.log("x")[-1], verbs.status("x")["state"]) == ("stopped", "done")


#: Who it is about runs as somebody; then as root again.
CHAMELEON = """
import os, sys
os.setresuid(54321, 54321, 0)
print("here", flush=True)
sys.stdin.readline()
os.setresuid(0, 0, 0)
print("root", flush=True)
sys.stdin.readline()
"""
SUPERVISOR = """
import os, sys
import lowrun as lr
with lr.Loop() as loop, lr.Supervisor(loop, ["true"]):
    pass  # what is imported may be readable by root alone
os.setresgid(54321, 54321, 54321)
os.setresuid(54321, 54321, 54321)
program = lr.Program.of(["true"], attach=int(sys.argv[1]))
with lr.Loop() as loop:
    supervisor = lr.Supervisor(loop, program)
    while supervisor.program.pid is None:
        loop.dispatch(-1)
    print("attached", flush=True)
    sys.stdin.readline()
    supervisor.stop()
    supervisor.wait()
    print(supervisor.program.last.text)
    try:
        lr.Supervisor(loop, program)
    except lr.DeniedError as error:
        print(error)
"""


@ROOT_ONLY
def test_a_process_that_may_not_be_signalled() -> None:
    """One that has become another user's is let go of when it is to stop, and cannot be attached to again."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", CHAMELEON], **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "here\n"
        words = [sys.executable, "-c", SUPERVISOR, str(process.pid)]
        with subprocess.Popen(words, **pipes) as supervisor:  # type: ignore[call-overload]
            assert supervisor.stdout.readline() == "attached\n"
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "root\n"
            out, _ = supervisor.communicate("\n", timeout=20)
        assert process.poll() is None
        process.communicate("\n", timeout=20)
    pid = process.pid
    why = "it has become another user's, and may not be sent signals"
    assert out.splitlines() == [
        f"proc {pid} is let go of and lives on: {why}",
        f"process {pid} may not be sent signals by you, so lowrun could not stop it; run lowrun as its user",
    ]
