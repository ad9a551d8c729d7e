"""State on disk: who may have it, who has the lock, and what is so after a supervisor was killed at any moment."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from programs import alive

import lowrun as lr
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.process import Process
from lowrun.supervise.processes import ProcessId, figures_of_tree
from lowrun.supervise.record import LastExit, Record
from lowrun.supervise.state import ProgramState, StateDirectory, now, state_path
from lowrun.supervise.truth import CRASHED, LOST
from tests.supervised import state as verbs_in

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root to give files away and to trace others")
ME = ProcessId.of(os.getpid())


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProgramState]:
    monkeypatch.setenv("LOWRUN_STATE_DIR", str(tmp_path / "state"))
    with StateDirectory.open(create=True) as directory, directory.program("job") as state:
        yield state


def test_where_state_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    """$LOWRUN_STATE_DIR, else /run/lowrun for root, else $XDG_RUNTIME_DIR/lowrun if that is absolute, else /tmp."""
    monkeypatch.setenv("LOWRUN_STATE_DIR", "/a/b")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/x")
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert state_path() == "/a/b"
    monkeypatch.setenv("LOWRUN_STATE_DIR", "b")
    assert state_path() == os.path.join(os.getcwd(), "b")
    monkeypatch.setenv("LOWRUN_STATE_DIR", "")
    assert state_path() == "/x/lowrun"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "x")
    assert state_path() == "/tmp/lowrun-1234"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state_path() == "/run/lowrun"


def test_it_is_made_when_needed_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking makes nothing; a program's state makes all above it; both directories are 0700, files 0600."""
    path = tmp_path / "deep" / "state"
    monkeypatch.setenv("LOWRUN_STATE_DIR", str(path))
    with StateDirectory.open() as directory:
        assert (directory.names(), directory.find("job")) == ([], None)
        with pytest.raises(lr.UsageError, match="no program"):
            directory.program("job")
    assert not path.exists()
    with StateDirectory.open(create=True) as directory, directory.program("job") as state:
        state.write(Record())
        state.lock().close()
        (path / "a file").touch()
        (path / "a-link").symlink_to("job")
        assert directory.names() == ["job"]
        assert directory.find("other") is None
    modes = {entry: entry.stat().st_mode & 0o777 for entry in (path, *path.glob("job"), *path.glob("job/*"))}
    assert set(modes.values()) == {0o700, 0o600}
    with StateDirectory.open() as directory, directory.find("job") as state:
        assert state.read() is not None
    with StateDirectory.open(create=True) as directory:
        for name in ("..", "a/b", ".hidden", ""):
            with pytest.raises(lr.UsageError):
                directory.program(name)


@ROOT_ONLY
@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: path.symlink_to(path.parent), "symbolic link"),
        (lambda path: path.touch(), "no directory"),
        (lambda path: (path.mkdir(), path.chmod(0o755)), "chmod 700"),
        (lambda path: (path.mkdir(0o700), os.chown(path, 12345, 0)), "belongs to uid 12345, not to you"),
    ],
    ids=["link", "file", "open", "owner"],
)
def test_a_directory_that_is_not_ours_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: object, text: str
) -> None:
    """A link, a file, one that others can read, another's: for the state directory and for a program's in it."""
    monkeypatch.setenv("LOWRUN_STATE_DIR", str(tmp_path / "state"))
    spoil(tmp_path / "state")
    for create in (False, True):
        with pytest.raises(lr.DeniedError, match=text):
            StateDirectory.open(create)
    monkeypatch.setenv("LOWRUN_STATE_DIR", str(tmp_path / "good"))
    with StateDirectory.open(create=True) as directory:
        spoil(tmp_path / "good" / "job")
        for look in (directory.program, directory.find):
            with pytest.raises(lr.DeniedError, match=text):
                look("job")


def test_one_has_the_lock(state: ProgramState) -> None:
    """A second one is told who has it; asking who has it takes nothing; closing it lets go; the file stays."""
    with state.lock():
        with pytest.raises(
            lr.BusyError, match=rf'^another supervisor of "job" is running \(pid {os.getpid()}\); lowrun'
        ):
            state.lock()
        assert state.supervisor() == ME
    assert state.supervisor() is None
    with state.lock():
        assert state.supervisor() == ME


def test_the_lock_dies_with_its_holder_alone(state: ProgramState) -> None:
    """A program that lives on has no part in it, nor has a process that was forked."""
    script = (
        "import os, subprocess, sys; from lowrun.supervise.state import StateDirectory\n"
        "lock = StateDirectory.open(True).program('job').lock()\n"
        "child = subprocess.Popen(['sleep', '100'], close_fds=False)\n"
        "fork = os.fork() or os.execlp('sleep', 'sleep', '100')\n"
        "bare = os.fork() or __import__('signal').pause()\n"
        "print(child.pid, fork, bare, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        pids = [int(word) for word in holder.stdout.readline().split()]
        try:
            assert state.supervisor() == ProcessId.of(holder.pid)
            with pytest.raises(lr.BusyError, match=str(holder.pid)):
                state.lock()
            holder.kill()
            holder.wait()
            assert all(map(alive, pids))
            assert state.supervisor() is None
            state.lock().close()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


def test_asking_never_makes_a_start_fail(state: ProgramState) -> None:
    """While others ask without end, the lock can be taken each time."""
    asker = os.fork()
    if asker == 0:
        while True:
            state.truth()
    try:
        for _ in range(300):
            state.lock().close()
    finally:
        os.kill(asker, signal.SIGKILL)
        os.waitpid(asker, 0)


def test_a_record_is_replaced_whole(state: ProgramState, tmp_path: Path) -> None:
    """Readers meanwhile see the old one or the new one; no other file remains; what a killed writer left is no harm."""
    (tmp_path / "state" / "job" / ".state.json").write_text("half")
    state.write(Record(command=("0",)))
    reader = os.fork()
    if reader == 0:
        code = 1
        try:
            while (record := state.read()) is not None and record.command != ("last",):
                pass
            code = 0 if record is not None else 1
        finally:
            os._exit(code)
    for number in range(2000):
        state.write(Record(command=(str(number) * (number % 50),)))
    state.write(Record(command=("last",)))
    assert os.waitpid(reader, 0)[1] == 0
    assert sorted(os.listdir(state.fileno())) == ["state.json"]


def test_a_full_disk_leaves_the_last_record(state: ProgramState) -> None:
    """The error comes out, and the record before it is still there."""
    state.write(Record(command=("good",)))
    child = os.fork()
    if child == 0:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
        try:
            state.write(Record(command=("bad",)))
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert state.read().command == ("good",)
    assert os.listdir(state.fileno()) == ["state.json"]


def test_a_zombie_and_a_reused_pid_are_not_running(state: ProgramState) -> None:
    """The pid is there in both cases; its process has ended, or is another's."""
    child = subprocess.Popen(["sleep", "100"])
    main = ProcessId.of(child.pid)
    record = Record(phase="running", supervisor=ME, main=main, began=now())
    with state.lock():
        state.write(record)
        assert state.truth().running
        assert state.truth().pid == child.pid
        state.write(replace(record, main=ProcessId(main.pid, main.start - 1)))
        assert not state.truth().running
        state.write(record)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not state.truth().running
        assert state.truth().phase == "running"
        child.wait()
        assert not state.truth().running


def test_figures_of_a_tree() -> None:
    """All below the roots count, but not the keeper itself; memory is some, and CPU time what was burnt."""
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ninput()"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"done\n"
        figures = figures_of_tree([parent.pid])
        below = figures_of_tree([parent.pid], without=parent.pid)
        parent.communicate(b"\n")
    assert (figures.processes, below.processes) == (2, 1)
    assert figures.cpu_s >= below.cpu_s >= 0.19
    assert 1 << 20 < below.memory < figures.memory < 1 << 28
    assert figures_of_tree([parent.pid]) == (0, 0.0, 0)


# -- killed at any moment


def supervise(state: ProgramState, gate: int) -> None:
    """A small supervisor: two lives of `sleep`, the first one killed."""
    os.read(gate, 1)
    lives = 0
    launch = Launch(lr.Command(("sleep", "1000")))
    with state.lock(), lr.Loop() as loop, closing(Keepers(loop)) as keepers, closing(launch):
        record = Record(phase="starting", supervisor=ProcessId.of(os.getpid()), command=("sleep", "1000"))

        def before(keeper: object) -> None:
            nonlocal record
            record = replace(record, phase="starting", keeper=ProcessId.of(keeper.pid), main=None)
            state.write(record)

        def started(process: Process) -> None:
            nonlocal record, lives
            lives += 1
            record = replace(record, phase="running", main=ProcessId.of(process.pid), began=now(), restarts=lives - 1)
            state.write(record)
            process.send_signal(signal.SIGKILL)

        def ended(process: Process) -> None:
            nonlocal record
            gone = LastExit(process.status.code, process.status.signal, time.time())
            record = replace(record, phase="waiting" if lives < 2 else "done", main=None, last_exit=gone)
            state.write(record)
            if lives < 2:
                loop.call_soon(spawn)
            else:
                loop.stop()

        def spawn() -> None:
            Process(loop, keepers, launch, {}, on_end=ended, on_start=started, before_spawn=before)

        spawn()
        loop.run()


def traced_life(state: ProgramState, *options: str) -> bool:
    """Run a small supervisor under strace; True when it was killed."""
    gate, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(go)
            supervise(state, gate)
            code = 0
        finally:
            os._exit(code)
    os.close(gate)
    with subprocess.Popen(["strace", "-qq", "-e", "signal=none", *options, "-p", str(pid)]) as strace:
        while strace.poll() is None and not traced(pid):
            select.select([], [], [], 0.001)
        os.close(go)
        status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL


def traced(pid: int) -> bool:
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


def calls_of(state: ProgramState, log: Path) -> list[tuple[str, int]]:
    """The supervisor's system calls: (name, the how manieth of that name), as strace's `when` counts them."""
    assert not traced_life(state, "-o", str(log))
    names = re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)
    seen = Counter[str]()
    calls = []
    for name in names:
        seen[name] += 1
        calls.append((name, seen[name]))
    # Python asks for each signal's disposition before a spawn; nothing is between these.
    return [call for call in calls if call[0] != "exit_group" and not (call[0] == "rt_sigaction" and call[1] > 1)]


@ROOT_ONLY
@pytest.mark.slow
def test_killed_at_every_system_call(state: ProgramState, tmp_path: Path) -> None:
    """At every one: what is told of it is so at that moment, nothing of it lives on, and the next one can begin."""
    calls = calls_of(state, tmp_path / "calls")
    assert (state.truth().phase, state.truth().restarts) == ("done", 1)
    assert len(calls) > 100
    killed, phases = 0, set()
    for name, number in calls:
        os.unlink("state.json", dir_fd=state.fileno())
        inject = f"inject={name}:signal=KILL:when={number}"
        killed += traced_life(state, "-o", "/dev/null", "-e", f"trace={name}", "-e", inject)
        truth = state.truth()
        phases.add(truth.phase)
        assert truth.supervisor is None
        assert truth.phase in ("idle", "done", LOST, CRASHED)
        assert truth.running == (truth.phase == LOST)
        keeper = None if truth.record is None else truth.record.keeper
        while keeper is not None and keeper.alive:
            select.select([], [], [], 0.001)
        truth = state.truth()
        assert not truth.running
        assert truth.phase in ("idle", "done", CRASHED)
        with state.lock():
            state.write(Record(phase="idle"))
        assert set(os.listdir(state.fileno())) == {"lock", "state.json"}
    assert killed > 0.9 * len(calls)
    assert {"idle", CRASHED, "done"} <= phases


def clean(directory: Path, config: Path) -> None:
    """Have systemd remove what is in `directory`, however young it is, as it does below /tmp after some days."""
    config.write_text(f"e {directory} - - - 0\n")
    subprocess.run(["systemd-tmpfiles", "--clean", config], check=True)


@ROOT_ONLY
def test_state_is_not_removed_for_its_age(tmp_path: Path) -> None:
    """What supervisors have below a directory that is cleaned stays while they live, and goes when they are gone."""
    aged, config = tmp_path / "aged", tmp_path / "config"
    with verbs_in(aged / "state") as verbs:
        verbs("start", "--name", "x", "sleep", "100")
        (aged / "another").touch()
        files = set((aged / "state").rglob("*"))
        clean(aged, config)
        assert not (aged / "another").exists() and set((aged / "state").rglob("*")) == files
        assert verbs.status("x")["state"] == "running"
        verbs("start", "--name", "x", "sleep", "100", code=1)
        verbs("stop", "x")
        clean(aged, config)
        assert not any(aged.iterdir())


@ROOT_ONLY
def test_state_of_a_host_is_not_removed_for_its_age(tmp_path: Path) -> None:
    """So it is with a supervisor in a program of one's own."""
    aged = tmp_path / "aged"
    with lr.Loop() as loop, lr.Supervisor(loop, ["sleep", "100"], state=aged / "state") as supervisor:
        while supervisor.program.pid is None:
            loop.dispatch(-1)
        files = set(aged.rglob("*"))
        clean(aged, tmp_path / "config")
        assert aged / "state" / "sleep" / "lock" in files and set(aged.rglob("*")) == files
    clean(aged, tmp_path / "config")
    assert not any(aged.iterdir())


def test_state_that_is_removed_while_it_is_opened(tmp_path: Path) -> None:
    """Who cleans has the lock first and removes the directory: another one is made, and that is locked."""
    path = tmp_path / "state"
    path.mkdir(0o700)
    cleaner = os.open(path, os.O_RDONLY)
    fcntl.flock(cleaner, fcntl.LOCK_EX)
    program = f"from lowrun.supervise.state import *\nStateDirectory.open(True, {str(path)!r}).program('x').lock()"
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        while f" -> FLOCK  ADVISORY  READ {process.pid} " not in Path("/proc/locks").read_text():
            assert process.poll() is None
            time.sleep(0.01)
        path.rmdir()
        os.close(cleaner)
    assert process.returncode == 0 and (path / "x" / "lock").exists()


def test_a_relative_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative LOWRUN_STATE_DIR is from where lowrun is called, for a daemon, too."""
    monkeypatch.chdir(tmp_path)
    with verbs_in(Path("st")) as verbs:
        verbs("start", "--name", "x", "sleep", "100")
        assert verbs.status("x")["state"] == "running"
        assert verbs.names() == ["x"] and not Path("/st").exists()
