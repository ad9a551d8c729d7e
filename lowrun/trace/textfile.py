"""The strace text of a trace's records as a file, made a slice at a time: millions of calls take a while."""

from __future__ import annotations

import contextlib
import io
import itertools
import mmap
import os
import time
from pathlib import Path

from lowrun.core.fd import UnnamedFile
from lowrun.trace.calls import HEADER, let_go_behind
from lowrun.trace.records import read
from lowrun.trace.text import StraceWriter

__all__ = ["TextFile"]

#: Records between two looks at the clock; some milliseconds' worth at most.
BATCH = 256


class TextFile:
    """The text of the file `records` (descriptor), which stays open and unchanged meanwhile.

    `step` until it is true, then `link`; close it (a context manager). The
    file has no name before, and is in `directory`'s file system. Raises OSError.
    """

    def __init__(self, records: int, directory: Path) -> None:
        #: There is no record to make text of.
        self.empty = os.fstat(records).st_size <= HEADER.size
        self._whole = self.empty
        with contextlib.ExitStack() as stack:
            self._file = stack.enter_context(UnnamedFile(directory))
            if not self.empty:
                mapped = stack.enter_context(mmap.mmap(records, 0, prot=mmap.PROT_READ))
                data = stack.enter_context(memoryview(mapped))
                view = stack.enter_context(data[HEADER.size :])
                self._records = let_go_behind(read(view), mapped)
                stack.callback(self._forget)
                self._out = io.BufferedWriter(io.FileIO(self._file.fileno(), "wb", closefd=False), 1 << 16)
                self._writer = StraceWriter(self._out)
            self._stack = stack.pop_all()

    def step(self, seconds: float) -> bool:
        """Go on for some time; tell whether the text is whole. Raises OSError."""
        until = time.monotonic() + seconds
        while not self._whole and time.monotonic() < until:
            batch = list(itertools.islice(self._records, BATCH))
            self._writer.add(batch)
            if len(batch) < BATCH:
                self._writer.close()
                self._out.flush()
                self._whole = True
        return self._whole

    def _forget(self) -> None:
        """Let go of the mapped file, which cannot be closed while it is read."""
        self._records = iter(())

    def link(self, path: Path) -> None:
        """Name the file. Raises OSError."""
        self._file.link(path)

    def close(self) -> None:
        """Forget it; what was linked stays."""
        self._stack.close()

    def __enter__(self) -> TextFile:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
