"""`lowrun trace` as typed by hand: where lines go, trace sets, attaching and letting go, how it ends."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lowrun.trace import read
from tests.programs import LOWRUN, alive, mock

Lowrun = Callable[..., "subprocess.CompletedProcess[str]"]
CALL = re.compile(r"^(\d+) +[\d:.]+ (\w+)\(", re.MULTILINE)
THREADS = """
import threading, time, sys
stop = threading.Event()
def work():
    while not stop.is_set():
        time.sleep(0.01)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
print("ready", flush=True)
sys.stdin.readline()
stop.set()
for thread in threads: thread.join()
print("done", flush=True)
sys.exit(7)
"""


@pytest.fixture
def lowrun(tmp_path: Path) -> Lowrun:
    def call(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LOWRUN, "trace", *words], cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False, **more
        )  # type: ignore[call-overload,no-any-return]

    return call


def names(text: str) -> list[str]:
    return [match[2] for match in CALL.finditer(text)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["true"], 0, "+++ exited with 0 +++"),
        (["sh", "-c", "exit 3"], 3, "+++ exited with 3 +++"),
        (["sh", "-c", "kill -9 $$"], -signal.SIGKILL, "+++ killed by SIGKILL +++"),
        (["sh", "-c", "kill -SEGV $$"], -signal.SIGSEGV, "--- SIGSEGV {si_signo=SIGSEGV, si_code=SI_USER"),
        (["nosuch"], 127, "lowrun: nosuch: command not found\n"),
        (["/"], 126, "lowrun: /: is a directory\n"),
        ([], 2, "lowrun: no COMMAND and no -p PID given; see lowrun trace --help\n"),
        (["-p", "1", "true"], 2, "lowrun: give either COMMAND or -p PID, not both\n"),
        (["-p", "4194000"], 125, "lowrun: process 4194000 has ended\n"),
        (["-e", "trace=opn", "true"], 2, "lowrun: there is no system call 'opn'; did you mean 'open'?\n"),
        (
            ["-e", "verbose=all", "true"],
            2,
            "lowrun: -e 'verbose=all': lowrun has trace, inject, fault and status= of strace's\n",
        ),
        (["-e", "status=bad", "true"], 2, "lowrun: there is no status 'bad'"),
        (["-u", "nosuchuser", "true"], 2, "lowrun: there is no user 'nosuchuser'\n"),
        (["-o", "/nosuch/file", "true"], 2, "lowrun: -o /nosuch/file: No such file or directory\n"),
        (["-o", "/dev/full", "true"], 0, "the trace is not whole: /dev/full: No space left on device\n"),
        (["--colour", "true"], 2, "lowrun: unknown option --colour; see lowrun trace --help\n"),
    ],
)
def test_exit_codes_and_their_words(lowrun: Lowrun, words: list[str], code: int, said: str) -> None:
    """The exit code, or the death, is COMMAND's own; wrong usage is 2, what cannot be attached to 125."""
    done = lowrun(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_lines_to_a_file_leave_the_command_its_streams(lowrun: Lowrun, tmp_path: Path) -> None:
    """With -o the trace is in FILE, complete, with a pid on each line; stdin, stdout and stderr are COMMAND's."""
    done = lowrun("-o", "trace", "sh", "-c", "cat; echo oops >&2; (exit 4)", input="hello\n")
    assert (done.returncode, done.stdout, done.stderr) == (4, "hello\n", "oops\n")
    text = (tmp_path / "trace").read_text()
    assert names(text)[0] == "execve"
    assert all(re.match(r"\d+ +\d\d:\d\d:\d\d\.\d{6} ", line) for line in text.splitlines())
    assert len(set(re.findall(r"^(\d+)", text, re.MULTILINE))) == 3


def test_a_set_stops_nothing_else(lowrun: Lowrun, tmp_path: Path) -> None:
    """Calls outside the set are not recorded; a filter stands, and the command's own filters are not disturbed."""
    done = lowrun("-e", "trace=openat,close", "-o", "trace", "grep", "Seccomp", "/proc/self/status")
    assert set(names((tmp_path / "trace").read_text())) == {"openat", "close"}
    assert "Seccomp:\t2\nSeccomp_filters:\t1\n" in done.stdout


def test_without_a_set_there_is_no_filter(lowrun: Lowrun) -> None:
    """A filter is installed for a set only."""
    done = lowrun("-o", "trace", "grep", "Seccomp", "/proc/self/status")
    assert "Seccomp:\t0\n" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_privilege_gets_no_new_privs_only_then(tmp_path: Path) -> None:
    """no_new_privs is set where the tracer has no privilege, and only with a filter; root's command keeps it clear."""
    grep = ["grep", "NoNewPrivs", "/proc/self/status"]
    as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", LOWRUN, "trace"]
    seen = [
        subprocess.run([*start, "-o", "/dev/null", *grep], cwd="/", text=True, capture_output=True, check=True).stdout
        for start in (as_user, [*as_user, "-e", "%network"], [LOWRUN, "trace", "-e", "%network"])
    ]
    assert seen == ["NoNewPrivs:\t0\n", "NoNewPrivs:\t1\n", "NoNewPrivs:\t0\n"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_filter_comes_before_the_credentials_go(lowrun: Lowrun) -> None:
    """-u USER with a set: the filter needs root and is there all the same; the groups are the user's."""
    done = lowrun(
        "-u",
        "nobody",
        "-e",
        "%network",
        "-o",
        "/dev/null",
        "grep",
        "-E",
        "^(Uid|Seccomp|NoNewPrivs):",
        "/proc/self/status",
    )
    assert re.sub(r"\s+", " ", done.stdout) == "Uid: 65534 65534 65534 65534 NoNewPrivs: 0 Seccomp: 2 "


def test_counts_instead_of_lines(lowrun: Lowrun, tmp_path: Path) -> None:
    """-c prints strace's table and no line; -C both; -S sorts."""
    done = lowrun("-c", "-S", "calls", "sh", "-c", "n=50; while [ $n -gt 0 ]; do : </dev/null; n=$((n - 1)); done")
    rows = {line.split()[-1]: line.split() for line in done.stderr.splitlines()[2:]}
    assert int(rows["openat"][3]) >= 50 and int(rows["close"][3]) >= 50
    assert done.stderr.startswith("% time     seconds  usecs/call     calls    errors syscall\n")
    assert not CALL.search(done.stderr)
    both = lowrun("-C", "-o", "trace", "cat", "/nonexistent")
    text = (tmp_path / "trace").read_text()
    assert both.returncode == 1
    assert "openat" in names(text)
    total = re.search(r"^100.00 .* (\d+) +(\d+) total$", text, re.MULTILINE)
    assert total is not None
    assert int(total[1]) == len(re.findall(r"\) += [-\d]", text))
    assert int(total[2]) == len(re.findall(r"\) += -1 E", text))


@pytest.mark.parametrize("words", [["-e", "status=failed"], ["-Z"]])
def test_only_what_failed(lowrun: Lowrun, words: list[str]) -> None:
    """-e status=failed prints failed calls alone, each in one piece."""
    done = lowrun(*words, "-o", "/dev/stdout", "sh", "-c", "cat /nonexistent 2>/dev/null & wait")
    lines = [line for line in done.stdout.splitlines() if CALL.match(line)]
    assert any('"/nonexistent", O_RDONLY) = -1 ENOENT' in line for line in lines)
    assert all(" = -1 E" in line or " = ? ERESTART" in line for line in lines)


class Running:
    """A program that says `ready`, under test while it runs."""

    def __init__(self, argv: list[str], **more: object) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload]
        assert self.process.stdout.readline() == "ready\n"

    def finish(self) -> tuple[str, int]:
        output, _ = self.process.communicate("go\n", timeout=30)
        return output, self.process.returncode


def wait_for_lines(path: Path, count: int) -> None:
    """Until the trace in `path` has so many lines."""
    until = time.monotonic() + 20
    while not path.exists() or path.read_text().count("\n") < count:
        assert time.monotonic() < until, "no lines came"
        select.select([], [], [], 0.01)


def test_attach_and_let_go_of_a_threaded_program(tmp_path: Path) -> None:
    """-p traces all threads of a running program; SIGINT lets it go, and it ends as if nothing had been."""
    with_threads = Running([sys.executable, "-c", THREADS])
    other = Running([sys.executable, "-c", "print('ready', flush=True); input()"])
    trace = tmp_path / "trace"
    pids = f"{with_threads.process.pid},{other.process.pid}"
    tracer = subprocess.Popen([LOWRUN, "trace", "-o", trace, "-p", pids], stderr=subprocess.PIPE, text=True)
    wait_for_lines(trace, 60)
    tracer.send_signal(signal.SIGINT)
    _, said = tracer.communicate(timeout=20)
    assert tracer.returncode == 0
    assert "attached" in said
    status = Path(f"/proc/{with_threads.process.pid}/status").read_text()
    assert "TracerPid:\t0\n" in status
    assert with_threads.finish() == ("done\n", 7)
    assert other.finish()[1] == 0
    text = trace.read_text()
    tids = set(re.findall(r"^(\d+) ", text, re.MULTILINE))
    assert len(tids) >= 5


def test_the_line_of_a_waiting_call_ends_when_it_is_left(tmp_path: Path) -> None:
    """A call that has not returned when its process is let go ends with `<detached ...>`, as strace has it."""
    program = Running([sys.executable, "-c", "print('ready', flush=True); input()"])
    trace = tmp_path / "trace"
    tracer = subprocess.Popen([LOWRUN, "trace", "-q", "-o", trace, "-p", str(program.process.pid)])
    until = time.monotonic() + 20
    while not (trace.exists() and "read(0" in trace.read_text()):
        assert time.monotonic() < until
        select.select([], [], [], 0.01)
    tracer.send_signal(signal.SIGINT)
    assert tracer.wait(20) == 0
    assert trace.read_text().endswith(" <detached ...>\n")
    assert program.finish()[1] == 0


def test_a_stopped_process_stays_stopped(tmp_path: Path) -> None:
    """Attaching to a process in group-stop and leaving it changes nothing: it goes on with SIGCONT only."""
    program = Running([sys.executable, "-c", "print('ready', flush=True); input()"])
    os.kill(program.process.pid, signal.SIGSTOP)
    trace = tmp_path / "trace"
    tracer = subprocess.Popen([LOWRUN, "trace", "-o", trace, "-p", str(program.process.pid)])
    wait_for_lines(trace, 1)
    tracer.send_signal(signal.SIGTERM)
    assert tracer.wait(20) == 0
    assert "--- stopped by SIGSTOP ---" in trace.read_text()
    assert "State:\tT (stopped)" in Path(f"/proc/{program.process.pid}/status").read_text()
    os.kill(program.process.pid, signal.SIGCONT)
    assert program.finish()[1] == 0


def test_the_death_of_the_tracer_harms_no_attached_process(tmp_path: Path) -> None:
    """SIGKILL of `lowrun trace -p`: the program runs on, untraced."""
    program = Running([sys.executable, "-c", THREADS])
    trace = tmp_path / "trace"
    tracer = subprocess.Popen([LOWRUN, "trace", "-o", trace, "-p", str(program.process.pid)])
    wait_for_lines(trace, 30)
    tracer.kill()
    tracer.wait(20)
    assert program.finish() == ("done\n", 7)


ASKS = """
import os, select
print("ready", flush=True)
seen = set()
while not select.select([0], [], [], 0)[0]:
    seen.add(os.getppid())
print(*seen)
"""


def test_a_call_that_is_injected_into_has_its_result_when_its_process_is_left(tmp_path: Path) -> None:
    """Leaving it in the middle of a delay does not make ENOSYS of a call that was not executed."""
    program = Running([sys.executable, "-c", ASKS])
    trace = tmp_path / "trace"
    inject = "inject=getppid:retval=4242:delay_enter=200000:when=2"
    tracer = subprocess.Popen(
        [LOWRUN, "trace", "-q", "-e", "trace=getppid", "-e", inject, "-o", trace, "-p", str(program.process.pid)]
    )
    wait_for_lines(trace, 1)
    tracer.send_signal(signal.SIGINT)
    assert tracer.wait(20) == 0
    assert set(program.finish()[0].split()) == {str(os.getpid()), "4242"}


def test_what_ends_while_attached_ends_the_trace(tmp_path: Path) -> None:
    """The trace ends by itself with the last process that it was attached to."""
    program = Running([sys.executable, "-c", THREADS])
    trace = tmp_path / "trace"
    tracer = subprocess.Popen([LOWRUN, "trace", "-q", "-o", trace, "-p", str(program.process.pid)])
    wait_for_lines(trace, 30)
    assert program.finish() == ("done\n", 7)
    assert tracer.wait(20) == 0
    assert trace.read_text().endswith("+++ exited with 7 +++\n")


def test_a_signal_to_lowrun_is_the_command_s(tmp_path: Path) -> None:
    """SIGTERM to `lowrun trace COMMAND` goes to COMMAND, which is traced to its end."""
    script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    trace = tmp_path / "trace"
    tracer = subprocess.Popen([LOWRUN, "trace", "-o", trace, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert tracer.stdout is not None
    assert tracer.stdout.readline() == "ready\n"
    tracer.send_signal(signal.SIGTERM)
    output, _ = tracer.communicate(timeout=20)
    assert (output, tracer.returncode) == ("told\n", 5)
    assert "--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER" in trace.read_text()


def test_what_the_command_leaves_behind_is_traced_to_its_end(lowrun: Lowrun, tmp_path: Path) -> None:
    """Like strace -f: the trace ends with the last descendant, not with COMMAND."""
    done = lowrun("-o", "trace", "sh", "-c", "(sleep 0.7; echo late) & exit 6")
    assert (done.returncode, done.stdout) == (6, "late\n")
    assert '"late\\n", 5)' in (tmp_path / "trace").read_text()


def test_a_killed_lowrun_leaves_no_command_behind(tmp_path: Path) -> None:
    """SIGKILL of `lowrun trace COMMAND` ends COMMAND's tree too."""
    tracer = subprocess.Popen(
        [LOWRUN, "trace", "-o", tmp_path / "trace", "sh", "-c", "echo $$; sleep 60"], stdout=subprocess.PIPE, text=True
    )
    assert tracer.stdout is not None
    pid = int(tracer.stdout.readline())
    tracer.kill()
    tracer.communicate(timeout=20)
    until = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < until
        select.select([], [], [], 0.01)


def test_lines_come_while_the_command_runs(tmp_path: Path) -> None:
    """The trace can be read while COMMAND waits: the call that it waits in is its last line."""
    trace = tmp_path / "trace"
    tracer = subprocess.Popen([LOWRUN, "trace", "-o", trace, "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not (trace.exists() and re.search(r" read\(0<pipe:\[\d+\]>, $", trace.read_text())):
        assert time.monotonic() < until, trace.read_text()
        select.select([], [], [], 0.01)
    tracer.communicate(b"", timeout=20)
    assert tracer.returncode == 0


def test_a_closed_pipe_ends_the_lines_not_the_command(tmp_path: Path) -> None:
    """A reader that goes away is no reason to stop COMMAND, nor to complain."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [LOWRUN, "trace", "-o", f"/dev/fd/{writer}", "sh", "-c", "echo fine; exit 3"],
        pass_fds=[writer], capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stdout, done.stderr) == (3, "fine\n", "")


def test_only_what_a_path_takes_part_in(lowrun: Lowrun, tmp_path: Path) -> None:
    """-P PATH prints the calls that name it or use a descriptor of it, as strace -P does."""
    target = tmp_path / "target"
    target.write_text("text\n")
    command = ["sh", "-c", f"cat {target} /etc/hostname >/dev/null; exec 5<{target}; read line <&5; test -r {target}"]
    lowrun("-P", str(target), "-o", "ours", *command)
    subprocess.run(["strace", "-f", "-tt", "-T", "-y", "-P", target, "-o", tmp_path / "theirs", *command], check=True)
    ours, theirs = (names((tmp_path / name).read_text()) for name in ("ours", "theirs"))
    assert ours == theirs
    assert {"openat", "read", "close"} < set(ours)


def test_the_binary_records_are_kept_beside_the_text(lowrun: Lowrun, tmp_path: Path) -> None:
    """--keep-binary: the same calls as values; without -o it is refused."""
    lowrun("--keep-binary", "-o", "text", "sh", "-c", "cat /etc/hostname; (exit 3)")
    calls = list(read(tmp_path / "text.records"))
    assert sorted(call.name for call in calls) == sorted(names((tmp_path / "text").read_text()))
    assert lowrun("--keep-binary", "true").returncode == 2


def test_faults_are_injected(lowrun: Lowrun, tmp_path: Path) -> None:
    """-e inject= does as strace's: the chosen call fails and its line says so; -e fault= is error=ENOSYS."""
    for word, error in (("inject=openat:error=ENOSPC:when=3+2", "ENOSPC"), ("fault=openat:when=3", "ENOSYS")):
        lowrun("-e", word, "-e", "trace=openat", "-o", "ours", "cat", "/etc/hostname")
        subprocess.run(
            ["strace", "-f", "-e", word, "-e", "trace=openat", "-o", tmp_path / "theirs", "cat", "/etc/hostname"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        ours, theirs = ((tmp_path / name).read_text().splitlines() for name in ("ours", "theirs"))
        assert ["(INJECTED)" in line for line in ours] == ["(INJECTED)" in line for line in theirs]
        assert f"= -1 {error} " in ours[2]
        assert "(INJECTED)" in ours[2]


@pytest.mark.parametrize(
    "word", ["inject=openat", "inject=openat:errr=EIO", "inject=nosuch:error=EIO", "inject=open:when=0"]
)
def test_a_wrong_injection_is_wrong_usage(lowrun: Lowrun, word: str) -> None:
    """Exit 2 with one line, and nothing is run."""
    done = lowrun("-e", word, "touch", "made")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("way", [[], ["prctl"]], ids=["seccomp", "prctl"])
@pytest.mark.parametrize("words", ["uname", "getpid,uname,getppid", "getppid", "!uname"])
def test_a_filter_of_the_command_s_own_works_beside_ours(
    lowrun: Lowrun, tmp_path: Path, way: list[str], words: str
) -> None:
    """A set changes nothing of what the command's filter does, and what that refuses is shown, as by strace."""
    program = [mock("sandbox"), *way]
    bare = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert bare == "ready\ngetpid ENOSYS\nuname EACCES\ngetppid done\n"
    assert lowrun("-e", f"trace={words}", "-o", "ours", *program).stdout == bare
    subprocess.run(["strace", "-f", "-e", f"trace={words}", "-o", tmp_path / "theirs", *program], capture_output=True)
    ours = names((tmp_path / "ours").read_text())
    theirs = re.findall(r"^\d+ +(\w+)\(", (tmp_path / "theirs").read_text(), re.MULTILINE)
    assert ours == theirs


def test_one_of_several_cannot_be_attached_to(tmp_path: Path) -> None:
    """-p with a pid that is nobody's names it and traces the others, as strace does."""
    program = Running([sys.executable, "-c", "print('ready', flush=True); input()"])
    trace = tmp_path / "trace"
    pids = f"4194000,{program.process.pid}"
    tracer = subprocess.Popen([LOWRUN, "trace", "-o", trace, "-p", pids], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    assert tracer.stderr.readline() == "lowrun: process 4194000 has ended\n"
    assert tracer.stderr.readline() == f"lowrun: Process {program.process.pid} attached\n"
    assert program.finish()[1] == 0
    tracer.communicate(timeout=20)
    assert tracer.returncode == 0
    assert "+++ exited with 0 +++" in trace.read_text()


@pytest.mark.parametrize(("words", "stops"), [("%network", False), ("getppid", True)])
def test_calls_outside_the_set_do_not_stop(lowrun: Lowrun, words: str, stops: bool) -> None:
    """A loop of calls that nobody asked for gives its processor away for none of them, as each stop would."""
    loop = (
        "import os\nfor _ in range(5000): os.getppid()\n"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('voluntary')])"
    )
    done = lowrun("-e", words, "-o", "/dev/null", sys.executable, "-S", "-c", loop)
    assert (int(done.stdout) > 5000) is stops


@pytest.mark.parametrize("words", [["-e", "trace=opn"], ["-e", "status=bad"], ["-e", "inject=open"], ["-p", "0"]])
def test_wrong_usage_leaves_the_file_as_it_was(lowrun: Lowrun, tmp_path: Path, words: list[str]) -> None:
    """FILE is emptied only when there is something to write to it."""
    (tmp_path / "precious").write_text("kept")
    assert lowrun("-o", "precious", *words, *([] if "-p" in words else ["true"])).returncode == 2
    assert (tmp_path / "precious").read_text() == "kept"
