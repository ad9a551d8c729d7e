"""What the pages on keeping programs running show is what is read: their options, their commands, their files."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lowrun import supervise
from lowrun.cli.control_options import VERBS, read_control
from lowrun.cli.start_options import START_OPTIONS, read_start
from lowrun.supervise.config import parse

ROOT = Path(__file__).parent.parent
MAN = (ROOT / "docs" / "lowrun-start.1.md").read_text()
PAGE = (ROOT / "docs" / "supervision.md").read_text()
UNIT = (ROOT / "contrib" / "lowrun@.service").read_text()
DOCKERFILE = (ROOT / "contrib" / "Dockerfile").read_text()
#: What the page's first host prints; phases that pass in one turn of its loop are not seen.
DB_FIRST = (
    r"(db starting .*\n)*db running \d+ 0\n(web starting .*\n)*web running \d+ 0\n(web stopping .*\n)?"
    r"web done None 0\n(db stopping .*\n)?db done None 0\nexit code 0\n"
)
EXAMPLES = re.findall(r"^    lowrun (.*)$", MAN.split("## EXAMPLES")[1], re.MULTILINE)


def test_the_page_has_every_option() -> None:
    """Each name of each option of each verb."""
    tables = [START_OPTIONS, *(row.table for row in VERBS.values())]
    names = {name for table in tables for option in table for name in option.names}
    assert {name for name in names if not re.search(rf"[`*\[|]{re.escape(name)}[`*\]|\[ ]", MAN)} == set()


def test_the_page_has_no_option_too_many() -> None:
    """What it shows in bold is there."""
    tables = [START_OPTIONS, *(row.table for row in VERBS.values())]
    names = {name for table in tables for option in table for name in option.names}
    assert set(re.findall(r"\*\*(--?[a-zA-Z-]+)\*\*", MAN)) <= names


@pytest.mark.parametrize("words", EXAMPLES)
def test_an_example_is_understood(words: str) -> None:
    """Each command of the page is read without complaint."""
    verb, *rest = shlex.split(words)
    if verb == "start":
        assert read_start(rest).programs
    else:
        read_control(verb, rest)


@pytest.mark.parametrize("text", re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_a_file_is_understood(text: str) -> None:
    """Each file of the page is read; what it needs comes first."""
    programs = parse(text, "example.toml")
    assert [[one.name for one in group] for group in supervise.start_order(programs)] == [["db"], ["web"], ["report"]]


PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("code", "shown"), list(zip(PYTHON, [DB_FIRST, "exit code 0\n"], strict=True)))
def test_the_python_of_the_page_runs(code: str, shown: str, tmp_path: Path) -> None:
    """A block runs as it stands, comes to its end, and leaves no file."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert re.fullmatch(shown, done.stdout), done.stdout
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


def test_the_table_names_settings() -> None:
    """Each option in its first column is one of start's or of another verb's."""
    tables = [START_OPTIONS, *(row.table for row in VERBS.values())]
    names = {name for table in tables for option in table for name in option.names}
    cells = re.findall(r"^\| ([^|]*) \|", PAGE, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"(?<![\w-])--?[a-zA-Z][a-zA-Z-]*", cell)}
    assert named and named <= names


def test_the_unit_starts_lowrun_in_the_foreground(tmp_path: Path) -> None:
    """Its ExecStart= is read, with a file in the place of its own."""
    (command,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    file = tmp_path / "shop.toml"
    file.write_text('[program.web]\ncommand = "web"\n')
    program, verb, *words = command.replace("/etc/lowrun/%i.toml", str(file)).split()
    request = read_start(words)
    assert (Path(program).name, verb, request.foreground) == ("lowrun", "start", True)
    assert [one.name for one in request.programs] == ["web"]


def test_the_container_starts_lowrun_as_pid_1() -> None:
    """ENTRYPOINT and CMD are one command in the foreground, without a shell."""
    entry, command = (
        json.loads(re.findall(rf"^{word} (.*)$", DOCKERFILE, re.MULTILINE)[0]) for word in ("ENTRYPOINT", "CMD")
    )
    request = read_start([*entry[2:], *command])
    assert entry[0].startswith("/") and request.foreground
    assert request.programs[0].output == "pass" and request.programs[0].restart.when == "failure"
