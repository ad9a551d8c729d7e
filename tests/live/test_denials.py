"""What cannot be traced: one line with the reason and the remedy, and no harm to the process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lowrun.errors import DeniedError, GoneError
from lowrun.trace.table import capture_plan
from lowrun.trace.tracer import Tracer

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
#: Seizes the process that it is told and prints why it could not.
SEIZE = """
import os, sys
from lowrun.errors import DeniedError
from lowrun.trace.table import capture_plan
from lowrun.trace.tracer import Tracer
tracer = Tracer(os.memfd_create("records"), capture_plan())
try:
    tracer.seize(int(sys.argv[1]))
except DeniedError as error:
    print(error)
tracer.stop()
"""


def seized_by_us(pid: int) -> str:
    """What seizing `pid` is refused with."""
    with tempfile.TemporaryFile() as file:
        tracer = Tracer(file.fileno(), capture_plan())
        try:
            with pytest.raises(DeniedError) as caught:
                tracer.seize(pid)
            return str(caught.value)
        finally:
            tracer.stop()
            tracer.close()


def seized_by(prefix: list[str], pid: int, script: str = SEIZE) -> str:
    done = subprocess.run([*prefix, sys.executable, "-c", script, str(pid)], capture_output=True, text=True, timeout=20)
    assert done.stderr == ""
    return done.stdout


#: The same from a user namespace of its own: there Python's files may be out of reach, so it has been loaded before.
SEIZE_FROM_NAMESPACE = SEIZE.replace("try:", "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0\ntry:")

#: A program that waits; the user that it runs as need not be able to reach mock/.
CAT = ["sh", "-c", "echo ready; exec cat"]
PROTECTED = [sys.executable, "-c", "import ctypes; ctypes.CDLL(None).prctl(4, 0); print('ready', flush=True); input()"]


@contextmanager
def waiting(prefix: list[str], program: list[str] = CAT) -> Iterator[int]:
    """Pid of a program that waits, started by way of `prefix`; it is alive when all is over."""
    argv = [*prefix, *program]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        assert process.poll() is None
        process.kill()


def test_a_kernel_thread() -> None:
    """Nobody can trace one."""
    if "kthreadd" not in Path("/proc/2/comm").read_text():
        pytest.skip("pid 2 is no kernel thread here (a pid namespace)")
    assert "it is a kernel thread" in seized_by_us(2)


def test_a_zombie() -> None:
    """It has ended: there is nothing to trace."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert f"it has ended, and its parent (pid {os.getpid()})" in seized_by_us(pid)
    except GoneError:
        pytest.fail("a zombie is not gone")
    finally:
        os.waitpid(pid, 0)


def test_lowrun_itself() -> None:
    """It would wait for itself."""
    assert "it is lowrun itself" in seized_by_us(os.getpid())


@ROOT_ONLY
def test_a_process_of_another_user() -> None:
    """An ordinary user may not trace root's."""
    with waiting([]) as pid:
        assert "it belongs to another user" in seized_by(NOBODY, pid)


@ROOT_ONLY
def test_a_process_with_more_capabilities() -> None:
    """The same user, but it may do what lowrun may not."""
    more = ["setpriv", "--inh-caps=+net_raw", "--ambient-caps=+net_raw", *NOBODY[1:]]
    with waiting(more) as pid:
        assert "it has capabilities that lowrun lacks" in seized_by(NOBODY, pid)


@ROOT_ONLY
def test_a_process_in_another_user_namespace() -> None:
    """A sibling's namespace is none that lowrun has a say in."""
    theirs = [*NOBODY, "unshare", "--user", "--map-root-user"]
    if subprocess.run([*theirs, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs user namespaces (kernel.unprivileged_userns_clone, user.max_user_namespaces)")
    with waiting(theirs) as pid:
        assert "another user namespace" in seized_by(NOBODY, pid, SEIZE_FROM_NAMESPACE)


@ROOT_ONLY
def test_a_process_that_protects_its_memory() -> None:
    """Its own user may not trace what is not dumpable (PR_SET_DUMPABLE is 4)."""
    with waiting(NOBODY, PROTECTED) as pid:
        assert "it protects its memory" in seized_by(NOBODY, pid)
