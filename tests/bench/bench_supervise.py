"""What keeping a program running costs: from its death to the next life, and what the supervisor takes meanwhile.

The program (mock/beacon.c) says itself when it was executed, so the time is what its users wait: from the SIGKILL on,
the exec and the dynamic linker included. Against s6-supervise; runit's runsv and supervisord, too, and lives that are
short, with `python -m tests.bench.bench_supervise`, all of them up at once and killed in turns.

s6-supervise and runsv pause for a second before they start anew what has ended soon after its start. For s6 that is not
the time since the start but since the program has said that it is ready, and one that never says so always waits that
second (s6-supervise's documentation, "Detailed operation"). So each life is longer than a second before it is killed,
and the program says in s6's way that it is ready. `./run` is a shell script that executes the program, as s6's and
runit's users write it, or the program itself (the harder comparison: there is no shell to start).
"""

from __future__ import annotations

import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.bench.harness import Case, lowrun_program

MOCK = Path(__file__).parents[2] / "mock"
#: Seconds that a program lives before it is killed; longer than s6 and runit pause for, and no time for them at all.
LIFE, SHORT_LIFE = 1.2, 0.05
ROUNDS = 15
READY_FD = 3
SHM = "/dev/shm"
PATIENCE = 20.0
MANY = 100
IDLE = 10.0
#: What a further program may take, asked for; KB.
FURTHER = 100
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
SUPERVISORD = """\
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={root}/supervisord.pid
[program:beacon]
command={root}/beacon
autorestart=true
startsecs=0
stdout_logfile=NONE
stderr_logfile=NONE
"""

Way = Callable[[Path], list[str]]


def lowrun(root: Path) -> list[str]:
    """The words of lowrun."""
    return [lowrun_program(), "start", "-D", "--respawn", "-t", "0", "--name", "beacon", str(root / "beacon")]


def lowrun_many(root: Path) -> list[str]:
    """Those of lowrun for MANY and one more."""
    tables = (f"[program.p{number}]\ncommand = ['{root}/beacon']\nrespawn = true\n" for number in range(MANY + 1))
    (root / "many.toml").write_text("\n".join(tables))
    return [lowrun_program(), "start", "-D", "-f", str(root / "many.toml")]


def s6(root: Path) -> list[str]:
    """Those of s6-supervise, with its service directory."""
    return ["s6-supervise", str(_service(root, "s6", _script(root)))]


def s6_bare(root: Path) -> list[str]:
    """The same without a shell."""
    return ["s6-supervise", str(_service(root, "s6-bare", None))]


def runit(root: Path) -> list[str]:
    """Those of runsv."""
    return ["runsv", str(_service(root, "runit", _script(root)))]


def runit_bare(root: Path) -> list[str]:
    """The same without a shell."""
    return ["runsv", str(_service(root, "runit-bare", None))]


def supervisord(root: Path) -> list[str]:
    """Those of supervisord."""
    (root / "supervisord.conf").write_text(SUPERVISORD.format(root=root))
    return ["supervisord", "-c", str(root / "supervisord.conf")]


def _script(root: Path) -> str:
    return f"#!/bin/sh\nexec {root}/beacon\n"


def _service(root: Path, name: str, script: str | None) -> Path:
    """A service directory: its `run` is `script`, or the program itself (None)."""
    directory = root / name
    directory.mkdir(exist_ok=True)
    run = directory / "run"
    if script is not None:
        run.write_text(script)
        run.chmod(0o755)
    elif not run.exists():
        run.symlink_to(root / "beacon")
    if name.startswith("s6"):
        (directory / "notification-fd").write_text(f"{READY_FD}\n")
    return directory


class Supervisor:
    """A supervisor with its programs, each of whose lives says when it began."""

    def __init__(self, root: Path, way: Way) -> None:
        fifo = root / f"fifo-{way.__name__}-{time.monotonic_ns()}"
        os.mkfifo(fifo)
        self._reader = open(os.open(fifo, os.O_RDWR), "rb", buffering=0)
        env = {**os.environ, "LOWRUN_STATE_DIR": str(root / "state"), "BEACON_FIFO": str(fifo)}
        if way in (s6, s6_bare):
            env["BEACON_READY"] = str(READY_FD)
        self._process = subprocess.Popen(way(root), env=env, start_new_session=True, **QUIET)  # type: ignore[call-overload]
        self.programs: list[int] = []
        self._began = 0

    def next_life(self) -> None:
        """Wait until a program has been executed. Raises TimeoutError."""
        if not select.select([self._reader], [], [], PATIENCE)[0]:
            raise TimeoutError("no program was executed")
        pid, self._began = map(int, self._reader.readline().split())
        self.programs.append(pid)

    def respawn_seconds(self, life: float) -> float:
        """Seconds from SIGKILL of its only program, `life` seconds old, to the next one's first instruction."""
        time.sleep(max(0.0, self._began / 1e9 + life - time.monotonic()))
        killed = time.monotonic_ns()
        os.kill(self.programs.pop(), signal.SIGKILL)
        self.next_life()
        return (self._began - killed) / 1e9

    def processes(self) -> list[int]:
        """The supervisor, and the programs' parents where it is not their parent itself: lowrun's keepers."""
        parents = {int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]) for pid in self.programs}
        return sorted({self._process.pid} | parents)

    def close(self) -> None:
        """End it, and what it leaves behind."""
        self._process.terminate()
        self._process.wait()
        self._reader.close()
        for pid in self.programs:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


@contextmanager
def supervised(root: Path, way: Way, programs: int = 1) -> Iterator[Supervisor]:
    """A supervisor whose programs live."""
    supervisor = Supervisor(root, way)
    try:
        for _ in range(programs):
            supervisor.next_life()
        yield supervisor
    finally:
        supervisor.close()


def pss_kib(supervisor: Supervisor) -> float:
    """KiB of PSS of all its processes, not the programs'."""
    total = 0
    for pid in supervisor.processes():
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def memory_kib(root: Path, way: Way, programs: int = 1) -> float:
    """KiB that supervising `programs` takes."""
    with supervised(root, way, programs) as supervisor:
        time.sleep(1.5)  # until what it does at its start is over
        return pss_kib(supervisor)


def further_kib(root: Path) -> float:
    """KiB for each further program."""
    one = memory_kib(root, lowrun)
    return (memory_kib(root, lowrun_many, MANY + 1) - one) / MANY


def idle_switches(root: Path) -> float:
    """Voluntary context switches of all lowrun's processes while nothing happens to MANY programs."""
    with supervised(root, lowrun_many, MANY + 1) as supervisor:
        time.sleep(1.5)
        before = _switches(supervisor)
        time.sleep(IDLE)
        return _switches(supervisor) - before


def _switches(supervisor: Supervisor) -> int:
    total = 0
    for pid in supervisor.processes():
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return total


@contextmanager
def place() -> Iterator[Path]:
    """A directory with the program in it; in memory, as /run is, where services and state lie."""
    with tempfile.TemporaryDirectory(dir=SHM if os.path.isdir(SHM) else None) as directory:
        subprocess.run(["cc", "-O1", "-w", "-o", f"{directory}/beacon", MOCK / "beacon.c"], check=True)
        yield Path(directory)


def cases() -> Iterator[Case]:
    """From death to life against s6-supervise; memory against supervisord's; idleness."""
    with place() as root:
        for way, what, limit in ((s6, "s6, run a script", 1.0), (s6_bare, "s6, run the program", 1.3)):
            with supervised(root, lowrun) as ours, supervised(root, way) as theirs:
                yield Case(
                    f"SIGKILL to exec, -t 0, lives of 1.2 s : {what}",
                    partial(ours.respawn_seconds, LIFE),
                    partial(theirs.respawn_seconds, LIFE),
                    limit,
                    ROUNDS,
                )
        yield Case(
            "PSS of one supervised program : supervisord",
            lambda: memory_kib(root, lowrun) / 1e6,
            lambda: memory_kib(root, supervisord) / 1e6,
            0.6,
            3,
            unit="MB",
        )
        yield Case(
            f"PSS of each of {MANY} further programs : {FURTHER} KB",
            lambda: further_kib(root) / 1e3,
            lambda: FURTHER / 1e3,
            1.0,
            3,
            unit="KB",
        )
        yield Case(
            f"context switches, {MANY + 1} programs idle for {IDLE:g} s : 1",
            lambda: idle_switches(root) / 1e3,
            lambda: 1 / 1e3,
            0.0,
            1,
            unit="",
        )


def table() -> None:
    """Print medians of all supervisors: of long lives killed in turns, and of a program killed again and again."""
    ways: tuple[Way, ...] = (lowrun, s6, s6_bare, runit, runit_bare, supervisord)
    found: dict[Way, list[float]] = {way: [] for way in ways}
    with place() as root:
        with ExitStack() as stack:
            supervisors = [(way, stack.enter_context(supervised(root, way))) for way in ways]
            for turn in range(ROUNDS):
                first = turn % len(ways)
                for way, supervisor in supervisors[first:] + supervisors[:first]:
                    found[way].append(supervisor.respawn_seconds(LIFE))
        sys.stdout.write(f"{'SIGKILL to exec':<16}{'lives 1.2 s':>14}{'at least':>14}{'lives 0.05 s':>14}{'PSS':>12}\n")
        for way in ways:
            with supervised(root, way) as supervisor:
                short = [supervisor.respawn_seconds(SHORT_LIFE) for _ in range(5)]
            figures = (statistics.median(found[way]), min(found[way]), statistics.median(short))
            columns = "".join(f"{seconds * 1e3:>11.2f} ms" for seconds in figures)
            sys.stdout.write(f"{way.__name__:<16}{columns}{memory_kib(root, way) / 1e3:>9.2f} MB\n")


if __name__ == "__main__":
    table()
