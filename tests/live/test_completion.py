"""Completion, as bash does it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lowrun.cli.completion import script
from lowrun.cli.control_options import VERBS
from lowrun.cli.start_options import START_OPTIONS

ASK = 'eval "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lowrun; printf "%s\\n" "${COMPREPLY[@]}"'


def completed(words: str, state: Path) -> list[str]:
    """What bash offers for the last of `words`."""
    argv = ["bash", "--norc", "-c", ASK, script("bash"), *words.split(" ")]
    done = subprocess.run(argv, env={"LOWRUN_STATE_DIR": str(state), "PATH": "/usr/bin:/bin"}, capture_output=True)
    assert done.stderr == b""
    return done.stdout.decode().split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("lowrun start --resp", ["--respawn", "--respawn-limit", "--respawn-timeout"]),
        ("lowrun start -p --restart", ["--restart-prevent"]),
        ("lowrun start --user x --respawn --call", ["--call-trace", "--calls"]),
        ("lowrun start --user --call", []),
        ("lowrun start prog --resp", []),
        ("lowrun --failed", ["--failed-count"]),
        ("lowrun run --failed", ["--failed-count"]),
        ("lowrun trace --summary-o", ["--summary-only"]),
        ("lowrun stop ", ["db", "web"]),
        ("lowrun stop w", ["web"]),
        ("lowrun log web --f", ["--follow"]),
        ("lowrun wait --until ready --t", ["--timeout"]),
    ],
)
def test_bash_completes_options_and_names(words: str, expected: list[str], tmp_path: Path) -> None:
    """Options of the verb until PROGRAM; for the verbs about programs the names that have a state."""
    (tmp_path / "web").mkdir()
    (tmp_path / "db").mkdir()
    (tmp_path / "lock").touch()
    assert completed(words, tmp_path) == expected


def test_verbs_are_offered_beside_commands(tmp_path: Path) -> None:
    """Where COMMAND is to come a verb may come."""
    assert {"start", "status", "stop"} <= set(completed("lowrun st", tmp_path))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_option_is_in_every_script(shell: str) -> None:
    """The scripts are made of the tables."""
    text = script(shell)
    tables = [START_OPTIONS, *(row.table for row in VERBS.values())]
    assert all(option.names[-1].lstrip("-") in text for table in tables for option in table)
    assert all(verb in text for verb in ("start", *VERBS))
