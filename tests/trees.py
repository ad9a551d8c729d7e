"""A loop with programs under way, for tests of what is built upon them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import lowrun as lr
from lowrun.core.fd import OwnedFd
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.process import Process

__all__ = ["House"]


class House:
    """A loop, its keepers, and programs under way; closed, it ends them."""

    def __init__(self) -> None:
        self.loop = lr.Loop()
        self.keepers = Keepers(self.loop)
        self.processes: list[Process] = []
        self.null = OwnedFd(os.open(os.devnull, os.O_RDWR))

    def spawn(self, *argv: str, fds: Mapping[int, int] | None = None, env: Any = None, **how: Any) -> Process:
        """Begin to start a program with `fds` (its -> ours) and `env` added to the environment.

        It reads and writes nothing, but has all of 0 to 2: a daemon that lacks one has files of its own there, and puts
        /dev/null in their place.
        """
        launch = Launch(lr.Command(argv, env=None if env is None else {**os.environ, **env}))
        how.setdefault("on_end", lambda _: None)
        process = Process(
            self.loop,
            self.keepers,
            launch,
            {0: self.null.fileno(), 1: self.null.fileno(), 2: 2, **(fds or {})},
            linger=None,
            **how,
        )
        self.processes.append(process)
        launch.close()
        return process

    def start(self, *argv: str, **how: Any) -> Process:
        """Start a program: return when it has been executed."""
        process = self.spawn(*argv, **how)
        self.wait(lambda: process.pid is not None)
        return process

    def wait(self, condition: Callable[[], object], seconds: float = 20) -> None:
        """Dispatch until `condition` holds; the timer wakes for what is no event of the loop's."""
        ticks: list[None] = []
        with self.loop.add_timer(0.01, lambda: ticks.append(None), every=0.01):
            while not condition():
                self.loop.dispatch(-1)
                assert len(ticks) < seconds * 100, "it did not come"

    def close(self) -> None:
        """End all that is under way."""
        for process in self.processes:
            process.close()
        self.keepers.close()
        self.loop.close()
        self.null.close()
