"""No process is to be had when a program is to be started: that fails like any life, and the next one comes."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from tests.supervised import Verbs, numbers


def test_no_keeper_is_to_be_had(verbs: Verbs, tmp_path: Path) -> None:
    """A supervisor without a free descriptor survives that, says so, and starts the program when it has some."""
    verbs.begin("x", f"echo $$ >>{tmp_path}/pids; echo >&3; exec sleep 100", "--respawn", "-t", "0.5")
    (first,) = numbers(tmp_path / "pids", 1)
    supervisor = verbs.status("x")["supervisor"]
    os.kill(int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1]), 9)
    verbs.await_line("x", "its keeper was killed")
    soft, hard = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    taken = {int(fd) for fd in os.listdir(f"/proc/{supervisor}/fd")}
    free = next(fd for fd in range(len(taken) + 1) if fd not in taken)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (free, hard))
    verbs.await_line("x", r"it cannot be started now: Too many open files.*", 2)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (soft, hard))
    verbs("wait", "x", "--until", "ready", "--timeout", "10")
    assert verbs.status("x")["pid"] == numbers(tmp_path / "pids", 2)[1]
    assert verbs.status("x")["supervisor"] == supervisor
