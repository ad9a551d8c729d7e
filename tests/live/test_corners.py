"""The corners of ptrace(2): what is recorded of them is, line by line, what strace writes of the same program.

What one thread does is in order; how the threads' lines lie between each other
is chance. So lines are compared thread by thread, each whole: a call that was
printed in two parts is put together.
"""

from __future__ import annotations

import ctypes
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.programs import LOWRUN, mock

STRACE = "strace -f -tt -T -y -yy -s 2048 -o".split()
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="compares with strace")

LINE = re.compile(r"(\d+) +\d\d:\d\d:\d\d\.\d{6} (.*)")
RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
UNFINISHED = " <unfinished ...>"
MASKS = (
    (re.compile(r" <\d+\.\d{6}>$"), ""),
    (re.compile(r"0x[0-9a-f]{6,}"), "ADDRESS"),
    (re.compile(r":\[\d+\]"), ":[INODE]"),
    (re.compile(r"<char \d+:\d+>"), ""),
    (re.compile(r"si_([us])time=[^,}]+"), r"si_\1time=T"),
    (re.compile(r"\) +="), ") ="),
    (re.compile(r"= \d{9,}$"), "= RAX"),
)
#: The calls that the corners are about; what others print is the matter of other tests.
SHOWN = re.compile(
    r"---|\+\+\+|<pid changed|(execve|rt_sigreturn|rt_sigprocmask|pause|nanosleep|restart_syscall|read|kill|tgkill|exit"
    r"|exit_group|wait4|vfork|getppid|rt_sigqueueinfo|tgkill|setpgid|pipe2)\("
)


def threads_of(log: Path) -> list[list[str]]:
    """The masked lines of each thread, the threads in the order in which they come up."""
    threads: dict[str, list[str]] = {}
    begun: dict[str, str] = {}
    for line in log.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        assert match is not None, line
        tid, text = match.groups()
        lines = threads.setdefault(tid, [])
        resumed = RESUMED.match(text)
        if resumed is not None:
            text = begun.pop(tid, "") + resumed[1]
        if text.endswith(UNFINISHED):
            begun[tid] = text.removesuffix(UNFINISHED)
        else:
            lines.append(text)
    names = {tid: f"P{place}" for place, tid in enumerate(threads)}
    return [[masked(text, names) for text in lines if SHOWN.match(text)] for lines in threads.values()]


def masked(text: str, names: dict[str, str]) -> str:
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return re.sub(r"\b\d+\b", lambda match: names.get(match[0], match[0]), text)


def traced_by_strace(command: list[str], directory: Path) -> tuple[int, list[list[str]]]:
    log = directory / "strace.log"
    done = subprocess.run([*STRACE, log, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=directory)
    return done.returncode, threads_of(log)


def traced_by_lowrun(command: list[str], directory: Path) -> tuple[int, list[list[str]]]:
    out = directory / "out"
    done = subprocess.run(
        [LOWRUN, "-q", "-ct", "--keep", "all", "-o", out, *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=directory,
    )  # fmt: skip
    return done.returncode, threads_of(out / "run-0001" / "calls.strace")


SIGNALS = {
    "a handler that interrupts nanosleep": "sleeper",
    "a handler with SA_RESTART": "restarted",
    "a handler that ends pause": "paused",
    "stopped and continued in nanosleep": f"stopped {signal.SIGSTOP.value}",
    "stopped as by a terminal": f"stopped {signal.SIGTSTP.value}",
    "killed in the middle of a call": "killed",
    "every kind of siginfo": "kinds",
    "faults": "faults",
    "masks that nest": "nested",
    "death by seccomp": "seccomp",
    "a seccomp trap": "trapped",
    "a sandbox that traces": "sandboxed",
    "a core dump": "abort",
}


@needs_strace
@pytest.mark.parametrize("words", SIGNALS.values(), ids=SIGNALS)
def test_signals_read_as_strace_has_them(words: str, tmp_path: Path) -> None:
    """Signals, what they do to calls and the ends they make, as lines."""
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    try:
        command = [mock("signals"), *words.split()]
        theirs, ours = traced_by_strace(command, tmp_path), traced_by_lowrun(command, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    assert ours[1] == theirs[1]
    assert len(ours[1][0]) > 3
    assert ours[0] % 128 == abs(theirs[0]) % 128


PROCESSES = {
    "execve by a thread": ["corners", "exec-by-thread"],
    "the leader ends first": ["corners", "leader-first"],
    "vfork": ["corners", "vfork"],
    "CLONE_PTRACE": ["clones", "ptraced"],
}


@needs_strace
@pytest.mark.parametrize("words", PROCESSES.values(), ids=PROCESSES)
def test_processes_read_as_strace_has_them(words: list[str], tmp_path: Path) -> None:
    """Threads and processes that come and go in uncommon ways, as lines. The parent's pid is another one."""
    command = [mock(words[0]), *words[1:]]

    def without_parent(threads: list[list[str]]) -> list[list[str]]:
        return [[re.sub(r"getppid\(\) = \d+", "getppid() = PARENT", line) for line in lines] for lines in threads]

    theirs, ours = traced_by_strace(command, tmp_path), traced_by_lowrun(command, tmp_path)
    assert without_parent(ours[1]) == without_parent(theirs[1])
    assert ours[0] == theirs[0]


def test_a_leader_that_ends_first_is_told_to_at_once(tmp_path: Path) -> None:
    """Its exit stands before the calls that its thread makes afterwards, though its end is reported only after them."""
    out = tmp_path / "out"
    subprocess.run(
        [LOWRUN, "-q", "-ct", "--keep", "all", "-o", out, mock("corners"), "leader-first"], stderr=subprocess.DEVNULL
    )
    text = (out / "run-0001" / "calls.strace").read_text()
    assert text.index(" = ?\n") < text.index("getppid()")


@pytest.mark.parametrize("what", ["traceme", "traces"])
def test_a_program_that_wants_to_trace(what: str) -> None:
    """What is traced has its tracer: PTRACE_TRACEME and PTRACE_SEIZE of a child get EPERM, as under strace."""
    done = subprocess.run([LOWRUN, "-ct", mock("signals"), what], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert done.stdout == b"ready\nEPERM\n"


#: Its number on x86_64.
RT_SIGACTION = 13


@pytest.mark.parametrize("way", ["itself", "by a shell"])
def test_masks_and_dispositions_are_those_without_lowrun(way: str) -> None:
    """Blocked, ignored and pending signals and the dispositions are the same, of the command and of its children."""
    report = mock("signals")
    command = (
        [report, "report"] if way == "itself" else ["bash", "-c", f"{report} report; trap '' USR2; {report} report"]
    )

    def prepare() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGRTMIN + 2})
        ignore = (ctypes.c_ulong * 4)(signal.SIG_IGN)  # one that the C library keeps for itself
        assert ctypes.CDLL(None).syscall(RT_SIGACTION, 32, ignore, None, 8) == 0

    reports = [
        subprocess.run([*prefix, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=prepare)
        for prefix in ([], [LOWRUN, "-ct"])
    ]
    assert reports[0].stdout == reports[1].stdout
    assert b"SigBlk:\t0000000800000001" in reports[0].stdout


def test_ten_thousand_short_children(tmp_path: Path) -> None:
    """None is lost and none hangs: each has an end, and the number of processes is exact."""
    summary = tmp_path / "summary.json"
    words = ["-q", "-ct", "--calls", "exit_group", "--keep", "all", "--json", summary, "-o", tmp_path / "out"]
    done = subprocess.run([LOWRUN, *words, mock("corners"), "children", "10000"], timeout=100)
    assert done.returncode == 0
    assert '"processes": 10001' in summary.read_text()
    with open(tmp_path / "out" / "run-0001" / "calls.strace") as lines:
        assert sum("+++ exited with 0 +++" in line for line in lines) == 10001


def test_calls_of_another_kind_do_what_they_do_untraced() -> None:
    """int 0x80 and x32 numbers from 64-bit code: the program gets what it gets without a tracer."""
    program = mock("foreign")
    bare = subprocess.run([program]).returncode
    if bare == 77:
        pytest.skip("this kernel has no 32-bit calls")
    assert bare == 0
    assert subprocess.run([LOWRUN, "-q", "-ct", program], stderr=subprocess.DEVNULL).returncode == 0
