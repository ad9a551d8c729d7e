"""What each process's descriptors are: `</etc/hosts>` after a descriptor's number.

The tracer says what a descriptor is once (a PATH record, before the record of
the call that needs it); here that knowledge is kept for the descriptor's life,
passed on at fork (a copy; with CLONE_FILES the same table) and at dup, and
dropped at close. What an exec closes is not known here: such an entry stays
until its number is used again.
"""

from __future__ import annotations

from lowrun.trace.quoting import bare

__all__ = ["Descriptors"]

CLONE_FILES, CLONE_FS = 0x400, 0x200
CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC = 2, 4
AT_FDCWD = -100


class Descriptors:
    """The tables of all processes, by process number."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        self._tables: dict[int, dict[int, str]] = {}

    def of(self, tgid: int) -> dict[int, str]:
        """Return the table of a process: descriptor -> `<...>` (-100: its working directory)."""
        table = self._tables.get(tgid)
        if table is None:
            table = self._tables[tgid] = {}
        return table

    def name(self, tgid: int, fd: int, text: bytes) -> None:
        """Say what a descriptor is; empty: it is closed. Text that is already in strace's form is kept."""
        if text:
            self.of(tgid)[fd] = f"<{bare(text)}>"
        else:
            self.of(tgid).pop(fd, None)

    def fork(self, parent: int, child: int, flags: int) -> None:
        """A process made another one by clone with `flags` (0: fork)."""
        if child not in self._tables:
            table = self.of(parent)
            self._tables[child] = table if flags & CLONE_FILES else dict(table)

    def duplicate(self, tgid: int, old: int, new: int) -> None:
        """`new` is what `old` is."""
        table = self.of(tgid)
        if old in table:
            table[new] = table[old]
        else:
            table.pop(new, None)

    def close(self, tgid: int, first: int, last: int) -> None:
        """Descriptors `first` to `last` are closed."""
        table = self.of(tgid)
        if first == last:
            table.pop(first, None)
        else:
            for fd in [fd for fd in table if first <= fd <= last]:
                del table[fd]

    def end(self, tgid: int) -> None:
        """The process is gone."""
        self._tables.pop(tgid, None)
