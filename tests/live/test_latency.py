"""What the tracer asks of the processors: to stay awake while stops are frequent, and no longer."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.programs import LOWRUN

DEVICE = Path("/dev/cpu_dma_latency")

pytestmark = pytest.mark.skipif(
    not os.access(DEVICE, os.W_OK) or (os.cpu_count() or 1) < 2,
    reason="needs root, /dev/cpu_dma_latency, and a processor beside the tracee's",
)
LOOP = (
    "n=20000; while [ $n -gt 0 ]; do n=$((n - 1)); test -e /; done; echo ready; read line; while :; do test -e /; done"
)


def asked_for() -> int:
    """The shortest wake-up time that anybody has asked for, in microseconds."""
    fd = os.open(DEVICE, os.O_RDONLY)
    try:
        return int.from_bytes(os.read(fd, 4), "little", signed=True)
    finally:
        os.close(fd)


PATIENCE = 20.0


def comes(condition: Callable[[], bool]) -> bool:
    """True as soon as it is so, False when it has not been for PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        select.select([], [], [], 0.005)
    return True


@pytest.fixture
def before() -> int:
    """What is asked for while nobody traces; another trace on this machine asks only now and then."""
    if not comes(lambda: asked_for() != 0):
        pytest.skip("somebody else keeps the processors awake")
    return asked_for()


def test_the_processors_stay_awake_while_stops_are_frequent(before: int) -> None:
    """Asked for in a loop of calls, taken back when the command waits, asked for again, and gone with the trace."""
    program = subprocess.Popen(
        [LOWRUN, "-ct", "--keep", "none", "sh", "-c", LOOP],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert program.stdin is not None and program.stdout is not None
    assert comes(lambda: asked_for() == 0)
    assert program.stdout.readline() == "ready\n"
    assert comes(lambda: asked_for() == before)
    program.stdin.write("go\n")
    program.stdin.flush()
    assert comes(lambda: asked_for() == 0)
    program.terminate()
    program.communicate(timeout=20)
    assert comes(lambda: asked_for() == before)


def test_the_processors_may_sleep_while_the_reader_of_the_lines_does_not_read(before: int) -> None:
    """A pager that nobody scrolls holds the tracees up; the processors are not kept awake for that."""
    program = subprocess.Popen(
        [LOWRUN, "trace", "sh", "-c", "while :; do test -e /; done"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        assert comes(lambda: asked_for() == 0)
        assert comes(lambda: asked_for() == before)
    finally:
        program.kill()
        program.communicate(timeout=20)
