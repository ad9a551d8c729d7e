"""The cgroup v2 that keepers make cgroups below, one for each tree (_native/keeper/group.c; cgroups(7))."""

from __future__ import annotations

import contextlib
import errno
import os
import time

from lowrun.core.fd import OwnedFd, write_all
from lowrun.core.procfs import own_cgroup_v2

__all__ = ["end_cgroup", "writable_cgroup"]

#: How often the removal of a cgroup is tried, a millisecond apart, while its processes die.
REMOVE_TRIES = 100


def writable_cgroup() -> OwnedFd | None:
    """Return the cgroup v2 directory we are in, if a cgroup can be made below it."""
    try:
        path = own_cgroup_v2(_text("/proc/self/cgroup"), _text("/proc/self/mountinfo"))
        if path is None or not os.access(path, os.W_OK) or not os.access(f"{path}/cgroup.procs", os.W_OK):
            return None
        return OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError:
        return None


def end_cgroup(parent: OwnedFd, name: str) -> None:
    """Kill what is left in the cgroup of a keeper that was killed, and remove it."""
    try:
        group = OwnedFd(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent.fileno()))
    except OSError:
        return  # the tree had none
    with group, contextlib.suppress(OSError):
        with OwnedFd(os.open("cgroup.kill", os.O_WRONLY | os.O_CLOEXEC, dir_fd=group.fileno())) as file:
            write_all(file.fileno(), b"1")
        for _ in range(REMOVE_TRIES):
            try:
                os.rmdir(name, dir_fd=parent.fileno())
                return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                time.sleep(0.001)


def _text(path: str) -> str:
    with open(path, errors="surrogateescape") as file:
        return file.read()
