"""What the documents show is what happens: their commands, their Python and the examples are run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")

#: What the README's comments and the page on exit codes promise; all other commands exit with 0.
EXIT = {
    "lowrun -c 5 -fc 2 -lt sh -c 'echo oh; exit 3'": 3,
    "lowrun -ct ls /nonexistent": 2,
    "lowrun -st sh -c 'sleep 0.3; exit 1'": 1,
    "lowrun -nt -i lo ls /nonexistent": 2,
    "lowrun -t 0.5 sleep 100": 124,
    "lowrun -c 3 -e 0,3 sh -c 'exit 3'": 3,
}


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(README) if kind == language]


def lines_of(block: str) -> list[str]:
    return [re.sub(r"\s+# .*$", "", line) for line in block.splitlines() if line]


def commands() -> list[str]:
    """The commands that stand by themselves."""
    return [line for block in blocks("sh") if block not in SESSIONS for line in lines_of(block)]


#: Blocks whose commands stand on the first: it keeps what the others read.
SESSIONS = [block for block in blocks("sh") if "lowrun show out " in block]


def run(argv: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_readme_does_what_it_says(line: str, tmp_path: Path) -> None:
    """It exits with the code that is promised and keeps something exactly when a recorder is on and a run failed."""
    program, *words = shlex.split(line)
    assert program == "lowrun"
    done = run([str(Path(sys.executable).with_name("lowrun")), *words], tmp_path)
    assert done.returncode == EXIT.get(line, 0), done.stderr
    assert "Traceback" not in done.stderr
    keeps = done.returncode != 0 and not {"-lt", "-ct", "-st", "-nt"}.isdisjoint(words)
    assert any(tmp_path.iterdir()) == (keeps or "-o" in words)


@pytest.mark.parametrize("block", SESSIONS)
def test_what_was_kept_is_read_as_the_readme_says(block: str, tmp_path: Path) -> None:
    """The commands run one after the other: the first fails in most of its runs, the others answer."""
    first, *others = lines_of(block)
    program = str(Path(sys.executable).with_name("lowrun"))
    done = run([program, *shlex.split(first)[1:]], tmp_path)
    assert done.returncode == 1 and 'mkdir("lock", 0777) = -1 EEXIST' in done.stderr
    for line in others:
        done = run([program, *shlex.split(line)[1:]], tmp_path)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout or "export" in line or "strace2csv" in line
    assert {"calls.parquet", "calls.csv"} <= {path.name for path in tmp_path.iterdir()}


def test_every_promise_is_about_a_command_of_the_readme() -> None:
    """EXIT names only commands that are in the README."""
    assert set(EXIT) <= set(commands())


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.splitlines()[0])
def test_the_python_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    """A block of Python runs as it stands."""
    done = run([sys.executable, "-c", code], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


EXAMPLES = {
    "fault_injection.py": "by a rule: -1 ENOSPC (No space left on device) (INJECTED)\nby a hook: exit 1 - cat: ",
    "run.py": "status: exit 3\nok: False code: 3 signal: None\npeak memory:",
    "repeat.py": "run 1: ",
    "in_asyncio.py": "first: exit 3\nsecond timed out: True\nasyncio's child: 5\n",
    "own_recorder.py": "exit 4 with ['CODE=4', ",
    "supervise.py": "".join(f"flaky life {life} ended: exit 3\n" for life in (1, 2, 3, 4)) + "given up: ",
    "in_other_loop.py": "1 exit 2\n2 exit 2\n3 exit 2\ncode: 2 and tick\n",
}


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    """Each program of examples/ prints what it should, and leaves no file."""
    done = run([sys.executable, str(ROOT / "examples" / name)], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(EXAMPLES[name])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of the project names one that is there."""
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_knows_the_targets_that_are_named(page: Path) -> None:
    """Every `make TARGET` of a page is one that `make help` lists."""
    listed = set(re.findall(r"^make (\w+)", run(["make", "-s", "help"], ROOT).stdout, re.MULTILINE))
    named = set(re.findall(r"(?:^    |`)make (\w+)", page.read_text(), re.MULTILINE))
    assert named <= listed
