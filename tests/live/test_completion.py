"""Completion, as bash does it."""

from __future__ import annotations

import os
import shutil
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
        ("lowrun show --ht", ["--html"]),
        ("lowrun show /etc --js", ["--json"]),
        ("lowrun show /etc/hostn", ["/etc/hostname"]),
        ("lowrun show -n 3 /etc/hostn", ["/etc/hostname"]),
        ("lowrun stop ", ["db", "web"]),
        ("lowrun stop w", ["web"]),
        ("lowrun log web --f", ["--follow"]),
        ("lowrun wait --until ready --t", ["--timeout"]),
        ("lowrun wait --until ", ["running", "ready", "stopped"]),
        ("lowrun wait --until = st", ["stopped"]),
        ("lowrun start --on-lost ", ["kill", "keep"]),
        ("lowrun start --respawn --output s", ["syslog"]),
        ("lowrun start --respawn =", ["failure", "always", "never"]),
        ("lowrun start --respawn = al", ["always"]),
        ("lowrun start --respawn = always --output s", ["syslog"]),
        ("lowrun start --ready ", ["notify", "fd=", "pidfile", "tcp=", "log="]),
        ("lowrun start --ready fd = 3 --on-lost ke", ["keep"]),
        ("lowrun start --user = roo --group daem", ["daemon"]),
        ("lowrun start --user roo", ["root"]),
        ("lowrun start --stop-signal US", ["USR1", "USR2"]),
        ("lowrun analyze --form", ["--format"]),
        ("lowrun analyze --format ", ["table", "csv", "json"]),
        ("lowrun analyze calls.strace summ", ["summary"]),
        ("lowrun analyze --limit 3 calls.strace --failed count_d", ["count_device_files"]),
        ("lowrun analyze calls.strace export --to p", ["parquet", "perfetto"]),
        ("lowrun analyze calls.strace export /etc/hostn", ["/etc/hostname"]),
        ("lowrun analyze dif", ["diff"]),
        ("lowrun analyze diff /etc/hostn", ["/etc/hostname"]),
        ("lowrun analyze --limit 3 diff summ", []),
        ("lowrun analyze /etc/hostn", ["/etc/hostname"]),
        ("lowrun strace2csv --fi", ["--fixed"]),
        ("lowrun strace2csv /etc/hostn", ["/etc/hostname"]),
        ("lowrun start --respawn cat /etc/hostn", ["/etc/hostname"]),
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


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("start --on-lost ", {"kill", "keep"}),
        ("start --output s", {"syslog"}),
        ("start --user roo", {"root"}),
        ("start --respawn=a", {"--respawn=always"}),
        ("wait --until r", {"running", "ready"}),
        ("analyze --format j", {"json"}),
        ("analyze calls.strace count_d", {"count_device_files"}),
    ],
)
def test_fish_completes_values(words: str, expected: set[str], tmp_path: Path) -> None:
    """The same as fish has it."""
    (tmp_path / "lowrun.fish").write_text(script("fish"))
    ask = f"source {tmp_path}/lowrun.fish; complete -C 'lowrun {words}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", ask], env=dict(os.environ, HOME=str(tmp_path)), capture_output=True
    )
    assert {line.split("\t")[0] for line in done.stdout.decode().splitlines()} == expected, done


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_understands_its_script(tmp_path: Path) -> None:
    """It has no error of syntax."""
    (tmp_path / "_lowrun").write_text(script("zsh"))
    subprocess.run(["zsh", "-n", tmp_path / "_lowrun"], check=True)
