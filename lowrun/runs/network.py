"""A run's network of its own, from the parked command to the end of its tree.

parked -> [pasta is ready] -> recorders bind their sockets -> seized -> exec ... -> recorders stop -> pasta ends
"""

from __future__ import annotations

from collections.abc import Callable

from lowrun.core.fd import OwnedFd
from lowrun.core.keepers import Keepers
from lowrun.core.loop import Loop
from lowrun.errors import DeniedError, LowrunError, SpawnError
from lowrun.packets.namespaces import STEPS, explain
from lowrun.packets.pasta import Pasta, lookup_fault
from lowrun.runs.recorder import RunInfo

__all__ = ["OwnNetwork", "explained"]


def explained(error: SpawnError) -> LowrunError:
    """Return what keeps a command from its exec, in words for its user."""
    return DeniedError(error.errno, explain(error)) if error.step in STEPS else error


class OwnNetwork:
    """The network of one run that asked for one; of any other, nothing."""

    def __init__(self, info: RunInfo, loop: Loop, keepers: Keepers) -> None:
        self._info, self._loop, self._keepers = info, loop, keepers
        self._pasta: Pasta | None = None

    @property
    def wanted(self) -> bool:
        """True when a recorder has asked for it."""
        return bool(self._info.networkers)

    def furnish(self, pid: int, sockets: list[OwnedFd], done: Callable[[], None]) -> None:
        """Call `done()` when all is configured for the parked command `pid` and the recorders have their sockets."""
        from shutil import which

        def ready(fault: str | None) -> None:
            if fault is not None:
                self._info.fault(fault)
            self._hand_out(sockets)
            done()

        if not self.wanted:
            done()
        elif which("pasta") is None:
            ready(None)
        else:
            self._begin_pasta(pid, ready)

    def _begin_pasta(self, pid: int, ready: Callable[[str | None], None]) -> None:
        try:
            self._pasta = Pasta(self._loop, self._keepers, pid, lambda fault: ready(fault or lookup_fault()))
        except OSError as error:
            ready(f"COMMAND has no way out of its own network: pasta: {error}")

    def _hand_out(self, sockets: list[OwnedFd]) -> None:
        for callback in self._info.networkers:
            try:
                callback(sockets)
            except Exception as error:
                self._info.fault(str(error))

    def leave(self, done: Callable[[], None]) -> None:
        """The recorders have stopped: call `done()` when nothing of its network is left."""
        if self._pasta is None:
            done()
        else:
            self._pasta.stop(done)

    def close(self) -> None:
        """End what is left at once."""
        if self._pasta is not None:
            self._pasta.close()
