"""Limits of a whole tree by a cgroup v2: held where that has the controllers, refused with the reason elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core.cgroup import TreeLimits, tree_limits
from lowrun.core.fd import OwnedFd
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.process import Process


def run_limited(limits: TreeLimits, words: list[str], out: Path) -> list[Process]:
    """Run `words` with the limits, then without them; what they say goes to `out`."""
    ended: list[Process] = []

    def end(process: Process) -> None:
        ended.append(process)
        loop.stop()

    with lr.Loop() as loop, open(out, "wb") as file:
        keepers = Keepers(loop)
        launch = Launch(lr.Command.of(words))
        for each in (limits, None):
            Process(loop, keepers, launch, {1: file.fileno()}, limits=each, on_end=end)
            loop.run()
        keepers.close()
        launch.close()
    return ended


def limits_or_refusal(memory: int | None, percent: float | None) -> TreeLimits | str:
    try:
        return tree_limits(memory, percent)
    except (lr.UnsupportedError, lr.DeniedError) as error:
        return str(error)


def test_a_tree_is_limited_or_it_is_said_why_not(tmp_path: Path) -> None:
    """In a cgroup with both controllers its files have the values; where there is none the refusal names a remedy."""
    limits = limits_or_refusal(50 << 20, 20.0)
    if isinstance(limits, str):
        assert "use --limit instead" in limits or "Delegate=yes" in limits
        return
    script = 'cd "/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)" && cat memory.max cpu.max'
    with limits.parent:
        first, second = run_limited(limits, ["sh", "-c", script], tmp_path / "out")
    assert first.status == lr.ExitStatus(0)
    assert (tmp_path / "out").read_text().startswith(f"{50 << 20}\n20000 100000\n")
    assert second.error is None


def test_limits_that_cannot_be_set_start_nothing(tmp_path: Path) -> None:
    """A directory that is no cgroup: a step of its own fails, nothing runs; without limits the same keeper goes on."""
    with OwnedFd(os.open(tmp_path, os.O_RDONLY)) as parent:
        first, second = run_limited(TreeLimits(parent, 1 << 20, 0), ["echo", "ran"], tmp_path / "out")
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
    limits.parent.close()
    assert (limits.memory_max, limits.cpu_quota_us) == ((1 << 30, 0) if memory else (0, 50_000))
