"""The native tracer, on programs of mock/ that stand for the corners of ptrace(2).

Each program is parked by `corners parked`, seized, and let go, as a run does
with its command; what the tracer wrote is read back as records.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lowrun.errors import DeniedError, GoneError
from lowrun.trace.arch import AUDIT_ARCH_X86_64
from lowrun.trace.records import (
    Enter,
    Exec,
    Exit,
    Exited,
    Exiting,
    Fork,
    Lost,
    Record,
    Signal,
    Stopped,
    encode,
    read,
)
from lowrun.trace.records import Path as PathRecord
from lowrun.trace.table import call_of, capture_plan, numbers_of
from lowrun.trace.tracer import Tracer
from lowrun.values import Usage

MOCK = Path(__file__).parents[2] / "mock"


def built(name: str, directory: Path) -> str:
    """Compile mock/NAME.c; return the program's path."""
    program = directory / name
    subprocess.run(["cc", "-O1", "-pthread", "-w", "-o", program, MOCK / f"{name}.c"], check=True)
    return str(program)


@pytest.fixture(scope="module")
def corners(tmp_path_factory: pytest.TempPathFactory) -> str:
    return built("corners", tmp_path_factory.mktemp("corners"))


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> str:
    return built("clones", tmp_path_factory.mktemp("clones"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> str:
    return built("foreign", tmp_path_factory.mktemp("foreign"))


@pytest.fixture(scope="module")
def burners(tmp_path_factory: pytest.TempPathFactory) -> str:
    return built("burners", tmp_path_factory.mktemp("burners"))


@dataclass
class Trace:
    """One traced program, while it runs and after."""

    process: subprocess.Popen[bytes]
    tracer: Tracer
    status: int = -1
    output: bytes = b""
    usage: Usage | None = None
    fault: str | None = None
    records: list[Record] = field(default_factory=list)

    def finish(self, file: int) -> None:
        """Wait for the program's end and read what was recorded."""
        self.output += self.process.communicate()[0]
        self.status = self.process.returncode
        self.tracer.stop()
        self.tracer.flush()
        self.usage, self.fault = self.tracer.usage(), self.tracer.fault
        if os.path.isfile(f"/proc/self/fd/{file}"):
            self.records = list(read(os.pread(file, os.fstat(file).st_size, 0)))

    def of(self, kind: type[Record]) -> list[Record]:
        return [record for record in self.records if isinstance(record, kind)]

    def names(self, tid: int | None = None) -> list[str]:
        """Names of the calls that were entered, of one thread or all."""
        return [call_of(r.number).name for r in self.records if isinstance(r, Enter) and tid in (None, r.tid)]


@contextmanager
def parked(corners: str, command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that executes `command` when the descriptor is closed; dead afterwards."""
    theirs, ours = os.pipe()
    argv = [corners, "parked", str(theirs), *command]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[theirs]) as process:
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()
            if ours in open_descriptors():
                os.close(ours)


def open_descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}


@contextmanager
def tracing(corners: str, *command: str, only: str | None = None, output: int | None = None) -> Iterator[Trace]:
    """`command` under way and traced; the body may meddle with it. It is waited for at the end."""
    chosen = None if only is None else numbers_of(only)
    with tempfile.TemporaryFile() as file, parked(corners, command) as (process, go):
        target = file.fileno() if output is None else output
        tracer = Tracer(target, capture_plan(), chosen)
        try:
            tracer.seize(process.pid)
            os.close(go)
            trace = Trace(process, tracer)
            yield trace
            trace.finish(target)
        finally:
            tracer.stop()
            tracer.close()


def traced(corners: str, *command: str, only: str | None = None) -> Trace:
    with tracing(corners, *command, only=only) as trace:
        pass
    assert trace.fault is None
    return trace


def until(condition: Callable[[], bool]) -> None:
    """Wait for what procfs shows and nothing announces."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.001)


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def strace_names(directory: Path, *command: str) -> list[str]:
    log = directory / "strace.log"
    subprocess.run(["strace", "-o", log, *command], check=True, capture_output=True)
    return re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)


def test_first_record_is_the_execve_of_the_command(corners: str) -> None:
    """What the launcher did before, failed execves included, is not the command's: its own execve is first."""
    trace = traced(corners, "true")
    first = trace.records[0]
    assert isinstance(first, Enter) and call_of(first.number).name == "execve"
    assert first.chunks[0].data.endswith(b"/true")
    results = trace.of(Exit)
    assert isinstance(results[0], Exit) and results[0].value == 0
    assert trace.status == 0


def test_one_thread_has_the_calls_that_strace_sees_in_the_same_order(corners: str, tmp_path: Path) -> None:
    """The names of all calls, from execve to exit_group, are strace's."""
    assert traced(corners, corners, "single").names() == strace_names(tmp_path, corners, "single")


def test_captures_are_what_the_program_passed_and_got(corners: str) -> None:
    """A path at entry, a buffer at exit, and a bad pointer that is told as bad."""
    trace = traced(corners, corners, "single")
    opened = [r for r in trace.of(Enter) if isinstance(r, Enter) and call_of(r.number).name == "openat"]
    assert opened[-2].chunks[1].data == b"/dev/zero"
    assert opened[-1].chunks[1].bad
    reads = [r.chunks[1].data for r in trace.of(Exit) if isinstance(r, Exit) and 1 in r.chunks and r.value == 8]
    assert reads == [bytes(8)]


def test_descriptors_are_named_once(corners: str) -> None:
    """What a descriptor is comes before the end of the call that made it; what was given, with the first execve."""
    trace = traced(corners, corners, "single")
    named = {(r.fd, r.text) for r in trace.of(PathRecord) if isinstance(r, PathRecord)}
    assert (-100, os.fsencode(os.getcwd())) in named
    assert {fd for fd, _ in named} >= {0, 1, 2}
    zero = next(i for i, r in enumerate(trace.records) if isinstance(r, PathRecord) and r.text == b"/dev/zero")
    made = trace.records[zero + 1]
    assert isinstance(made, Exit) and made.value == 3


def test_every_call_of_eight_threads_is_recorded(corners: str) -> None:
    """8 threads of 100 getppid: 800 entries, 800 exits, 9 ends, one process."""
    trace = traced(corners, corners, "threads", "8")
    per_thread = Counter(r.tid for r in trace.of(Enter) if isinstance(r, Enter) and call_of(r.number).name == "getppid")
    assert sorted(per_thread.values()) == [100] * 8
    assert len(trace.of(Exited)) == 9
    assert len(trace.of(Fork)) == 8
    assert {r.tgid for r in trace.records} == {trace.process.pid}
    assert trace.usage is not None and trace.usage.processes == 1


def test_execve_by_a_thread_takes_the_leaders_id(corners: str) -> None:
    """The calling thread goes on as the leader; its execve has an entry under the old id and an exit under the new."""
    trace = traced(corners, corners, "exec-by-thread")
    execs = [r for r in trace.of(Exec) if isinstance(r, Exec)]
    assert len(execs) == 2 and execs[0].former == execs[0].tid == trace.process.pid
    assert execs[1].tid == trace.process.pid != execs[1].former
    assert trace.names(execs[1].former)[-1] == "execve"
    after = trace.records[trace.records.index(execs[1]) :]
    assert isinstance(after[1], Exit) and after[1].tid == trace.process.pid and after[1].value == 0
    assert trace.names()[-1] == "exit_group" and trace.status == 0


def test_threads_outlive_their_leader(corners: str) -> None:
    """A leader that ends first changes nothing: 100 calls follow, the process ends with the thread's code."""
    trace = traced(corners, corners, "leader-first")
    assert trace.names().count("getppid") == 100
    assert trace.status == 7
    last = trace.records[-1]
    assert isinstance(last, Exited) and last.tid == trace.process.pid and os.waitstatus_to_exitcode(last.status) == 7


def test_vfork_child_is_followed(corners: str) -> None:
    """Its execve and its calls are recorded under its own process; the parent's vfork returns its pid."""
    trace = traced(corners, corners, "vfork")
    forks = [r for r in trace.of(Fork) if isinstance(r, Fork)]
    assert len(forks) == 1
    child = forks[0].child
    assert all(r.tid != child for r in trace.records[: trace.records.index(forks[0])])
    assert trace.names(child)[0] == "execve" and trace.names(child)[-1] == "exit_group"
    assert {r.tgid for r in trace.records if r.tid == child} == {child}
    assert trace.usage is not None and trace.usage.processes == 2


def test_signals_are_delivered_and_recorded(corners: str) -> None:
    """Three handled signals and a deadly one reach the program, each with its siginfo."""
    trace = traced(corners, corners, "signals")
    numbers = [int.from_bytes(r.siginfo[:4], "little") for r in trace.of(Signal) if isinstance(r, Signal)]
    assert numbers == [signal.SIGUSR1] * 3 + [signal.SIGTERM]
    assert trace.status == -signal.SIGTERM


def test_stop_stops_and_continue_continues(corners: str) -> None:
    """SIGSTOP stops a traced program for its parent too, SIGCONT wakes it, and it runs on to its end."""
    with tracing(corners, corners, "wait") as trace:
        pid = trace.process.pid
        assert trace.process.stdout is not None and trace.process.stdout.readline() == b"ready\n"
        os.kill(pid, signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        os.kill(pid, signal.SIGCONT)
        assert os.WIFCONTINUED(os.waitpid(pid, os.WCONTINUED)[1])
    assert trace.status == 5
    assert [r.signal for r in trace.of(Stopped) if isinstance(r, Stopped)] == [signal.SIGSTOP]
    numbers = [int.from_bytes(r.siginfo[:4], "little") for r in trace.of(Signal) if isinstance(r, Signal)]
    assert numbers == [signal.SIGSTOP, signal.SIGCONT]


def test_kill_in_the_middle_of_a_call(corners: str) -> None:
    """The call that SIGKILL cut short has an entry and no exit; the end is recorded."""
    with tracing(corners, corners, "wait") as trace:
        pid = trace.process.pid
        assert trace.process.stdout is not None and trace.process.stdout.readline() == b"ready\n"
        until(lambda: status_of(pid)["State"].startswith("S"))
        trace.process.kill()
    assert trace.status == -signal.SIGKILL
    entered, exiting, ended = trace.records[-3:]
    assert isinstance(entered, Enter) and call_of(entered.number).name == "read"
    assert isinstance(exiting, Exiting)
    assert isinstance(ended, Exited) and os.WTERMSIG(ended.status) == signal.SIGKILL
    assert trace.usage is not None and trace.usage.user_s is not None


def test_no_short_child_is_lost(corners: str) -> None:
    """2,000 children that live a moment: each is counted, and its last call and its end are recorded."""
    trace = traced(corners, corners, "children", "2000", only="exit_group")
    ended = Counter(r.tid for r in trace.of(Exited))
    assert trace.usage is not None and trace.usage.processes == 2001
    assert sum(ended.values()) == 2001
    assert trace.names() == ["exit_group"] * 2001


@pytest.mark.figures
@pytest.mark.parametrize("way", [[], ["ignore"]], ids=["waits", "ignores SIGCHLD"])
def test_usage_is_that_of_the_tree(corners: str, burners: str, way: list[str]) -> None:
    """CPU time is within 5 % of what 60 children of 4 ms say they used, whether their parent waits for them or not."""
    trace = traced(corners, burners, "60", "4", *way)
    told = sum(map(int, trace.output.split()[1:])) / 1e9
    assert trace.usage is not None and trace.usage.user_s is not None and trace.usage.sys_s is not None
    assert trace.usage.processes == 61
    assert told * 0.95 <= trace.usage.user_s + trace.usage.sys_s <= told * 1.05 + 0.03


def test_only_the_calls_asked_for_are_recorded(corners: str) -> None:
    """A set of calls leaves the others out; ends are recorded all the same."""
    trace = traced(corners, corners, "single", only="read,close")
    assert set(trace.names()) == {"read", "close"}
    assert len(trace.of(Exited)) == 1


@pytest.mark.parametrize("calls", [10, 20000], ids=["at the end", "under way"])
def test_full_disk_costs_records_and_nothing_else(corners: str, calls: int) -> None:
    """On a write error the program runs on to its end, and the cause is told."""
    full = os.open("/dev/full", os.O_RDWR | os.O_CLOEXEC)
    try:
        with tracing(corners, corners, "loop", str(calls), output=full) as trace:
            pass
    finally:
        os.close(full)
    assert trace.status == 0
    assert trace.fault == f"recording ended early: {os.strerror(errno.ENOSPC)}"
    assert trace.usage is not None and trace.usage.processes == 1 and trace.usage.user_s is not None


def test_what_was_recorded_before_the_disk_was_full_is_whole(corners: str) -> None:
    """A file that may not grow beyond 2 MB, in the middle of a record: whole records, and then the one that says so."""
    size = 2_000_011
    file = os.memfd_create("records", os.MFD_ALLOW_SEALING)
    try:
        os.truncate(file, size)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        with tracing(corners, corners, "getppid", "20000", output=file) as trace:
            pass
        whole = os.fstat(file).st_size
    finally:
        os.close(file)
    assert trace.status == 0
    assert trace.fault == f"recording ended early: {os.strerror(errno.EPERM)}"
    assert trace.records[-1] == Lost(trace.process.pid, trace.process.pid, trace.records[-1].time_ns, errno.EPERM)
    assert sum(len(encode(record)) for record in trace.records) == whole
    assert 0 <= size - whole < 4096


def test_nobody_is_stopped_for_calls_that_cannot_be_recorded(corners: str) -> None:
    """After a write error, which comes within 8,000 calls, a stop at each of 200,000 would be 400,000 switches."""
    full = os.open("/dev/full", os.O_RDWR | os.O_CLOEXEC)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_nvcsw
    try:
        with tracing(corners, corners, "getppid", "200000", output=full) as trace:
            pass
    finally:
        os.close(full)
    assert trace.status == 0
    assert trace.usage is not None and trace.usage.processes == 1
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_nvcsw - before < 100_000


def test_threads_that_are_cut_off_by_an_exit_are_told_once(corners: str, clones: str) -> None:
    """SIGKILL moves tasks on from their stops: each has one end all the same, and each process is counted."""
    for _ in range(10):
        trace = traced(corners, clones, "cut", "4")
        ended = Counter(r.tid for r in trace.of(Exited))
        assert set(ended) == {r.tid for r in trace.records}
        processes = {r.tgid for r in trace.records}
        assert trace.usage is not None and trace.usage.processes == len(processes)


def test_a_kill_around_an_execve_by_a_thread(corners: str) -> None:
    """Whether SIGKILL comes before, in or after the execve: the trace ends, and there was one process."""
    for step in range(40):
        with tracing(corners, corners, "exec-by-thread") as trace:
            assert trace.process.stdout is not None and trace.process.stdout.readline() == b"ready\n"
            time.sleep(0.0195 + step * 0.0001)  # the thread executes after 20 ms
            trace.process.kill()
        assert trace.fault is None
        assert trace.usage is not None and trace.usage.processes == 1


def test_calls_of_another_kind_are_not_taken_for_ours(corners: str, foreign: str) -> None:
    """What int 0x80 enters has its own architecture and number; what is copied is by the plan of 32-bit calls."""
    trace = traced(corners, foreign)
    if trace.status == 77:
        pytest.skip("this kernel has no 32-bit calls")
    assert trace.status == 0
    calls = [r for r in trace.of(Enter) if isinstance(r, Enter) and r.arch != AUDIT_ARCH_X86_64]
    assert [r.number for r in calls] == [20, 20, 64, 5, 3, 6]
    assert {r.arch for r in calls} == {0x40000003}
    copied = {r.number: [chunk.data for chunk in r.chunks.values()] for r in calls if r.chunks}
    assert copied.keys() == {5}  # open
    assert copied[5][0].startswith(b"/")


def test_seizing_what_is_traced_already_is_denied(corners: str) -> None:
    """DeniedError names the other tracer; the program is left as it was."""
    with tracing(corners, corners, "wait") as trace, tempfile.TemporaryFile() as file:
        second = Tracer(file.fileno(), capture_plan())
        with pytest.raises(DeniedError, match=r"lowrun-tracer \(pid \d+\) traces it already"):
            second.seize(trace.process.pid)
        second.stop()
        second.close()
    assert trace.status == 5


def test_seizing_what_is_gone(corners: str) -> None:
    """GoneError for a process that has ended; stop returns at once."""
    with parked(corners, ["true"]) as (process, _), tempfile.TemporaryFile() as file:
        process.kill()
        process.wait()
        tracer = Tracer(file.fileno(), capture_plan())
        with pytest.raises(GoneError):
            tracer.seize(process.pid)
        tracer.stop()
        tracer.close()


def test_launcher_that_dies_before_its_exec(corners: str) -> None:
    """Nothing is recorded, and stop returns."""
    with parked(corners, ["true"]) as (process, _), tempfile.TemporaryFile() as file:
        tracer = Tracer(file.fileno(), capture_plan())
        tracer.seize(process.pid)
        process.kill()
        process.wait()
        tracer.stop()
        tracer.flush()
        tracer.close()
        assert os.fstat(file.fileno()).st_size == 0


@pytest.mark.figures
def test_idle_tracee_costs_no_processor_time(corners: str) -> None:
    """While the program waits, the tracer sleeps: under 1 ms of CPU in 300."""

    def used(pid: int) -> int:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])

    with tracing(corners, corners, "wait") as trace:
        assert trace.process.stdout is not None and trace.process.stdout.readline() == b"ready\n"
        until(lambda: status_of(trace.process.pid)["State"].startswith("S"))
        tracer = int(status_of(trace.process.pid)["TracerPid"])
        until(lambda: status_of(tracer)["State"].startswith("S"))
        before = used(tracer)
        time.sleep(0.3)  # what is measured is this time
        assert used(tracer) - before < 1_000_000


def test_host_that_waits_for_any_child_takes_no_stop_away(corners: str) -> None:
    """A thread in waitpid(-1) gets the program's end and no stop of it; all is recorded."""
    got: list[tuple[int, int]] = []
    with tracing(corners, corners, "loop", "2000") as trace:
        waiter = threading.Thread(target=lambda: got.append(os.waitpid(-1, 0)))
        waiter.start()
        waiter.join()
    assert got == [(trace.process.pid, 0)]
    assert trace.names().count("close") >= 2000
    assert trace.names()[-1] == "exit_group"


def test_what_is_left_is_killed(corners: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """stop with a tracee that does not end kills it and returns."""
    monkeypatch.setattr("lowrun.trace.tracer.END_PATIENCE", 0.2)
    with tracing(corners, corners, "wait") as trace:
        assert trace.process.stdout is not None and trace.process.stdout.readline() == b"ready\n"
        trace.tracer.stop()
        assert trace.process.wait() == -signal.SIGKILL
