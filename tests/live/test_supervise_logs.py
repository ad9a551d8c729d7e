"""A program's log and its output: the lines, rotation, full disks, floods, readers that follow."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.supervise import journal as journal_module
from lowrun.supervise.journal import LOG_NAMES, FileJournal, Syslog
from lowrun.supervise.outputlog import (
    DirectOutput,
    FileOutput,
    Output,
    PassedOutput,
    SyslogOutput,
    open_output,
    output_names,
)
from lowrun.supervise.reading import Follower, tail
from lowrun.supervise.record import Record
from lowrun.supervise.settings import Program
from lowrun.supervise.state import ProgramState, StateDirectory, boot_id
from tests.supervised import state as verbs_in


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProgramState]:
    monkeypatch.setenv("LOWRUN_STATE_DIR", str(tmp_path / "state"))
    with StateDirectory.open(create=True) as directory, directory.program("job") as state:
        yield state


@pytest.fixture
def loop() -> Iterator[lr.Loop]:
    with lr.Loop() as loop:
        yield loop


@pytest.fixture
def devlog(tmp_path: Path) -> Iterator[socket.socket]:
    """What a syslog daemon has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "log"))
        end.settimeout(10)
        yield end


def wait(loop: lr.Loop, condition: Callable[[], object]) -> None:
    """Dispatch until `condition` holds; a timer wakes for what is no event of the loop's."""
    ticks: list[None] = []
    with loop.add_timer(0.01, lambda: ticks.append(None), every=0.01):
        while not condition():
            loop.dispatch(-1)
            assert len(ticks) < 2000, "it did not come"


def run(output: Output, *argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdout=output.fds[1], stderr=output.fds[2])


def text(state: ProgramState, names: tuple[str, ...], lines: int | None = None) -> bytes:
    return b"".join(tail(state, names, lines))


# -- the journal


def test_the_lines_of_the_contract(state: ProgramState, tmp_path: Path, devlog: socket.socket) -> None:
    """Word for word, stamped in the own log, and the same in the system's."""
    with closing(Syslog(str(tmp_path / "log"))) as syslog:
        journal = FileJournal(state, syslog)
        journal.started(1)
        journal.program_started(2)
        journal.traced(3)
        journal.ended(2, lr.ExitStatus(1))
        journal.ended(2, lr.ExitStatus(137, 9))
        journal.restarted(1, 0, 4)
        journal.told_to_stop(4)
        journal.stopped()
        journal.say("a\nb\x1b\udc80é")
    expected = [
        "started (pid 1), command: start job",
        "job started, pid 2",
        "start trace job daemon pid 3",
        "proc 2 exited, status 1",
        "proc 2 killed by signo 9",
        "job restarted(1/0), pid 4",
        "kill(child pid 4)",
        "stopped",
        "a\\nb\\x1b\\udc80é",
    ]
    for line, words in zip(text(state, LOG_NAMES).decode().splitlines(), expected, strict=True):
        match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{3} lowrun\[(\d+)\]: (.*)", line)
        assert match is not None
        assert abs(time.mktime(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S")) - time.time()) < 100
        assert (int(match[2]), match[3]) == (os.getpid(), words)
        sent = devlog.recv(1000).decode()
        assert re.fullmatch(rf"<30>\w{{3}} [ \d]\d \d\d:\d\d:\d\d lowrun\[{os.getpid()}\]: {re.escape(words)}", sent)


def test_the_systems_log_never_holds_anybody_up(tmp_path: Path, devlog: socket.socket) -> None:
    """There is none; it is full: lines are lost. It is started anew: they come again."""
    with closing(Syslog(str(tmp_path / "none"))) as syslog:
        assert not syslog.send("x", 1, "lost")
    with closing(Syslog(str(tmp_path / "log"))) as syslog:
        sent = 0
        while syslog.send("x", 1, "y" * 1000):
            sent += 1
        assert sent > 0
        devlog.close()
        os.unlink(tmp_path / "log")
        assert not syslog.send("x", 1, "lost")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as anew:
            anew.bind(str(tmp_path / "log"))
            assert syslog.send("x", 1, "here")
            assert anew.recv(100).endswith(b"x[1]: here")


def test_the_journal_is_bounded(state: ProgramState, monkeypatch: pytest.MonkeyPatch) -> None:
    """It and one older one, never over the limit, and no line is cut or lost in between."""
    monkeypatch.setattr(journal_module, "LIMIT", 4096)
    journal = FileJournal(state)
    for number in range(1000):
        journal.say(f"line {number}")
    assert sorted(os.listdir(state.fileno())) == ["log", "log.1"]
    assert all(os.stat(name, dir_fd=state.fileno()).st_size <= 4096 for name in LOG_NAMES)
    numbers = [int(line.split()[-1]) for line in text(state, LOG_NAMES).splitlines()]
    assert numbers == list(range(numbers[0], 1000))
    assert len(numbers) > 60


def test_a_full_disk_loses_whole_lines(state: ProgramState) -> None:
    """What does not fit is not there in part; when there is room again, lines come again."""
    child = os.fork()
    if child == 0:
        import resource
        import signal

        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            journal = FileJournal(state)
            journal.say("first")
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
            journal.say("second " + "x" * 100)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            journal.say("third")
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert [line.split()[-1] for line in text(state, LOG_NAMES).splitlines()] == [b"first", b"third"]


# -- reading


@pytest.mark.parametrize("older", [b"", b"1\n2\n3\n", b"1\n2\n3"])
@pytest.mark.parametrize("newer", [b"", b"4\n5\n", b"4\n5", b"x" * 200_000 + b"\n\n"])
def test_the_last_lines(state: ProgramState, older: bytes, newer: bytes) -> None:
    """Over two files, with and without a last newline, lines longer than a block: as of the two joined."""
    for name, data in (("log.1", older), ("log", newer)):
        with open(f"{state.path}/{name}", "wb") as file:
            file.write(data)
    assert text(state, LOG_NAMES) == older + newer
    joined = [*older.splitlines(True), *newer.splitlines(True)]
    for count in range(7):
        assert text(state, LOG_NAMES, count) == b"".join(joined[-count:] if count else [])


def test_a_follower_loses_nothing(state: ProgramState, loop: lr.Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins before there is a log, and sees every line once, in order, over many rotations."""
    monkeypatch.setattr(journal_module, "LIMIT", 2048)
    got = bytearray()
    journal = FileJournal(state)
    with closing(Follower(loop, state, LOG_NAMES, 10, got.extend)):
        for number in range(500):
            journal.say(f"line {number}")
            if number % 20 == 0:
                wait(loop, lambda number=number: got.endswith(b" line %d\n" % number))
        wait(loop, lambda: got.endswith(b" line 499\n"))
    assert [int(line.split()[-1]) for line in got.splitlines()] == list(range(500))
    got.clear()
    with closing(Follower(loop, state, LOG_NAMES, 3, got.extend)):
        assert [line.split()[-1] for line in got.splitlines()] == [b"497", b"498", b"499"]
        journal.say("next")
        wait(loop, lambda: got.endswith(b" next\n"))
    assert len(got.splitlines()) == 4


# -- output


def faults(_text: str) -> None:
    raise AssertionError(_text)


def test_output_is_rotated_and_whole(state: ProgramState, loop: lr.Loop) -> None:
    """Files hold exactly their size; together they are the last that was written, byte for byte."""
    with closing(FileOutput(loop, state, 10_000, 3, faults)) as output:
        program = run(output, sys.executable, "-c", "for i in range(20000): print(i)")
        wait(loop, lambda: program.poll() is not None)
        output.drain()
        assert output.last_lines(2) == ["19998", "19999"]
        sizes = [os.stat(name, dir_fd=state.fileno()).st_size for name in output_names(state)]
        assert sizes[1:] == [10_000] * 3
        assert 0 < sizes[0] <= 10_000
        written = b"".join(b"%d\n" % number for number in range(20000))
        assert text(state, output_names(state)) == written[-sum(sizes) :]


def test_one_pipe_for_all_lives(state: ProgramState, loop: lr.Loop) -> None:
    """What one life left in it is not lost; the last lines are of the present life only."""
    with closing(FileOutput(loop, state, 1 << 20, 1, faults)) as output:
        for life in ("first", "second"):
            output.begin_life()
            assert run(output, "sh", "-c", f"echo {life}; echo err {life} >&2").wait() == 0
            assert output.last_lines(5) == [life, f"err {life}"]
        output.begin_life()
        assert output.last_lines(5) == []
    assert text(state, output_names(state)) == b"first\nerr first\nsecond\nerr second\n"


def test_no_old_files(state: ProgramState, loop: lr.Loop) -> None:
    """With none to keep there is only one file, and it is bounded."""
    with closing(FileOutput(loop, state, 1000, 0, faults)) as output:
        os.write(output.fds[1], b"x" * 5500)
        output.drain()
    assert os.listdir(state.fileno()) == ["output.log"]
    assert os.stat("output.log", dir_fd=state.fileno()).st_size == 500


def test_a_flood_holds_nobody_up_and_fills_no_disk(state: ProgramState, loop: lr.Loop) -> None:
    """While three programs write without end, timers fire and the files stay bounded."""
    fired: list[float] = []
    with ExitStack() as undo:
        output = undo.enter_context(closing(FileOutput(loop, state, 1 << 20, 2, faults)))
        programs = [run(output, "yes") for _ in range(3)]
        with loop.add_timer(0.01, lambda: fired.append(time.monotonic()), every=0.01):
            while len(fired) < 30:
                loop.dispatch(-1)
        for program in programs:
            program.kill()
            program.wait()
    sizes = [os.stat(name, dir_fd=state.fileno()).st_size for name in output_names(state)]
    assert len(sizes) == 3
    assert max(sizes) <= 1 << 20


def test_output_on_a_full_disk(state: ProgramState, loop: lr.Loop) -> None:
    """The program goes on, one line says why its output is lost, and it is there again when there is room."""
    told: list[str] = []
    with ExitStack() as undo:
        for number in range(2):
            os.makedirs(f"{state.path}/output.log.{number + 1}/x")
        output = undo.enter_context(closing(FileOutput(loop, state, 10, 2, told.append)))
        os.write(output.fds[1], b"0123456789lost")
        output.drain()
        assert len(told) == 1
        assert os.strerror(errno.ENOTEMPTY) in told[0] or os.strerror(errno.EISDIR) in told[0]
        os.write(output.fds[1], b"lost as well")
        output.drain()
        assert len(told) == 1
        for number in range(2):
            os.removedirs(f"{state.path}/output.log.{number + 1}/x")
        os.write(output.fds[1], b"back")
        output.drain()
    assert text(state, output_names(state)) == b"0123456789back"


@pytest.mark.skipif(os.path.exists("/dev/log"), reason="this machine has a system's log")
def test_output_for_a_log_that_is_not_there(tmp_path: Path) -> None:
    """--output syslog where nobody listens: the program runs, its output is lost, and the start and the log say so."""
    with verbs_in(tmp_path / "state") as verbs:
        said = verbs.begin("x", "echo >&3; exec sleep 100", "--output", "syslog")
        fault = "nobody listens at /dev/log, the system's log"
        assert said == f"lowrun: warning: x: output is lost: {fault}; --output file keeps it\n"
        assert f"its output is lost: {fault}" in verbs.log("x")
        assert verbs.begin("y", "echo >&3; exec sleep 100") == ""


def test_a_listener_hears_all(state: ProgramState, loop: lr.Loop) -> None:
    """Of a file and of the system's log, until it is no listener any more."""
    heard = bytearray()
    with (
        closing(Syslog("/nowhere")) as syslog,
        closing(FileOutput(loop, state, 100, 1, faults)) as file,
        closing(SyslogOutput(loop, state.name, syslog)) as lines,
    ):
        for output in (file, lines):
            heard.clear()
            output.listen(heard.extend)
            os.write(output.fds[1], b"abc" * 1000)
            wait(loop, lambda: len(heard) == 3000)
            output.listen(None)
            os.write(output.fds[1], b"unheard")
            output.drain()
            assert heard == b"abc" * 1000


def test_output_to_the_systems_log(state: ProgramState, loop: lr.Loop, tmp_path: Path, devlog: socket.socket) -> None:
    """A line each under the program's name, the last one without a newline too; none is endless."""
    with closing(Syslog(str(tmp_path / "log"))) as syslog:
        with closing(SyslogOutput(loop, state.name, syslog)) as output:
            output.begin_life()
            assert run(output, "sh", "-c", "echo one; echo two >&2; printf three").wait() == 0
            assert output.last_lines(2) == ["two", "three"]
        assert [devlog.recv(1000).split(b": ")[1] for _ in range(3)] == [b"one", b"two", b"three"]
        with closing(SyslogOutput(loop, state.name, syslog)) as output:
            os.write(output.fds[1], b"x" * 10_000)
            output.drain()
            assert len(devlog.recv(20_000)) > 4000
    assert os.listdir(state.fileno()) == []


def test_output_that_outlives_lowrun(state: ProgramState, loop: lr.Loop) -> None:
    """The program has the file itself: when lowrun is gone, it writes on."""
    output = DirectOutput(loop, state, 1 << 20, 1, faults)
    output.begin_life()
    script = "import os, sys; print('a', flush=True); input(); print('b', flush=True)"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=output.fds[1]) as program:
        wait(loop, lambda: output.last_lines(5) == ["a"])
        output.close()
        program.communicate(b"\n")
    assert program.returncode == 0
    assert text(state, output_names(state)) == b"a\nb\n"


def test_output_that_outlives_lowrun_is_bounded_while_it_lives(state: ProgramState, loop: lr.Loop) -> None:
    """A file that is full is copied and truncated; a follower sees what was written; a new life begins a new file."""
    got = bytearray()
    with (
        closing(DirectOutput(loop, state, 1000, 2, faults)) as output,
        closing(Follower(loop, state, ("output.log", "output.log.1"), None, got.extend)),
    ):
        for number in range(100):
            os.write(output.fds[1], b"%099d\n" % number)
            wait(loop, lambda number=number: got.endswith(b"%099d\n" % number))
        assert [int(line) for line in got.splitlines()] == list(range(100))
        sizes = [os.stat(name, dir_fd=state.fileno()).st_size for name in output_names(state)]
        assert sizes == [0, 1000, 1000]
        os.write(output.fds[1], b"x" * 1500)
        output.begin_life()
        assert os.fstat(output.fds[1]).st_size == 0
        assert os.stat("output.log.1", dir_fd=state.fileno()).st_size == 1500
        os.write(output.fds[1], b"new\n")
        assert output.last_lines(3) == ["new"]


def test_what_the_settings_ask_for(state: ProgramState, loop: lr.Loop) -> None:
    """file, a file of its own for what outlives lowrun, syslog, the caller's descriptors."""
    asked = {
        FileOutput: {},
        DirectOutput: {"on_lost": "keep"},
        SyslogOutput: {"output": "syslog", "on_lost": "keep"},
        PassedOutput: {"output": "pass", "on_lost": "keep"},
    }
    with closing(Syslog()) as syslog:
        for kind, settings in asked.items():
            program = Program("job", lr.Command(("true",)), **settings)
            with closing(open_output(loop, state, program, syslog, lambda _fault: None)) as output:
                assert type(output) is kind
                assert set(output.fds) == {1, 2}


def test_a_thousand_outputs(state: ProgramState, loop: lr.Loop) -> None:
    """Three descriptors each; all that is written at once is read."""
    with StateDirectory.open(create=True) as directory, ExitStack() as undo:
        states = [undo.enter_context(directory.program(f"p{number}")) for number in range(1000)]
        before = len(os.listdir("/proc/self/fd"))
        outputs = [undo.enter_context(closing(FileOutput(loop, each, 1000, 1, faults))) for each in states]
        assert len(os.listdir("/proc/self/fd")) - before == 3000
        for number, output in enumerate(outputs):
            os.write(output.fds[1], b"%d\n" % number)
        wait(loop, lambda: all(os.stat("output.log", dir_fd=each.fileno()).st_size for each in states))
        assert [output.last_lines(1) for output in outputs] == [[str(number)] for number in range(1000)]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to mount a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: lr.Loop) -> None:
    """Log, output and record on it: the program goes on, what was there is whole, and all works when there is room."""
    disk = tmp_path / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "lowrun-test", disk], check=True)
    try:
        monkeypatch.setenv("LOWRUN_STATE_DIR", str(disk / "state"))
        told: list[str] = []
        with ExitStack() as undo:
            directory = undo.enter_context(StateDirectory.open(create=True))
            state = undo.enter_context(directory.program("job"))
            undo.enter_context(state.lock())
            journal = FileJournal(state)
            output = undo.enter_context(closing(FileOutput(loop, state, 1 << 20, 1, told.append)))
            state.write(Record(command=("before",)))
            journal.say("before")
            program = run(output, sys.executable, "-c", "print('x' * 99 + '\\n' * 100_000, end='')")
            wait(loop, lambda: program.poll() is not None)
            assert program.returncode == 0
            output.drain()
            assert told == [f"output is lost, {state.path}/output.log: {os.strerror(errno.ENOSPC)}"]
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                state.write(Record(command=("x" * 5000,)))
            for _ in range(100):
                journal.say("y" * 100)
            assert state.read() == replace(Record(command=("before",)), boot_id=boot_id())
            lines = text(state, LOG_NAMES).splitlines()
            assert lines[0].endswith(b": before")
            assert all(len(line) == len(lines[1]) for line in lines[1:])
            os.truncate(f"{state.path}/output.log", 0)
            os.write(output.fds[1], b"again\n")
            output.drain()
            journal.say("after")
            state.write(Record(command=("after",)))
            assert text(state, output_names(state)) == b"again\n"
            assert text(state, LOG_NAMES).endswith(b": after\n")
            assert state.truth().record.command == ("after",)
    finally:
        subprocess.run(["umount", disk], check=True)
