"""The main job, by the commands a user types: repeat, keep what failed, end whole trees."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core import keepers as keepers_module
from lowrun.core.cgroup_v1 import cgroup_name
from tests.programs import LOWRUN, alive, mock, processes


def lowrun(*words: str | os.PathLike[str], **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([LOWRUN, *words], capture_output=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until `condition` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.005)


# -- repeating


def test_five_runs_in_turn(tmp_path: Path) -> None:
    """0,3,3,0,3 in turn: codes and numbers, artifacts of the failing runs only, exit 3."""
    out = tmp_path / "out"
    done = lowrun("-c", "5", "-lt", "--json", tmp_path / "j", "-o", out, mock("codes.sh"), tmp_path / "n", *"03303")
    assert done.returncode == 3
    summary = json.loads((tmp_path / "j").read_text())
    assert summary["codes"] == {"0": [1, 4], "3": [2, 3, 5]}
    assert sorted(path.name for path in out.iterdir()) == ["run-0002", "run-0003", "run-0005", "summary.json"]
    assert (out / "run-0003" / "stdout.log").read_bytes() == b"ready\n3\n"
    assert json.loads((out / "run-0005" / "run.json").read_text())["code"] == 3
    assert b"1 4" in done.stderr and b"2-3 5" in done.stderr


def test_gives_up_after_failures(tmp_path: Path) -> None:
    """-fc 2: the run that fails second is the last."""
    done = lowrun("-c", "5", "-fc", "2", "--json", "-", mock("codes.sh"), tmp_path / "n", *"03303")
    assert [run["code"] for run in json.loads(done.stdout)["runs"]] == [0, 3, 3]
    assert done.returncode == 3


@pytest.mark.parametrize(("codes", "exit_code"), [("03", 3), ("4334", 4), ("0034", 0), ("2", 2)])
def test_ties(codes: str, exit_code: int, tmp_path: Path) -> None:
    """Ties go to failure, then to the earliest run."""
    assert lowrun("-q", "-c", str(len(codes)), mock("codes.sh"), tmp_path / "n", *codes).returncode == exit_code


def test_success_codes(tmp_path: Path) -> None:
    """-e: those codes are no failure and keep nothing."""
    done = lowrun("-e", "0,3", "-lt", "-o", tmp_path / "out", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert not (tmp_path / "out").exists()


def test_jobs_prepare_warmup_input(tmp_path: Path) -> None:
    """Four at a time; a command before each run; uncounted runs first; each run reads the same input."""
    (tmp_path / "in").write_bytes(b"a\nb\n")
    log = tmp_path / "log"
    done = lowrun(
        *("-c", "4", "-j", "4", "--warmup", "2", "--prepare", f"sh -c 'echo prepared >>{log}'"),
        *("--input", tmp_path / "in", "-lt", "--keep", "all", "-o", tmp_path / "out", "--json", "-"),
        *("sh", "-c", f"cat; echo ran >>{log}; sleep 0.3"),
    )
    summary = json.loads(done.stdout)
    assert [run["index"] for run in summary["runs"]] == [1, 2, 3, 4]
    assert (tmp_path / "out" / "run-0004" / "stdout.log").read_bytes() == b"a\nb\n"
    assert log.read_text().split().count("prepared") == 6
    assert log.read_text().split().count("ran") == 6
    assert summary["wall_s"] < 0.3 * 5  # two warm-up runs, then four at a time


def test_a_failing_prepare_stops_it() -> None:
    """The prepare command failed: no run, one line that says so, exit 2."""
    done = lowrun("-c", "3", "--prepare", "false", "echo", "ran")
    assert done.returncode == 2
    assert b"ran\n" not in done.stdout
    assert b"prepare" in done.stderr


# -- exit codes


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sh", "-c", "kill -9 $$"), 137, b"SIGKILL"),
        (("nonexistent-command",), 127, b"not found"),
        (("/tmp",), 126, b"directory"),
        (("/etc/passwd",), 126, b"denied"),
    ],
)
def test_deaths(words: tuple[str, ...], code: int, said: bytes) -> None:
    """Signals are 128+S and named, not found is 127, not executable 126."""
    done = lowrun(*words)
    assert done.returncode == code
    assert said in done.stderr


def test_timeout() -> None:
    """-t 0.5: 124 after about half a second."""
    done = lowrun("-t", "0.5", "--json", "-", "sleep", "100")
    assert done.returncode == 124
    run = json.loads(done.stdout)["runs"][0]
    assert run["timed_out"] and not run["ok"]
    assert 0.5 <= run["wall_s"] < 1


def test_timeout_of_a_tree_that_ignores_sigterm(tmp_path: Path) -> None:
    """A tree that ignores SIGTERM, grandchildren too, is gone after -t plus --kill-after."""
    pids = tmp_path / "pids"
    done = lowrun("-t", "0.5", "--kill-after", "0.5", "--json", "-", mock("stubborn.sh"), pids)
    assert done.returncode == 124
    assert 1 <= json.loads(done.stdout)["wall_s"] < 2
    assert not any(alive(int(pid)) for pid in pids.read_text().split())


def test_the_run_after_one_that_was_killed() -> None:
    """It runs in the keeper of the run before, and not in a cgroup that kills what comes into it."""
    stubborn = "trap '' TERM; while :; do sleep 0.01; done"
    done = lowrun("-c", "3", "-t", "0.2", "--kill-after", "0.1", "--json", "-", "sh", "-c", stubborn)
    assert [run["timed_out"] for run in json.loads(done.stdout)["runs"]] == [True, True, True]


def test_what_is_left_over_is_ended(tmp_path: Path) -> None:
    """A command that leaves a child behind: it is ended soon after, and the code is the command's own."""
    done = lowrun("--json", "-", "sh", "-c", f"sleep 100 & echo $! >{tmp_path}/pid; exit 5")
    assert done.returncode == 5
    summary = json.loads(done.stdout)
    assert summary["wall_s"] < 2
    assert summary["runs"][0]["wall_s"] < summary["wall_s"]
    assert not alive(int((tmp_path / "pid").read_text()))


# -- interruption

THIRD_IS_A_FAMILY = 'n=$(cat "$1" || echo 0); echo $((n + 1)) >"$1"; test $n = 2 || exit 0; exec "$2" "$3"'


def start_third(tmp_path: Path, *options: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start ten runs whose third is a family that sleeps; return lowrun and the family's pids once it is there."""
    pids = tmp_path / "pids"
    words = ["sh", "-c", THIRD_IS_A_FAMILY, "sh", str(tmp_path / "n"), mock("family.sh"), str(pids)]
    program = subprocess.Popen(
        [LOWRUN, "-c", "10", "-lt", *options, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 4)
    return program, [int(pid) for pid in pids.read_text().split()]


RECORDED = [pytest.param((), id="plain"), pytest.param(("-ct",), id="traced")]


@pytest.mark.parametrize("options", RECORDED)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_within_a_second(number: signal.Signals, options: tuple[str, ...], tmp_path: Path) -> None:
    """The third of ten is interrupted: two are counted, the summary is printed, nobody survives, no file is left."""
    program, family = start_third(tmp_path, *options, "--json", "j")
    begun = time.monotonic()
    program.send_signal(number)
    _, words = program.communicate(timeout=20)
    assert time.monotonic() - begun < 1.5  # a second is promised; a busy machine may add
    assert program.returncode == 0  # two completed runs, both 0
    assert not any(alive(pid) for pid in family)
    summary = json.loads((tmp_path / "j").read_text())
    assert summary["interrupted"]
    assert summary["codes"] == {"0": [1, 2]}
    assert [run["interrupted"] for run in summary["runs"]] == [False, False, True]
    assert b"interrupted" in words
    assert {path.name for path in tmp_path.iterdir()} == {"n", "pids", "j"}


@pytest.mark.parametrize("options", RECORDED)
def test_a_signal_during_the_first_run(options: tuple[str, ...], tmp_path: Path) -> None:
    """With no completed run the exit code is 128+signal, and the summary is printed all the same."""
    program = subprocess.Popen(
        [LOWRUN, *options, "sh", "-c", "echo ready; exec sleep 100"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"ready\n"
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    assert program.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("cgroup", [True, False], ids=["cgroup", "no cgroup"])
@pytest.mark.parametrize("options", RECORDED)
def test_sigkill_of_lowrun_leaves_nothing(options: tuple[str, ...], cgroup: bool, tmp_path: Path) -> None:
    """lowrun itself is killed with SIGKILL: the whole family is gone soon after, and no file was left."""
    if not cgroup:
        (tmp_path / "sitecustomize.py").write_text(
            "import lowrun.core.keepers as keepers\nkeepers.writable_cgroup = lambda: None\n"
        )
        os.environ["PYTHONPATH"] = str(tmp_path)
    try:
        program, family = start_third(tmp_path, *options)
    finally:
        os.environ.pop("PYTHONPATH", None)
    keeper = processes()[family[0]][0]
    program.kill()
    program.communicate(timeout=20)
    wait_for(lambda: not any(alive(pid) for pid in [*family, keeper]))
    left = {path.name for path in tmp_path.iterdir()} - {"n", "pids", "sitecustomize.py", "__pycache__"}
    assert not left
    if (unified := Path("/sys/fs/cgroup/unified")).is_dir():
        wait_for(lambda: not (unified / cgroup_name(keeper)).exists())


# -- usage


def summary_of(*words: str) -> dict[str, object]:
    done = lowrun("-q", "--json", "-", *words)
    found: dict[str, object] = json.loads(done.stdout)["runs"][0]
    return found


def burnt(tmp_path: Path, *options: str, ignore: bool) -> tuple[float, dict[str, object]]:
    """Run 500 children that burn 4 ms each; return the seconds they say they used, and the run."""
    done = lowrun(
        *("-q", "-lt", "--keep", "all", "-o", tmp_path / "out", "--json", "-", *options),
        *(mock("burners"), "500", "4", *(["ignore"] if ignore else [])),
    )
    run: dict[str, object] = json.loads(done.stdout)["runs"][0]
    lines = (tmp_path / "out" / "run-0001" / "stdout.log").read_text().split()
    assert len(lines) == 502  # `ready`, the children, the parent
    return sum(int(line) for line in lines[1:]) / 1e9, run


def test_short_children_are_counted(tmp_path: Path) -> None:
    """500 children of 4 ms: user_s + sys_s is their own sum within 5 %."""
    told, run = burnt(tmp_path, ignore=False)
    assert run["user_s"] + run["sys_s"] == pytest.approx(told, rel=0.05)  # type: ignore[operator]


def test_hidden_children_are_never_guessed(tmp_path: Path) -> None:
    """Their parent ignores SIGCHLD: all figures are right (their exits were counted), or null with a fault."""
    told, run = burnt(tmp_path, ignore=True)
    faults = " ".join(run["faults"])  # type: ignore[arg-type]
    if run["user_s"] is not None:
        assert run["user_s"] + run["sys_s"] == pytest.approx(told, rel=0.05)  # type: ignore[operator]
    for figure in ("user_s", "max_rss_kib"):
        assert run[figure] is not None or (figure in faults and "SIGCHLD" in faults)
    assert run["processes"] == 501 or (run["processes"] is None and "processes is not known" in faults)


def test_hidden_children_without_a_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cgroup the inherited counter tells that something is hidden: null, and the reason."""
    monkeypatch.setattr(keepers_module, "writable_cgroup", lambda: None)
    result = lr.run([mock("burners"), "50", "4", "ignore"], quiet=True)
    if Path("/proc/sys/kernel/perf_event_paranoid").exists() and os.getuid() == 0:
        assert result.usage.user_s is None
        assert any("SIGCHLD" in fault for fault in result.faults)


@pytest.mark.parametrize("ignore", [False, True], ids=["waits", "ignores SIGCHLD"])
def test_traced_children_are_counted(ignore: bool, tmp_path: Path) -> None:
    """With -ct the sum is right and 501 processes are counted, whether or not the parent waits for them."""
    told, run = burnt(tmp_path, "-ct", ignore=ignore)
    assert run["processes"] == 501
    assert run["user_s"] is not None
    assert run["user_s"] + run["sys_s"] >= told * 0.95  # type: ignore[operator]
    assert run["max_rss_kib"] is not None


LARGE_HOST = """
import resource, lowrun
ballast = bytearray(b"x") * (500 << 20)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 500 << 10
print(lowrun.run(["false"]).usage.max_rss_kib)
"""


def test_peak_memory_has_no_floor() -> None:
    """From a process with 500 MB resident, `false` has a peak of under 10 MB."""
    done = subprocess.run([sys.executable, "-c", LARGE_HOST], capture_output=True, check=True)
    assert 0 < int(done.stdout) < 10 << 10


def test_peak_memory_is_the_largest_process() -> None:
    """A child that takes 200 MB is the peak, not its parent and not the sum."""
    take = (
        "import subprocess, sys\nif len(sys.argv) > 1: x = b'x' * (200 << 20)\nelse: subprocess.run("
        "[sys.executable, '-S', '-c', open('/proc/self/cmdline').read().split('\\0')[3], 'child'])"
    )
    result = lr.run([sys.executable, "-S", "-c", take])
    assert result.usage.max_rss_kib is not None
    assert 200 << 10 < result.usage.max_rss_kib < 230 << 10


# -- many runs, workers


@pytest.mark.slow
def test_ten_thousand_runs_leave_nothing() -> None:
    """10,000 runs in one process: descriptors and memory stay as they were after the first thousand."""

    def state() -> tuple[int, int]:
        with open("/proc/self/statm") as statm:
            return len(os.listdir("/proc/self/fd")), int(statm.read().split()[1])

    before = (0, 0)
    for index, result in enumerate(lr.repeat(["/bin/true"], count=10_000, quiet=True), 1):
        assert result.ok
        if index == 1000:
            before = state()
    assert state()[0] <= before[0]
    assert state()[1] - before[1] < 4096  # pages: results are kept, 16 MiB is far above what they need


def test_a_thousand_separate_runs_leave_nothing() -> None:
    """1,000 single runs, each with a loop and a keeper of its own, leave no descriptor and no keeper."""
    lr.run(["/bin/true"])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(1000):
        assert lr.run(["/bin/true"], quiet=True).ok
    assert len(os.listdir("/proc/self/fd")) == before


def test_forked_workers_run_commands() -> None:
    """A host that forks workers after, and while, using lowrun: each worker can run commands."""
    runs = lr.repeat(["sleep", "0.05"], count=3)
    next(runs)
    pids = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                os._exit(lr.run(["sh", "-c", f"exit {number + 10}"]).status.code)
            os._exit(99)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [10, 11, 12]
    assert [result.ok for result in runs] == [True, True]
