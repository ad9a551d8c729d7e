"""What a recorder writes to: a file without a name, or two in turns, where only the last of it matters.

    older   head | .................. |      emptied down to its head when the newer one is full,
    newer   head | ..........               and written to from then on

So there are always the last `size` bytes, and never more than twice as many, however long it goes on. What stands in
the head stands in both, so that each can be read by itself.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from lowrun.core.fd import UnnamedFile, write_all

__all__ = ["Tape", "copy_range", "lines_behind"]


def lines_behind(fd: int, start: int) -> int:
    """Return where the first line that begins at `start` or behind it begins in the file `fd`. Raises OSError."""
    at = max(0, start - 1)
    while start > 0 and (data := os.pread(fd, 1 << 16, at)):
        found = data.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(data)
    return at


def copy_range(source: int, target: int, start: int, end: int) -> None:
    """Append bytes `start` to `end` of the file `source` to the file `target`, at its offset. Raises OSError."""
    while start < end and (sent := os.sendfile(target, source, start, end - start)):
        start += sent


class Tape:
    """See the module; `directory` is where it can be named. With `size` None there is one file, of any length.

    Raises OSError. Close it (a context manager).
    """

    def __init__(self, directory: Path, head: bytes = b"", size: int | None = None) -> None:
        self.head, self.size = len(head), size
        self._directory = directory
        with ExitStack() as stack:
            #: The one that is written to comes first.
            self._files = [stack.enter_context(UnnamedFile(directory)) for _ in range(1 if size is None else 2)]
            for file in self._files:
                write_all(file.fileno(), head)
            self._stack = stack.pop_all()

    @property
    def newer(self) -> UnnamedFile:
        """The file that is written to."""
        return self._files[0]

    def fileno(self) -> int:
        """Return the descriptor of the file that is written to."""
        return self.newer.fileno()

    @property
    def spare(self) -> int:
        """The descriptor of the file whose turn is next; of a tape with a size."""
        return self._files[-1].fileno()

    @property
    def room(self) -> int:
        """How many bytes the newer file takes before it is the other one's turn; of a tape with a size."""
        assert self.size is not None
        return max(0, self.size + self.head - os.fstat(self.fileno()).st_size)

    def turn(self) -> None:
        """Empty the older file, which is the newer one from now on. Raises OSError."""
        os.ftruncate(self.spare, self.head)
        os.lseek(self.spare, self.head, os.SEEK_SET)
        self._files.reverse()

    def turned_to(self, fd: int) -> None:
        """Take note that the file of descriptor `fd` is the newer one: who writes there has turned by himself."""
        if fd == self.spare:
            self._files.reverse()

    @property
    def parts(self) -> list[UnnamedFile]:
        """The files that have something behind their heads, the older one first."""
        return [file for file in reversed(self._files) if os.fstat(file.fileno()).st_size > self.head]

    def tail(self, count: int | None = None) -> UnnamedFile:
        """Return a new file: the head, and behind it the last `count` bytes of all the rest (None: all).

        Raises OSError.
        """
        sizes = [os.fstat(file.fileno()).st_size - self.head for file in self.parts]
        skip = 0 if count is None else max(0, sum(sizes) - count)
        with ExitStack() as undo:
            joined = undo.enter_context(UnnamedFile(self._directory))
            copy_range(self.fileno(), joined.fileno(), 0, self.head)
            for file, size in zip(self.parts, sizes, strict=True):
                passed = min(skip, size)
                copy_range(file.fileno(), joined.fileno(), self.head + passed, self.head + size)
                skip -= passed
            undo.pop_all()
        return joined

    def close(self) -> None:
        """Forget all that has no name."""
        self._stack.close()

    def __enter__(self) -> Tape:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
