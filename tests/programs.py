"""What live tests start: lowrun as a user types it, and the programs of mock/."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOCK = ROOT / "mock"
LOWRUN = str(Path(sys.executable).with_name("lowrun"))


@functools.cache
def _build_directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lowrun-mock-")


@functools.cache
def mock(name: str) -> str:
    """Return the path of a program of mock/; NAME.c is compiled first, once."""
    source = MOCK / f"{name}.c"
    if not source.exists():
        return str(MOCK / name)
    target = Path(_build_directory().name) / name
    subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", target, source], check=True)
    return str(target)


def processes() -> dict[int, tuple[int, str]]:
    """Pid -> (parent, name) of every process that is no zombie."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            name, _, rest = stat.partition("(")[2].rpartition(")")
            fields = rest.split()
            if fields[0] not in "ZX":
                found[int(entry)] = (int(fields[1]), name)
    return found


def alive(pid: int) -> bool:
    """True while `pid` is a process that has not ended (a zombie has)."""
    return pid in processes()
