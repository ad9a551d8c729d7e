"""Repeat a command that fails now and then; keep what its failing runs wrote.

repeat.py COMMAND [ARG...]
"""

import sys
import tempfile
from pathlib import Path

import lowrun as lr

command = sys.argv[1:] or ["python3", str(Path(__file__).parents[1] / "mock" / "flaky.py")]

with tempfile.TemporaryDirectory() as directory:
    for result in lr.repeat(command, count=5, record=[lr.Output()], output=Path(directory) / "out", quiet=True):
        print(f"run {result.index}: {result.status}, {result.wall_s:.3f} s")
        for name, path in result.artifacts.items():
            print(f"    {name}: {path.read_text()!r}")
