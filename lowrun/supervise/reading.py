"""Reading logs that are written and rotated meanwhile: their last lines, and then what comes.

Names are given newest first (`log log.1`). All are opened before any is read, the newest first: a rotation in between
shows a file twice, which its inode number tells, and never hides one. A follower knows its file by the descriptor: when
the name is another file's, it reads to the end of the one it has, then those that are newer. A file that has shrunk was
copied to the second name and truncated.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from lowrun.core.fd import OwnedFd
from lowrun.core.inotify import Watched, watch_entry, watch_file
from lowrun.core.loop import Loop
from lowrun.supervise.state import ProgramState

__all__ = ["Follower", "tail"]

BLOCK = 64 << 10


def _open_all(state: ProgramState, names: Sequence[str], undo: ExitStack) -> list[OwnedFd]:
    """Open those of `names` that there are, each file once; in their order."""
    found: dict[int, OwnedFd] = {}
    for name in names:
        try:
            file = undo.enter_context(state.open(name, os.O_RDONLY | os.O_NONBLOCK))
        except FileNotFoundError:
            continue
        found.setdefault(os.fstat(file.fileno()).st_ino, file)
    return list(found.values())


def _start_of(fd: int, end: int, lines: int) -> tuple[int, int]:
    """Return where the last `lines` lines before `end` begin, and how many there are; the last may have no newline."""
    if lines == 0:
        return end, 0
    missing, position = lines + 1, end
    while position > 0:
        begin = max(0, position - BLOCK)
        block = os.pread(fd, position - begin, begin)
        cut = len(block)
        if position == end and not block.endswith(b"\n"):
            missing -= 1
        while (cut := block.rfind(b"\n", 0, cut)) >= 0:
            missing -= 1
            if missing == 0:
                return begin + cut + 1, lines
        position = begin
    return 0, lines + 1 - missing


def _forward(fd: int, position: int, end: int) -> Iterator[bytes]:
    while position < end and (data := os.pread(fd, min(BLOCK, end - position), position)):
        position += len(data)
        yield data


def _pieces(files: list[OwnedFd], lines: int | None, newest: int) -> Iterator[tuple[OwnedFd, int, int]]:
    """Give (file, from, to) of the last `lines` lines of files, oldest first."""
    found = []
    for file in files:
        size = os.fstat(file.fileno()).st_size
        begin, count = (0, 0) if lines is None else _start_of(file.fileno(), size, lines)
        found.append((file, max(begin, size - newest), size))
        newest -= size
        if lines is not None:
            lines -= count
        if lines == 0 or newest <= 0:
            break
    return reversed(found)


def tail(state: ProgramState, names: Sequence[str], lines: int | None, newest: int = 1 << 62) -> Iterator[bytes]:
    """Give the last `lines` lines (None: all) of the newest `newest` bytes of a log in blocks. Raises OSError."""
    with ExitStack() as undo:
        for file, begin, end in _pieces(_open_all(state, names, undo), lines, newest):
            yield from _forward(file.fileno(), begin, end)


class Follower:
    """Calls `on_data(block)` for the last `lines` lines at once, then for all that is written; until it is closed.

    Raises OSError; DeniedError when nothing can be watched.
    """

    def __init__(
        self,
        loop: Loop,
        state: ProgramState,
        names: Sequence[str],
        lines: int | None,
        on_data: Callable[[bytes], object],
    ) -> None:
        self._loop, self._state, self._names, self._on_data = loop, state, names, on_data
        self._file: OwnedFd | None = None
        self._position = 0
        self._watched: Watched | None = None
        self._entry = watch_entry(loop, f"/proc/self/fd/{state.fileno()}", names[0], self._look)
        try:
            with ExitStack() as undo:
                for file, begin, end in _pieces(_open_all(state, names, undo), lines, 1 << 62):
                    for data in _forward(file.fileno(), begin, end):
                        on_data(data)
                    self._take(file, end)
            self._look()
        except BaseException:
            self.close()
            raise

    def _take(self, file: OwnedFd, position: int) -> None:
        """Go on with a file of its own from now on."""
        self._let_go()
        self._file = OwnedFd(os.dup(file.fileno()))
        self._position = position

    def _let_go(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.close()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _look(self) -> None:
        """Read what there is; without a descriptor for that at the next change."""
        try:
            self._look_now()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise

    def _look_now(self) -> None:
        """Read it, and watch for more. It is watched before it is read to its end: nothing comes unseen."""
        while not self._entry.closed:
            self._watch()
            self._read()
            with ExitStack() as undo:
                newer = self._newer(_open_all(self._state, self._names, undo))
                if not newer:
                    return
                self._read()
                self._take(newer[-1], 0)

    def _newer(self, files: list[OwnedFd]) -> list[OwnedFd]:
        """Files that are newer than ours, newest first; only the newest when ours has no name any more."""
        if self._file is None:
            return files[:1]
        ours = os.fstat(self._file.fileno()).st_ino
        for number, file in enumerate(files):
            if os.fstat(file.fileno()).st_ino == ours:
                return files[:number]
        return files[:1]

    def _watch(self) -> None:
        if self._file is not None and (self._watched is None or self._watched.closed):
            path = f"/proc/self/fd/{self._state.fileno()}/{self._names[0]}"
            try:
                self._watched = watch_file(self._loop, path, self._look)
            except FileNotFoundError:
                self._watched = None

    def _read(self) -> None:
        if self._file is None:
            return
        size = os.fstat(self._file.fileno()).st_size
        if size < self._position:
            self._read_copy()
            self._position = 0
        for data in _forward(self._file.fileno(), self._position, size):
            self._position += len(data)
            self._on_data(data)
            if self._entry.closed:
                return

    def _read_copy(self) -> None:
        """Read on in the copy of a file that was truncated."""
        try:
            with self._state.open(self._names[1], os.O_RDONLY | os.O_NONBLOCK) as copy:
                for data in _forward(copy.fileno(), self._position, os.fstat(copy.fileno()).st_size):
                    self._on_data(data)
        except (FileNotFoundError, IndexError):
            pass

    def close(self) -> None:
        """Follow no more; the second time does nothing."""
        self._entry.close()
        self._let_go()
