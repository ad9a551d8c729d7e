"""What one run costs: against posix_spawn and waitpid in C, and from a large process against a small one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.harness import Case, elapsed, lowrun_program

RUNS = 1000
RESIDENT_MB = 500
SPAWNER = Path(__file__).parents[2] / "mock" / "spawner.c"

#: A process with so many megabytes resident that runs /bin/true again and again, when told.
HOST = """
import sys, time, lowrun
ballast = bytearray(int(sys.argv[1]) << 20)
for page in range(0, len(ballast), 4096):
    ballast[page] = 1
print("ready", flush=True)
for line in sys.stdin:
    began = time.perf_counter()
    for result in lowrun.repeat(["/bin/true"], count=int(line)):
        assert result.ok
    print(time.perf_counter() - began, flush=True)
"""


class Host:
    """A Python process that uses the library; a context manager."""

    def __init__(self, megabytes: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOST, str(megabytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def round(self) -> float:
        """Seconds that RUNS runs of /bin/true take there."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{RUNS}\n")
        self._process.stdin.flush()
        return float(self._read())

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()


def cases() -> Iterator[Case]:
    """Per run against C (start-up time of lowrun included), then large against small."""
    with tempfile.TemporaryDirectory() as directory:
        spawner = str(Path(directory) / "spawner")
        subprocess.run(["cc", "-O2", "-o", spawner, str(SPAWNER)], check=True)
        yield Case(
            f"lowrun -q -c {RUNS} /bin/true : C, posix_spawn and waitpid",
            lambda: elapsed([lowrun_program(), "-q", "-c", str(RUNS), "/bin/true"]),
            lambda: elapsed([spawner, str(RUNS), "/bin/true"]),
            limit=1.4,
        )
    with Host(RESIDENT_MB) as large, Host(0) as small:
        yield Case(f"{RUNS} runs from {RESIDENT_MB} MB resident : from a small process", large.round, small.round, 1.1)
