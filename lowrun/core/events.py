"""What a keeper tells of its tree: to whom, and what of its usage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from lowrun.core.fd import OwnedFd
from lowrun.errors import SpawnError
from lowrun.values import IoUsage

__all__ = ["Listener", "TreeUsage", "Watcher", "io_usage"]


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """What the keeper knows of a tree's usage when it is gone.

    `user_us`, `sys_us`, `max_rss_kib` are sums (the maximum) over all that wait4 gave it;
    `tree_ns` is the tree's CPU by an inherited counter, 0 when unknown;
    `group_us` user and system CPU by the tree's own cgroup, None without one;
    `last_pid` is the pid given out last in the pid namespace, 0 when unknown: the
    command's own when no process or thread was made since; `io` what all that wait4
    gave it read and wrote, None when it was not asked for or the kernel does not count it.
    """

    user_us: int
    sys_us: int
    max_rss_kib: int
    reaped: int
    tree_ns: int
    group_us: tuple[int, int] | None
    last_pid: int
    io: IoUsage | None = None


class Listener(Protocol):
    """Who is told what becomes of a command."""

    def parked(self, pid: int, sockets: list[OwnedFd]) -> None:
        """The command waits until `Keeper.go`.

        `sockets`: unbound packet sockets of its own network if it was asked for; the listener's from now on.
        """

    def started(self, pid: int, pidfd: OwnedFd, at_ns: int) -> None:
        """It has been executed; the pidfd becomes the listener's. It is closed when no descriptor was left for it."""

    def failed(self, error: SpawnError) -> None:
        """It could not be executed; nothing of it is left."""

    def exited(self, status: int, at_ns: int) -> None:
        """The command itself was reaped (raw wait status)."""

    def reaped(self, pid: int, status: int, at_ns: int) -> None:
        """An orphan of its tree was reaped (raw wait status); with `tell_reaped` only."""

    def leftover(self) -> None:
        """After `exited`, when others of its tree are still there."""

    def ended(self, usage: TreeUsage) -> None:
        """Nothing of its tree is left."""

    def denied(self) -> None:
        """Something in the tree may not be killed; the keeper goes on trying."""

    def lost(self) -> None:
        """The keeper is gone before the tree's end: somebody killed it."""


class Watcher(Protocol):
    """Who is told of the end of a process that is no child (`Keeper.watch`)."""

    def watched(self) -> None:
        """It is followed from now on."""

    def failed(self, error: SpawnError) -> None:
        """It may not be followed; nothing more is told."""

    def ended(self, status: int | None) -> None:
        """It has ended (raw wait status); None: it was lost sight of."""

    def lost(self) -> None:
        """The keeper is gone: somebody killed it."""


def io_usage(io: Any) -> IoUsage:
    """Return a `struct lr_io` as a value."""
    return IoUsage(
        io.read_bytes,
        io.written_bytes,
        io.reads,
        io.writes,
        io.storage_read_bytes,
        io.storage_written_bytes,
        io.cancelled_bytes,
    )
