"""--json FILE, --html FILE: opened before the work begins, named when it is done.

A FILE that cannot be written is refused before anything has been done. Until the
end it has no name (O_TMPFILE, open(2)), so a killed lowrun leaves nothing and
a reader sees the former FILE or the whole new one. What is no regular file (a
FIFO, /dev/stderr) is written as it is.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from lowrun import UnnamedFile, UsageError
from lowrun.cli.console import STDOUT, write

__all__ = ["JsonFile"]


class JsonFile:
    """Where the text goes that `option` names a file for; raises UsageError when it cannot go there."""

    def __init__(self, name: str, option: str = "--json") -> None:
        self._name = f"{option} {name}"
        self._path = Path(os.path.realpath(name))
        self._file: UnnamedFile | None = None
        self._fd = STDOUT
        if name == "-":
            return
        try:
            self._open()
        except OSError as error:
            raise UsageError(f"{self._name}: {error.strerror}") from None

    def _open(self) -> None:
        kind = stat.S_IFMT(os.stat(self._path).st_mode) if os.path.exists(self._path) else stat.S_IFREG
        if kind == stat.S_IFREG:
            if os.path.exists(self._path):
                os.close(os.open(self._path, os.O_WRONLY | os.O_CLOEXEC))
            self._file = UnnamedFile(_writable(self._path.parent))
        else:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, text: str) -> None:
        """Write it whole; call it once. Raises OSError (ENOSPC...) that names the file."""
        try:
            self._write(text)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name) from error

    def _write(self, text: str) -> None:
        if self._file is None:
            write(self._fd, text)
            return
        file = self._file
        with file:
            view = memoryview(text.encode())
            while view:
                view = view[os.write(file.fileno(), view) :]
            beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            file.link(beside)
            try:
                os.rename(beside, self._path)
            except OSError:
                os.unlink(beside)
                raise


def _writable(directory: Path) -> Path:
    """Return `directory`. Raises OSError where no file can be made in it."""
    os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))
    return directory
