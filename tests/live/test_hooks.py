"""Hooks: what a function sees and can do at a call of the command, and that it can do no harm by failing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lowrun as lr
from tests.programs import mock

HOSTS = b"/etc/hosts"


def hooked(command: list[str], tmp_path: Path, **options: Any) -> tuple[lr.Result, list[str], str]:
    """Run `command`; returns the result, the lines of its calls and what it printed."""
    result = lr.run(
        command, record=[lr.Calls(**options), lr.Output()], keep="all", output=tmp_path / "out", quiet=True, timeout=60
    )
    lines = result.artifacts["calls"].read_text().splitlines()
    return result, lines, result.artifacts["stdout"].read_text()


def test_a_hook_sees_the_call_at_its_entry_and_at_its_exit(tmp_path: Path) -> None:
    """Name, numbers, process and thread, arguments as numbers, bytes and text; then the result."""
    seen: list[tuple[object, ...]] = []

    def on_call(call: lr.HookedCall, process: Any) -> None:
        seen.append(
            (call.name, call.number, call.pid, call.tid, call.arguments[2], call.data[1], call.text, call.result)
        )

    def on_return(call: lr.HookedCall, process: Any) -> None:
        seen.append((call.text, call.result))

    result, lines, _ = hooked(["cat", "/etc/hosts"], tmp_path, on_call=on_call, on_return=on_return, hook="openat")
    place = next(i for i, one in enumerate(seen) if HOSTS in one)
    text = 'openat(AT_FDCWD, "/etc/hosts", O_RDONLY'
    assert seen[place] == ("openat", 257, result.pid, result.pid, os.O_RDONLY, HOSTS, text, None)
    assert seen[place + 1] == (f"{text}) = 3", 3)
    assert len(seen) == 2 * len([line for line in lines if " openat(" in line])
    assert len({line.split()[2].partition("(")[0] for line in lines}) > 5


def test_a_hook_reads_and_writes_memory_and_registers(tmp_path: Path) -> None:
    """The PtraceProcess is the tracee: what it writes is what the kernel and the program see."""
    seen = []

    def on_call(call: lr.HookedCall, process: Any) -> None:
        if call.data[1] == HOSTS:
            seen.append(process.readBytes(call.arguments[1], len(HOSTS)))
            seen.append(process.getreg("rsi") == call.arguments[1])
            process.writeBytes(call.arguments[1], b"/dev/null\0")

    result, lines, told = hooked(["cat", "/etc/hosts"], tmp_path, only="openat", on_call=on_call)
    assert seen == [HOSTS, True]
    assert (result.status.code, told) == (0, "")
    assert any('"/etc/hosts"' in line and "= 3</dev/null" in line for line in lines)


def test_a_skipped_call_is_not_executed(tmp_path: Path) -> None:
    """It fails with the error; the text says that it was injected."""

    def on_call(call: lr.HookedCall, process: Any) -> None:
        if call.data[1] == HOSTS:
            call.skip(error="ENOSPC")

    result, lines, _ = hooked(["cat", "/etc/hosts"], tmp_path, only="openat", on_call=on_call)
    assert result.status.code == 1
    (line,) = [line for line in lines if "INJECTED" in line]
    assert '"/etc/hosts", O_RDONLY) = -1 ENOSPC (No space left on device) (INJECTED) <' in line


def test_a_skipped_call_returns_what_the_hook_says(tmp_path: Path) -> None:
    """A hook can do the call's work itself."""

    def on_call(call: lr.HookedCall, process: Any) -> None:
        if call.arguments[2] == 4:
            process.writeBytes(call.arguments[1], b"mine")
            call.skip(result=3)

    _, lines, told = hooked([mock("tampered"), "read"], tmp_path, on_call=on_call, hook="read")
    assert told == "ready\n3 mine\n"
    assert any('"min", 4)' in line and "= 3 (INJECTED)" in line for line in lines)


def test_a_result_is_changed_at_the_exit(tmp_path: Path) -> None:
    """The call was executed, the command sees another result."""
    results = []

    def on_return(call: lr.HookedCall, process: Any) -> None:
        results.append(call.result)
        if len(results) == 2:
            call.set_result(77)
        if len(results) == 3:
            call.set_result(error="EPERM")

    _, lines, told = hooked([mock("tampered"), "uids"], tmp_path, on_return=on_return, hook="geteuid")
    uid = os.geteuid()
    assert results == [uid] * 6
    assert told.split() == ["ready", str(uid), "77", "-1", *[str(uid)] * 3]
    assert sum("(INJECTED)" in line for line in lines) == 2


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_what_a_hook_raises_is_a_fault(
    kind: type[BaseException], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The command goes on as without a hook; each text is told once, in the result and to the log."""
    calls = []

    def on_call(call: lr.HookedCall, process: Any) -> None:
        call.skip(error="EPERM")
        calls.append(call.name)
        raise kind("no good")

    with caplog.at_level(logging.WARNING, "lowrun.hooks"):
        result, lines, told = hooked([mock("tampered"), "uids"], tmp_path, on_call=on_call, hook="geteuid")
    assert calls == ["geteuid"] * 6
    assert told.split() == ["ready", *[str(os.geteuid())] * 6]
    assert result.faults == (f"the hook of geteuid failed: {kind.__name__}: no good",)
    assert [record.getMessage() for record in caplog.records] == list(result.faults)
    assert not any("INJECTED" in line for line in lines)


def test_wrong_answers_are_refused(tmp_path: Path) -> None:
    """skip() is for the entry, set_result() for the exit, an error has a name."""
    refused = []

    def attempt(function: Any, *arguments: Any, **words: Any) -> None:
        try:
            function(*arguments, **words)
        except lr.UsageError as error:
            refused.append(str(error))

    def on_call(call: lr.HookedCall, process: Any) -> None:
        attempt(call.set_result, 3)
        attempt(call.skip, error="ENOTHING")
        attempt(call.skip, result=1 << 64)

    def on_return(call: lr.HookedCall, process: Any) -> None:
        attempt(call.skip)

    result, _, _ = hooked(["true"], tmp_path, on_call=on_call, on_return=on_return, hook="openat", only="openat")
    assert len(refused) % 4 == 0 and len(set(refused)) == 4
    assert result.status.code == 0


@pytest.mark.parametrize("words", [{"hook": "read"}, {"hook": "read", "only": "open", "on_call": print}])
def test_a_hook_is_for_recorded_calls(words: dict[str, Any]) -> None:
    """A set without a function, and calls that are not recorded, are wrong usage."""
    with pytest.raises(lr.UsageError):
        lr.Calls(**words)


def test_hooks_of_threads_and_of_vfork_children(tmp_path: Path) -> None:
    """Each thread's calls come with its own tid; a vfork child's calls can be skipped while its parent waits."""
    tids: dict[int, int] = {}

    def count(call: lr.HookedCall, process: Any) -> None:
        assert process.pid == call.tid
        tids[call.tid] = tids.get(call.tid, 0) + 1

    hooked([mock("tampered"), "threads"], tmp_path / "a", on_call=count, on_return=count, hook="geteuid")
    assert sorted(tids.values()) == [8, 8]

    def full(call: lr.HookedCall, process: Any) -> None:
        if call.data[1] == HOSTS:
            call.skip(error="ENOSPC")

    _, _, told = hooked([mock("tampered"), "vfork"], tmp_path / "b", only="openat", on_call=full)
    assert told == "ready\n28\n"


def test_a_hook_and_an_injection(tmp_path: Path) -> None:
    """Both work in one run; where both speak of a call the hook is heard."""

    def on_call(call: lr.HookedCall, process: Any) -> None:
        call.skip(result=7)

    _, _, told = hooked(
        [mock("tampered"), "uids"], tmp_path, on_call=on_call, hook="geteuid", inject=[lr.Inject("geteuid", error=1)]
    )
    assert told.split()[1:] == ["7"] * 6


def test_many_calls_with_a_busy_host(tmp_path: Path) -> None:
    """Thousands of hooks find their way while other threads of the host compute and take each other's GIL."""
    over = threading.Event()
    sums = [0, 0]

    def compute(place: int) -> None:
        while not over.is_set():
            sums[place] += sum(range(100))

    count = [0, 0]

    def on_call(call: lr.HookedCall, process: Any) -> None:
        count[0] += 1

    def on_return(call: lr.HookedCall, process: Any) -> None:
        count[1] += call.result == 1

    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    busy = [threading.Thread(target=compute, args=(place,)) for place in range(2)]
    for thread in busy:
        thread.start()
    try:
        command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=3000", "status=none"]
        result, _, _ = hooked(command, tmp_path, on_call=on_call, on_return=on_return, hook="write")
    finally:
        over.set()
        sys.setswitchinterval(former)
        for thread in busy:
            thread.join()
    assert result.faults == ()
    assert count == [3000, 3000]
    assert all(sums)


def test_four_runs_at_a_time(tmp_path: Path) -> None:
    """Each run's tracer calls the hooks from a process of its own; none is lost."""
    pids: dict[int, set[int]] = {}

    def on_call(call: lr.HookedCall, process: Any) -> None:
        pids.setdefault(os.getpid(), set()).add(call.pid)

    summary = list(
        lr.repeat(
            [mock("tampered"), "uids"], count=12, jobs=4, record=[lr.Calls(on_call=on_call, hook="geteuid")], quiet=True
        )
    )
    assert [result.faults for result in summary] == [()] * 12
    assert len(pids) == 12 and os.getpid() not in pids
    assert set.union(*pids.values()) == {result.pid for result in summary}


def test_in_asyncio() -> None:
    """The host's loop runs on while a hook sleeps; asyncio's own children are waited for as ever."""
    ticks = []

    def on_call(call: lr.HookedCall, process: Any) -> None:
        time.sleep(0.1)

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0.01)

    async def main() -> lr.Result:
        ticking = asyncio.create_task(tick())
        other = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
        calls = lr.Calls(on_call=on_call, hook="geteuid")
        result = await lr.aio.run([mock("tampered"), "uids"], record=[calls], quiet=True)
        assert await other.wait() == 5
        ticking.cancel()
        return result

    result = asyncio.run(main())
    assert (result.status.code, result.faults) == (0, ())
    assert result.wall_s >= 0.6
    assert len(ticks) > 10


def test_the_thread_is_a_known_one(tmp_path: Path) -> None:
    """A hook can log and ask which thread it is on; nothing of that thread is left afterwards."""
    names = set()

    def on_call(call: lr.HookedCall, process: Any) -> None:
        logging.getLogger("mine").debug("a call: %s", call)
        names.add(threading.current_thread().name)

    before = threading.active_count()
    hooked(["true"], tmp_path, on_call=on_call, only="openat")
    assert names == {"lowrun-tracer"}
    assert threading.active_count() == before


def test_deep_python_in_a_hook(tmp_path: Path) -> None:
    """A hook has a thread's whole stack: deep recursion ends with RecursionError, not with a crash."""

    def deep(n: int) -> int:
        return max([deep(n + 1)], key=lambda value: value)

    result, _, _ = hooked(["true"], tmp_path, on_call=lambda call, process: deep(0), only="openat", hook="openat")
    assert result.status.code == 0
    assert len(result.faults) == 1 and "RecursionError" in result.faults[0]


def test_a_timeout_ends_a_run_with_hooks(tmp_path: Path) -> None:
    """A command that hangs is killed though its calls have hooks."""
    result = lr.run(
        ["sleep", "100"], record=[lr.Calls(on_call=lambda call, process: None)], timeout=0.3, quiet=True, keep="none"
    )
    assert result.timed_out and result.faults == ()


HOST = """
import os, sys, threading, time
import lowrun as lr
ready = threading.Event()
def on_call(call, process):
    ready.set()
threading.Thread(
    target=lambda: lr.run(["sh", "-c", "while :; do cd /; done"], record=[lr.Calls(on_call=on_call)], quiet=True),
    daemon=True,
).start()
ready.wait()
"""


def test_a_host_that_ends_in_the_middle() -> None:
    """A host whose main thread ends while a daemon thread's run calls hooks ends, and so does the command."""
    done = subprocess.run([sys.executable, "-c", HOST], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


CRASH = """
import os, signal
import lowrun as lr
def on_call(call, process):
    os.kill(os.getpid(), signal.SIGKILL)
lr.run(["cat", "/etc/hosts"], record=[lr.Calls(on_call=on_call, hook="openat")], quiet=True)
"""


def test_a_crash_in_a_hook_is_a_crash() -> None:
    """A hook that kills its process leaves no host that waits for ever for what that process had locked."""
    done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, timeout=30)
    assert done.returncode == -signal.SIGABRT
