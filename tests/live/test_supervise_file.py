"""Programs of one TOML file: started in order, stopped in reverse, and each to be asked about alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.programs import alive
from tests.supervised import Verbs, numbers

#: Programs that say in one file that they are up, and that they end.
SCRIPT = (
    "trap 'echo {end} >>{file}; exit 0' TERM; sleep {delay}; echo {up} >>{file}; echo >&3; while :; do sleep 0.05; done"
)
TOLD = """
[program.{name}]
command = ["sh", "-c", "{script}"]
ready = "fd=3"
{more}
"""


def told(file: Path, number: int, name: str, delay: float = 0.0, more: str = "") -> str:
    """A program's table: it writes `number` when it is up and minus that when it ends."""
    script = SCRIPT.format(file=file, up=number, end=-number, delay=delay)
    return TOLD.format(name=name, script=script, more=more)


def test_order(verbs: Verbs, tmp_path: Path) -> None:
    """`needs` waits until the other is ready, be it later in the file; they stop in reverse, each after the next."""
    file, toml = tmp_path / "told", tmp_path / "many.toml"
    toml.write_text(
        told(file, 3, "front", more='needs = ["web"]')
        + told(file, 2, "web", 0.2, 'needs = ["db"]')
        + told(file, 1, "db", 0.3)
    )
    verbs("start", "-f", toml)
    assert numbers(file, 3) == [1, 2, 3]
    supervisor = verbs.status("db")["supervisor"]
    assert {verbs.status(name)["supervisor"] for name in ("web", "front")} == {supervisor}
    os.kill(supervisor, 15)
    verbs("wait", "db", "--until", "stopped", "--timeout", "10")
    assert numbers(file, 6) == [1, 2, 3, -3, -2, -1]
    assert all(verbs.log(name)[-1] == "stopped" for name in ("db", "web", "front"))


def test_after_does_not_wait(verbs: Verbs, tmp_path: Path) -> None:
    """`after` alone is an order: the other was started before, ready or not, be it failing again and again."""
    file, toml = tmp_path / "told", tmp_path / "many.toml"
    toml.write_text(
        told(file, 2, "second", more='after = ["first", "failing"]')
        + told(file, 1, "first", 0.5)
        + '[program.failing]\ncommand = "false"\nrespawn = true\nrespawn-timeout = 100\n'
    )
    verbs("start", "-f", toml)
    assert numbers(file, 2) == [2, 1]
    assert verbs.status("failing")["state"] == "waiting"


def test_what_is_needed_fails(verbs: Verbs, tmp_path: Path) -> None:
    """A program whose needed one has failed is not started; the log says why, and the exit code is 1."""
    toml = tmp_path / "many.toml"
    toml.write_text(
        '[program.db]\ncommand = ["sh", "-c", "exit 5"]\nready = "fd=3"\n'
        f'[program.web]\ncommand = ["sh", "-c", "echo 1 >{tmp_path}/ran"]\nneeds = ["db"]\n'
    )
    said = verbs("start", "-D", "-f", toml, code=1).stderr
    assert "db: exit 5" in said
    assert not (tmp_path / "ran").exists()
    assert "not started: it needs db, which has failed" in verbs.log("web")


def test_one_is_stopped(verbs: Verbs, tmp_path: Path) -> None:
    """`stop NAME` ends this one; the others go on with their pids, and the supervisor ends with the last."""
    file, toml = tmp_path / "told", tmp_path / "many.toml"
    toml.write_text(told(file, 1, "one") + told(file, 2, "two"))
    verbs("start", "-f", toml)
    one, two = verbs.status("one"), verbs.status("two")
    verbs("stop", "one")
    assert not alive(one["pid"])
    assert verbs.status("two")["pid"] == two["pid"]
    verbs("restart", "one")
    assert verbs.status("one")["ready"]
    verbs("stop", "one")
    verbs("stop", "two")
    assert not alive(two["supervisor"])


def test_one_of_them_is_running(verbs: Verbs, tmp_path: Path) -> None:
    """A file of which one program is supervised already starts none of them."""
    file, toml = tmp_path / "told", tmp_path / "many.toml"
    toml.write_text(told(file, 1, "one") + told(file, 2, "two"))
    verbs.begin("two", "echo >&3; exec sleep 100")
    done = verbs("start", "-f", toml, code=None)
    assert done.returncode != 0 and 'another supervisor of "two" is running' in done.stderr
    assert not file.exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            '[program.x]\ncommand = "true"\nrespwan = true\n',
            "many.toml:3: unknown option respwan; did you mean respawn?",
        ),
        ('[program.x]\ncommand = "true"\nneeds = ["y"]\n', "there is no such program"),
        (
            '[program.x]\ncommand = "true"\nneeds = ["y"]\n[program.y]\ncommand = "true"\nafter = ["x"]\n',
            "wait for each",
        ),
    ],
)
def test_a_file_with_a_fault(verbs: Verbs, tmp_path: Path, text: str, why: str) -> None:
    """A fault in the file is one line and exit code 2; nothing is started."""
    toml = tmp_path / "many.toml"
    toml.write_text(text)
    done = verbs("start", "-f", toml, code=2)
    assert why in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_whole_file_stops(verbs: Verbs, tmp_path: Path) -> None:
    """`stop` of all names at once ends all of them and the supervisor."""
    file, toml = tmp_path / "told", tmp_path / "many.toml"
    toml.write_text("".join(told(file, number, f"p{number}") for number in range(1, 6)))
    verbs("start", "-f", toml)
    found = [verbs.status(f"p{number}") for number in range(1, 6)]
    verbs("stop", *(program["name"] for program in found))
    assert not any(alive(pid) for program in found for pid in (program["pid"], program["supervisor"]))
