"""Runs every bench_*.py, or those named, and prints their ratios; exits 1 when one is over its limit.

python -m tests.bench [NAME...]        NAME as in bench_NAME.py
"""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module
from pathlib import Path

from tests.bench.harness import HEADER, compare, row


def processor() -> str:
    """The processor's name as the kernel has it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def main(names: list[str]) -> int:
    names = names or sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    print(f"{os.cpu_count()} x {processor()}, Linux {platform.release()}, Python {platform.python_version()}")
    print(HEADER, flush=True)
    over = 0
    for name in names:
        for case in import_module(f"tests.bench.bench_{name}").cases():
            outcome = compare(case)
            over += outcome.ratio > case.limit
            print(row(case, outcome), flush=True)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
