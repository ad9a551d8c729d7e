"""A file that a user asked for by name: opened before the work, named after it.

A name that cannot be written is refused before anything is done. Until the end the file has no name (O_TMPFILE,
open(2)), so a killed lowrun leaves nothing and a reader sees the former file or the whole new one. What is no regular
file (a FIFO, /dev/stderr) is written as it is, and "-" is standard output.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from lowrun import UnnamedFile, UsageError
from lowrun.cli.console import STDOUT, Stream

__all__ = ["OutFile"]


class OutFile:
    """Where the bytes go; `label` names it in errors. Raises UsageError when they cannot go there."""

    def __init__(self, name: str, label: str) -> None:
        self._label = label
        self._path = Path(os.path.realpath(name))
        self._file: UnnamedFile | None = None
        self._opened = -1
        self._fd = STDOUT
        if name != "-":
            try:
                self._fd = self._open()
            except OSError as error:
                raise UsageError(f"{label}: {error.strerror}") from None
        self._stream = Stream(self._fd)

    def _open(self) -> int:
        kind = stat.S_IFMT(os.stat(self._path).st_mode) if os.path.exists(self._path) else stat.S_IFREG
        if kind != stat.S_IFREG:
            self._opened = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            return self._opened
        if os.path.exists(self._path):
            os.close(os.open(self._path, os.O_WRONLY | os.O_CLOEXEC))
        self._file = UnnamedFile(_writable(self._path.parent))
        return self._file.fileno()

    def fileno(self) -> int:
        """Return the descriptor that it is written to."""
        return self._fd

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises OSError (ENOSPC...) that names the file, BrokenPipeError."""
        try:
            self._stream.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._label) from error

    def keep(self) -> None:
        """Give the file its name, all being written. Raises OSError that names the file."""
        if self._file is None:
            return
        try:
            self._file.replace(self._path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._label) from error

    def close(self) -> None:
        """Let go of it; what was not kept was never there."""
        if self._file is not None:
            self._file.close()
        if self._opened >= 0:
            os.close(self._opened)
            self._opened = -1

    def __enter__(self) -> OutFile:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _writable(directory: Path) -> Path:
    """Return `directory`. Raises OSError where no file can be made in it."""
    os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))
    return directory
