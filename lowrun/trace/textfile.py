"""The strace text of a trace's records as a file, made a slice at a time: millions of calls take a while."""

from __future__ import annotations

import contextlib
import io
import itertools
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

from lowrun.core.fd import UnnamedFile
from lowrun.core.tape import Tape, copy_range, lines_behind
from lowrun.trace.calls import let_go_behind
from lowrun.trace.records import Record, read
from lowrun.trace.text import StraceWriter

__all__ = ["TextFile"]

#: Records between two looks at the clock; some milliseconds' worth at most.
BATCH = 256


class _Gate:
    """Passes text on to the file `fd` from when it is opened on."""

    def __init__(self, fd: int) -> None:
        self.is_open = True
        self._out = io.BufferedWriter(io.FileIO(fd, "wb", closefd=False), 1 << 16)
        self.flush = self._out.flush

    def write(self, data: bytes, /) -> None:
        """Write it, or not. Raises OSError."""
        if self.is_open:
            self._out.write(data)


class TextFile:
    """The text of the records of a tape, which stays open and unchanged meanwhile.

    `step` until it is true, then `link`; close it (a context manager). The file has no name before, and is in
    `directory`'s file system. Lines begin with the records of `since_ns` (nanoseconds since 1970), and what was there
    before, descriptors and calls under way, is known then. Raises OSError.
    """

    def __init__(self, records: Tape, directory: Path, since_ns: int = 0) -> None:
        parts = records.parts
        #: There is no record to make text of.
        self.empty = not parts
        self._whole = self.empty
        self._since_ns, self._directory = since_ns, directory
        with contextlib.ExitStack() as stack:
            self._file = stack.enter_context(UnnamedFile(directory))
            self._out = _Gate(self._file.fileno())
            self._out.is_open = not since_ns
            self._writer = StraceWriter(self._out)
            self._records: Iterator[Record] = itertools.chain.from_iterable(
                [self._read(part.fileno(), records.head, stack) for part in parts]
            )
            stack.callback(self._forget)
            self._stack = stack.pop_all()

    @staticmethod
    def _read(fd: int, head: int, stack: contextlib.ExitStack) -> Iterator[Record]:
        mapped = stack.enter_context(mmap.mmap(fd, 0, prot=mmap.PROT_READ))
        view = stack.enter_context(stack.enter_context(memoryview(mapped))[head:])
        return let_go_behind(read(view), mapped)

    def step(self, seconds: float) -> bool:
        """Go on for some time; tell whether the text is whole. Raises OSError."""
        until = time.monotonic() + seconds
        while not self._whole and time.monotonic() < until:
            batch = list(itertools.islice(self._records, BATCH))
            if self._out.is_open:
                self._writer.add(batch)
            else:
                self._look_for_begin(batch)
            if len(batch) < BATCH:
                self._writer.close()
                self._out.flush()
                self._whole = True
        return self._whole

    def _look_for_begin(self, batch: list[Record]) -> None:
        before = list(itertools.takewhile(lambda record: record.time_ns < self._since_ns, batch))
        self._writer.add(before)
        if len(before) < len(batch):
            self._writer.begin_line()
            self._out.is_open = True
            self._writer.add(batch[len(before) :])

    def _forget(self) -> None:
        """Let go of the mapped file, which cannot be closed while it is read."""
        self._records = iter(())

    def link(self, path: Path, size: int | None = None) -> None:
        """Name the file, or one of its last lines: as many as `size` bytes hold. Raises OSError."""
        fd = self._file.fileno()
        length = os.fstat(fd).st_size
        if size is None or length <= size:
            self._file.link(path)
            return
        with UnnamedFile(self._directory) as end:
            copy_range(fd, end.fileno(), lines_behind(fd, length - size), length)
            end.link(path)

    def close(self) -> None:
        """Forget it; what was linked stays."""
        self._stack.close()

    def __enter__(self) -> TextFile:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
