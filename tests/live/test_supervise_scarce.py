"""No process or no descriptor is to be had: what needs one fails like any life, and the supervisor goes on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.supervised import PATIENCE, Verbs, free_port, numbers

#: Nobody's.
UID = 54321


@contextmanager
def descriptors_left(pid: int, count: int) -> Iterator[None]:
    """The process `pid` can have so many more meanwhile."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
    free = [fd for fd in range(len(taken) + count + 1) if fd not in taken]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[count], hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_no_keeper_is_to_be_had(verbs: Verbs, tmp_path: Path) -> None:
    """A supervisor without a free descriptor survives that, says so, and starts the program when it has some."""
    verbs.begin("x", f"echo $$ >>{tmp_path}/pids; echo >&3; exec sleep 100", "--respawn", "-t", "0.5")
    (first,) = numbers(tmp_path / "pids", 1)
    supervisor = verbs.status("x")["supervisor"]
    os.kill(int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1]), 9)
    verbs.await_line("x", "its keeper was killed")
    with descriptors_left(supervisor, 1):
        verbs.await_line("x", r"it cannot be started now: Too many open files.*", 2)
    verbs("wait", "x", "--until", "ready", "--timeout", "10")
    assert verbs.status("x")["pid"] == numbers(tmp_path / "pids", 2)[1]
    assert verbs.status("x")["supervisor"] == supervisor


#: Options of a program, each of which needs something else at a respawn.
WAYS = {
    "plain": (),
    "tcp": ("--ready", "tcp=127.0.0.1:{port}", "--watchdog", "50"),
    "log": ("--ready", "log=up", "--output", "syslog"),
    "pidfile": ("-p", "{tmp}/pid", "--ready", "pidfile"),
    "hooks": ("--pre", "true", "--post", "true", "--on-exit", "true"),
    "keep": ("--on-lost", "keep", "--log-size", "1"),
}
PROGRAM = """
import os, socket, sys, time
tmp, port = sys.argv[1], int(sys.argv[2])
server = socket.create_server(("127.0.0.1", port))
for name in ("pids", "pid"):
    with open(f"{tmp}/{name}", "a" if name == "pids" else "w") as file:
        file.write(f"{os.getpid()}\\n")
print("up", flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("way", WAYS)
def test_respawns_while_no_descriptor_is_left(verbs: Verbs, tmp_path: Path, way: str) -> None:
    """Delays run, lives may fail for it; the supervisor goes on, and afterwards the program runs, as status knows."""
    port = str(free_port())
    options = [word.format(tmp=tmp_path, port=port) for word in WAYS[way]]
    words = (*options, sys.executable, "-c", PROGRAM, str(tmp_path), port)
    verbs("start", "--name", "x", "--respawn", "-t", "0.1", "--start-timeout", "2", *words)
    supervisor = verbs.status("x")["supervisor"]
    for left in range(4):
        former = numbers(tmp_path / "pids", 1)[-1]
        with descriptors_left(supervisor, left):
            os.kill(former, 9)
            time.sleep(0.3)  # some delays long: nothing can be seen of it, its log needs a descriptor, too
        verbs("wait", "x", "--until", "ready", "--timeout", "10")
        await_last(verbs, tmp_path / "pids", former)
    assert verbs.status("x")["supervisor"] == supervisor


def await_last(verbs: Verbs, file: Path, former: int) -> None:
    """Wait until status shows a new life, the last one; a record that could not be written is, some time later."""
    until = time.monotonic() + PATIENCE
    while (last := numbers(file, 1)[-1]) == former or verbs.status("x")["pid"] != last:
        assert time.monotonic() < until, verbs.log("x")


@pytest.fixture
def occupied() -> Iterator[subprocess.Popen[bytes]]:
    """A process of a user that has no other."""
    with subprocess.Popen(["sleep", "100"], user=UID, group=UID) as process:
        try:
            yield process
        finally:
            process.kill()


#: May have no process: execve(2) fails with EAGAIN after a setuid(2) to a user that has one (flag_nproc_exceeded).
CROWDED = ("--user", str(UID), "--group", str(UID), "--limit", "nproc=0")
NO_PROCESS = "Resource temporarily unavailable"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_no_process_is_to_be_had(verbs: Verbs, occupied: subprocess.Popen[bytes]) -> None:
    """A life that could not have a process has failed: it is respawned, and has one when there is room."""
    said = verbs("start", "--name", "x", "--respawn", "-t", "0.1", *CROWDED, "sleep", "100").stderr
    assert NO_PROCESS in said and "respawned in 0.1 s" in said
    verbs.await_line("x", f".*{NO_PROCESS}.*", 3)
    occupied.kill()
    occupied.wait()  # a zombie counts, too
    verbs("wait", "x", "--until", "ready", "--timeout", "10")
    assert verbs.status("x")["restarts"] >= 3


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize("options", [(), ("--respawn", "-n", "2", "-t", "0")])
def test_no_process_in_the_end(verbs: Verbs, occupied: subprocess.Popen[bytes], options: tuple[str, ...]) -> None:
    """Without respawn, or after the last one, it is given up: exit 1 of lowrun, and no exit code of the program's."""
    done = verbs("start", "-D", "--name", "x", *options, *CROWDED, "sleep", "100", code=1)
    assert NO_PROCESS in done.stderr
    now = verbs.status("x")
    assert (now["state"], now["last_exit"]) == ("done", None)
    tries = sum(NO_PROCESS in line for line in verbs.log("x"))
    assert tries == (3 if options else 1)
    assert occupied.poll() is None


#: Prints what is loaded when a supervisor has begun, and what functions of lowrun's modules among that import.
IMPORTS = """
import sys
import lowrun as lr, lowrun.supervise.service
with lr.Loop() as loop, lr.Supervisor(loop, ["true"]):
    print(*sys.modules)
import ast, inspect
for name in [name for name in sys.modules if name.startswith(("lowrun.core.", "lowrun.supervise."))]:
    for function in ast.walk(ast.parse(inspect.getsource(sys.modules[name]))):
        for each in ast.walk(function) if isinstance(function, ast.FunctionDef) else ():
            if isinstance(each, ast.Import):
                print(*(alias.name for alias in each.names))
            elif isinstance(each, ast.ImportFrom):
                print(each.module)
"""


def test_a_supervisor_imports_nothing_late() -> None:
    """When it has begun, each module is loaded that a function of its modules imports, but for recorders."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    loaded, _, imports = done.stdout.partition("\n")
    assert {"json", "termios"} <= set(imports.split())
    late = set(imports.split()) - set(loaded.split())
    assert not {name for name in late if not name.startswith("lowrun.recorders.")}
