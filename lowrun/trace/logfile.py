"""A log of system calls as chunks of text, whatever it is kept as.

strace's text or lowrun's is passed on as it is; lowrun's records (calls.records) are made text, a slice at a time;
either may be compressed (gzip, xz, bzip2). What it is, its first bytes say, not its name.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

from lowrun.core.fd import OwnedFd
from lowrun.errors import ProtocolError, UsageError
from lowrun.trace.calls import HEADER as FILE_HEADER
from lowrun.trace.calls import MAGIC, header_size
from lowrun.trace.records import HEADER as RECORD_HEADER

__all__ = ["LogText", "open_log"]

#: Bytes read at a time.
CHUNK = 1 << 20
#: Of records, of which some times as much text is made.
SLICE = 1 << 16
PEEKED = 64


class _Input(io.RawIOBase):
    """A descriptor, and what was read of it already."""

    def __init__(self, fd: OwnedFd) -> None:
        self._fd = fd
        self._before = b""
        #: Bytes read so far.
        self.position = 0

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        """Return the first bytes, fewer than `size` only if there are no more."""
        while len(self._before) < size and (data := os.read(self._fd.fileno(), size - len(self._before))):
            self._before += data
        return self._before

    def readinto(self, buffer: Any) -> int:
        if self._before:
            taken = self._before[: len(buffer)]
            self._before = self._before[len(taken) :]
            buffer[: len(taken)] = taken
        else:
            taken_size = os.readv(self._fd.fileno(), [buffer])
            self.position += taken_size
            return taken_size
        self.position += len(taken)
        return len(taken)


def _decompressed(file: BinaryIO, first: bytes) -> BinaryIO | None:
    """Return what decompresses `file`, which begins with `first`; None when it is not compressed."""
    if first.startswith(b"\x1f\x8b"):
        import gzip

        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if first.startswith(b"\xfd7zXZ\0"):
        import lzma

        return lzma.LZMAFile(file)  # type: ignore[return-value]
    if first.startswith(b"BZh"):
        import bz2

        return bz2.BZ2File(file)  # type: ignore[return-value]
    return None


class _Sink:
    """What StraceWriter writes to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes, /) -> None:
        self._parts.append(data)

    def take(self) -> bytes:
        """Return what was written since."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _whole(data: bytearray) -> tuple[int, bool]:
    """Return how many bytes of `data` are whole records, and whether more may follow."""
    at, end = 0, len(data)
    while at + RECORD_HEADER.size <= end:
        size = RECORD_HEADER.unpack_from(data, at)[0]
        if size < RECORD_HEADER.size or size & 7:
            return at, False
        if at + size > end:
            break
        at += size
    return at, True


def _text_of_records(file: BinaryIO) -> Iterator[bytes]:
    from lowrun.trace.text import StraceWriter

    rest = header_size(file.read(FILE_HEADER.size)) - FILE_HEADER.size
    while rest and (skipped := file.read(min(rest, SLICE))):
        rest -= len(skipped)
    if rest:
        raise ProtocolError("the header of lowrun's records is cut short")
    waiting = bytearray()
    sink = _Sink()
    writer = StraceWriter(sink)
    more = True
    while more and (data := file.read(SLICE)):
        waiting += data
        size, more = _whole(waiting)
        writer.feed(bytes(waiting[:size]))
        del waiting[:size]
        yield sink.take()
    writer.close()
    yield sink.take()


class LogText:
    """The text of a log, in chunks: an iterator; close it (a context manager).

    Iterating raises OSError, and ProtocolError where the file is damaged or this lowrun cannot read it.
    """

    def __init__(self, fd: OwnedFd, name: str) -> None:
        self._fd = fd
        self.name = name
        self._status = os.fstat(fd.fileno())
        #: Bytes of the file; None where that is not known (a pipe).
        self.size = self._status.st_size if stat.S_ISREG(self._status.st_mode) else None
        self._input = _Input(fd)
        self._chunks = self._read()

    @property
    def position(self) -> int:
        """How many of these bytes have been read."""
        return self._input.position

    def is_file(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether it is the file `path`, by whatever name it was opened; a pipe is none."""
        try:
            return self.size is not None and os.path.samestat(self._status, os.stat(path))
        except OSError:
            return False

    def _read(self) -> Iterator[bytes]:
        try:
            first = self._input.peek(PEEKED)
            file: BinaryIO = io.BufferedReader(self._input, CHUNK)
            inner = _decompressed(file, first)
            if inner is not None:
                file = io.BufferedReader(inner, CHUNK)  # type: ignore[type-var]
                first = file.peek(PEEKED)
            if first.startswith(MAGIC):
                yield from _text_of_records(file)
                return
            while data := file.read1(CHUNK):  # type: ignore[attr-defined]
                yield data
        except ProtocolError as error:
            raise ProtocolError(f"{self.name}: {error}") from None
        except (EOFError, ValueError) as error:
            raise ProtocolError(f"{self.name}: is damaged: {error}") from None
        except Exception as error:
            # zlib.error and lzma.LZMAError, whose modules are not imported for their sake; bz2's OSErrors have no errno
            if type(error).__module__ in ("zlib", "_lzma", "lzma") or (isinstance(error, OSError) and not error.errno):
                raise ProtocolError(f"{self.name}: is damaged: {error}") from None
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        """Close the file; the second time does nothing."""
        with contextlib.suppress(ValueError):  # it is being read, by another thread
            self._chunks.close()  # type: ignore[attr-defined]
        self._fd.close()

    def __enter__(self) -> LogText:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def open_log(path: str | os.PathLike[str]) -> LogText:
    """Open the log `path`; "-" is standard input. Raises UsageError when it cannot be opened."""
    name = os.fspath(path)
    try:
        fd = os.dup(0) if name == "-" else os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    owned = OwnedFd(fd)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        owned.close()
        raise UsageError(f"{name}: is a directory")
    return LogText(owned, "standard input" if name == "-" else name)
