"""What each thread's descriptors are: `</etc/hosts>` after a descriptor's number.

The tracer says what a descriptor is when it comes to be and when it becomes
something else (a PATH record, before the record of the call that prints it).
Here that knowledge is kept for the descriptor's life: passed on as clone(2)
shares or copies it, and dropped at close. A descriptor counts as closed from
close's entry on: by its exit another thread may have been given the number.
"""

from __future__ import annotations

from collections.abc import Callable

from lowrun.trace.naming import name_text

__all__ = ["Descriptors"]

AT_FDCWD = -100

CLONE_FS = 0x200
CLONE_FILES = 0x400
CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000
CLOSE_RANGE_UNSHARE = 2
CLOSE_RANGE_CLOEXEC = 4


class Descriptors:
    """The tables of all threads, by thread number; threads that share descriptors have the same one."""

    __slots__ = ("_directories", "_tables")

    def __init__(self) -> None:
        self._tables: dict[int, dict[int, str]] = {}
        #: The working directory, in a list that those who share it share.
        self._directories: dict[int, list[str]] = {}

    def of(self, tid: int, tgid: int) -> dict[int, str]:
        """Return the table of a thread: descriptor -> `<...>` (AT_FDCWD: its working directory)."""
        table = self._tables.get(tid)
        if table is None:
            table = self._tables[tid] = self._tables.get(tgid, {})
            self._directories[tid] = self._directories.get(tgid, [""])
        table[AT_FDCWD] = self._directories[tid][0]
        return table

    def name(self, tid: int, tgid: int, fd: int, name: str) -> None:
        """Say what a descriptor is, as `<...>`; empty: it is closed."""
        table = self.of(tid, tgid)
        if fd == AT_FDCWD:
            self._directories[tid][0] = name
        elif name:
            table[fd] = name
        else:
            table.pop(fd, None)

    def record(self, tid: int, tgid: int, fd: int, kind: int, text: bytes, number: int) -> None:
        """Take what a PATH record says."""
        self.name(tid, tgid, fd, name_text(kind, text, number))

    def fork(self, tid: int, tgid: int, child: int, flags: int) -> None:
        """A thread made `child` by clone with `flags` (0: fork)."""
        if child not in self._tables:
            table, directory = self.of(tid, tgid), self._directories[tid]
            self._tables[child] = table if flags & CLONE_FILES else dict(table)
            self._directories[child] = directory if flags & CLONE_FS else list(directory)

    def unshare(self, tid: int, tgid: int, flags: int) -> None:
        """From here on a thread's descriptors (CLONE_FILES), its working directory (CLONE_FS) or both are its own."""
        table = self.of(tid, tgid)
        if flags & CLONE_FILES:
            self._tables[tid] = dict(table)
        if flags & (CLONE_FS | CLONE_NEWNS | CLONE_NEWUSER):
            self._directories[tid] = list(self._directories[tid])

    def execute(self, former: int, tid: int, tgid: int) -> None:
        """The thread `former` executed a program and is `tid` now; what was closed by that is said by records."""
        self.of(former, tgid)
        self._tables[tid] = dict(self._tables[former])
        self._directories[tid] = self._directories[former]
        if former != tid:
            self.end(former)

    def close(self, tid: int, tgid: int, first: int, last: int) -> None:
        """Descriptors `first` to `last` are closed."""
        table = self.of(tid, tgid)
        if first == last:
            table.pop(first, None)
        else:
            for fd in [fd for fd in table if first <= fd <= last]:
                del table[fd]

    def end(self, tid: int) -> None:
        """The thread is gone."""
        self._tables.pop(tid, None)
        self._directories.pop(tid, None)

    # -- what calls do, beside that which the tracer says

    def entered(self, name: str, tid: int, tgid: int, arguments: tuple[int, ...]) -> None:
        """The thread has entered a call, and the names that the entry prints are printed."""
        effect = _AT_ENTRY.get(name)
        if effect is not None:
            effect(self, tid, tgid, arguments)

    def left(self, name: str, tid: int, tgid: int, arguments: tuple[int, ...]) -> None:
        """The thread has left a call that succeeded."""
        if name == "unshare":
            self.unshare(tid, tgid, arguments[0])


def _close(table: Descriptors, tid: int, tgid: int, arguments: tuple[int, ...]) -> None:
    fd = arguments[0] & 0xFFFFFFFF
    table.close(tid, tgid, fd, fd)


def _close_range(table: Descriptors, tid: int, tgid: int, arguments: tuple[int, ...]) -> None:
    first, last, flags = arguments[:3]
    if flags & CLOSE_RANGE_UNSHARE:
        table.unshare(tid, tgid, CLONE_FILES)
    if not flags & CLOSE_RANGE_CLOEXEC:
        table.close(tid, tgid, first & 0xFFFFFFFF, last & 0xFFFFFFFF)


_AT_ENTRY: dict[str, Callable[[Descriptors, int, int, tuple[int, ...]], None]] = {
    "close": _close, "close_range": _close_range,
}  # fmt: skip
