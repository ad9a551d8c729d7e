"""Many programs in one process, and many lives of one program."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import LOWRUN, processes
from tests.supervised import PATIENCE

MANY = 1000


def state_of(directory: Path) -> dict[str, str]:
    return {**os.environ, "LOWRUN_STATE_DIR": str(directory)}


@contextmanager
def supervisor(directory: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`lowrun start -D` with `words`; told to end, and waited for."""
    with subprocess.Popen(
        [LOWRUN, "start", "-D", *words], env=state_of(directory), stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def named(name: str) -> set[int]:
    return {pid for pid, (_, found) in processes().items() if found == name}


def await_count(name: str, count: int, without: frozenset[int] = frozenset()) -> set[int]:
    """Wait until `count` processes have the name `name`, those in `without` not counted; return them."""
    until = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < until:
        found = named(name) - without
        if len(found) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{len(named(name) - without)} of {count}")


def await_pids(directory: Path) -> list[str]:
    """Wait until `status` shows a pid of each program: a process is there before its supervisor has heard of it."""
    until = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < until:
        listed = subprocess.run([LOWRUN, "status"], env=state_of(directory), capture_output=True, text=True, check=True)
        pids = [line.split()[2] for line in listed.stdout.splitlines()[1:]]
        if "-" not in pids:
            return pids
    raise AssertionError(f"{pids.count('-')} programs have no pid")


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    """A program that sleeps, with a name that no other has."""
    path = tmp_path / f"nap{os.getpid()}"
    source = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"
    subprocess.run(["cc", "-O1", "-x", "c", "-o", path, "-"], input=source, text=True, check=True)
    return path


def test_a_thousand_programs_in_one_process(tmp_path: Path, sleeper: Path) -> None:
    """A thousand are started; killed all at once, all are respawned, none is lost, none doubled; all are stopped."""
    table = "".join(
        f'[program.nap{i}]\ncommand = ["{sleeper}"]\nrespawn = true\nrespawn-timeout = 0.05\n' for i in range(MANY)
    )
    (tmp_path / "many.toml").write_text(table)
    with supervisor(tmp_path / "state", "-f", str(tmp_path / "many.toml")):
        first = await_count(sleeper.name, MANY)
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        second = await_count(sleeper.name, MANY, frozenset(first))
        assert len(second) == MANY
        pids = await_pids(tmp_path / "state")
        assert len(pids) == MANY
        assert set(map(int, pids)) == second
    assert not named(sleeper.name)


def test_a_thousand_lives_leak_nothing(tmp_path: Path) -> None:
    """A program that fails at once is respawned a thousand times; the supervisor has as many descriptors as before."""
    words = ("--respawn", "-t", "0", "-n", "1000", "--name", "brief", "/bin/false")
    with supervisor(tmp_path / "state", *words) as process:
        counts = []
        while process.poll() is None:
            try:
                counts.append(len(os.listdir(f"/proc/{process.pid}/fd")))
            except FileNotFoundError:
                break
            time.sleep(0.01)
        assert process.wait(60) == 1
    settled = counts[len(counts) // 3 : -3]
    assert max(settled) - min(settled) <= 4, counts
    log = (tmp_path / "state" / "brief" / "log").read_text()
    assert "brief restarted(1000/1000)" in log
    assert "restarted(1001/" not in log


def switches(pid: int) -> int:
    """How often a process has waited."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary_ctxt_switches")).split()[1])


def test_an_idle_supervisor_never_wakes(tmp_path: Path, sleeper: Path) -> None:
    """With a hundred programs that sleep it makes no voluntary context switch in two seconds, once it has started."""
    table = "".join(f'[program.nap{i}]\ncommand = ["{sleeper}"]\nrespawn = true\n' for i in range(100))
    (tmp_path / "some.toml").write_text(table)
    with supervisor(tmp_path / "state", "-f", str(tmp_path / "some.toml")) as process:
        await_count(sleeper.name, 100)
        time.sleep(1.5)  # a start is told after a second
        before = switches(process.pid)
        time.sleep(2)
        assert switches(process.pid) == before
