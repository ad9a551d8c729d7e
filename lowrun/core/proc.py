"""Processes that are looked at through /proc: who they are, and whose children (proc(5)).

A pid names a process only as long as that has not been reaped. So: open a pidfd, look in /proc, then act through the
pidfd. If another process had the pid when we looked, the pidfd answers ESRCH (pidfd_open(2)).
"""

from __future__ import annotations

from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.procfs import Stat, stat_of
from lowrun.errors import GoneError

__all__ = ["children_of", "is_below", "open_process", "stat_now"]

#: How often a walk up the tree begins again because a parent on the way has just ended.
TRIES = 8


def stat_now(pid: int) -> Stat | None:
    """Return what `pid` is, None when it is nothing (or /proc shows us only our own, hidepid)."""
    try:
        with open(f"/proc/{pid}/stat", errors="surrogateescape") as file:
            return stat_of(file.read())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def children_of(parent: int) -> dict[int, Stat]:
    """Return the children of the single-threaded process `parent` that have not ended, by pid; {} when it is gone."""
    try:
        with open(f"/proc/{parent}/task/{parent}/children") as file:
            pids = [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    found = {pid: stat_now(pid) for pid in pids}
    return {pid: stat for pid, stat in found.items() if stat and stat.parent == parent and stat.state not in "ZX"}


def is_below(pid: int, ancestor: int) -> bool:
    """Return True when `pid` is a descendant of `ancestor`, a subreaper: who loses its parent stays below it."""
    for _ in range(TRIES):
        above: int | None = pid
        while above is not None and above > 1:
            stat = stat_now(above)
            if stat is None and above == pid:
                return False
            above = None if stat is None else stat.parent
            if above == ancestor:
                return True
        if above is not None:
            return False
    return False


def open_process(pid: int) -> OwnedFd:
    """Return a pidfd of `pid`. Raises GoneError, OSError."""
    try:
        return OwnedFd(kernel.pidfd_open(pid))
    except ProcessLookupError as error:
        raise GoneError(f"there is no process {pid}") from error
