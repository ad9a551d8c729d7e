"""How much longer a command takes when its output is recorded than when it writes a file itself.

    python tests/bench/bench_output.py [MEGABYTES [ROUNDS]]

Both ways write to the same filesystem, in turns, and the median is compared.
Prints one line a case; exits 1 when the quiet case is over LIMIT.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: `lowrun -q -lt` takes at most this many times what the command takes on its own.
LIMIT = 2.5
LOWRUN = [shutil.which("lowrun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}") or "lowrun"]


def elapsed(argv: list[str], stdout: int, directory: Path) -> float:
    """Seconds that `argv` takes; the summary that lowrun prints is not shown."""
    began = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, cwd=directory, check=True)
    return time.perf_counter() - began


def to_file(command: list[str], directory: Path) -> float:
    """The command writes a file itself."""
    with tempfile.TemporaryFile(dir=directory) as file:
        return elapsed(command, file.fileno(), directory)


def recorded_quietly(command: list[str], directory: Path) -> float:
    """lowrun records it and shows nothing."""
    return elapsed([*LOWRUN, "-q", "-lt", *command], subprocess.DEVNULL, directory)


def recorded_and_piped(command: list[str], directory: Path) -> float:
    """lowrun records it and passes it on to a reader."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        return elapsed([*LOWRUN, "-lt", *command], reader.stdin.fileno(), directory)


def main(megabytes: int = 400, rounds: int = 7) -> int:
    command = ["head", "-c", f"{megabytes}M", "/dev/zero"]
    ways = to_file, recorded_quietly, recorded_and_piped
    times: dict[str, list[float]] = {way.__name__: [] for way in ways}
    with tempfile.TemporaryDirectory(dir=".") as name:
        directory = Path(name).absolute()
        for turn in range(rounds + 1):
            for way in ways:
                seconds = way(command, directory)
                if turn:  # the first round warms up
                    times[way.__name__].append(seconds)
    base = statistics.median(times["to_file"])
    print(f"{' '.join(command)} to a file: {base:.3f} s (median of {rounds})")
    for way in ways[1:]:
        seconds = statistics.median(times[way.__name__])
        print(f"{way.__doc__} {seconds:.3f} s, ratio {seconds / base:.2f}")
    return statistics.median(times["recorded_quietly"]) / base > LIMIT


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
