"""Whose process a pid is, and a hold on it that no reuse of the pid can turn into another's.

A pid is used again when its process was reaped. A pidfd is not: so it is opened first, then /proc/PID is read, and when
the pidfd still has its process after that, what was read was of that process (pidfd_open(2)). A pid and the time its
process started, in clock ticks, name it once and for all. Where a process hangs in the tree is read link by link: a
parent is no younger than its child, and both ends of a link are read twice, since a parent that ends hands on its
children to the next subreaper (PR_SET_CHILD_SUBREAPER(2const)).
"""

from __future__ import annotations

import os

from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.procfs import ProcessStat, process_stat
from lowrun.errors import GoneError

__all__ = ["Held", "children_of", "descends", "hold", "read_stat"]

#: Trees that change while they are read are read again.
TRIES = 100


class Held:
    """A process that is held by its pidfd; `start` is in clock ticks since boot. Whoever has it closes it."""

    __slots__ = ("_pidfd", "is_kernel_thread", "parent", "pid", "start")

    def __init__(self, pid: int, stat: ProcessStat, pidfd: OwnedFd) -> None:
        self.pid, self.parent, self.start = pid, stat.parent, stat.start
        self.is_kernel_thread = stat.is_kernel_thread
        self._pidfd = pidfd

    def fileno(self) -> int:
        """Return the pidfd: it polls readable when the process has ended."""
        return self._pidfd.fileno()

    def send_signal(self, number: int) -> None:
        """Send signal `number` to exactly this process. Raises GoneError, PermissionError."""
        try:
            kernel.pidfd_signal(self._pidfd.fileno(), number)
        except ProcessLookupError as error:
            raise GoneError("the process has ended") from error

    def close(self) -> None:
        """Let go of it; the second time does nothing."""
        self._pidfd.close()

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_stat(pid: int) -> ProcessStat | None:
    """Return who the process `pid` is, None when there is none (or it may not be seen: hidepid, proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            return process_stat(file.read())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def hold(pid: int) -> Held:
    """Return a hold on the process `pid`. Raises GoneError when there is none (a thread's id is none)."""
    try:
        pidfd = OwnedFd(kernel.pidfd_open(pid))
    except OSError as error:
        raise GoneError(f"there is no process {pid}") from error
    stat = read_stat(pid)
    if stat is not None:
        held = Held(pid, stat, pidfd)
        try:
            kernel.pidfd_signal(pidfd.fileno(), 0)
            return held
        except PermissionError:
            return held
        except ProcessLookupError:
            pass
    pidfd.close()
    raise GoneError(f"the process {pid} is gone")


def descends(pid: int, ancestor: int) -> bool:
    """Return True when the process `pid` is a child of `ancestor`, or a child's child, and so on."""
    for _ in range(TRIES):
        answer = _climb(pid, ancestor)
        if answer is not None:
            return answer
    return False


def _climb(pid: int, ancestor: int) -> bool | None:
    """Return what `descends` does, None when the tree has changed on the way."""
    stat = read_stat(pid)
    if stat is None:
        return False
    while stat.parent > 0:  # 0: it came from outside of this pid namespace
        if stat.parent == ancestor:
            return True
        parent, again = read_stat(stat.parent), read_stat(pid)
        if again is None or (again.parent, again.start) != (stat.parent, stat.start):
            return None
        if parent is None or parent.start > stat.start:
            return None
        pid, stat = stat.parent, parent
    return False


def children_of(pid: int) -> list[tuple[int, int]]:
    """Return (pid, start) of the children of the process `pid`, zombies too, in the order they became its children.

    Those of each thread, in the order of threads. A kernel without CONFIG_PROC_CHILDREN makes it look at every process.
    """
    found = []
    for candidate in _candidates(pid):
        stat = read_stat(candidate)
        if stat is not None and stat.parent == pid:
            found.append((candidate, stat.start))
    return found


def _candidates(pid: int) -> list[int]:
    if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    found: list[int] = []
    for thread in _threads(pid):
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []
