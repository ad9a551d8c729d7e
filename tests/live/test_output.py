"""The output recorder against real children, real pipes and a real terminal.

A test that looks at what is passed on runs `HOST`, a small program of its own
that records one command, so that descriptors 1 and 2 can be anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pty
import resource
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import lowrun
from lowrun.core import kernel
from lowrun.core.loop import Loop
from lowrun.recorders.output import Output
from lowrun.runs.recorder import Recorder, RunInfo
from lowrun.values import Command

ROOT = Path(__file__).parents[2]
MOCK = ROOT / "mock"
MIB = 1 << 20
PYTHON = sys.executable


def record(
    argv: Sequence[str], scratch: Path, *, quiet: bool = True, interrupted: bool = False
) -> tuple[Output, RunInfo, int]:
    """Run `argv` with a recorder and nothing else of lowrun; return the stopped recorder, its run, the exit code."""
    recorder = Output()
    with Loop() as loop, contextlib.ExitStack() as stack:
        run = RunInfo(1, Command.of(argv), scratch, quiet=quiet)
        recorder.start(run, loop)
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=run.redirects[1], stderr=run.redirects[2]
        ) as child:
            pidfd = kernel.pidfd_open(child.pid)
            stack.callback(os.close, pidfd)
            with loop.add_io(pidfd, kernel.READ, lambda _: loop.stop()):
                loop.run()
        run.interrupted = interrupted
        recorder.stop()
    return recorder, run, child.returncode


def kept(argv: Sequence[str], into: Path) -> tuple[bytes, bytes]:
    """Run `argv` quietly; return what was kept of stdout and stderr."""
    recorder, run, _ = record(argv, into)
    artifacts = {artifact.name: artifact.path for artifact in recorder.keep(into)}
    assert not run.faults
    return artifacts["stdout"].read_bytes(), artifacts["stderr"].read_bytes()


#: Records one command into DIR, passes its output on unless told not to, writes the run's faults to DIR/report.
HOST = f"""
import fcntl, os, sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
from test_output import record
into, *argv = sys.argv[1:]
caller = [fd for fd in (1, 2) if os.path.exists(f"/proc/self/fd/{{fd}}")]
flags = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in caller]
told = {{word: word in os.environ for word in ("quiet", "interrupted")}}
recorder, run, code = record(argv, Path(into), **told)
recorder.keep(Path(into))
assert flags == [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in caller], "the caller's descriptors were changed"
# ru_maxrss would begin with what the parent had when it forked (getrusage(2) says nothing of it).
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
Path(into, "report").write_text("\\n".join([str(code), str(peak), *run.faults]))
"""


@dataclass
class Report:
    """What HOST says at its end."""

    code: int
    max_rss_kib: int
    faults: list[str]


#: A prelude: opening what is behind a descriptor once more is refused, as after su(1).
REFUSED = """
import os
def refuse(path, *rest, open=os.open, **more):
    if str(path).startswith("/proc/self/fd/"):
        raise PermissionError
    return open(path, *rest, **more)
os.open = refuse
"""


class Host:
    """HOST under way, with `prelude` run first; `report()` waits for its end and returns what it says."""

    def __init__(
        self, into: Path, argv: Sequence[str], *, stdout: int, stderr: int = subprocess.DEVNULL,
        told: str = "loud", prelude: str = "",
    ) -> None:  # fmt: skip
        self.into = into
        self.process = subprocess.Popen(
            [PYTHON, "-c", prelude + HOST, str(into), *argv],
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env={**os.environ, told: "1"},
        )  # fmt: skip

    def report(self) -> Report:
        assert self.process.wait() == 0
        code, peak, *faults = (self.into / "report").read_text().splitlines()
        return Report(int(code), int(peak), faults)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A small pipe (read end, write end), so that a slow reader is felt at once."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """A FIFO that the command opens as its last act: reading it waits for that."""
    path = tmp_path / "ended"
    os.mkfifo(path)
    return path


def test_it_is_a_recorder() -> None:
    """Output is what runs take for a recorder."""
    assert isinstance(Output(), Recorder)


def test_reopening_dev_stderr_loses_no_line(tmp_path: Path) -> None:
    """A command that opens /dev/stderr adds to what was written before: descriptor 2 is a pipe."""
    _, err = kept(["sh", "-c", "echo one >&2; echo two >/dev/stderr; echo three >&2"], tmp_path)
    assert err == b"one\ntwo\nthree\n"


def test_bytes_survive_and_streams_stay_apart(tmp_path: Path) -> None:
    """NUL, all other byte values and an unfinished last line are kept as they are, each in its stream's file."""
    code = "import os; os.write(1, bytes(range(256))); os.write(2, bytes(range(255, -1, -1)))"
    assert kept([PYTHON, "-c", code], tmp_path) == (bytes(range(256)), bytes(range(255, -1, -1)))


def test_empty_streams_are_kept(tmp_path: Path) -> None:
    """A command that writes nothing leaves two empty files."""
    assert kept(["true"], tmp_path) == (b"", b"")
    assert sorted(os.listdir(tmp_path)) == ["stderr.log", "stdout.log"]


def test_discarding_leaves_no_file(tmp_path: Path) -> None:
    """A run that is not kept leaves nothing in the directory."""
    recorder, _, _ = record(["echo", "gone"], tmp_path)
    recorder.discard()
    assert os.listdir(tmp_path) == []


def test_a_recorder_can_be_used_again(tmp_path: Path) -> None:
    """Each start begins anew: nothing of a former run is in the next one's files."""
    recorder = Output()
    for index, word in enumerate(["first", "second"]):
        into = tmp_path / str(index)
        into.mkdir()
        with Loop() as loop:
            run = RunInfo(index, Command.of(["echo"]), into, quiet=True)
            recorder.start(run, loop)
            os.write(run.redirects[1], word.encode())
            recorder.stop()
        recorder.keep(into)
        assert (into / "stdout.log").read_text() == word


def test_output_of_descendants_is_kept(tmp_path: Path) -> None:
    """What a grandchild writes after the command closed its own output is kept: no hang-up ends the recording."""
    out, _ = kept(["sh", "-c", "(sleep 0.05; echo late) & exec >&- 2>&-; wait"], tmp_path)
    assert out == b"late\n"


def test_closed_output_does_not_spin(tmp_path: Path) -> None:
    """A command that closes both streams and lives on costs no CPU: the pipes show no hang-up."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    recorder, _, _ = record(["sh", "-c", "exec >&- 2>&-; sleep 0.5"], tmp_path)
    after = resource.getrusage(resource.RUSAGE_SELF)
    recorder.discard()
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.2


@pytest.mark.figures
def test_200_mb_on_each_stream_in_little_memory(tmp_path: Path) -> None:
    """200 MB to stderr, then as many to stdout, are kept byte for byte by a process of under 60 MB."""
    sys.path.insert(0, str(MOCK))
    try:
        import floods
    finally:
        sys.path.remove(str(MOCK))
    size = 200 * MIB
    argv = [PYTHON, str(MOCK / "floods.py"), str(size), "1"]
    with Host(tmp_path, argv, stdout=subprocess.DEVNULL, told="quiet") as host:
        report = host.report()
    assert (report.code, report.faults) == (1, [])
    assert report.max_rss_kib < 60 * 1024
    for fd, name in ((1, "stdout.log"), (2, "stderr.log")):
        truth = hashlib.blake2b()
        for block in floods.blocks(fd, size):
            truth.update(block)
        with open(tmp_path / name, "rb") as file:
            found = hashlib.blake2b()
            while chunk := file.read(MIB):
                found.update(chunk)
        assert found.digest() == truth.digest()
        os.unlink(tmp_path / name)


def test_output_is_passed_on_as_it_comes(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """The reader sees a line while the command still runs."""
    reads, writes = pipe
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with Host(tmp_path, ["sh", "-c", f"echo now; read x < {gate}"], stdout=writes, stderr=writes) as host:
        assert os.read(reads, 100) == b"now\n"
        gate.write_text("go\n")
        assert host.report().code == 0


@pytest.mark.parametrize("prelude", ["", REFUSED], ids=["own", "shared"])
def test_slow_reader_loses_nothing(tmp_path: Path, pipe: tuple[int, int], prelude: str) -> None:
    """A reader that takes little at a time gets every byte in order; the command waits for it."""
    reads, writes = pipe
    with Host(tmp_path, [PYTHON, str(MOCK / "floods.py"), str(3 * MIB)], stdout=writes, prelude=prelude) as host:
        os.close(writes)
        got = bytearray()
        while chunk := os.read(reads, 3000):
            got += chunk
        assert host.report().faults == []
    assert bytes(got) == (tmp_path / "stdout.log").read_bytes()
    assert len(got) == 3 * MIB


def test_slow_reader_does_not_hold_up_the_loop(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """While nobody reads, the other stream is passed on and timers fire: nothing waits in a write."""
    _, writes = pipe
    saved = os.dup(1)
    recorder = Output()
    fired = []
    with Loop() as loop:
        run = RunInfo(1, Command.of(["x"]), tmp_path)
        os.dup2(writes, 1)
        try:
            recorder.start(run, loop)
        finally:
            os.dup2(saved, 1)
            os.close(saved)
        os.write(run.redirects[1], b"x" * 60000)
        with loop.add_timer(0.05, lambda: (fired.append(True), loop.stop())):
            loop.run()
        run.interrupted = True
        recorder.stop()
    assert fired
    assert [artifact.path.stat().st_size for artifact in recorder.keep(tmp_path)] == [60000, 0]
    assert "not passed on" in run.faults[0]


def test_reader_that_goes_away_ends_the_command(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """`yes | head -1` ends: the command gets the SIGPIPE that it would have got, without a fault."""
    reads, writes = pipe
    with Host(tmp_path, ["yes"], stdout=writes) as host:
        os.close(writes)
        assert os.read(reads, 2) == b"y\n"
        os.close(reads)
        report = host.report()
    assert (report.code, report.faults) == (-signal.SIGPIPE, [])
    assert (tmp_path / "stdout.log").read_bytes().startswith(b"y\ny\n")


def test_stop_waits_for_a_slow_reader(tmp_path: Path, pipe: tuple[int, int], ended: Path) -> None:
    """What the command left behind in the pipe reaches a reader that starts only after its end."""
    reads, writes = pipe
    argv = ["sh", "-c", f"head -c 50000 /dev/zero; : > {ended}"]
    with Host(tmp_path, argv, stdout=writes) as host:
        os.close(writes)
        ended.read_bytes()
        got = 0
        while chunk := os.read(reads, 4096):
            got += len(chunk)
        assert host.report().faults == []
    assert got == 50000


@pytest.mark.parametrize("blocked", [False, True], ids=["handler", "signalfd"])
def test_signal_ends_the_wait_for_a_reader(tmp_path: Path, pipe: tuple[int, int], ended: Path, blocked: bool) -> None:
    """A reader that never reads keeps lowrun only until a signal comes, by a handler or blocked for a signalfd."""
    _, writes = pipe
    prelude = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n" if blocked else ""
    argv = ["sh", "-c", f"head -c 50000 /dev/zero; : > {ended}"]
    with Host(tmp_path, argv, stdout=writes, prelude=prelude) as host:
        ended.read_bytes()
        host.process.terminate()
        if not blocked:
            assert host.process.wait(5) == -signal.SIGTERM
            return
        report = host.report()
    assert "not passed on" in report.faults[0]
    assert (tmp_path / "stdout.log").stat().st_size == 50000


def test_interrupted_run_waits_for_nobody(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """A run that was interrupted is recorded whole, though nobody reads what it wrote."""
    _, writes = pipe
    argv = ["head", "-c", "50000", "/dev/zero"]
    with Host(tmp_path, argv, stdout=writes, told="interrupted") as host:
        assert "not passed on" in host.report().faults[0]
    assert (tmp_path / "stdout.log").stat().st_size == 50000


def test_passing_on_to_files_keeps_what_they_hold(tmp_path: Path) -> None:
    """`>> file` is appended to, and two streams that share one offset do not overwrite each other."""
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    with open(log, "ab") as file, Host(
        tmp_path, ["sh", "-c", "echo out; echo err >&2"], stdout=file.fileno(), stderr=file.fileno()
    ) as host:  # fmt: skip
        host.report()
    assert sorted(log.read_bytes().splitlines()) == [b"before", b"err", b"out"]


@pytest.mark.parametrize("prelude", ["", REFUSED], ids=["own", "shared"])
def test_terminal_gets_all(tmp_path: Path, prelude: str) -> None:
    """Output that is passed on to a terminal, whose reader is slow, is complete and in order."""
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    try:
        with Host(tmp_path, ["seq", "100000"], stdout=slave, stderr=slave, prelude=prelude) as host:
            os.close(slave)
            got = bytearray()
            with contextlib.suppress(OSError):  # EIO: the last writer has closed the terminal
                while chunk := os.read(master, 1000):
                    got += chunk
            assert host.report().faults == []
    finally:
        os.close(master)
    assert bytes(got) == (tmp_path / "stdout.log").read_bytes()
    assert got.endswith(b"100000\n")


def test_full_destination_is_reported_once(tmp_path: Path) -> None:
    """Where the caller's own output has no room, that is said once, with the remedy; recording goes on."""
    with open("/dev/full", "wb") as full, Host(
        tmp_path, ["seq", "100000"], stdout=full.fileno()
    ) as host:  # fmt: skip
        report = host.report()
    assert report.code == 0
    assert report.faults == ["stdout is passed on only in part: No space left on device: make room where it goes"]
    assert (tmp_path / "stdout.log").read_bytes().endswith(b"100000\n")


@pytest.mark.parametrize("quiet", [True, False])
def test_full_record_is_reported_once(tmp_path: Path, pipe: tuple[int, int], quiet: bool) -> None:
    """Where there is no room for the record, that is said once, with the remedy; the command ends as it would."""
    reads, writes = pipe
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
    argv = ["head", "-c", "400000", "/dev/zero"]
    with Host(tmp_path, argv, stdout=writes, told="quiet" if quiet else "loud", prelude=limit) as host:
        os.close(writes)
        got = 0
        while chunk := os.read(reads, 65536):
            got += len(chunk)
        report = host.report()
    assert report.code == 0
    assert got == (0 if quiet else 400000)
    assert report.faults == [
        f"of stdout the first 100000 bytes are recorded: File too large: {tmp_path}; "
        "free some space or choose another directory"
    ]
    assert (tmp_path / "stdout.log").stat().st_size == 100000


def test_socket_destination_is_never_waited_for(tmp_path: Path) -> None:
    """Standard output that is a socket, as under inetd, gets every byte though it is slow to take them."""
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs, Host(
        tmp_path, ["seq", "100000"], stdout=theirs.fileno()
    ) as host:  # fmt: skip
        theirs.close()
        got = bytearray()
        while chunk := ours.recv(5000):
            got += chunk
        assert host.report().faults == []
    assert bytes(got) == (tmp_path / "stdout.log").read_bytes()


def test_closed_standard_output_is_no_destination(tmp_path: Path) -> None:
    """A program started without descriptors 1 and 2, which has files of its own there, writes no output to them."""
    closed = "import os; os.close(1); os.close(2)\n"
    with Host(tmp_path, ["sh", "-c", "seq 100; seq 100 >&2"], stdout=subprocess.DEVNULL, prelude=closed) as host:
        assert host.report().faults == []
    assert (tmp_path / "stdout.log").read_bytes() == (tmp_path / "stderr.log").read_bytes() != b""


def test_failed_start_leaves_nothing(tmp_path: Path) -> None:
    """Where descriptors run out half way through the start, it raises and closes those it had."""
    former = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Loop() as loop:
        spare = os.dup(0)
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 5, former[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                Output().start(RunInfo(1, Command.of(["true"]), tmp_path, quiet=True), loop)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, former)


def test_run_keeps_what_a_failing_command_wrote(tmp_path: Path) -> None:
    """lowrun.run with an Output keeps both streams of a command that fails, and nothing of one that does not."""
    failing = lowrun.run(
        ["sh", "-c", "echo out; echo err >&2; exit 3"], record=[Output()], quiet=True, output=tmp_path / "kept"
    )
    assert failing.status.code == 3
    assert not [fault for fault in failing.faults if "std" in fault or "output" in fault]
    assert {name: path.read_text() for name, path in failing.artifacts.items()} == {
        "stdout": "out\n",
        "stderr": "err\n",
    }
    passing = lowrun.run(["echo", "out"], record=[Output()], quiet=True, output=tmp_path / "not-kept")
    assert passing.artifacts == {}
    assert not (tmp_path / "not-kept").exists()


def test_runs_at_the_same_time_are_kept_apart(tmp_path: Path) -> None:
    """Each of several runs under way has the files of its own words only."""
    command = ["sh", "-c", "echo $$; sleep 0.02; echo $$; exit 1"]
    for result in lowrun.repeat(command, count=20, jobs=4, record=[Output()], quiet=True, output=tmp_path / "out"):
        assert result.artifacts["stdout"].read_text() == f"{result.pid}\n" * 2


def command_line(*argv: str, stdout: int, cwd: Path) -> subprocess.Popen[bytes]:
    """Start the program `lowrun`."""
    code = "import sys; from lowrun.cli.main import main; sys.exit(main())"
    return subprocess.Popen(
        [PYTHON, "-c", code, *argv], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, cwd=cwd
    )


@pytest.mark.parametrize("command", ["exec yes", "head -c 50000 /dev/zero"], ids=["running", "over"])
def test_interrupted_program_waits_for_no_reader(tmp_path: Path, pipe: tuple[int, int], command: str) -> None:
    """`lowrun -lt` whose reader never reads ends within 1 s of SIGTERM, its command running still or over already."""
    _, writes = pipe
    with command_line("-lt", "sh", "-c", f"{command}; exit 1", stdout=writes, cwd=tmp_path) as program:
        wait_for_full(writes)
        program.terminate()
        program.wait(1.5)


def wait_for_full(writes: int) -> None:
    """Wait until a pipe has no room."""
    while select.select([], [writes], [], 0)[1]:
        select.select([], [], [], 0.001)
