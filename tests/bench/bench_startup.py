"""What lowrun costs once: its start against that of the same interpreter doing nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.bench.harness import Case, elapsed, lowrun_program

#: A single start takes milliseconds, so a round is some of them.
STARTS = 10


def starts(*argv: str) -> float:
    """Mean seconds of STARTS starts."""
    return sum(elapsed(argv) for _ in range(STARTS)) / STARTS


def cases() -> Iterator[Case]:
    """`lowrun /bin/true` against `python3 -c pass`."""
    yield Case(
        "lowrun /bin/true : python3 -c pass",
        lambda: starts(lowrun_program(), "/bin/true"),
        lambda: starts(sys.executable, "-c", "pass"),
        limit=6.0,
    )
