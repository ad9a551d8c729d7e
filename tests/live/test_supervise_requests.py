"""What is asked of a supervisor at an awkward moment, or in an awkward way: it answers, and goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import lowrun as lr
from lowrun import supervise
from lowrun.supervise import meaning
from lowrun.supervise.control import ControlServer
from tests.live.test_supervise_embedded import NOW, Phase, until
from tests.programs import alive
from tests.supervised import PATIENCE, Verbs, numbers

UP = "echo >&3; exec sleep 100"
DEAF = "trap '' TERM; echo $$ >{0}; echo >&3; while :; do sleep 0.05; done"
#: A program's table in a file.
TABLE = '[program.{name}]\ncommand = ["sh", "-c", "{script}"]\nready = "fd=3"\n{more}\n'


@contextmanager
def connected(verbs: Verbs, name: str) -> Iterator[socket.socket]:
    """A connection to its supervisor."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
        end.settimeout(PATIENCE)
        end.connect(str(verbs.directory / name / "control"))
        yield end


def answer(end: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    end.send(json.dumps(request).encode())
    found: dict[str, Any] = json.loads(end.recv(1 << 16))
    return found


# -- requests that make no sense


def test_nonsense_is_answered_and_harms_nobody(verbs: Verbs) -> None:
    """Words of wrong types and times out of range: an error each, on one connection; the program goes on."""
    verbs.begin("x", UP)
    before = verbs.status("x")
    nonsense: list[dict[str, Any]] = [
        {"do": ["x"]},
        {"do": "x" * 60000},
        {"do": "wait", "until": []},
        {"do": "stop", "timeout": "5"},
        {"do": "stop", "timeout": 1e18},
    ]
    with connected(verbs, "x") as end:
        for request in nonsense:
            assert "error" in answer(end, {**request, "name": "x"})
    after = verbs.status("x")
    assert (after["pid"], after["supervisor"]) == (before["pid"], before["supervisor"])


def test_a_defect_is_the_answer_of_its_request_alone(verbs: Verbs) -> None:
    """What a callback raises that nobody has foreseen is an error to who asked."""

    def broken(_message: dict[str, Any], _reply: object) -> None:
        raise ZeroDivisionError("oh")

    with (
        lr.Loop() as loop,
        supervise.StateDirectory.open(create=True, path=verbs.directory) as directory,
        directory.program("x") as state,
        ExitStack() as stack,
    ):
        server = ControlServer(loop)
        stack.callback(server.close)
        server.serve(state, broken)
        with connected(verbs, "x") as end:
            end.send(b'{"name":"x"}')
            end.setblocking(False)
            said: list[bytes] = []
            with loop.add_io(end.fileno(), lr.READ, lambda _events: said.append(end.recv(1000))):
                until(loop, lambda: said)
    assert json.loads(said[0]) == {"error": "ZeroDivisionError: oh (a defect of lowrun)"}


# -- a defect in the loop


def test_a_supervisor_that_dies_of_a_defect(verbs: Verbs) -> None:
    """What is to outlive its supervisor does, as when that was killed; the other ends. The next start takes it over."""
    words = ["sleep", "1000"]
    programs = [lr.Program.of(words, name="keep", on_lost="keep"), lr.Program.of(words, name="kill")]
    pids: list[int | None] = []

    def fail() -> None:
        raise ZeroDivisionError("oh")

    def supervised(loop: lr.Loop, directory: supervise.StateDirectory) -> None:
        with supervise.Service(loop, programs, directory) as service:
            service.start()
            until(loop, lambda: all(one.phase is Phase.RUNNING for one in service.programs.values()))
            pids.extend(service.programs[name].pid for name in ("keep", "kill"))
            loop.call_soon(fail)
            until(loop, lambda: False)

    with lr.Loop() as loop, supervise.StateDirectory.open(create=True, path=verbs.directory) as directory:
        with pytest.raises(ZeroDivisionError):
            supervised(loop, directory)
    kept, killed = pids
    assert kept is not None and alive(kept) and killed is not None and not alive(killed)
    shown = verbs.status("keep")
    assert (shown["state"], shown["pid"], shown["running"]) == ("lost", kept, True)
    assert verbs.status("kill")["state"] == "done"
    for name in ("keep", "kill"):
        assert "its supervisor has failed: ZeroDivisionError: oh" in verbs.log(name)
    verbs("start", "--name", "keep", "--on-lost", "keep", *words)
    assert verbs.status("keep")["pid"] == kept
    verbs("stop", "keep")
    assert not alive(kept)


def test_a_start_that_is_refused_leaves_what_lives_on(verbs: Verbs, tmp_path: Path) -> None:
    """A program that its supervisor left is not ended by a start of a file in which another one cannot be had."""
    toml = tmp_path / "many.toml"
    table = TABLE.format(name="keep", script=UP, more='on-lost = "keep"')
    toml.write_text(table)
    verbs("start", "-f", toml)
    shown = verbs.status("keep")
    os.kill(shown["supervisor"], signal.SIGKILL)
    verbs("wait", "keep", "--until", "running", code=1)  # nobody is there any more
    toml.write_text(f'{table}[program.bad]\ncommand = "sleep 100"\nsocket = ["unix:{tmp_path}/no/such/dir"]\n')
    said = verbs("start", "-f", toml, code=125).stderr
    assert "does not exist; make that directory" in said
    assert alive(shown["pid"])
    assert verbs.status("keep")["state"] == "lost"


# -- order


def test_a_stop_of_what_is_still_due_holds(verbs: Verbs, tmp_path: Path) -> None:
    """One that waits for another is not started any more when that is ready; what needs it is left out."""
    toml, go, ran = tmp_path / "many.toml", tmp_path / "go", tmp_path / "ran"
    toml.write_text(
        TABLE.format(name="db", script=f"until test -e {go}; do sleep 0.02; done; {UP}", more="")
        + TABLE.format(name="web", script=f"echo web >>{ran}; {UP}", more='needs = ["db"]')
        + TABLE.format(name="front", script=f"echo front >>{ran}; {UP}", more='needs = ["web"]')
        + TABLE.format(name="last", script=UP, more='needs = ["db"]\nafter = ["web"]')
    )
    with verbs.here("start", "-D", "-f", toml) as supervisor:
        verbs.await_line("db", "db started, .*")
        verbs("stop", "web")
        verbs("wait", "web", "--until", "stopped")
        verbs("wait", "front", "--until", "stopped")
        go.touch()
        verbs("wait", "last", "--until", "ready", "--timeout", "10")
        assert not ran.exists()
        assert (verbs.status("web")["state"], verbs.status("web")["reason"]) == ("done", None)
        assert verbs.status("front")["reason"] == "it needs web, which was stopped"
        supervisor.terminate()
        assert supervisor.wait(PATIENCE) == 1
    assert verbs.log("web")[-1] == "stopped"


def test_what_is_left_out_has_an_end(verbs: Verbs, tmp_path: Path) -> None:
    """`start` comes back and says why, `wait` too, whatever it waits for; the others go on."""
    toml = tmp_path / "many.toml"
    toml.write_text(
        TABLE.format(name="db", script="exit 5", more="")
        + TABLE.format(name="web", script=UP, more='needs = ["db"]')
        + TABLE.format(name="other", script=UP, more="")
    )
    said = verbs("start", "-f", toml).stderr
    assert "db: exit 5" in said and "web: not started: it needs db, which has failed" in said
    verbs("wait", "web", "--until", "stopped")
    for goal in ("ready", "running"):
        assert "it needs db, which has failed" in verbs("wait", "web", "--until", goal, code=1).stderr
    shown = verbs.status("web")
    assert (shown["state"], shown["reason"]) == ("done", "it needs db, which has failed")
    said = verbs("restart", "web", code=1).stderr
    assert '"web" is not started: it needs db, which has failed' in said
    assert verbs.status("web")["state"] == "done"
    assert verbs.log("web").count("stopped") == 1


def test_nothing_is_started_while_all_is_being_stopped(verbs: Verbs, tmp_path: Path) -> None:
    """A restart of one that has ended already is refused, and the supervisor ends when the last one has."""
    toml = tmp_path / "many.toml"
    toml.write_text(
        TABLE.format(name="deaf", script=DEAF.format(tmp_path / "pid"), more="stop-timeout = 100")
        + TABLE.format(name="quick", script=UP, more="")
    )
    with verbs.here("start", "-D", "-f", toml) as supervisor:
        for name in ("deaf", "quick"):
            verbs.await_line(name, f"{name} started, .*")
            verbs("wait", name, "--until", "ready", "--timeout", "10")
        supervisor.terminate()
        verbs.await_line("quick", "stopped")
        said = verbs("restart", "quick", code=1).stderr
        assert "all programs of its supervisor are being stopped" in said
        os.kill(*numbers(tmp_path / "pid", 1), signal.SIGKILL)
        assert supervisor.wait(PATIENCE) == 0


# -- who waits


def test_who_waits_and_goes_away_is_forgotten(verbs: Verbs) -> None:
    """Of a hundred clients that wait for a program and hang up nothing is kept; one that stays is answered."""
    with (
        lr.Loop() as loop,
        supervise.StateDirectory.open(create=True, path=verbs.directory) as directory,
        supervise.Service(loop, [lr.Program.of(["sleep", "1000"], name="x")], directory) as service,
    ):
        service.start()
        until(loop, lambda: service.programs["x"].phase is Phase.RUNNING)
        with ExitStack() as stack:
            for _ in range(100):
                end = stack.enter_context(connected(verbs, "x"))
                end.send(b'{"do":"wait","until":"stopped","name":"x"}')
                before = len(service._waiting.get("x", ()))
                while len(service._waiting.get("x", ())) == before:
                    loop.dispatch(-1)
            with connected(verbs, "x") as stays:
                stays.send(b'{"do":"wait","until":"stopped","name":"x"}')
                stack.close()
                until(loop, lambda: len(service._waiting["x"]) == 1)
                service.stop()
                until(loop, lambda: service.ended)
                assert json.loads(stays.recv(1000)) == {"ends": True}
        assert not service._waiting["x"]


def test_stopped_means_that_the_name_is_free(verbs: Verbs) -> None:
    """When `wait --until stopped` comes back what failed is kept, and the program can be started again at once."""
    script = "echo >&3; exec 3>&-; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); : >/dev/null; done; exit 5"
    for life in (1, 2):
        verbs.begin("x", script, "-ct", "--calls", "openat")
        verbs("wait", "x", "--until", "stopped", "--timeout", "60")
        assert len(list((verbs.directory / "x" / "failures").glob("run-*"))) == life


# -- the time to stop


def test_the_shorter_time_counts(verbs: Verbs, tmp_path: Path) -> None:
    """A second `stop` with less patience than the first one is heeded."""
    verbs.begin("x", DEAF.format(tmp_path / "pid"), "--stop-timeout", "1000")
    (pid,) = numbers(tmp_path / "pid", 1)
    with verbs.here("stop", "x") as first:
        verbs.await_line("x", rf"kill\(child pid {pid}\)")
        verbs("stop", "--stop-timeout", "0.1", "x")
        assert first.wait(PATIENCE) == 0
    assert not alive(pid)


def test_a_stop_timeout_is_of_one_stop(verbs: Verbs) -> None:
    """The time that a stop was given does not hold for a life that begins after it."""
    with lr.Loop() as loop:
        program = lr.Program.of(["sh", "-c", UP], ready="fd=3", stop_timeout=1000)
        with lr.Supervisor(loop, [program, lr.Program.of(["sleep", "1000"])]) as supervisor:
            one = supervisor.programs["sh"]
            until(loop, lambda: one.phase is Phase.RUNNING)
            one.stop(timeout=0.1)
            until(loop, lambda: one.over)
            one.restart()
            until(loop, lambda: one.phase is Phase.RUNNING)
            assert one._stop_timeout == 1000


def test_an_on_exit_hook_has_its_own_time(verbs: Verbs, tmp_path: Path) -> None:
    """A program that takes most of its stop timeout does not take it from its hook."""
    script = "trap 'sleep 1.5; exit 0' TERM; echo >&3; while :; do sleep 0.01; done"
    hook = f"sh -c 'sleep 1.5; echo 1 >{tmp_path}/done'"
    verbs.begin("x", script, "--stop-timeout", "2", "--on-exit", hook)
    verbs("stop", "x")
    assert (tmp_path / "done").exists()


# -- what counts as a respawn, and as a wish of lowrun's


def test_the_count_of_a_limit_is_of_respawns_in_a_row(verbs: Verbs) -> None:
    """After three restarts on demand the first respawn is 1 of 2; `status` has all four."""
    verbs.begin("x", UP, "--respawn", "-n", "2", "-t", "0")
    for _ in range(3):
        verbs("restart", "x")
    os.kill(verbs.status("x")["pid"], signal.SIGKILL)
    verbs.await_line("x", r"x restarted\(1/2\), pid \d+")
    verbs("wait", "x", "--until", "ready", "--timeout", "10")
    assert verbs.status("x")["restarts"] == 4
    assert len([line for line in verbs.log("x") if line.startswith("x restarted(")]) == 1


def test_a_signal_that_was_survived_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reload that it heeded a program that SIGHUP kills later was not told to end: it is respawned."""
    monkeypatch.setattr(meaning, "HEEDED", 0.0)
    script = f"trap 'trap - HUP; echo 1 >>{tmp_path}/heard' HUP; echo >&3; while :; do sleep 0.01; done"
    program = lr.Program.of(["sh", "-c", script], ready="fd=3", restart=NOW)
    with lr.Loop() as loop, lr.Supervisor(loop, program) as supervisor:
        only = supervisor.program
        until(loop, lambda: only.phase is Phase.RUNNING)
        first = only.pid
        assert first is not None and only.reload()
        assert numbers(tmp_path / "heard", 1) == [1]
        os.kill(first, signal.SIGHUP)
        until(loop, lambda: only.phase is Phase.RUNNING and only.restarts == 1)
        assert only.pid != first


# -- what a user is told


def test_a_state_that_is_refused_does_not_hide_the_others(verbs: Verbs) -> None:
    """`status` has a row for it that says why, and with --json an entry; all others are as they are."""
    for name in ("good", "open", "zoo"):
        verbs.begin(name, "echo >&3")
        verbs("wait", name, "--until", "stopped")
    (verbs.directory / "open").chmod(0o755)
    rows = verbs("status").stdout.splitlines()
    assert [row.split()[:2] for row in rows[1:]] == [["good", "done"], ["open", "refused:"], ["zoo", "done"]]
    assert "open to other users (mode 755); chmod 700" in rows[2]
    good, refused, zoo = json.loads(verbs("status", "--json").stdout)["programs"]
    assert (good["state"], zoo["state"], refused["name"]) == ("done", "done", "open")
    assert "chmod 700" in refused["error"]
    (verbs.directory / "open").chmod(0o700)


def test_a_start_of_what_has_a_supervisor(verbs: Verbs, tmp_path: Path) -> None:
    """One of a file that was stopped alone: exit code 1, the supervisor's pid, and what to do instead, which helps."""
    toml = tmp_path / "many.toml"
    toml.write_text(TABLE.format(name="a", script=UP, more="") + TABLE.format(name="b", script=UP, more=""))
    verbs("start", "-f", toml)
    supervisor = verbs.status("a")["supervisor"]
    verbs("stop", "a")
    for options in ((), ("-D",)):
        said = verbs("start", *options, "--name", "a", "sleep", "1", code=1).stderr
        assert f'another supervisor of "a" is running (pid {supervisor}); lowrun restart a starts it anew' in said
    verbs("restart", "a")
    assert verbs.status("a")["ready"]
