"""The keepers of one loop: one for each command under way, used again when it has ended."""

from __future__ import annotations

from pathlib import Path

from lowrun.core.cgroup import writable_cgroup
from lowrun.core.fd import OwnedFd
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
        #: Idle ones that keep a program's listening socket: for that program.
        self._kept: dict[OwnedFd, Keeper] = {}
        #: All that was given out and has not come back.
        self._out: set[Keeper] = set()
        self._cgroup = writable_cgroup()
        self._closed = False

    def take(self, stay: OwnedFd | None = None) -> Keeper:
        """Return an idle keeper, or a new one; the one that has `stay`, if any has. Raises OSError, ClosedError.

        A program that is to outlive lowrun keeps its keeper: that knows each life's end until the next begins.
        """
        if self._closed:
            raise ClosedError("the keepers are closed")
        kept = None if stay is None else self._kept.pop(stay, None)
        idle = self._idle if kept is None else [kept]
        while idle:
            keeper = idle.pop()
            if keeper.usable:
                break
            keeper.close()
        else:
            keeper = Keeper(self._loop, self._cgroup)
        self._out.add(keeper)
        return keeper

    def adopt(self, path: Path) -> Keeper:
        """Return the keeper that waits at the socket `path` (`Keeper.adopt`), for `Process.adopted`."""
        keeper = Keeper.adopt(self._loop, path, self._cgroup)
        self._out.add(keeper)
        return keeper

    def forget(self, stay: OwnedFd) -> None:
        """Take note of the end of the program with `stay`: there will be no respawn. Its socket is closed."""
        keeper = self._kept.pop(stay, None)
        if keeper is not None:
            keeper.forget()
            self.give_back(keeper)
        stay.close()

    def give_back(self, keeper: Keeper) -> None:
        """Take back a keeper; one that is of no more use is closed."""
        self._out.discard(keeper)
        if not keeper.usable or self._closed:
            keeper.close()
        elif keeper.stay is not None:
            self._kept[keeper.stay] = keeper
        else:
            self._idle.append(keeper)

    def dismiss(self, keeper: Keeper) -> None:
        """Let a keeper go on by itself with a tree that it may not kill."""
        self._out.discard(keeper)
        keeper.leave()

    def let_go(self) -> None:
        """Let trees that are to outlive lowrun live on, as if it was killed; all others are closed by `close`."""
        for keeper in [*self._kept.values(), *self._out]:
            if keeper.stay is not None:
                keeper.let_go()

    def close(self) -> None:
        """Close all keepers, those in use with their trees."""
        self._closed = True
        keepers = [*self._idle, *self._kept.values(), *self._out]
        self._idle.clear()
        self._kept.clear()
        self._out.clear()
        for keeper in keepers:
            keeper.leave()
        for keeper in keepers:
            keeper.close()
        if self._cgroup is not None:
            self._cgroup.close()
