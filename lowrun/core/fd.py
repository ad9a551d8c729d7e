"""Descriptors that are owned, and files that have no name until they are kept.

A descriptor's number is forgotten before it is closed: a number that is
closed can be another file's at once. An unnamed file (O_TMPFILE, open(2)) is
named by linkat(2) through /proc/self/fd, so it appears whole or not at all
and a killed owner leaves nothing.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from lowrun.errors import ClosedError

__all__ = ["Closable", "OwnedFd", "UnnamedFile", "nearest_directory", "write_whole"]

Owned = TypeVar("Owned", bound="OwnedFd")


class Closable(Protocol):
    """What is closed with its keeper."""

    def close(self) -> None:
        """Let go of it; the second time does nothing."""


class OwnedFd:
    """One descriptor; `close()` can be called twice, `release()` gives it away."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """Return the number. Raises ClosedError after `close` or `release`."""
        if self._fd < 0:
            raise ClosedError("the descriptor is closed")
        return self._fd

    @property
    def closed(self) -> bool:
        """True after `close` or `release`."""
        return self._fd < 0

    def release(self) -> int:
        """Give the number away: the caller closes it from now on."""
        fd, self._fd = self.fileno(), -1
        return fd

    def close(self) -> None:
        """Close it; the second time does nothing."""
        fd, self._fd = getattr(self, "_fd", -1), -1  # -1, too, when __init__ was interrupted
        if fd >= 0:
            os.close(fd)

    def __enter__(self: Owned) -> Owned:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class UnnamedFile(OwnedFd):
    """A file in `directory` that has no name until `link` gives it one.

    Raises OSError where neither O_TMPFILE nor a memfd can be had. On a file
    system without O_TMPFILE (overlay on old kernels, NFS) it is a memfd and
    `link` copies it.
    """

    __slots__ = ("_linkable",)

    def __init__(self, directory: Path) -> None:
        super().__init__(-1)
        self._linkable = True
        try:
            self._fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
                raise
            self._linkable = False
            self._fd = os.memfd_create("lowrun-scratch")

    def link(self, path: Path) -> None:
        """Name the file `path`, which must not exist. Raises OSError (EEXIST, ENOSPC...)."""
        if self._linkable:
            # Given a directory descriptor (that an absolute path makes no use of) Python calls linkat,
            # which can follow the symbolic link in /proc; else link, which never does.
            os.link(f"/proc/self/fd/{self.fileno()}", path, src_dir_fd=self.fileno(), follow_symlinks=True)
        else:
            self._copy(path)

    def replace(self, path: Path) -> None:
        """Name the file `path`, whatever has that name until then. Raises OSError (ENOSPC, EACCES...)."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        self.link(beside)
        try:
            os.rename(beside, path)
        except OSError:
            os.unlink(beside)
            raise

    def _copy(self, path: Path) -> None:
        """Copy under a name that nobody looks for, then rename: whole or not at all."""
        part = path.with_name(f".{path.name}.part")
        target = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            with OwnedFd(target):
                offset, size = 0, os.fstat(self.fileno()).st_size
                while offset < size and (sent := os.sendfile(target, self.fileno(), offset, size - offset)):
                    offset += sent
            os.link(part, path)
        finally:
            os.unlink(part)


def nearest_directory(path: Path) -> Path:
    """Return the nearest existing directory at or above `path`."""
    path = path.absolute()
    while not os.path.isdir(path):
        path = path.parent
    return path


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data`. Raises OSError (ENOSPC, EPIPE...)."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_whole(path: Path, data: bytes) -> None:
    """Write a new file that appears whole or not at all. Raises OSError."""
    with UnnamedFile(path.parent) as file:
        write_all(file.fileno(), data)
        file.link(path)
