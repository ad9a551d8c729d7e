"""Which process is meant, long after somebody wrote down its pid, and what a tree of processes uses.

A pid is given out again; a pid with its start time (field 22 of /proc/PID/stat, clock ticks since boot,
proc_pid_stat(5)) is not, until the next boot. A process whose first thread has called pthread_exit(3) shows as a zombie
that has threads: it lives on.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from typing import NamedTuple

from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.lineage import children_of, read_stat
from lowrun.core.procfs import ProcessStat

__all__ = ["ProcessId", "TreeFigures", "figures_of_tree", "look_at"]


def look_at(pid: int) -> ProcessStat | None:
    """Return what there is to see of a process that has not ended, None when there is none."""
    stat = read_stat(pid)
    return stat if stat is not None and stat.alive else None


class ProcessId(NamedTuple):
    """A process, by its pid and its start time (clock ticks since boot)."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the process that has `pid` now, None when there is none or it has ended (a zombie has)."""
        stat = look_at(pid)
        return None if stat is None else cls(pid, stat.start)

    @property
    def alive(self) -> bool:
        """True while this process, and no other with its pid, has not ended."""
        return ProcessId.of(self.pid) == self

    def await_end(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; False when it has not within `timeout` seconds. Raises OSError."""
        try:
            pidfd = OwnedFd(kernel.pidfd_open(self.pid))
        except ProcessLookupError:
            return True
        with pidfd:
            if not self.alive:  # another has its pid
                return True
            poller = select.poll()
            poller.register(pidfd.fileno(), select.POLLIN)
            return bool(poller.poll(None if timeout is None else timeout * 1000))


class TreeFigures(NamedTuple):
    """What the processes of a tree use now."""

    processes: int
    #: Of those that live, with the children that they have waited for; seconds.
    cpu_s: float
    #: Bytes: each page divided by the number of processes that share it (PSS), or resident ones where that is denied.
    memory: int


def figures_of_tree(roots: Iterable[int], *, without: int | None = None) -> TreeFigures:
    """Return what `roots` and all below them use; `without`, a keeper, is walked through but does not count."""
    ticks = os.sysconf("SC_CLK_TCK")
    seen: set[int] = set()
    waiting = list(roots)
    count, cpu, memory = 0, 0, 0
    while waiting:
        pid = waiting.pop()
        if pid in seen:
            continue
        seen.add(pid)
        stat = look_at(pid)
        if stat is None:
            continue
        waiting += (child for child, _ in children_of(pid))
        if pid != without:
            count += 1
            cpu += stat.cpu_ticks
            memory += _memory(pid, stat)
    return TreeFigures(count, cpu / ticks, memory)


def _memory(pid: int, stat: ProcessStat) -> int:
    """Memory of one process in bytes (proc_pid_smaps_rollup(5); it takes the right to trace the process)."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:  # denied, ended, or not known to this kernel
        pass
    return stat.resident_pages * os.sysconf("SC_PAGE_SIZE")
