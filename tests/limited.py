"""What tests of a tree's limits share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lowrun as lr
from lowrun.core.cgroup import TreeLimits, tree_limits
from lowrun.core.keeper import Keeper
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.process import Process


@contextmanager
def limits_of(memory: int | None, cpu_percent: float | None) -> Iterator[TreeLimits]:
    """Limits, closed in the end."""
    limits = tree_limits(memory, cpu_percent)
    try:
        yield limits
    finally:
        limits.close()


def run_limited(
    each: list[TreeLimits | None],
    words: list[str],
    out: Path,
    *,
    before_spawn: Callable[[Keeper], object] | None = None,
    on_start: Callable[[Process], object] | None = None,
) -> list[Process]:
    """Run `words` with each of the limits, one after the other in one keeper; what they say goes to `out`."""
    ended: list[Process] = []

    def end(process: Process) -> None:
        ended.append(process)
        loop.stop()

    with lr.Loop() as loop, open(out, "wb") as file:
        keepers = Keepers(loop)
        launch = Launch(lr.Command.of(words))
        fds = {1: file.fileno()}
        for limits in each:
            Process(loop, keepers, launch, fds, limits=limits, on_end=end, before_spawn=before_spawn, on_start=on_start)
            loop.run()
        keepers.close()
        launch.close()
    return ended
