"""What descriptors are, in lowrun's call trace and in strace's: the same text at every use.

The program (mock/descriptors.c) makes descriptors of every kind, and does what changes what they are.
Both record it in a directory of the same name; numbers that the kernel chooses are masked.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from itertools import zip_longest
from pathlib import Path

import pytest

import lowrun
from tests.compare_strace import Log, by_place, parse, read_lines
from tests.programs import LOWRUN

MOCK = Path(__file__).parents[2] / "mock" / "descriptors.c"
PARTS = ("kinds ended duplicates removed removed_by_child inet inet6 local netlink passed shared executed "
         "waiting").split()  # fmt: skip
STRACE = "strace -f -tt -T -y -yy -s 2048".split()
MASKS = (
    (re.compile(r" <\d+\.\d+>$"), ""),
    (re.compile(r"0x[0-9a-f]{6,}"), "ADDRESS"),
    (re.compile(r'"(\\x[0-9a-f]{2})+"'), '"RANDOM"'),
    (re.compile(r"#\d+"), "#INODE"),
    (re.compile(r"\b\d{4,}\b(?!/)"), "NUMBER"),
    (re.compile(r"\bparent_tid=\[(0|NUMBER)\]"), "parent_tid=[TID]"),  # 0 when the thread has ended before it is read
    (re.compile(r"\) +="), ") ="),
    (re.compile(r"(AF_PACKET, SOCK_DGRAM), .*\) ="), r"\1) ="),  # its protocol is no descriptor
)
CALL = re.compile(r"(\w+)\(")
#: Their arguments differ between any two runs.
CHANCE = frozenset(("execve", "mmap", "munmap", "mprotect", "brk", "futex", "rt_sigprocmask", "madvise", "wait4"))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("descriptors") / "descriptors"
    subprocess.run(["cc", "-O1", "-pthread", "-w", "-o", path, MOCK], check=True)
    return path


def differences(ours: Log, theirs: Log) -> list[tuple[str, str]]:
    """Pairs of lines that are not the same; a missing one is empty."""
    pairs = []
    for place in sorted(ours.keys() | theirs.keys()):
        pairs += zip_longest(ours.get(place, []), theirs.get(place, []), fillvalue="")
    return [pair for pair in pairs if pair[0] != pair[1]]


def fresh(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory


def masked(line: str) -> str:
    for pattern, instead in MASKS:
        line = pattern.sub(instead, line)
    return line


def calls(lines: list[str]) -> list[str]:
    """The calls among a thread's lines, masked."""
    return [masked(line) for line in lines if (found := CALL.match(line)) and found[1] not in CHANCE]


def lines_of(log: Path) -> Log:
    return {place: calls(lines) for place, lines in by_place(read_lines(log)).items()}


def by_strace(tmp_path: Path, program: Path, part: str, *only: str) -> Log:
    log = tmp_path / "strace.log"
    command = [*STRACE, *only, "-o", log, program, part]
    subprocess.run(command, cwd=fresh(tmp_path / "work"), stdin=subprocess.DEVNULL, check=True)
    return lines_of(log)


def by_lowrun(tmp_path: Path, program: Path, part: str, *only: str) -> Log:
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [LOWRUN, "-q", "-ct", "--keep", "all", *only, "-o", out, program, part]
    subprocess.run(command, cwd=fresh(tmp_path / "work"), stdin=subprocess.DEVNULL, check=True)
    return lines_of(out / "run-0001" / "calls.strace")


@pytest.mark.parametrize("part", PARTS)
def test_every_use_shows_what_strace_shows(program: Path, tmp_path: Path, part: str) -> None:
    """All calls of all threads: each descriptor is what strace says it is, when it says so."""
    ours, theirs = by_lowrun(tmp_path, program, part), by_strace(tmp_path, program, part)
    assert len(theirs[(0,)]) > 15
    assert differences(ours, theirs) == []


#: Calls that use descriptors; those that make them and close them are left out, but for some.
USERS = (
    "fcntl,openat,poll,pselect6,epoll_ctl,sendmsg,recvmsg,connect,bind,listen,pipe2,socketpair,dup,fchdir,unlinkat,"
    "clone,clone3"
)


@pytest.mark.parametrize("part", PARTS)
def test_a_chosen_set_of_calls_shows_as_much(program: Path, tmp_path: Path, part: str) -> None:
    """Where opens and closes are not recorded, what a recorded call uses is looked up when it does."""
    kept = tmp_path / "out"
    work = fresh(tmp_path / "work")
    command = lowrun.Command((str(program), part), cwd=str(work))
    lowrun.run(command, record=[lowrun.Calls(only=USERS)], keep="all", output=kept, stdin="/dev/null")
    ours = lines_of(next(kept.glob("**/calls.strace")))
    theirs = by_strace(tmp_path, program, part, "-e", f"trace={USERS}")
    assert sum(map(len, theirs.values())) >= 4
    assert differences(ours, theirs) == []


def test_a_number_that_changes_hands(program: Path, tmp_path: Path) -> None:
    """Four threads close and open at once and get each other's numbers: each sees its own file, always."""
    its_calls = by_lowrun(tmp_path, program, "changing_hands")
    for index, file in enumerate(("/etc/hostname", "/etc/hosts", "/etc/passwd", "/etc/group")):
        its = [line for line in its_calls[(0, index)] if line.startswith(("fcntl", "close"))]
        assert len(its) == 600
        wrong = [line for line in its if f"<{file}>" not in line]
        assert wrong == []


def attached(program: Path, log: Path, *tracer: str | Path) -> list[str]:
    """The uses in a program that had all before `tracer` attached to it."""
    with subprocess.Popen([program, "held"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with subprocess.Popen([*tracer, "-o", log, "-p", str(process.pid)], stderr=subprocess.DEVNULL) as recording:
            tasks = Path(f"/proc/{process.pid}/task")
            while any("TracerPid:\t0\n" in (task / "status").read_text() for task in tasks.iterdir()):
                time.sleep(0.001)
            process.stdin.write(b"x")
            process.stdin.close()
            assert recording.wait() == 0
    lines = [line for _, thread in parse(read_lines(log)) for line in calls(thread.lines)]
    return [line for line in lines if line.startswith(("fcntl", "openat"))]


def test_a_process_that_is_attached_to(program: Path, tmp_path: Path) -> None:
    """What it had before is known, to its threads and to what it makes from then on."""
    ours = attached(program, tmp_path / "lowrun.log", LOWRUN, "trace", "-q")
    theirs = attached(program, tmp_path / "strace.log", *STRACE)
    assert len(theirs) == 23
    assert sorted(ours) == sorted(theirs)
