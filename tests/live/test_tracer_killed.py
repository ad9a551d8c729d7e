"""The tracer's process is killed, which only somebody outside does: the host goes on, the command is gone."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.programs import LOWRUN, mock, processes

SYS_PROCESS_VM_READV = {"x86_64": "310", "aarch64": "270"}[os.uname().machine]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        select.select([], [], [], 0.005)


def tracers_of(pid: int) -> list[int]:
    return [child for child, (parent, name) in processes().items() if parent == pid and name == "lowrun-tracer"]


def is_reading(tracer: int) -> bool:
    return Path(f"/proc/{tracer}/syscall").read_text().split()[0] == SYS_PROCESS_VM_READV


@pytest.mark.parametrize("words", [["trace", "-o", "/dev/null"], ["-ct", "--keep", "none"]])
def test_in_the_middle_of_a_record(words: list[str]) -> None:
    """The record is taken back; whoever reads records while they come does not wait for its end for ever."""
    if os.geteuid() != 0:
        pytest.skip("userfaultfd is root's")
    lowrun = subprocess.Popen([LOWRUN, *words, mock("faulting")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert lowrun.stdout is not None
    if lowrun.stdout.readline() != b"ready\n":
        lowrun.communicate(timeout=20)
        pytest.skip("no userfaultfd")
    wait_for(lambda: bool(tracers_of(lowrun.pid)) and is_reading(tracers_of(lowrun.pid)[0]))
    os.kill(tracers_of(lowrun.pid)[0], signal.SIGKILL)
    try:
        _, said = lowrun.communicate(timeout=20)
    finally:
        lowrun.kill()
    assert b"tracer ended early" in said
