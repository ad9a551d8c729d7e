"""lowrun inside other programs: asyncio, threads, hosts with children of their own."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lowrun as lr
from tests.programs import alive

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37


def recorders(tmp_path: Path) -> dict[str, object]:
    return {"record": [lr.Calls(), lr.Output()], "keep": "all", "quiet": True, "output": tmp_path}


@contextlib.contextmanager
def counted_sigchld() -> Iterator[list[int]]:
    """Install a SIGCHLD handler that counts."""
    seen: list[int] = []
    former = signal.signal(signal.SIGCHLD, lambda number, _frame: seen.append(number))
    try:
        yield seen
    finally:
        signal.signal(signal.SIGCHLD, former)


def test_a_host_sees_no_strange_children() -> None:
    """No SIGCHLD, nothing for waitpid(-1), no subreaper flag, mask and handlers as before."""
    libc = ctypes.CDLL(None)
    flag = ctypes.c_int()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    with counted_sigchld() as seen:
        for result in lr.repeat(["sh", "-c", "(setsid sleep 0.01 &); exit 3"], count=3):
            assert result.status.code == 3
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
        assert seen == []
    libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(flag))
    assert flag.value == 0
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert [signal.getsignal(number) for number in signal.valid_signals()] == handlers


def test_the_hosts_orphans_go_where_they_went(tmp_path: Path) -> None:
    """An orphan of the host's own child, made while runs are under way, is not lowrun's and goes to init's line."""
    with lr.Loop() as loop, lr.Repeater(["sleep", "100"], on_end=lambda _r: loop.stop()) as repeater:
        repeater.start(loop)
        loop.dispatch(-1)
        script = (
            "(while test $(ps -o ppid= -p $(sh -c 'echo $PPID')) = $$; do :; done; sh -c 'echo $PPID' >/dev/null; "
            f"read -r _ _ _ ppid _ </proc/self/stat; echo $ppid >{tmp_path}/parent) &"
        )
        assert subprocess.run(["sh", "-c", script]).returncode == 0
        deadline = time.monotonic() + 10
        while not (tmp_path / "parent").exists() or not (tmp_path / "parent").read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run = next(iter(repeater._active))
        parent = int((tmp_path / "parent").read_text())
        assert parent != os.getpid()
        assert run._process is not None
        assert parent != run._process._keeper.pid
        repeater.interrupt(signal.SIGTERM)
        repeater.interrupt(signal.SIGTERM)
        loop.run()


def test_asyncio_with_children_of_its_own(tmp_path: Path) -> None:
    """Two traced runs at a time, while asyncio's and subprocess's children get their own exit codes."""

    async def traced(number: int) -> int:
        result = await lr.aio.run(
            ["sh", "-c", f"ls / >/dev/null; exit {number}"], **recorders(tmp_path / f"run{number}")
        )
        assert result.artifacts["calls"].stat().st_size > 1000
        return result.status.code

    async def foreign(number: int) -> int:
        process = await asyncio.create_subprocess_exec("sh", "-c", f"sleep 0.05; exit {number}")
        return await process.wait()

    async def popen(number: int) -> int:
        process = subprocess.Popen(["sh", "-c", f"sleep 0.05; exit {number}"])
        return await asyncio.to_thread(process.wait)

    async def everything() -> list[int]:
        found: list[int] = []
        for turn in range(0, 20, 2):
            found += await asyncio.gather(
                traced(turn + 1), traced(turn + 2), foreign(turn + 50), popen(turn + 100), foreign(turn + 51)
            )
        return found

    expected = []
    for turn in range(0, 20, 2):
        expected += [turn + 1, turn + 2, turn + 50, turn + 100, turn + 51]
    assert asyncio.run(everything()) == expected


def test_cancelling_ends_the_run() -> None:
    """A cancelled task ends its run before CancelledError comes out."""
    started: list[int] = []

    class Spy:
        name = "spy"

        def start(self, run: lr.RunInfo, loop: lr.Loop) -> None:
            run.seize(started.append)

        def stop(self) -> None:
            pass

        def keep(self, into: Path) -> list[lr.Artifact]:
            return []

        def discard(self) -> None:
            pass

    async def cancelled() -> None:
        task = asyncio.ensure_future(lr.aio.run(["sleep", "100"], record=[Spy()], keep="none"))
        while not started:
            await asyncio.sleep(0.005)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not alive(started[0])

    asyncio.run(cancelled())


BUSY_HOST = """
import os, subprocess, sys, threading
import lowrun as lr

sys.setswitchinterval(0.001)  # ten others have their turn at the GIL before each step of lowrun's
stop = threading.Event()
def burn():
    while not stop.is_set():
        sum(range(1000))
threads = [threading.Thread(target=burn) for _ in range(10)]
for thread in threads:
    thread.start()
wrong = []
def traced(number):
    result = lr.run(["sh", "-c", f"ls / >/dev/null; exit {number}"], record=[lr.Calls()], quiet=True, keep="none")
    if result.status.code != number or result.faults:
        wrong.append(result)
def own(number):
    if subprocess.Popen(["sh", "-c", f"exit {number}"]).wait() != number:
        wrong.append(number)
for turn in range(10):
    workers = [threading.Thread(target=traced, args=(turn + n,)) for n in (1, 2)]
    workers += [threading.Thread(target=own, args=(turn + n,)) for n in (50, 60, 70)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
stop.set()
for thread in threads:
    thread.join()
print(wrong or "right")
"""


def test_a_host_with_ten_busy_threads() -> None:
    """Two traced runs at a time from threads, ten threads busy, the host's own children: every code is right."""
    done = subprocess.run([sys.executable, "-c", BUSY_HOST], capture_output=True, text=True, timeout=100)
    assert done.stdout == "right\n", done


def test_the_hosts_waitpid_steals_nothing() -> None:
    """A thread that takes every child with waitpid(-1) disturbs no run."""
    stop = threading.Event()
    stolen: list[int] = []

    def thief() -> None:
        while not stop.is_set():
            try:
                stolen.append(os.waitpid(-1, os.WNOHANG)[0])
            except ChildProcessError:
                time.sleep(0)

    thread = threading.Thread(target=thief)
    thread.start()
    try:
        for result in lr.repeat(["sh", "-c", "true; exit 7"], count=30, record=[lr.Calls()], keep="none"):
            assert result.status.code == 7
            assert not result.faults
    finally:
        stop.set()
        thread.join()
    assert not any(stolen)


def test_an_own_recorder_that_raises_is_switched_off() -> None:
    """A broken recorder is named in the faults; the run and its exit code are as they would be."""

    class Broken:
        name = "broken"

        def start(self, run: lr.RunInfo, loop: lr.Loop) -> None:
            raise OSError("no such luck")

        def stop(self) -> None:
            raise AssertionError("stopped without start")

        keep = discard = stop

    result = lr.run(["sh", "-c", "exit 4"], record=[Broken()], keep="none")  # type: ignore[list-item]
    assert result.status.code == 4
    assert [fault for fault in result.faults if "no such luck" in fault]


HOST_READS_ITSELF = """
import asyncio, os, sys
import lowrun as lr

async def main():
    loop = asyncio.get_running_loop()
    own, write = os.pipe()
    kept = os.dup(1)
    os.dup2(write, 1)
    os.close(write)
    os.set_blocking(own, False)
    seen = 0
    def read():
        nonlocal seen
        seen += len(os.read(own, 65536))
    loop.add_reader(own, read)
    result = await lr.aio.run(["head", "-c", "1000000", "/dev/zero"], record=[lr.Output()])
    while seen < 1000000:
        await asyncio.sleep(0)
    os.write(kept, f"{result.status.code} {seen}".encode())

asyncio.run(main())
"""


def test_a_host_that_reads_its_own_output() -> None:
    """The command's output goes to a pipe that the same asyncio loop reads: nobody waits for the other."""
    done = subprocess.run([sys.executable, "-c", HOST_READS_ITSELF], capture_output=True, text=True, timeout=30)
    assert done.stdout == "0 1000000", done


def test_a_slow_reader_holds_up_nobody_else() -> None:
    """Two runs at a time, one's output is read by nobody for a while: the other's timeout comes on time."""
    own, write = os.pipe()
    kept = os.dup(1)
    os.dup2(write, 1)
    try:
        command = [
            "sh",
            "-c",
            "mkdir $0 2>/dev/null && exec head -c 500000 /dev/zero; exec sleep 100",
            f"/tmp/{own}-{os.getpid()}",
        ]
        with lr.Loop() as loop:
            results: list[lr.Result] = []
            repeater = lr.Repeater(
                command, count=2, jobs=2, timeout=0.5, record=[lr.Output()], keep="none", on_result=results.append
            )
            with repeater:
                repeater.start(loop)
                while not results:
                    loop.dispatch(-1)
                assert results[0].timed_out
                os.set_blocking(own, False)
                reader = loop.add_io(own, lr.READ, lambda _e: os.read(own, 65536))
                while not repeater.ended:
                    loop.dispatch(-1)
                reader.close()
        assert [result.status.code for result in repeater.summary.results if not result.timed_out] == [0]
    finally:
        os.rmdir(command[-1])
        os.dup2(kept, 1)
        for fd in (own, write, kept):
            os.close(fd)
