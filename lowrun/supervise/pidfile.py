"""A daemon's pidfile: awaited without polling, read safely, and never believed about a stranger.

    no directory ---its nearest parent tells---> no file ---the directory tells---> file ---on_pid---> believed
                                                    ^                                |  ^                 |
                                                    +------ replaced, removed -------+--+--- written -----+

The directory is watched until the pid was believed, then the file alone: an idle daemon costs no wake-up, whatever else
happens in /run. What the file held before this life is stale, and stays so until it is written anew. A file may be
written late, created empty and filled, or replaced by rename (inotify(7)); a parent directory that is renamed while it
is awaited is not noticed. Its pid is checked against the tree (`check`), so a forged file can at most name another
process of the same program; that makes a check of its owner needless.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from lowrun.core.fd import OwnedFd
from lowrun.core.inotify import Watched, watch_entry, watch_file
from lowrun.core.lineage import Held, descends, hold
from lowrun.core.loop import Loop
from lowrun.errors import GoneError, LowrunError, explain

__all__ = ["NotOursError", "PidFile", "check", "parse_pid"]

#: Bytes; what daemons write fits many times, PostgreSQL's postmaster.pid of eight lines included.
MAX_SIZE = 4096
#: Digits of the longest pid a file may hold, leading zeros included.
MAX_DIGITS = 20
PID_MAX = "/proc/sys/kernel/pid_max"


class NotOursError(LowrunError):
    """A pid names no process of the program's tree; the message says what it names."""


def parse_pid(content: bytes) -> int:
    """Return the number on the first line of a pidfile; blanks around it do not matter. Raises ValueError."""
    word = content.partition(b"\n")[0].strip(b" \t\r")
    if not word.isdigit() or len(word) > MAX_DIGITS:
        raise ValueError(f"it holds no pid: {content[:40]!r}")
    return int(word)


def check(pid: int, keeper_pid: int) -> Held:
    """Return a hold on the process `pid`, which is one of the tree below the keeper.

    Raises NotOursError when `pid` can be no process, is lowrun itself, the keeper, or a stranger, GoneError when
    there is no such process. The pidfd comes first, so that a pid that is used again is a stranger's.
    """
    if pid <= 1:
        raise NotOursError(f"{pid} is no program's pid")
    with open(PID_MAX) as file:
        limit = int(file.read())
    if pid > limit:
        raise NotOursError(f"{pid} is beyond the largest pid, {limit}")
    if pid == os.getpid():
        raise NotOursError(f"{pid} is lowrun itself")
    if pid == keeper_pid:
        raise NotOursError(f"{pid} is the program's keeper")
    held = hold(pid)
    if descends(pid, keeper_pid):
        try:
            held.send_signal(0)
            return held
        except PermissionError:
            return held
        except GoneError:
            held.close()
            raise
    held.close()
    raise NotOursError(f"the process {pid} is none of the program's")


class _Content(NamedTuple):
    """What a pidfile held, and which file it was in."""

    device: int
    inode: int
    written_ns: int
    data: bytes


def _read(path: str) -> _Content | None:
    """Return the content of a pidfile, None without one. Raises OSError, ValueError for what is no plain small file."""
    try:
        # Opened for its name only: opening for reading may hang on a FIFO or turn on a device.
        place = OwnedFd(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
    except (FileNotFoundError, NotADirectoryError):
        return None
    with place:
        mode = os.fstat(place.fileno()).st_mode
        if stat.S_ISLNK(mode):
            raise ValueError("it is a symbolic link, which is not followed")
        if not stat.S_ISREG(mode):
            raise ValueError("it is no regular file")
        with OwnedFd(os.open(f"/proc/self/fd/{place.fileno()}", os.O_RDONLY | os.O_CLOEXEC)) as file:
            data = os.read(file.fileno(), MAX_SIZE + 1)
            status = os.fstat(file.fileno())
    if len(data) > MAX_SIZE:
        raise ValueError(f"it is larger than {MAX_SIZE} bytes")
    return _Content(status.st_dev, status.st_ino, status.st_mtime_ns, data)


class PidFile:
    """The pidfile of one life of a program; made before the program is executed.

    `on_pid(pid)` is called from the loop with each new pid in it and returns True when it is believed (see `check`);
    any other is waited out until the file changes. `on_trouble(text)` is told, once in a row, what is wrong with the
    file or with watching it. A new pid in a believed file (a daemon that replaces itself) is told as well.
    """

    def __init__(
        self, loop: Loop, path: str, *, on_pid: Callable[[int], bool], on_trouble: Callable[[str], object]
    ) -> None:
        self.path = os.path.abspath(path)
        #: What is wrong with it at present, "" when nothing is.
        self.trouble = ""
        self._loop = loop
        self._on_pid, self._on_trouble = on_pid, on_trouble
        #: The nearest directory that exists.
        self._directory: Watched | None = None
        self._file: Watched | None = None
        self._believed: int | None = None
        self._closed = False
        self._stale: _Content | None = None
        self._watch_directory()
        self._watch_file()
        try:
            self._stale = _read(self.path)
        except (OSError, ValueError) as error:
            self._complain(error)

    def heed(self) -> None:
        """The life began before this was made: what the file holds may be of it."""
        self._stale = None
        self._changed()

    def close(self) -> None:
        """Wait no more; the second time does nothing."""
        self._closed = True
        for watched in (self._directory, self._file):
            if watched is not None:
                watched.close()

    # -- watching

    def _watch_directory(self) -> None:
        """Watch the nearest directory that exists; when another has come to be meanwhile, that one."""
        awaited = None
        while awaited != (awaited := self._nearest()):
            former, self._directory = self._directory, None
            try:
                self._directory = watch_entry(self._loop, *awaited, self._changed)
            except (FileNotFoundError, NotADirectoryError):
                awaited = None
            except OSError as error:
                self._complain(error)
            finally:
                if former is not None:
                    former.close()

    def _nearest(self) -> tuple[str, str]:
        """Return the nearest directory that exists, and what is to appear in it."""
        directory, missing = os.path.split(self.path)
        while not os.path.isdir(directory):
            directory, missing = os.path.split(directory)
        return directory, missing

    def _watch_file(self) -> None:
        """Watch the file that has the name now."""
        former, self._file = self._file, None
        try:
            self._file = watch_file(self._loop, self.path, self._changed)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            self._complain(error)
        finally:
            if former is not None:
                former.close()

    def _changed(self) -> None:
        """Watch first, then look: what happens in between is told."""
        self._watch_directory()
        self._watch_file()
        try:
            content = _read(self.path)
            if content is None or not content.data.strip() or content == self._stale:
                return
            pid = parse_pid(content.data)
        except (OSError, ValueError) as error:
            self._complain(error)
            return
        self.trouble = ""
        believed = pid == self._believed or self._on_pid(pid)
        if self._closed or not believed:
            return
        self._believed = pid
        if self._directory is not None and self._file is not None:
            self._directory.close()

    def _complain(self, error: Exception) -> None:
        text = f"pidfile {self.path}: {explain(error) if isinstance(error, OSError) else error}"
        if text != self.trouble:
            self.trouble = text
            self._loop.call_soon(lambda: None if self._closed else self._on_trouble(text))
