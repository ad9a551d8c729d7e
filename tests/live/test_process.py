"""What a launcher can set, and how the keeper treats its tree."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core import keepers as keepers_module
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.process import Process

TELL = """
import json, os, resource, signal, sys
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
print(json.dumps({
    "cwd": os.getcwd(), "umask": status["Umask"], "nice": os.nice(0), "cpus": sorted(os.sched_getaffinity(0)),
    "uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups(), "env": dict(os.environ),
    "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "blocked": status["SigBlk"], "ignored": status["SigIgn"],
    "leader": os.getpid() == os.getpgrp(), "session": os.getpid() == os.getsid(0),
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")), "argv": [os.fsencode(a).hex() for a in sys.argv],
}))
"""


def told(tmp_path: Path, **fields: object) -> dict[str, object]:
    """Run a program that tells its own state, with `fields` set in its Command."""
    out = tmp_path / "told"
    with open(out, "wb") as file:
        extra = {**fields.pop("fds", {}), 1: file.fileno()}  # type: ignore[dict-item]
        command = lr.Command((sys.executable, "-S", "-c", TELL), fds=extra, **fields)  # type: ignore[arg-type]
        result = lr.run(command)
    assert result.status.code == 0, result
    found: dict[str, object] = json.loads(out.read_text())
    return found


CAP_SYS_RESOURCE = 24
#: SIGPIPE and SIGXFSZ.
PYTHON_IGNORES = 1 << 12 | 1 << 24


def ignored() -> int:
    """The mask of signals that this process ignores, those that the C library hides included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn:"))


def test_inherits_exactly_what_the_caller_has(tmp_path: Path) -> None:
    """Directory, umask, environment, limits, mask; no descriptor beyond 0 to 2; SIGPIPE is default again."""
    mine = os.umask(0o022)
    os.umask(mine)
    state = told(tmp_path)
    assert state["cwd"] == os.getcwd()
    assert int(str(state["umask"]), 8) == mine
    assert state["env"] == dict(os.environ)
    assert state["nofile"] == list(resource.getrlimit(resource.RLIMIT_NOFILE))
    assert int(str(state["blocked"]), 16) == 0
    # Python, which tells it, ignores SIGPIPE and SIGXFSZ again itself.
    assert int(str(state["ignored"]), 16) & ~PYTHON_IGNORES == ignored() & ~PYTHON_IGNORES
    assert [fd for fd in state["fds"] if fd > 3] == []  # type: ignore[attr-defined]


def test_sigpipe_is_default_in_the_command(tmp_path: Path) -> None:
    """A shell's view: what was inherited is ignored, not what the Python that embeds lowrun ignores for itself."""
    out = tmp_path / "status"
    with open(out, "wb") as file:
        lr.run(lr.Command(("grep", "SigIgn", "/proc/self/status"), fds={1: file.fileno()}))
    assert int(out.read_text().split()[1], 16) == ignored() & ~PYTHON_IGNORES


def test_sets_directory_umask_nice_affinity_limits(tmp_path: Path) -> None:
    """Each field of a Command is what the command finds."""
    state = told(
        tmp_path,
        cwd=str(tmp_path),
        umask=0o071,
        nice=7,
        affinity=frozenset({0}),
        rlimits={resource.RLIMIT_NOFILE: (99, 100)},
        env={"ONLY": "this", "PATH": "/bin"},
    )
    assert state["cwd"] == str(tmp_path)
    assert int(str(state["umask"]), 8) == 0o071
    assert state["nice"] == 7
    assert state["cpus"] == [0]
    assert state["nofile"] == [99, 100]
    assert state["env"] == {"ONLY": "this", "PATH": "/bin", "LC_CTYPE": "C.UTF-8"} or state["env"] == {
        "ONLY": "this",
        "PATH": "/bin",
    }


def test_sets_signals_and_groups(tmp_path: Path) -> None:
    """Blocked and ignored signals, own process group, own session."""
    state = told(tmp_path, blocked=frozenset({signal.SIGUSR1}), ignored=frozenset({signal.SIGHUP}), group="group")
    assert int(str(state["blocked"]), 16) == 1 << signal.SIGUSR1 - 1
    assert int(str(state["ignored"]), 16) & 1 << signal.SIGHUP - 1
    assert state["leader"] and not state["session"]
    assert told(tmp_path, group="session")["session"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may change credentials")
def test_sets_credentials(tmp_path: Path) -> None:
    """uid, gid and groups, all three of each kind."""
    os.chmod(tmp_path, 0o755)
    os.chmod(tmp_path.parent, 0o755)
    out = tmp_path / "id"
    with open(out, "wb") as file:
        command = lr.Command(("id",), uid=12345, gid=23456, groups=(3, 4), fds={1: file.fileno()})
        assert lr.run(command).status.code == 0
    assert out.read_text().startswith("uid=12345 gid=23456")
    assert "groups=23456,3(sys),4(adm)" in out.read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may chroot")
def test_chroot(tmp_path: Path) -> None:
    """The root is changed before the program is looked up: nothing is there."""
    result = lr.run(lr.Command(("/bin/true",), chroot=str(tmp_path)))
    assert result.status.code == 127


def test_passes_descriptors_even_crossed(tmp_path: Path) -> None:
    """Targets may be sources of others: 3 and 4 change places."""
    a, b = os.open(tmp_path / "a", os.O_CREAT | os.O_RDWR), os.open(tmp_path / "b", os.O_CREAT | os.O_RDWR)
    try:
        command = lr.Command(("bash", "-c", f"echo to-a >&{b}; echo to-b >&{a}"), fds={a: b, b: a})
        assert lr.run(command).status.code == 0
    finally:
        os.close(a)
        os.close(b)
    assert (tmp_path / "a").read_text() == "to-a\n"
    assert (tmp_path / "b").read_text() == "to-b\n"


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        ({"cwd": "/nonexistent"}, "working directory"),
        ({"chroot": "/nonexistent"}, "chroot"),
        ({"rlimits": {99: (1, 1)}}, "resource limit"),
        ({"affinity": frozenset()}, "cpu affinity"),
    ],
)
def test_a_failing_step_is_named(fields: dict[str, object], step: str) -> None:
    """What fails before the exec is a SpawnError with the step and the errno."""
    with pytest.raises(lr.SpawnError) as caught:
        lr.run(lr.Command(("true",), **fields))  # type: ignore[arg-type]
    assert caught.value.step == step
    assert caught.value.errno
    path = " /nonexistent" if "/nonexistent" in fields.values() else ""
    assert str(caught.value) == f"true: {step}{path}: {os.strerror(caught.value.errno)}"


def test_huge_arguments_and_environment(tmp_path: Path) -> None:
    """Two megabytes of arguments and environment arrive whole; more than the kernel takes is code 126."""
    words = ["x" * 100_000] * 12
    out = tmp_path / "count"
    with open(out, "wb") as file:
        command = lr.Command(("sh", "-c", 'echo "$*" | wc -c', "sh", *words), fds={1: file.fileno()})
        assert lr.run(command).status.code == 0
    assert int(out.read_text()) == 12 * 100_001
    assert lr.run(["true", *["y" * 100_000] * 60]).status.code == 126


def test_status_signal_and_pidfd() -> None:
    """A Process can be signalled by its pidfd; after its end that is a GoneError."""
    with lr.Loop() as loop:
        keepers = Keepers(loop)
        launch = Launch(lr.Command.of(["sleep", "100"]))
        seen: list[lr.ExitStatus] = []
        process = Process(
            loop,
            keepers,
            launch,
            {},
            on_start=lambda p: p.send_signal(signal.SIGUSR1),
            on_end=lambda _p: loop.stop(),
        )
        child = loop.add_child(process, seen.append)
        loop.run()
        child.close()
        assert seen == [lr.ExitStatus(128 + signal.SIGUSR1, signal.SIGUSR1)]
        with pytest.raises(lr.GoneError):
            process.send_signal(signal.SIGTERM)
        keepers.close()
        launch.close()


@pytest.mark.parametrize("cgroup", [True, False], ids=["cgroup", "no cgroup"])
def test_a_closed_keeper_leaves_nothing(cgroup: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Closing while a whole family is alive ends every one of them, and the cgroup is gone."""
    from tests.programs import alive, mock

    if not cgroup:
        monkeypatch.setattr(keepers_module, "writable_cgroup", lambda: None)
    pids = tmp_path / "pids"
    read, write = os.pipe()
    with lr.Loop() as loop:
        keepers = Keepers(loop)
        launch = Launch(lr.Command.of([mock("family.sh"), pids]))
        process = Process(loop, keepers, launch, {1: write}, on_end=lambda _p: None)
        source = loop.add_io(read, lr.READ, lambda _e: loop.stop())
        loop.run()
        source.close()
        family = [int(word) for word in pids.read_text().split()]
        assert len(family) == 4
        assert all(alive(pid) for pid in family)
        process.close()
        assert not any(alive(pid) for pid in family)
        keepers.close()
        launch.close()
    os.close(read)
    os.close(write)


def test_a_killed_keeper_is_an_internal_error() -> None:
    """Somebody kills the keeper: the run cannot be known, and that is said, not guessed."""
    with lr.Loop() as loop, lr.Repeater(["sleep", "100"], on_end=lambda _r: loop.stop()) as repeater:
        repeater.start(loop)
        keeper = None

        def strike() -> None:
            nonlocal keeper
            run = next(iter(repeater._active))
            keeper = run._process._keeper  # type: ignore[union-attr]
            os.kill(keeper.pid, signal.SIGKILL)
            os.kill(run._process.pid, signal.SIGKILL)  # type: ignore[union-attr,arg-type]

        timer = loop.add_timer(0.1, strike)
        loop.run()
        timer.close()
        assert isinstance(repeater.error, lr.InternalError)


@pytest.mark.parametrize("value", [7, 1000])
def test_sets_oom_score_adj(value: int, tmp_path: Path) -> None:
    """The command, and nobody else, has the value, in spite of the memory that it shares before its exec."""
    out = tmp_path / "value"
    mine = Path("/proc/self/oom_score_adj").read_text()
    with open(out, "wb") as file:
        command = lr.Command(("cat", "/proc/self/oom_score_adj"), oom_score_adj=value, fds={1: file.fileno()})
        for result in lr.repeat(command, count=2):
            assert result.status.code == 0
    assert out.read_text() == f"{value}\n" * 2
    assert Path("/proc/self/oom_score_adj").read_text() == mine


@pytest.mark.parametrize("value", [1001, -1001])
def test_a_refused_oom_score_adj_is_named(value: int) -> None:
    """What the kernel does not take fails as a step of its own."""
    with pytest.raises(lr.SpawnError) as caught:
        lr.run(lr.Command(("true",), oom_score_adj=value))
    assert caught.value.step == "oom_score_adj"


def test_a_lowered_oom_score_adj() -> None:
    """It is set where CAP_SYS_RESOURCE is held, and refused as its step elsewhere: never left out without a word."""
    held = int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16) >> CAP_SYS_RESOURCE & 1
    command = lr.Command(("grep", "-qx", "--", "-5", "/proc/self/oom_score_adj"), oom_score_adj=-5)
    if held:
        assert lr.run(command).status.code == 0
    else:
        with pytest.raises(lr.SpawnError) as caught:
            lr.run(command)
        assert (caught.value.step, caught.value.errno) == ("oom_score_adj", errno.EACCES)


def test_a_variable_holds_the_commands_own_pid(tmp_path: Path) -> None:
    """LISTEN_PID is the pid of each life, not a former one's, beside an environment that is whole."""
    out = tmp_path / "pids"
    script = 'echo "$$ $LISTEN_PID $WATCHDOG_PID $FIRST $LAST"'
    env = {"FIRST": "a", "LISTEN_PID": "1", "PATH": os.environ["PATH"], "LAST": "z"}
    variables = ("LISTEN_PID", "WATCHDOG_PID")
    with open(out, "wb") as file:
        command = lr.Command(("sh", "-c", script), env=env, pid_variables=variables, fds={1: file.fileno()})
        pids = [result.pid for result in lr.repeat(command, count=3)]
    assert out.read_text() == "".join(f"{pid} {pid} {pid} a z\n" for pid in pids)
    assert len(set(pids)) == 3
