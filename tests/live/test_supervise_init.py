"""lowrun as process 1 of a pid namespace, as in a container: strangers, signals, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core.cgroup import tree_limits
from lowrun.core.lineage import children_of
from lowrun.core.procfs import own_cgroup_v1, own_cgroup_v2
from tests.programs import LOWRUN
from tests.supervised import PATIENCE, Verbs, numbers

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a pid namespace of its own")


#: They write the names of the signals that they get, and their pid once they can get some.
ENDS = "trap 'echo USR1 >>{0}/told; exit 3' USR1; echo $$ >{0}/pid; while :; do sleep 0.02; done"
TOLD = """
for name in USR1 USR2 WINCH; do trap "echo $name >>{0}/told" $name; done
echo $$ >{0}/pid
while :; do sleep 0.02; done
"""


class Container:
    """`lowrun start -D` as process 1; `unshare` is its parent, `init` is its pid out here."""

    def __init__(self, unshare: subprocess.Popen[str]) -> None:
        self.unshare = unshare
        until = time.monotonic() + PATIENCE
        while not (children := children_of(unshare.pid)):
            assert unshare.poll() is None and time.monotonic() < until
        self.init = children[0][0]

    def inside(self, *words: str) -> str:
        """Run a command in the namespace, as `docker exec` does; return what it prints."""
        enter = ["nsenter", "--target", str(self.init), "--pid", "--mount"]
        return subprocess.run([*enter, *words], capture_output=True, text=True, check=True, timeout=20).stdout

    def processes(self) -> list[tuple[int, int, str]]:
        """(pid, parent, state) of all in it but those of this question."""
        rows = (line.split() for line in self.inside("ps", "-eo", "pid=,ppid=,stat=,comm=").splitlines())
        return [(int(row[0]), int(row[1]), row[2]) for row in rows if row[3] != "ps"]

    def code(self) -> int:
        """How it ends."""
        return self.unshare.wait(PATIENCE)


@contextmanager
def container(verbs: Verbs, *words: str | Path) -> Iterator[Container]:
    """lowrun start -D WORDS as process 1."""
    start = ["unshare", "--pid", "--fork", "--mount-proc", LOWRUN, "start", "-D", "--name", "x", *map(str, words)]
    with subprocess.Popen(start, env=verbs.env, stdin=subprocess.DEVNULL, text=True) as unshare:
        found = Container(unshare)
        try:
            yield found
        finally:
            with suppress(ProcessLookupError):
                os.kill(found.init, signal.SIGKILL)


def test_strangers_are_reaped(verbs: Verbs, tmp_path: Path) -> None:
    """A process that somebody else left behind, as by `docker exec`, is lowrun's child, and no zombie when it ends."""
    with container(verbs, "sh", "-c", f"echo $$ >{tmp_path}/pid; exec sleep 100") as here:
        (main,) = numbers(tmp_path / "pid", 1)
        stranger = int(here.inside("sh", "-c", "sleep 100 >/dev/null 2>&1 & echo $!"))
        assert stranger != main
        assert (stranger, 1) in [row[:2] for row in here.processes()]
        here.inside("sh", "-c", "for n in 1 2 3 4 5; do (true &) done")
        here.inside("kill", "-9", str(stranger))
        until = time.monotonic() + PATIENCE
        while any(pid == stranger or state.startswith("Z") for pid, _, state in here.processes()):
            assert time.monotonic() < until, here.processes()
        assert main in [pid for pid, _, _ in here.processes()]
        os.kill(here.init, signal.SIGTERM)
        assert here.code() == 0
    assert verbs.log("x")[-1] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_what_is_a_stop(verbs: Verbs, tmp_path: Path, number: signal.Signals) -> None:
    """The program gets its stop signal, and lowrun ends with 0; so does the container."""
    with container(verbs, "--stop-signal", "USR1", "sh", "-c", ENDS.format(tmp_path)) as here:
        numbers(tmp_path / "pid", 1)
        os.kill(here.init, number)
        assert here.code() == 0
    assert (tmp_path / "told").read_text() == "USR1\n"


def memory_limit(cgroup: str) -> tuple[str, int]:
    """The cgroup that limits memory, by the text of /proc/PID/cgroup, and its limit."""
    mounts = Path("/proc/self/mountinfo").read_text()
    try:
        path, file = own_cgroup_v1("memory", cgroup, mounts), "memory.limit_in_bytes"
    except LookupError:
        path, file = own_cgroup_v2(cgroup, mounts), "memory.max"
    return str(path), int(Path(f"{path}/{file}").read_text())


def test_containers_that_share_cgroups(tmp_path: Path) -> None:
    """Their keepers have the same pids; each program has a cgroup and a limit of its own all the same."""
    try:
        tree_limits(64 << 20, None).close()
    except (lr.UnsupportedError, lr.DeniedError) as error:
        pytest.skip(f"no limits here: {error}")
    found = []
    with ExitStack() as both:
        for name, size in (("first", 64), ("second", 96)):
            script = f"echo $$ >{tmp_path}/{name}; exec sleep 100"
            start = container(Verbs(tmp_path / f"{name}-state"), "--memory-limit", f"{size}M", "sh", "-c", script)
            here = both.enter_context(start)
            found.append((here, *numbers(tmp_path / name, 1)))
        assert len({pid for _, pid in found}) == 1
        limits = dict(memory_limit(here.inside("cat", f"/proc/{pid}/cgroup")) for here, pid in found)
        assert list(limits.values()) == [64 << 20, 96 << 20]
        for here, _ in found:
            os.kill(here.init, signal.SIGTERM)
            assert here.code() == 0
        assert not any(os.path.exists(path) for path in limits)


def test_what_is_passed_on(verbs: Verbs, tmp_path: Path) -> None:
    """SIGHUP as the reload signal, SIGUSR1, SIGUSR2 and SIGWINCH as they are: to the main process, which goes on."""
    with container(verbs, "--reload-signal", "USR2", "sh", "-c", TOLD.format(tmp_path)) as here:
        numbers(tmp_path / "pid", 1)
        verbs.await_line("x", r"x started, pid \d+")  # until then lowrun has nobody to pass them on to
        told = []
        for number, expected in (("HUP", "USR2"), ("USR1", "USR1"), ("USR2", "USR2"), ("WINCH", "WINCH")):
            os.kill(here.init, signal.Signals[f"SIG{number}"])
            told.append(expected)
            await_words(tmp_path / "told", told)
        assert here.inside("true") == ""
        os.kill(here.init, signal.SIGTERM)
        assert here.code() == 0
    assert len(numbers(tmp_path / "pid", 1)) == 1


@pytest.mark.parametrize(
    ("script", "options", "code"),
    [
        ("exit 0", (), 0),
        ("exit 7", (), 1),
        ("exit 7", ("-e", "7"), 0),
        ("kill -9 $$", (), 1),
        ("exit 7", ("--respawn", "-n", "2", "-t", "0"), 1),
    ],
)
def test_how_it_ends(verbs: Verbs, script: str, options: tuple[str, ...], code: int) -> None:
    """As everywhere: 0 after a normal end, 1 when the program failed or was given up; the container ends with it."""
    with container(verbs, *options, "sh", "-c", f"sleep 0.2; {script}") as here:
        assert here.code() == code


def await_words(file: Path, words: list[str]) -> None:
    until = time.monotonic() + PATIENCE
    while not file.exists() or file.read_text().split() != words:
        assert time.monotonic() < until, file.read_text() if file.exists() else ""
        time.sleep(0.01)
