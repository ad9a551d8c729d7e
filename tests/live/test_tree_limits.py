"""Limits of a whole tree by cgroups: held where some have the controllers, refused with the reason elsewhere.

What only v1 has of its own: test_tree_limits_v1.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core.cgroup import TreeLimits, tree_limits
from lowrun.core.fd import OwnedFd
from lowrun.core.process import Process
from lowrun.core.procfs import own_cgroup_v1, own_cgroup_v2
from tests.limited import run_limited


def values_of(pid: int) -> list[str]:
    """The limits of the cgroups that a process is in: of memory, of CPU time."""
    cgroup, mounts = Path(f"/proc/{pid}/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    v2 = own_cgroup_v2(cgroup, mounts) or "/nowhere"
    found = []
    for controller, new, old in (
        ("memory", "memory.max", ["memory.limit_in_bytes"]),
        ("cpu", "cpu.max", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]),
    ):
        try:
            v1 = own_cgroup_v1(controller, cgroup, mounts)
            found.append(" ".join(Path(f"{v1}/{name}").read_text().strip() for name in old))
        except LookupError:
            found.append(Path(v2, new).read_text().strip())
    return found


def limits_or_refusal(memory: int | None, percent: float | None) -> TreeLimits | str:
    try:
        return tree_limits(memory, percent)
    except (lr.UnsupportedError, lr.DeniedError) as error:
        return str(error)


def test_a_tree_is_limited_or_it_is_said_why_not(tmp_path: Path) -> None:
    """In cgroups with both controllers their files have the values; where there is none the refusal names a remedy."""
    limits = limits_or_refusal(50 << 20, 20.0)
    if isinstance(limits, str):
        assert any(remedy in limits for remedy in ("use --limit instead", "Delegate=yes", "given to you"))
        return
    told: list[list[str]] = []

    def look(process: Process) -> None:
        assert process.pid is not None
        told.append(values_of(process.pid))
        process.kill()

    try:
        run_limited([limits], ["sleep", "1000"], tmp_path / "out", on_start=look)
    finally:
        limits.close()
    assert told == [[str(50 << 20), "20000 100000"]]


@pytest.mark.parametrize("version", ["v2", "v1"])
def test_limits_that_cannot_be_set_start_nothing(version: str, tmp_path: Path) -> None:
    """A directory that is no cgroup: a step of its own fails, nothing runs; without limits the same keeper goes on."""
    with OwnedFd(os.open(tmp_path, os.O_RDONLY)) as parent:
        limits = TreeLimits(parent, 1 << 20, 0) if version == "v2" else TreeLimits(None, 1 << 20, 0, memory_v1=parent)
        first, second = run_limited([limits, None], ["echo", "ran"], tmp_path / "out")
    assert first.error is not None
    assert first.error.step == "cgroup limits"
    assert second.status == lr.ExitStatus(0)
    assert (tmp_path / "out").read_text() == "ran\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(("memory", "percent"), [(None, 50.0), (1 << 30, None)])
def test_one_limit_asks_for_one_controller(memory: int | None, percent: float | None) -> None:
    """Only what is limited has to be there."""
    limits = limits_or_refusal(memory, percent)
    if isinstance(limits, str):
        assert ("memory" if memory else "cpu") in limits
        return
    limits.close()
    assert len(limits.parents) == 1
    assert (limits.memory_max, limits.cpu_quota_us) == ((1 << 30, 0) if memory else (0, 50_000))
