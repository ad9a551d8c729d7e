"""Limits by cgroup v1, where controllers are in such hierarchies: who is in them, what they do, and what is left.

On machines that have cgroup v2 alone there is nothing here to test.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lowrun as lr
import lowrun.core.keepers as keepers_module
from lowrun.core.cgroup_v1 import cgroup_name
from lowrun.core.keeper import Keeper
from lowrun.core.process import Process
from lowrun.core.procfs import own_cgroup_v1
from tests.limited import limits_of, run_limited
from tests.programs import LOWRUN, alive
from tests.supervised import PATIENCE, Verbs, in_order, numbers


def own(controller: str) -> Path:
    """Our cgroup v1 of `controller`, if that is in such a hierarchy."""
    try:
        found = own_cgroup_v1(controller, *(Path(f"/proc/self/{name}").read_text() for name in ("cgroup", "mountinfo")))
    except LookupError:
        found = None
    return Path(found or "/nowhere")


FOUND = [own("memory"), own("cpu")]
#: Those of this module, in which nobody else makes any.
MEMORY, CPU = (path / f"tests-{os.getpid()}" for path in FOUND)
pytestmark = [
    pytest.mark.skipif(
        not all(path.is_dir() for path in FOUND),
        reason="memory and cpu are in no mounted hierarchy of cgroup v1: this machine has cgroup v2 for them, or none",
    ),
    pytest.mark.skipif(
        not all(os.access(path, os.W_OK) for path in FOUND),
        reason=f"cgroups v1 may not be made here ({FOUND[0]}, {FOUND[1]}): run the tests as root",
    ),
]
#: Takes more and more memory; each page is written to.
HOG = "blocks = []\nwhile True: blocks.append(bytearray(1 << 20))"
#: Four processes that have 24 MiB each; says by which signal the first of them ended.
FAMILY = """
import os, signal
for _ in range(4):
    if os.fork() == 0:
        block = bytearray(24 << 20)
        signal.pause()
pid, status = os.wait()
print(os.WTERMSIG(status), flush=True)
"""
#: Two busy loops, until they were made to wait in ten periods; says how much time has gone by, and how much CPU time
#: both have got.
BURNERS = """
import glob, os, signal, sys, time
began, pids = time.monotonic(), []
for _ in range(2):
    pids.append(os.fork())
    if pids[-1] == 0:
        while True: pass
throttled = 0
while throttled < 10 and time.monotonic() - began < 20:
    time.sleep(0.05)
    with open(glob.glob(f"{sys.argv[1]}/lowrun-*-{os.getppid()}/cpu.stat")[0]) as file:
        throttled = int(dict(map(str.split, file))["nr_throttled"])
for pid in pids: os.kill(pid, signal.SIGKILL)
for pid in pids: os.waitpid(pid, 0)
took, times = time.monotonic() - began, os.times()
print(took, times.children_user + times.children_system, throttled)
"""


def groups() -> set[Path]:
    """The cgroups of keepers that there are."""
    return {path for parent in (MEMORY, CPU) for path in parent.glob("lowrun-*")}


def await_only(expected: set[Path]) -> None:
    """Wait until there are no others any more."""
    until = time.monotonic() + PATIENCE
    while groups() != expected:
        assert time.monotonic() < until, (groups(), expected)
        time.sleep(0.01)


def await_end(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    while alive(pid):
        assert time.monotonic() < until, f"pid {pid} lives"
        time.sleep(0.01)


def await_stop(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "T":
        assert time.monotonic() < until, f"pid {pid} does not stop"
        time.sleep(0.01)


def remove(group: Path) -> None:
    """Remove a cgroup once those in it have ended."""
    until = time.monotonic() + PATIENCE
    while (group / "cgroup.procs").read_text():
        assert time.monotonic() < until, (group / "cgroup.procs").read_text()
        time.sleep(0.01)
    group.rmdir()


@pytest.fixture(autouse=True)
def cgroups_of_our_own() -> Iterator[None]:
    """What the test starts is in MEMORY and CPU; nothing is left there in the end."""
    ours = (MEMORY, CPU)
    for path in ours:
        path.mkdir(exist_ok=True)
        (path / "cgroup.procs").write_text(str(os.getpid()))
    yield
    await_only(set())
    for path, above in zip(ours, FOUND, strict=True):
        (above / "cgroup.procs").write_text(str(os.getpid()))
        remove(path)


def is_inside(pid: int | str) -> dict[str, bool]:
    """Whether a process is in a keeper's cgroup: of each of the two controllers."""
    return inside(Path(f"/proc/{pid}/cgroup").read_text().splitlines())


def inside(lines: list[str]) -> dict[str, bool]:
    found = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in {"memory", "cpu"} & set(controllers.split(",")):
            found[controller] = "/lowrun-" in path
    return found


def test_the_command_alone_is_inside(tmp_path: Path) -> None:
    """It is there from its first instruction on; its keeper is not, nor is what runs in that keeper next."""
    keepers: list[dict[str, bool]] = []
    with limits_of(50 << 20, 20.0) as limits:
        run_limited(
            [limits, None],
            ["cat", "/proc/self/cgroup"],
            tmp_path / "out",
            on_start=lambda process: keepers.append(is_inside(process.keeper_pid)),
        )
    lines = (tmp_path / "out").read_text().splitlines()
    assert inside(lines[: len(lines) // 2]) == {"memory": True, "cpu": True}
    assert inside(lines[len(lines) // 2 :]) == {"memory": False, "cpu": False}
    assert keepers == [{"memory": False, "cpu": False}] * 2


@pytest.mark.parametrize("controller", ["memory", "cpu"])
def test_one_limit_makes_one_cgroup(controller: str, tmp_path: Path) -> None:
    """Who is limited in memory alone is in the CPU cgroup of all, and the other way round."""
    with limits_of(*((50 << 20, None) if controller == "memory" else (None, 20.0))) as limits:
        run_limited([limits], ["cat", "/proc/self/cgroup"], tmp_path / "out")
    there = inside((tmp_path / "out").read_text().splitlines())
    assert there == {each: each == controller for each in ("memory", "cpu")}


def test_more_memory_than_the_limit(verbs: Verbs, tmp_path: Path) -> None:
    """A program that takes it is killed, and respawned as the policy has it, in the same cgroup; lowrun goes on."""
    script = f"""
        test -e {tmp_path}/second && exec cat {MEMORY}/lowrun-*/memory.oom_control >{tmp_path}/told
        touch {tmp_path}/second
        exec {sys.executable} -c '{HOG}'
    """
    verbs(
        "start", "-D", "--name", "hog", "--respawn", "-t", "0", "-e", "0", "--memory-limit", "64M", "sh", "-c", script
    )
    lines = verbs.log("hog")
    in_order(lines, r"proc \d+ killed by signo 9", r"hog restarted\(1/0\), pid \d+", r"proc \d+ exited, status 0")
    assert "oom_kill 1\n" in (tmp_path / "told").read_text()


def test_the_limit_is_of_the_tree(tmp_path: Path) -> None:
    """Of processes that have less each, but more together, one is killed."""
    with limits_of(64 << 20, None) as limits:
        done = run_limited([limits], [sys.executable, "-c", FAMILY], tmp_path / "out")
    assert (tmp_path / "out").read_text() == f"{int(signal.SIGKILL)}\n"
    assert done[0].status == lr.ExitStatus(0)


def test_swap_counts(tmp_path: Path) -> None:
    """Where the kernel counts swap, the limit is that of memory and swap together."""
    if not (MEMORY / "memory.memsw.limit_in_bytes").exists():
        pytest.skip("this kernel does not count swap in cgroup v1 (swapaccount=0)")
    script = f"cat {MEMORY}/lowrun-*-$PPID/memory.memsw.limit_in_bytes {MEMORY}/lowrun-*-$PPID/memory.limit_in_bytes"
    with limits_of(64 << 20, None) as limits:
        run_limited([limits, limits], ["sh", "-c", script], tmp_path / "out")
    assert (tmp_path / "out").read_text() == f"{64 << 20}\n" * 4


@pytest.mark.parametrize("percent", [50, 10])
def test_two_busy_loops_share_a_part_of_a_processor(percent: int, tmp_path: Path) -> None:
    """With 50 % they get, in all, no more than half of the time that goes by, but for a slice: they have to wait."""
    with limits_of(None, percent) as limits:
        run_limited([limits], [sys.executable, "-c", BURNERS, str(CPU)], tmp_path / "out")
    took, used, throttled = map(float, (tmp_path / "out").read_text().split())
    print(f"{used:.2f} s of {took:.2f} s")
    assert used <= took * percent / 100 + 0.1
    assert throttled >= 10


def test_a_limit_too_small_to_execute(tmp_path: Path) -> None:
    """One page: the command fails, is killed or cannot be executed; its keeper survives, and runs the next."""
    with limits_of(4096, None) as limits:
        first, second, third = run_limited([limits, limits, None], ["echo", "ran"], tmp_path / "out")
    for each in (first, second):
        assert not each.keeper_lost
        assert each.error is not None or each.status == lr.ExitStatus.from_wait(signal.SIGKILL)
    assert third.status == lr.ExitStatus(0)
    assert (tmp_path / "out").read_text() == "ran\n"


def test_a_cgroup_that_cannot_be_entered(tmp_path: Path) -> None:
    """A realtime process and a cgroup without realtime: a step of its own fails, nothing runs, the keeper goes on."""
    if not (CPU / "cpu.rt_runtime_us").exists():
        pytest.skip("cpu cgroups of this kernel take realtime processes (no CONFIG_RT_GROUP_SCHED)")
    try:
        (CPU / "cpu.rt_runtime_us").write_text("10000")  # for its keeper; not for what that makes
    except OSError:
        pytest.skip(f"{FOUND[1]} has no realtime share to give")
    policies = iter([os.SCHED_FIFO, os.SCHED_OTHER])

    def schedule(keeper: Keeper) -> None:
        policy = next(policies)
        os.sched_setscheduler(keeper.pid, policy, os.sched_param(1 if policy == os.SCHED_FIFO else 0))

    with limits_of(None, 50.0) as limits:
        first, second = run_limited([limits, limits], ["echo", "ran"], tmp_path / "out", before_spawn=schedule)
    assert first.error is not None
    assert (first.error.step, first.error.errno) == ("cgroup", errno.EINVAL)
    assert second.status == lr.ExitStatus(0)
    assert (tmp_path / "out").read_text() == "ran\n"


def test_more_than_we_have_ourselves() -> None:
    """A limit of CPU above that of lowrun's own cgroup is refused by the kernel, and by lowrun with the reason."""
    ours = CPU / f"test-{os.getpid()}"
    ours.mkdir()
    try:
        (ours / "cpu.cfs_quota_us").write_text("20000")
        script = f"echo $$ >{ours}/cgroup.procs; exec {LOWRUN} start -D --name x --cpu-limit $0 true"
        for percent, code in ((50, 2), (10, 0)):
            words = ["sh", "-c", script, str(percent)]
            done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, env=away(ours.name))
            assert done.returncode == code, done.stderr
            assert (f"{ours}/cpu.cfs_quota_us" in done.stderr) == (code == 2)
    finally:
        remove(ours)
        subprocess.run(["rm", "-r", away(ours.name)["LOWRUN_STATE_DIR"]], check=True)


def away(name: str) -> dict[str, str]:
    return {**os.environ, "LOWRUN_STATE_DIR": f"/tmp/lowrun-{name}"}


def test_many_at_once() -> None:
    """Each start tries what it may, and removes what is left of dead keepers: none is in another's way."""
    script = "from lowrun.core.cgroup import tree_limits\nfor _ in range(50): tree_limits(64 << 20, 50.0).close()"
    starts = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
    assert [start.wait() for start in starts] == [0] * 4


def test_an_ordinary_user() -> None:
    """Whoever may not make cgroups is told so, by one line that says where and what helps."""
    import lowrun.core.cgroup as cgroup

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        text = "nothing"
        try:
            os.setresuid(65534, 65534, 65534)
            cgroup.tree_limits(64 << 20, None)
        except lr.DeniedError as error:
            text = str(error)
        finally:
            os.write(write, text.encode())
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    assert str(MEMORY) in told
    assert re.search("Permission denied; run lowrun as root, or have that directory given to you", told)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "mount -o remount,bind,ro",
            r"below \S+: Read-only file system; give the container writable cgroups, or use --limit",
        ),
        ("umount", "cgroup v1 that is not mounted here.*; mount it, or use --limit instead"),
    ],
)
def test_a_container_without_cgroups(change: str, reason: str, verbs: Verbs) -> None:
    """Where they are mounted read-only, or not at all, nothing is started, and the reason is said with a remedy."""
    point = str(MEMORY)
    while not os.path.ismount(point):
        point = os.path.dirname(point)
    script = f'{change} {point} && exec "$@"'
    words = [LOWRUN, "start", "-D", "--name", "x", "--memory-limit", "64M", "touch", f"{verbs.directory}.ran"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "-", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=verbs.env,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert re.search(reason, done.stderr)
    assert not os.path.exists(f"{verbs.directory}.ran")


def begin(verbs: Verbs, lives: Path, *options: str) -> dict[str, int]:
    """Start a limited program that runs until it is ended; return the pids of all concerned."""
    count = len(lives.read_text().splitlines()) if lives.exists() else 0
    script = f"echo $$ >>{lives}; exec sleep 1000"
    verbs("start", "--name", "x", "--memory-limit", "64M", "--cpu-limit", "50", *options, "sh", "-c", script)
    life = numbers(lives, count + 1)[-1]
    found = verbs.status("x")
    keeper = int(Path(f"/proc/{life}/stat").read_text().rpartition(")")[2].split()[1])
    return {"life": life, "keeper": keeper, "supervisor": int(found["supervisor"])}


def test_lowrun_is_killed(verbs: Verbs, tmp_path: Path) -> None:
    """Its keeper ends the tree and removes the cgroups."""
    pids = begin(verbs, tmp_path / "lives")
    assert groups() == {parent / cgroup_name(pids["keeper"]) for parent in (MEMORY, CPU)}
    os.kill(pids["supervisor"], signal.SIGKILL)
    await_end(pids["life"])
    await_only(set())


def test_lowrun_and_its_keeper_are_killed(verbs: Verbs, tmp_path: Path) -> None:
    """The program lives on, limited; once it has ended the next start removes what is left, not sooner."""
    pids = begin(verbs, tmp_path / "lives")
    os.kill(pids["supervisor"], signal.SIGSTOP)  # so that it does not see its keeper's end
    await_stop(pids["supervisor"])
    os.kill(pids["keeper"], signal.SIGKILL)
    os.kill(pids["supervisor"], signal.SIGKILL)
    await_end(pids["keeper"])
    await_end(pids["supervisor"])
    left = groups()
    assert left == {parent / cgroup_name(pids["keeper"]) for parent in (MEMORY, CPU)}
    begin(verbs, tmp_path / "lives")
    assert alive(pids["life"])
    assert is_inside(pids["life"]) == {"memory": True, "cpu": True}
    verbs("stop", "x")
    os.kill(pids["life"], signal.SIGKILL)
    await_end(pids["life"])
    assert groups() == left
    begin(verbs, tmp_path / "lives")
    assert not groups() & left
    verbs("stop", "x")


def test_the_cgroup_of_a_keeper_that_lives_stays(tmp_path: Path) -> None:
    """Another start removes no cgroup of another lowrun's, be it empty for the moment."""

    def another(process: Process) -> None:
        path = MEMORY / cgroup_name(process.keeper_pid)
        process.when_exited(None)
        with limits_of(64 << 20, None):
            assert path.is_dir()

    with limits_of(64 << 20, None) as limits:
        run_limited([limits], ["true"], tmp_path / "out", on_start=another)


@pytest.mark.parametrize("cgroup", [True, False], ids=["cgroup v2", "no cgroup v2"])
def test_its_keeper_is_killed(cgroup: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is in the cgroups is killed, also who is in a session of his own; then they are removed."""
    if not cgroup:
        monkeypatch.setattr(keepers_module, "writable_cgroup", lambda: None)
    script = f"setsid sh -c 'echo $$ >{tmp_path}/pid; exec sleep 1000' & exec sleep 1000"

    def kill(process: Process) -> None:
        numbers(tmp_path / "pid", 1)
        os.kill(process.keeper_pid, signal.SIGKILL)

    with limits_of(64 << 20, 50.0) as limits:
        done = run_limited([limits], ["sh", "-c", script], tmp_path / "out", on_start=kill)
        assert done[0].keeper_lost
        assert not groups()
    assert not alive(numbers(tmp_path / "pid", 1)[0])


def test_a_life_that_is_kept_stays_limited(verbs: Verbs, tmp_path: Path) -> None:
    """--on-lost keep: its cgroups stay with it; the next start takes over, and a respawn is in them again."""
    words = ("--on-lost", "keep", "--respawn", "-t", "0")
    pids = begin(verbs, tmp_path / "lives", *words)
    os.kill(pids["supervisor"], signal.SIGKILL)
    await_end(pids["supervisor"])
    assert is_inside(pids["life"]) == {"memory": True, "cpu": True}
    verbs(
        "start", "--name", "x", "--memory-limit", "32M", "--cpu-limit", "50", *words, "sh", "-c",
        f"echo $$ >>{tmp_path}/lives; exec sleep 1000",
    )  # fmt: skip
    assert verbs.status("x")["pid"] == pids["life"]
    os.kill(pids["life"], signal.SIGKILL)
    second = numbers(tmp_path / "lives", 2)[1]
    assert is_inside(second) == {"memory": True, "cpu": True}
    limit = MEMORY / cgroup_name(pids["keeper"]) / "memory.limit_in_bytes"
    assert int(limit.read_text()) == 32 << 20
    verbs("stop", "x")
