"""What tests of supervision share: the verbs with a state directory of their own, the lines of a program's log."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def state(directory: Path) -> Iterator[Verbs]:
    """Verbs; whatever was started with them is stopped in the end."""
    verbs = Verbs(directory)
    try:
        yield verbs
    finally:
        if directory.is_dir():
            for name in os.listdir(directory):
                verbs("stop", "--stop-timeout", "0.1", name, code=None)
