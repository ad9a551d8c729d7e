"""How much longer a command takes when its output is recorded than when it writes a file itself.

Both ways write to the same filesystem, below the current directory, which
unlike /tmp is hardly ever in memory.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.harness import Case, lowrun_program

COMMAND = ["head", "-c", "400M", "/dev/zero"]
RECORDED = [lowrun_program(), "-lt"]


def seconds(argv: list[str], stdout: int, directory: Path) -> float:
    """What `argv` takes."""
    began = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, cwd=directory, check=True)
    return time.perf_counter() - began


def to_file(directory: Path) -> float:
    """The command writes a file itself."""
    with tempfile.TemporaryFile(dir=directory) as file:
        return seconds(COMMAND, file.fileno(), directory)


def quietly(directory: Path) -> float:
    """lowrun records it and shows nothing."""
    return seconds([*RECORDED, "-q", *COMMAND], subprocess.DEVNULL, directory)


def to_reader(directory: Path) -> float:
    """lowrun records it and passes it on to a reader."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        return seconds([*RECORDED, *COMMAND], reader.stdin.fileno(), directory)


def cases() -> Iterator[Case]:
    """Quietly, as the limit has it; and passed on, which costs a copy more."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        directory = Path(name).absolute()
        yield Case("-q -lt of 400 MB : to a file", lambda: quietly(directory), lambda: to_file(directory), 2.5)
        yield Case("-lt of 400 MB, piped on : to a file", lambda: to_reader(directory), lambda: to_file(directory), 4.0)
