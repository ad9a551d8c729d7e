"""Programs kept running by a host: lr.Supervisor in its loop and in asyncio's, with and without a place on disk."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lowrun as lr
from lowrun.core.fd import OwnedFd
from tests.programs import LOWRUN, alive
from tests.supervised import PATIENCE, Verbs, in_order, numbers

NOW = lr.Restart(delay=0)
PR_GET_CHILD_SUBREAPER = 37
Phase = lr.supervise.Phase


def until(loop: lr.Loop, reached: Callable[[], object]) -> None:
    """Serve the loop until `reached()` is true."""
    with loop.add_timer(PATIENCE, lambda: pytest.fail("it did not come")):
        while not reached():
            loop.dispatch(-1)


def beacon(file: Path, rest: str = "exec sleep 1000") -> list[str]:
    """A program that appends its pid to `file`."""
    return ["sh", "-c", f"echo $$ >>{file}; {rest}"]


def lines_of(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == f"lowrun.supervise.{name}"]


def test_a_killed_program_is_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SIGKILL of it, and another one runs; its lines are logged, and nothing is on disk."""
    caplog.set_level(logging.INFO, "lowrun.supervise")
    with lr.Loop() as loop, lr.Supervisor(loop, beacon(tmp_path / "pids"), name="web", restart=NOW) as supervisor:
        web = supervisor.program
        assert (web.name, web.phase, web.pid, web.restarts, web.last) == ("web", Phase.IDLE, None, 0, None)
        until(loop, lambda: web.phase is Phase.RUNNING)
        first = web.pid
        assert first is not None and numbers(tmp_path / "pids", 1) == [first]
        os.kill(first, signal.SIGKILL)
        until(loop, lambda: web.phase is Phase.RUNNING and web.pid != first)
        assert numbers(tmp_path / "pids", 2) == [first, web.pid]
        assert web.restarts == 1 and web.last is not None and web.last.status is not None
        assert (web.last.pid, web.last.status.signal) == (first, signal.SIGKILL)
        second = web.pid
    assert not alive(first) and second is not None and not alive(second)
    lines = lines_of(caplog, "web")
    in_order(
        lines,
        f"web started, pid {first}",
        f"proc {first} killed by signo 9",
        rf"web restarted\(1/0\), pid {second}",
        "ended at once: its supervisor was closed",
    )
    assert os.listdir(tmp_path) == ["pids"]


def test_the_limit_is_reached_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """Two respawns, then no more: on_end comes once, when all is let go of, and a warning says why."""
    ends: list[tuple[bool, int]] = []
    with lr.Loop() as loop:
        restart = lr.Restart(limit=2, delay=0)
        supervisor = lr.Supervisor(
            loop,
            ["sh", "-c", "exit 3"],
            restart=restart,
            on_end=lambda s: (ends.append((s.ended, s.exit_code)), loop.stop()),
        )
        loop.run()
        assert ends == [(True, 1)]
        only = supervisor.program
        assert (only.name, only.phase, only.restarts) == ("sh", Phase.DONE, 2)
        assert only.last is not None and only.last.text == "exit 3"
        assert only.reason == "it was respawned 2 times in a row, the limit"
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [f"sh: given up: {only.reason}"]


def test_a_normal_end_is_waited_for() -> None:
    """`wait` serves the loop until all is over, and returns 0 for a program that has ended well."""
    with lr.Loop() as loop:
        assert lr.Supervisor(loop, "true").wait() == 0


def test_a_command_that_is_not_there_is_a_fact() -> None:
    """Code 127, no respawn, and no exception."""
    with lr.Loop() as loop, lr.Supervisor(loop, ["/nonexistent/x"], restart=NOW) as supervisor:
        assert supervisor.wait() == 1
        last = supervisor.program.last
        assert last is not None and last.status is not None and (last.pid, last.status.code) == (None, 127)


def test_stop_ends_the_tree(tmp_path: Path) -> None:
    """The program, and a child of it that is in a session of its own."""
    script = f"setsid sh -c 'echo $$ >>{tmp_path}/pids; exec sleep 1000' & echo $$ >>{tmp_path}/pids; wait"
    with lr.Loop() as loop, lr.Supervisor(loop, ["sh", "-c", script], restart=NOW) as supervisor:
        until(loop, lambda: supervisor.program.phase is Phase.RUNNING)
        pids = numbers(tmp_path / "pids", 2)
        supervisor.stop()
        assert supervisor.wait() == 0
        assert supervisor.program.phase is Phase.DONE
    assert not any(alive(pid) for pid in pids)


def test_a_stop_before_the_first_turn_starts_nothing(tmp_path: Path) -> None:
    """It ends without a life."""
    with lr.Loop() as loop:
        supervisor = lr.Supervisor(loop, beacon(tmp_path / "pids"))
        supervisor.stop()
        assert supervisor.wait() == 0
        assert supervisor.program.phase is Phase.DONE
    assert not (tmp_path / "pids").exists()


def test_the_second_stop_kills() -> None:
    """A program that does not hear is killed at once."""
    stubborn = lr.Program.of(
        ["sh", "-c", "trap '' TERM; echo >&3; while :; do sleep 1000; done"], ready="fd=3", stop_timeout=1000
    )
    with lr.Loop() as loop, lr.Supervisor(loop, stubborn) as supervisor:
        until(loop, lambda: supervisor.program.phase is Phase.RUNNING)
        supervisor.stop()
        loop.call_soon(supervisor.stop)
        supervisor.wait()
        last = supervisor.program.last
        assert last is not None and last.status is not None and last.status.signal == signal.SIGKILL


def test_restart_and_reload(tmp_path: Path) -> None:
    """`restart` replaces the process, `reload` sends it the reload signal; a restart after the end is refused."""
    script = f"trap 'echo 1 >>{tmp_path}/reloaded' HUP; echo >&3; while :; do sleep 0.01; done"
    program = lr.Program.of(["sh", "-c", script], ready="fd=3")
    with lr.Loop() as loop, lr.Supervisor(loop, program) as supervisor:
        only = supervisor.program
        until(loop, lambda: only.phase is Phase.RUNNING)
        first = only.pid
        supervisor.restart()
        until(loop, lambda: only.phase is Phase.RUNNING and only.pid != first)
        assert only.restarts == 1
        supervisor.reload()
        assert numbers(tmp_path / "reloaded", 1) == [1]
        supervisor.stop()
        supervisor.wait()
        for refused in (supervisor.restart, only.restart, only.start):
            with pytest.raises(lr.ClosedError):
                refused()
        supervisor.stop()
        supervisor.reload()


def test_programs_are_started_in_order_and_stopped_in_reverse(tmp_path: Path) -> None:
    """What is needed is ready first, and ends last."""
    seen: list[tuple[str, Phase]] = []
    db = lr.Program.of(["sh", "-c", "echo >&3; exec sleep 1000"], name="db", ready="fd=3")
    web = lr.Program.of(["sleep", "1000"], name="web", needs=["db"])
    with (
        lr.Loop() as loop,
        lr.Supervisor(loop, [web, db], on_change=lambda one: seen.append((one.name, one.phase))) as supervisor,
    ):
        until(loop, lambda: ("web", Phase.RUNNING) in seen)
        with pytest.raises(lr.UsageError, match="there are 2 programs"):
            _ = supervisor.program
        supervisor.stop()
        assert supervisor.wait() == 0
    assert seen.index(("db", Phase.RUNNING)) < seen.index(("web", Phase.RUNNING))
    assert seen.index(("web", Phase.DONE)) < seen.index(("db", Phase.DONE))


def test_what_needs_a_failed_program_is_left_out_and_all_is_over() -> None:
    """The end is told though one was never started."""
    db = lr.Program.of(["false"], name="db", restart=lr.Restart("never"), ready="fd=3")
    web = lr.Program.of(["sleep", "1000"], name="web", needs=["db"])
    with lr.Loop() as loop, lr.Supervisor(loop, [db, web]) as supervisor:
        assert supervisor.wait() == 1
        assert [one.phase for one in supervisor.programs.values()] == [Phase.DONE, Phase.DONE]
        assert supervisor.programs["web"].reason == "it needs db, which has failed"


@pytest.mark.parametrize("what", ["stop", "close"])
def test_a_callback_can_end_it(what: str) -> None:
    """Whatever on_change does, it is done on solid ground."""
    ends: list[lr.Supervisor] = []

    def changed(program: lr.supervise.Supervised) -> None:
        if program.restarts == 2:
            getattr(supervisor, what)()

    with lr.Loop() as loop:
        supervisor = lr.Supervisor(loop, ["false"], restart=NOW, on_change=changed, on_end=ends.append)
        supervisor.wait()
        assert ends == ([supervisor] if what == "stop" else [])


def test_a_callback_that_raises_is_heard_and_harms_nothing() -> None:
    """Its error comes out of dispatch, and the program goes on."""

    def changed(_program: lr.supervise.Supervised) -> None:
        raise ValueError("mine")

    with lr.Loop() as loop, lr.Supervisor(loop, ["sleep", "1000"], on_change=changed) as supervisor:
        with pytest.raises(ValueError, match="mine"):
            until(loop, lambda: False)
        pid = supervisor.program.pid
        assert pid is None or alive(pid)
        supervisor.stop()
        while not supervisor.ended:
            try:
                loop.dispatch(-1)
            except ValueError:
                continue


def test_the_host_is_left_as_it_was() -> None:
    """No SIGCHLD, nothing for waitpid(-1), no subreaper flag; mask and handlers as before."""
    libc, flag = ctypes.CDLL(None), ctypes.c_int()
    seen: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    former = signal.signal(signal.SIGCHLD, lambda number, _frame: seen.append(number))
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    try:
        with lr.Loop() as loop:
            supervisor = lr.Supervisor(
                loop, ["sh", "-c", "(setsid sleep 0.01 &); exit 3"], restart=lr.Restart(limit=3, delay=0)
            )
            while not supervisor.ended:
                loop.dispatch(-1)
                with pytest.raises(ChildProcessError):
                    os.waitpid(-1, os.WNOHANG)
        assert [signal.getsignal(number) for number in signal.valid_signals()] == handlers
    finally:
        signal.signal(signal.SIGCHLD, former)
    libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(flag))
    assert (seen, flag.value, signal.pthread_sigmask(signal.SIG_BLOCK, [])) == ([], 0, mask)


def test_a_closed_loop_ends_what_nobody_holds() -> None:
    """A supervisor without a name lives as long as its loop, and nothing of its programs longer."""
    pids: list[int | None] = []
    with lr.Loop() as loop:
        lr.Supervisor(loop, ["sleep", "1000"], on_change=lambda one: pids.append(one.pid))
        gc.collect()
        until(loop, lambda: any(pids))
        assert pids[-1] is not None and alive(pids[-1])
    assert not alive(pids[-1])


def test_a_killed_host_leaves_nothing(tmp_path: Path) -> None:
    """The keeper ends the tree of a host that was killed with SIGKILL."""
    code = f"import lowrun as lr\nloop = lr.Loop()\nlr.Supervisor(loop, {beacon(tmp_path / 'pids')!r})\nloop.run()\n"
    with subprocess.Popen([sys.executable, "-c", code]) as host:
        (pid,) = numbers(tmp_path / "pids", 1)
        host.kill()
    due = time.monotonic() + PATIENCE
    while alive(pid):
        assert time.monotonic() < due
        time.sleep(0.01)


def test_a_forked_child_of_the_host_touches_nothing(tmp_path: Path, verbs: Verbs) -> None:
    """A child that leaves the supervisor's block ends no program and takes away no name of it."""
    with lr.Loop() as loop, lr.Supervisor(loop, ["sleep", "1000"], name="nap", state=verbs.directory) as supervisor:
        until(loop, lambda: supervisor.program.phase is Phase.RUNNING)
        child = os.fork()
        if child == 0:
            supervisor.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        pid = supervisor.program.pid
        assert pid is not None and alive(pid)
        assert (verbs.directory / "nap" / "control").exists()
        supervisor.stop()
        supervisor.wait()


# -- asyncio


def test_in_asyncio_a_killed_program_is_started_again(tmp_path: Path) -> None:
    """Beside asyncio's own children, which get their own exit codes."""

    async def host() -> None:
        asyncs = asyncio.get_running_loop()
        pids: asyncio.Queue[int] = asyncio.Queue()
        end: asyncio.Future[int] = asyncs.create_future()

        def changed(program: lr.supervise.Supervised) -> None:
            if program.phase is Phase.RUNNING and program.pid is not None:
                pids.put_nowait(program.pid)

        with lr.Loop() as loop:
            asyncs.add_reader(loop.fileno(), loop.dispatch)
            try:
                supervisor = lr.Supervisor(
                    loop,
                    beacon(tmp_path / "pids"),
                    restart=NOW,
                    on_change=changed,
                    on_end=lambda s: end.set_result(s.exit_code),
                )
                first = await asyncio.wait_for(pids.get(), PATIENCE)
                os.kill(first, signal.SIGKILL)
                own = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
                second = await asyncio.wait_for(pids.get(), PATIENCE)
                assert first != second and supervisor.program.restarts == 1
                assert await own.wait() == 5
                supervisor.stop()
                assert await asyncio.wait_for(end, PATIENCE) == 0
                assert not alive(second)
            finally:
                asyncs.remove_reader(loop.fileno())

    asyncio.run(host())


# -- with a place on disk: the verbs see it, from another process


def asked(loop: lr.Loop, verbs: Verbs, *words: str) -> tuple[int, str]:
    """Run a verb while the loop is served; return its code and what it printed."""
    with subprocess.Popen([LOWRUN, *words], env=verbs.env, stdout=subprocess.PIPE, text=True) as process:
        with OwnedFd(os.pidfd_open(process.pid)) as pidfd:
            over: list[int] = []
            with loop.add_io(pidfd.fileno(), lr.READ, over.append):
                until(loop, lambda: over)
        assert process.stdout is not None
        return process.wait(), process.stdout.read()


def test_the_verbs_see_it_and_are_heard(verbs: Verbs) -> None:
    """status, log, restart, reload, wait, stop, as of one that the command line has started; the host goes on."""
    script = "echo hello; trap : HUP; echo >&3; while :; do sleep 0.01; done"
    program = lr.Program.of(["sh", "-c", script], name="web", ready="fd=3", restart=NOW)
    ends: list[int] = []
    with lr.Loop() as loop:
        supervisor = lr.Supervisor(loop, program, state=verbs.directory, on_end=lambda s: ends.append(s.exit_code))
        web = supervisor.program
        assert asked(loop, verbs, "wait", "web", "--until", "ready")[0] == 0
        shown = json.loads(asked(loop, verbs, "status", "--json", "web")[1])
        assert (shown["pid"], shown["supervisor"], shown["state"]) == (web.pid, os.getpid(), "running")
        with pytest.raises(lr.BusyError, match='another supervisor of "web" is running'):
            lr.Supervisor(loop, program, state=verbs.directory)
        first = web.pid
        assert asked(loop, verbs, "restart", "web")[0] == 0
        assert web.pid != first and web.restarts == 1
        assert asked(loop, verbs, "reload", "web")[0] == 0
        assert asked(loop, verbs, "log", "--output", "web") == (0, "hello\nhello\n")
        assert asked(loop, verbs, "stop", "web")[0] == 0
        assert (ends, supervisor.ended) == ([0], True)
        assert "web started, pid" in asked(loop, verbs, "log", "web")[1]
        shown = json.loads(asked(loop, verbs, "status", "--json", "web")[1])
        assert (shown["running"], shown["state"], shown["supervisor"]) == (False, "done", None)
        # The name is free for the next one, here or elsewhere.
        with lr.Supervisor(loop, program, state=verbs.directory) as again:
            until(loop, lambda: again.program.phase is Phase.RUNNING)
    assert verbs.status("web")["state"] == "done"
    assert "ended at once: its supervisor was closed" in verbs.log("web")


def test_a_stop_of_one_leaves_the_others(verbs: Verbs) -> None:
    """The supervisor ends with its last program; who waits for that is told, and does not wait for the host."""
    naps = [lr.Program.of(["sleep", "1000"], name=name) for name in ("a", "b")]
    with lr.Loop() as loop, lr.Supervisor(loop, naps, state=verbs.directory) as supervisor:
        until(loop, lambda: all(one.phase is Phase.RUNNING for one in supervisor.programs.values()))
        assert asked(loop, verbs, "stop", "a")[0] == 0
        assert not supervisor.ended and supervisor.programs["b"].pid is not None
        with subprocess.Popen([LOWRUN, "wait", "b", "--until", "stopped"], env=verbs.env) as waiting:
            assert asked(loop, verbs, "stop", "b")[0] == 0
            assert waiting.wait(PATIENCE) == 0
        assert supervisor.ended


def test_failures_are_kept(verbs: Verbs) -> None:
    """What is recorded of each life that failed lies in the state directory; all is over when it is written."""
    recording = lr.supervise.Recording(output=True)
    program = lr.Program.of(
        ["sh", "-c", "echo oh; exit 3"], name="job", restart=lr.Restart("never"), recording=recording
    )
    with lr.Loop() as loop, lr.Supervisor(loop, program, state=verbs.directory) as supervisor:
        assert supervisor.wait() == 1
    assert (verbs.directory / "job" / "failures" / "run-0001" / "stdout.log").read_text() == "oh\n"


def test_the_next_supervisor_takes_over_what_was_kept(verbs: Verbs) -> None:
    """A host that was killed leaves a program that is to be kept; the next host has it, by the same pid."""
    code = (
        "import lowrun as lr\n"
        "program = lr.Program.of(['sleep', '1000'], name='nap', on_lost='keep')\n"
        f"with lr.Loop() as loop:\n lr.Supervisor(loop, program, state={str(verbs.directory)!r})\n loop.run()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as host:
        pid = int(verbs.await_line("nap", r"nap started, pid (\d+)")[1])
        host.kill()
    program = lr.Program.of(["sleep", "1000"], name="nap", on_lost="keep")
    with lr.Loop() as loop, lr.Supervisor(loop, program, state=verbs.directory) as supervisor:
        until(loop, lambda: supervisor.program.phase is Phase.RUNNING)
        assert supervisor.program.pid == pid
        supervisor.stop()
        assert supervisor.wait() == 0
    assert not alive(pid)


# -- what makes no sense


@pytest.mark.parametrize(
    ("command", "options", "text"),
    [
        ([], {}, "the command is empty"),
        (["x"], {"name": "a/b"}, "can be no program's name"),
        ([lr.Program.of("x"), "y"], {}, "or Programs, not both"),
        (lr.Program.of("x"), {"restart": lr.Restart()}, "has its name and its restart itself"),
        ([lr.Program.of("x"), lr.Program.of("x")], {}, "two programs have the name 'x'"),
        ([lr.Program.of("x", needs=["y"])], {}, "there is no such program"),
        (
            [lr.Program.of("x", after=["y"]), lr.Program.of("y", after=["x"])],
            {},
            "wait for each other",
        ),
        (lr.Program.of("x", on_lost="keep"), {}, "give state="),
        (lr.Program.of("x", recording=lr.supervise.Recording(output=True)), {}, "give state="),
        (lr.Program.of("x", ready="soon"), {}, "soon"),
    ],
)
def test_nonsense_is_refused_at_once(command: Any, options: dict[str, Any], text: str) -> None:
    """A UsageError says what is wrong; nothing is started and nothing is left."""
    with lr.Loop() as loop, pytest.raises(lr.UsageError, match=text):
        lr.Supervisor(loop, command, **options)


def test_what_cannot_be_recorded_is_refused(verbs: Verbs) -> None:
    """As `lowrun start` does."""
    program = lr.Program.of("true", on_lost="keep", recording=lr.supervise.Recording(calls=True))
    with lr.Loop() as loop, pytest.raises(lr.UsageError, match="on-lost keep with call-trace"):
        lr.Supervisor(loop, program, state=verbs.directory)


def test_a_refusal_lets_go_of_the_state(verbs: Verbs) -> None:
    """After a Program that makes no sense the name can be used."""
    with lr.Loop() as loop:
        with pytest.raises(lr.UsageError):
            lr.Supervisor(loop, lr.Program.of("true", name="x", ready="soon"), state=verbs.directory)
        assert lr.Supervisor(loop, "true", name="x", state=verbs.directory).wait() == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: lr.Restart("sometimes"),
        lambda: lr.Restart(delay=-1),
        lambda: lr.Program.of("x", output="nowhere"),
        lambda: lr.Program.of("x", on_lost="cry"),
        lambda: lr.Program.of("x", needs="db"),
        lambda: lr.Program.of("x", stop_timeout=-1),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    """Settings check themselves."""
    with pytest.raises(lr.UsageError):
        make()


def test_values_take_what_python_has() -> None:
    """Lists, sets and tuples where a setting is of several."""
    restart = lr.Restart(success=[0, 3], prevent={9}, start_limit=(5, 10))
    assert (restart.success, restart.prevent) == (frozenset({0, 3}), frozenset({9}))
    assert restart.start_limit == lr.supervise.StartLimit(5, 10)
    program = lr.Program.of("/usr/bin/x", pre=["true"], sockets=["unix:@x"])
    assert (program.name, program.command.argv, program.pre) == ("x", ("/usr/bin/x",), ("true",))
