"""What a tree used is exact, whoever waits for its processes or nobody does, or it is null with a fault."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lowrun as lr
import lowrun.core.keepers as keepers_module
import lowrun.runs.exits as exits_module
from lowrun.core.loop import Loop
from lowrun.runs.recorder import RunInfo
from tests.programs import ROOT, mock

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="exit accounting is for root (CAP_BPF, CAP_PERFMON)")
WAYS = pytest.mark.parametrize("way", ["exits", "tracer", "wait4"])


class Counting:
    """A recorder that keeps nothing, and asks for io."""

    name = "counting"

    def start(self, run: RunInfo, loop: Loop) -> None:
        run.count_io()

    def stop(self) -> None:
        pass

    def keep(self, into: Path) -> list[lr.Artifact]:
        return []

    def discard(self) -> None:
        pass


class _Refused:
    def __init__(self, _keeper: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), "bpf")


def without_exits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user without privilege."""
    monkeypatch.setattr(exits_module, "ExitCounter", _Refused)


def watched(way: str, monkeypatch: pytest.MonkeyPatch) -> list[lr.Recorder]:
    """The recorders of a run whose best witness is `way`."""
    if way == "exits":
        if os.geteuid() != 0:
            pytest.skip("exit accounting is for root (CAP_BPF, CAP_PERFMON)")
        return [Counting()]
    without_exits(monkeypatch)
    return [lr.Calls(), Counting()] if way == "tracer" else [Counting()]


def burn(way: str, signals: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[lr.Result, str]:
    """Run 500 children of 4 ms and 8 KiB; return the run and all that it printed."""
    recorders = [*watched(way, monkeypatch), lr.Output()]
    command = [mock("burners"), "500", "4", signals, "8192", "1"]
    result = lr.run(command, record=recorders, output=tmp_path / "out", quiet=True)
    return result, result.artifacts["stdout"].read_text()


#: A child says what it used before it prints and ends; under a tracer, and with a counter that is inherited, that
#: is more than 5 % of its 4 ms.
def near(printed: str, way: str, cgroup: bool = True) -> object:
    return pytest.approx(burnt_s(printed), rel=0.3 if way == "tracer" else 0.05 if cgroup else 0.1)


def burnt_s(printed: str) -> float:
    lines = printed.split()
    assert len(lines) == 502
    return sum(int(line) for line in lines[1:]) / 1e9


@WAYS
def test_children_that_are_waited_for(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 children: every witness has their CPU within 5 %, and their bytes exactly; who sees exits, their number."""
    result, printed = burn(way, "wait", tmp_path, monkeypatch)
    usage = result.usage
    assert usage.user_s is not None and usage.sys_s is not None and usage.io is not None
    assert usage.user_s + usage.sys_s == near(printed, way)
    assert usage.io.written_bytes == 4_096_000 + len(printed)
    assert usage.io.writes == 500 + 502
    assert usage.processes == (None if way == "wait4" else 501)


@pytest.mark.parametrize("cgroup", [True, False], ids=["cgroup", "no cgroup"])
@WAYS
def test_children_that_nobody_waits_for(
    way: str, cgroup: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their parent ignores SIGCHLD: the same figures by who sees exits; without, null, and the reason."""
    if not cgroup:
        monkeypatch.setattr(keepers_module, "writable_cgroup", lambda: None)
    result, printed = burn(way, "ignore", tmp_path, monkeypatch)
    usage = result.usage
    if way == "wait4":
        assert usage.io is None and usage.processes is None and usage.max_rss_kib is None
        assert any("io is not known" in fault and "SIGCHLD" in fault and "-ct" in fault for fault in result.faults)
        return
    assert usage.user_s is not None and usage.sys_s is not None and usage.io is not None
    assert usage.user_s + usage.sys_s == near(printed, way, cgroup)
    assert usage.io.written_bytes == 4_096_000 + len(printed)
    assert usage.io.writes == 500 + 502
    assert usage.processes == 501
    assert usage.max_rss_kib is not None
    assert not any("usage" in fault for fault in result.faults)


@WAYS
@pytest.mark.parametrize(
    ("kind", "processes", "writers", "words"),
    [("early", 1, 4, 1), ("leader", 1, 2, 1), ("exec", 1, 6, 2), ("orphans", 111, 111, 1)],
)
def test_threads_and_orphans(
    way: str, kind: str, processes: int, writers: int, words: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that end before or after their leader, an execve by another thread, orphans: each is counted once."""
    result = lr.run([mock("threaded"), kind], record=watched(way, monkeypatch), quiet=True)
    assert result.status.code == 0 and result.usage.io is not None
    assert result.usage.io.written_bytes == 1000 * writers + words * len("ready\n")
    assert result.usage.processes == (None if way == "wait4" else processes)


@ROOT_ONLY
@pytest.mark.parametrize("recorder", [lr.Output(), lr.Samples(), lr.Packets("lo")], ids=lambda one: str(one.name))
def test_every_recorded_run_is_counted(recorder: lr.Recorder, tmp_path: Path) -> None:
    """Whatever records the run, with children that nobody waits for: its figures are exact, and no fault."""
    result = lr.run([mock("burners"), "20", "1", "ignore"], record=[recorder], output=tmp_path / "out", quiet=True)
    assert result.usage.processes == 21
    assert result.usage.user_s is not None and result.usage.sys_s is not None and result.usage.max_rss_kib is not None
    assert result.usage.user_s + result.usage.sys_s >= 0.02
    assert result.faults == ()


def test_what_nobody_records_is_not_counted() -> None:
    """Plain `lowrun COMMAND` waits for no exit accounting: null, and the fault says what to add."""
    result = lr.run(["sh", "-c", "/bin/true; /bin/true"], quiet=True)
    assert result.usage.processes is None
    assert any("processes is not known" in fault and "-ct" in fault and "-lt" in fault for fault in result.faults)


def test_why_exits_were_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where accounting was tried and refused, the fault has the cause."""
    without_exits(monkeypatch)
    result = lr.run(["sh", "-c", "/bin/true; /bin/true"], record=[Counting()], quiet=True)
    assert any("processes is not known" in fault and "Operation not permitted" in fault for fault in result.faults)


@ROOT_ONLY
def test_a_storm_that_nobody_waits_for() -> None:
    """2,000 programs started with posix_spawn, as fast as it goes: 2,001 processes."""
    result = lr.run([mock("threaded"), "vfork"], record=[Counting()], quiet=True)
    assert result.usage.processes == 2001
    assert result.usage.io is not None and result.usage.io.written_bytes == 1006


@ROOT_ONLY
def test_a_killed_daemon_is_counted() -> None:
    """A child in a session of its own, which lowrun ends with SIGKILL, is of the tree."""
    daemon = "trap '' TERM; head -c 5000 /dev/zero; kill -USR1 $1; exec sleep 60"
    script = 'trap "exit 3" USR1; setsid sh -c "$1" daemon $$ & wait'
    result = lr.run(["sh", "-c", script, "sh", daemon], record=[Counting()], quiet=True, keep="none")
    assert result.status.code == 3
    assert result.usage.io is not None and result.usage.io.written_bytes == 5000
    assert result.usage.processes == 3


@ROOT_ONLY
def test_runs_of_one_keeper_count_from_zero(tmp_path: Path) -> None:
    """One run after the other has the same keeper and the same counter: none has what the one before used."""
    script = 'test -e "$0" || { : > "$0"; head -c 50000000 /dev/zero | tail -c 40000000 > /dev/null; }'
    first, second = lr.repeat(["sh", "-c", script, str(tmp_path / "ran")], count=2, record=[Counting()], quiet=True)
    assert first.usage.processes == 3 and second.usage.processes == 1
    assert first.usage.io is not None and first.usage.io.written_bytes == 90_000_000
    assert second.usage.io is not None and second.usage.io.written_bytes == 0
    assert first.usage.max_rss_kib is not None and first.usage.max_rss_kib > 30_000
    assert second.usage.max_rss_kib is not None and second.usage.max_rss_kib < 10_000


@ROOT_ONLY
def test_runs_at_the_same_time_see_their_own() -> None:
    """Four runs at a time beside somebody else's storm: each has its own 21 processes and bytes."""
    storm = subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"])
    try:
        command = [mock("burners"), "20", "1", "ignore", "8192"]
        results = list(lr.repeat(command, count=12, jobs=4, record=[Counting()], quiet=True))
    finally:
        storm.kill()
        storm.wait()
    assert [result.usage.processes for result in results] == [21] * 12
    assert [result.usage.io is not None and result.usage.io.writes for result in results] == [42] * 12


AS_NOBODY = """
import dataclasses, json, sys, lowrun
sys.path.insert(0, sys.argv[1])
from tests.live.test_accounts import Counting
result = lowrun.run(sys.argv[2:], record=[Counting()], quiet=True)
print(json.dumps({"usage": dataclasses.asdict(result.usage), "faults": result.faults}))
"""


@ROOT_ONLY
def test_a_user_without_privilege() -> None:
    """What wait4 saw is exact, or null and the reason, when a counter disagrees (a busy machine's clocks do)."""
    words = [*NOBODY, sys.executable, "-c", AS_NOBODY, str(ROOT), mock("burners"), "100", "4", "wait", "8192"]
    os.chmod(Path(mock("burners")).parent, 0o755)
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd="/")
    told = json.loads(done.stdout)
    if told["usage"]["io"] is None:
        assert any("io is not known" in fault for fault in told["faults"])
        return
    assert told["usage"]["io"]["writes"] == 100 + 102
    assert 0 <= told["usage"]["io"]["written_bytes"] - 819_200 - len("ready\n") - 101 * 8 <= 101


def test_a_run_that_nobody_asks_of_counts_no_io() -> None:
    """Without a recorder that asks there is no io and no fault about it."""
    result = lr.run(["true"])
    assert result.usage.io is None
    assert not any("io is" in fault for fault in result.faults)
