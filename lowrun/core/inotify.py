"""Changes of directories and files, told by the loop (inotify(7)).

A user has 128 inotify instances (fs.inotify.max_user_instances) and many more watches: so all that wait on one loop
share one instance, which is closed with the last of them. Two watches of one file are one to the kernel; an entry of a
directory is told only to those who asked for its name.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Callable, Iterator

from lowrun._native import ffi, lib
from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.loop import Loop, Source
from lowrun.errors import DeniedError

__all__ = ["Watched", "watch_entry", "watch_file"]

#: An entry came to be, or the directory itself is no longer where it was.
ENTRY = lib.IN_CREATE | lib.IN_MOVED_TO | lib.IN_DELETE_SELF | lib.IN_MOVE_SELF | lib.IN_ONLYDIR
#: Written to, replaced or removed (IN_ATTRIB tells that its links have changed, even while it is open).
FILE = lib.IN_MODIFY | lib.IN_CLOSE_WRITE | lib.IN_ATTRIB | lib.IN_DELETE_SELF | lib.IN_MOVE_SELF | lib.IN_DONT_FOLLOW
#: Bytes; an event with the longest name takes 272.
READ_SIZE = 16384

REMEDIES = {
    errno.EMFILE: "too many inotify instances; raise fs.inotify.max_user_instances (sysctl)",
    errno.ENOSPC: "too many inotify watches; raise fs.inotify.max_user_watches (sysctl)",
    errno.EACCES: "let lowrun's user read it",
}


class Watched:
    """One thing that is watched; `close()` ends it."""

    __slots__ = ("_callback", "_instance", "_watch", "name")

    def __init__(self, instance: _Instance, watch: int, name: str | None, callback: Callable[[], object]) -> None:
        self.name = name
        self._instance, self._watch, self._callback = instance, watch, callback

    @property
    def closed(self) -> bool:
        """True after `close()`."""
        return self._watch < 0

    def tell(self, *, ended: bool) -> None:
        """Call the callback; `ended`: the kernel watches no more."""
        if not self.closed:
            if ended:
                self._watch = -1
            self._callback()

    def close(self) -> None:
        """Watch no more; the second time does nothing."""
        watch, self._watch = self._watch, -1
        if watch >= 0:
            self._instance.drop(watch, self)


class _Instance(Source):
    """The inotify instance of one loop."""

    __slots__ = ("_watched",)

    def __init__(self, loop: Loop) -> None:
        self._watched: dict[int, list[Watched]] = {}
        with OwnedFd(kernel.check(lib.lr_inotify_create(), "inotify_init1")) as fd:
            super().__init__(loop, fd.fileno(), kernel.READ)
            fd.release()

    def add(self, path: str, mask: int, name: str | None, callback: Callable[[], object]) -> Watched:
        watch = kernel.check(lib.lr_inotify_add(self._fd, os.fsencode(path), mask), "inotify_add_watch")
        watched = Watched(self, watch, name, callback)
        self._watched.setdefault(watch, []).append(watched)
        return watched

    def drop(self, watch: int, watched: Watched) -> None:
        if self.closed or watch not in self._watched:
            return
        self._watched[watch].remove(watched)
        if not self._watched[watch]:
            del self._watched[watch]
            lib.lr_inotify_remove(self._fd, watch)  # fails when the file is gone, and its watch with it
        self.close_unused()

    def close_unused(self) -> None:
        if not self._watched:
            self.close()

    def _ready(self, events: int) -> None:
        for watch, mask, name in self._take():
            if mask & lib.IN_Q_OVERFLOW:
                told = [each for every in self._watched.values() for each in every]
            elif mask & lib.IN_IGNORED:
                told = self._watched.pop(watch, [])
            else:
                told = [each for each in self._watched.get(watch, ()) if name is None or each.name == name]
            for each in told:
                each.tell(ended=bool(mask & lib.IN_IGNORED))
        if not self.closed:
            self.close_unused()

    def _take(self) -> Iterator[tuple[int, int, str | None]]:
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        fixed = ffi.sizeof("struct inotify_event")
        buffer, offset = ffi.from_buffer(data), 0
        while offset < len(data):
            event = ffi.cast("struct inotify_event *", buffer + offset)
            end = offset + fixed + event.len
            name = os.fsdecode(data[offset + fixed : end].rstrip(b"\0")) if event.len else None
            yield event.wd, event.mask, name
            offset = end


_instances: weakref.WeakKeyDictionary[Loop, _Instance] = weakref.WeakKeyDictionary()


def _add(loop: Loop, path: str, mask: int, name: str | None, callback: Callable[[], object]) -> Watched:
    try:
        instance = _instances.get(loop)
        if instance is None or instance.closed:
            _instances[loop] = instance = _Instance(loop)
        try:
            return instance.add(path, mask, name, callback)
        except BaseException:
            instance.close_unused()
            raise
    except OSError as error:
        if error.errno in REMEDIES:
            raise DeniedError(error.errno, f"{path} cannot be watched: {REMEDIES[error.errno]}") from error
        raise


def watch_entry(loop: Loop, directory: str, name: str, callback: Callable[[], object]) -> Watched:
    """Call `callback()` when an entry `name` of `directory` came to be, or the directory is gone or was moved.

    Raises OSError (ENOENT, ENOTDIR), DeniedError with the remedy.
    """
    return _add(loop, directory, ENTRY, name, callback)


def watch_file(loop: Loop, path: str, callback: Callable[[], object]) -> Watched:
    """Call `callback()` when the file `path` (no link is followed) was written to, replaced or removed.

    Raises OSError (ENOENT), DeniedError with the remedy.
    """
    return _add(loop, path, FILE, None, callback)
