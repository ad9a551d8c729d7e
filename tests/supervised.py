"""What tests of supervision share: the verbs with a state directory of their own, the lines of a program's log."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.programs import LOWRUN

#: Seconds after which what is waited for will not come any more.
PATIENCE = 20.0


def calls_in(log: Path) -> list[tuple[str, int]]:
    """Return each system call that strace has logged of one process, as its name and the how manieth of it.

    With `-e inject=NAME:signal=KILL:when=N` the process dies in exactly that call: strace counts the calls of each name
    apart, with `inject=all`, too.
    """
    lines = log.read_text(errors="replace").splitlines()
    names = [match[1] for line in lines if (match := re.match(r"(\w+)\(", line))]
    return [(name, names[: place + 1].count(name)) for place, name in enumerate(names)]


class Verbs:
    """`lowrun VERB ...` with its state in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = {**os.environ, "LOWRUN_STATE_DIR": str(directory)}

    def __call__(self, *words: str | Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run it to its end; `code` is what it is to exit with, None: anything."""
        done = subprocess.run(
            [LOWRUN, *map(str, words)],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert code is None or done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done

    @contextmanager
    def here(self, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
        """Run it beside the test; it is to have ended by itself in the end, or is killed."""
        process = subprocess.Popen(
            [LOWRUN, *map(str, words)],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            try:
                yield process
                process.wait(PATIENCE)
            finally:
                process.kill()

    def begin(self, name: str, script: str, *options: str | Path, code: int | None = 0) -> str:
        """Start `script`, a shell's that says on descriptor 3 when it is up; return what `start` has complained of."""
        words = ("start", "--name", name, "--ready", "fd=3", *options, "sh", "-c", script)
        return self(*words, code=code).stderr

    def names(self) -> list[str]:
        """What was started in this directory."""
        return sorted(os.listdir(self.directory)) if self.directory.is_dir() else []

    def status(self, name: str) -> dict[str, Any]:
        """What `status --json` tells of it."""
        found: dict[str, Any] = json.loads(self("status", "--json", name, code=None).stdout)
        return found

    def log(self, name: str) -> list[str]:
        """The texts of its log's lines, without time and ident."""
        try:
            lines = (self.directory / name / "log").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [line.partition("]: ")[2] for line in lines]

    def await_line(self, name: str, pattern: str, count: int = 1) -> re.Match[str]:
        """Wait until its log has a line that `pattern` matches whole, for the `count`th time."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = [match for line in self.log(name) if (match := re.fullmatch(pattern, line))]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.01)
        raise AssertionError(f"no {pattern!r} in {self.log(name)}")


def in_order(lines: list[str], *patterns: str) -> None:
    """Assert that lines match `patterns` in their order; others can stand between."""
    rest = iter(lines)
    for pattern in patterns:
        assert any(re.fullmatch(pattern, line) for line in rest), (pattern, lines)


def numbers(file: Path, count: int) -> list[int]:
    """Wait until `file` has `count` lines; return the numbers that they are."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) >= count:
            return [int(line) for line in lines]
        time.sleep(0.01)
    raise AssertionError(f"no {count} lines in {file}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int) -> None:
    """Wait until somebody listens on a port of 127.0.0.1."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"nobody listens on port {port}")


@contextmanager
def state(directory: Path) -> Iterator[Verbs]:
    """Verbs; whatever was started with them is stopped in the end."""
    verbs = Verbs(directory)
    try:
        yield verbs
    finally:
        for name in verbs.names():
            verbs("stop", "--stop-timeout", "0.1", name, code=None)
