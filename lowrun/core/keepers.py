"""The keepers of one loop: one for each command under way, used again when it has ended."""

from __future__ import annotations

from lowrun.core.cgroup import writable_cgroup
from lowrun.core.keeper import Keeper
from lowrun.core.loop import Loop
from lowrun.errors import ClosedError

__all__ = ["Keepers"]


class Keepers:
    """The keepers of one loop: an idle one is used again, as the next run's.

    In a writable cgroup v2 each keeper makes its tree a cgroup of its own.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._idle: list[Keeper] = []
        #: All that was given out and has not come back.
        self._out: set[Keeper] = set()
        self._cgroup = writable_cgroup()
        self._closed = False

    def take(self) -> Keeper:
        """Return an idle keeper, or a new one. Raises OSError, ClosedError."""
        if self._closed:
            raise ClosedError("the keepers are closed")
        while self._idle:
            keeper = self._idle.pop()
            if keeper.usable:
                break
            keeper.close()
        else:
            keeper = Keeper(self._loop, self._cgroup)
        self._out.add(keeper)
        return keeper

    def give_back(self, keeper: Keeper) -> None:
        """Take back a keeper; one that is of no more use is closed."""
        self._out.discard(keeper)
        if keeper.usable and not self._closed:
            self._idle.append(keeper)
        else:
            keeper.close()

    def dismiss(self, keeper: Keeper) -> None:
        """Let a keeper go on by itself with a tree that it may not kill."""
        self._out.discard(keeper)
        keeper.leave()

    def close(self) -> None:
        """Close all keepers, those in use with their trees."""
        self._closed = True
        keepers = [*self._idle, *self._out]
        self._idle.clear()
        self._out.clear()
        for keeper in keepers:
            keeper.leave()
        for keeper in keepers:
            keeper.close()
        if self._cgroup is not None:
            self._cgroup.close()
