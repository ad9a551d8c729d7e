"""Limits where a controller is in a hierarchy of cgroup v1 (cgroups(7); Documentation/admin-guide/cgroup-v1/).

A controller is in one hierarchy alone, so what /proc/self/cgroup names here is not to be had from cgroup v2. Keepers
make a cgroup `lowrun-NAMESPACE-PID` of theirs below ours, lock it and remove it in the end
(_native/keeper/group_v1.c). One of a keeper that was killed together with its lowrun stays, with what lives in it; its
lock does not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time

from lowrun.core.fd import OwnedFd, write_all
from lowrun.errors import DeniedError, UnsupportedError, UsageError

__all__ = ["REMOVE_TRIES", "cgroup_name", "members", "open_hierarchy", "remove_cgroup"]

#: The names of all keepers' cgroups, v1 and v2.
CGROUP_NAME = re.compile(r"lowrun-[\d-]+")
#: How often the removal of a cgroup is tried, a millisecond apart, while its processes die.
REMOVE_TRIES = 100
#: What a limit is written to; a kernel without CONFIG_CFS_BANDWIDTH has cpu cgroups that have none.
LIMIT_FILES = {"memory": "memory.limit_in_bytes", "cpu": "cpu.cfs_quota_us"}


def cgroup_name(pid: int) -> str:
    """Return the name of the cgroups of the keeper `pid`: with our pid namespace's number, as in another namespace
    another one can have that pid.
    """
    try:
        namespace = os.readlink("/proc/self/ns/pid").removeprefix("pid:[").removesuffix("]") + "-"
    except OSError:
        namespace = ""
    return f"lowrun-{namespace}{pid}"


def open_hierarchy(controller: str, path: str | None, limit: int) -> OwnedFd:
    """Return the cgroup v1 at `path`, ours, below which `controller` ("memory", "cpu") can set `limit`; that is tried.

    Cgroups of keepers that were killed are removed if nothing lives in them. `path` None: it is not mounted.
    Raises DeniedError, UnsupportedError, UsageError: it is more than we have ourselves.
    """
    if path is None:
        raise UnsupportedError(
            f"{controller} is in a hierarchy of cgroup v1 that is not mounted here, or not from a root above ours; "
            "mount it, or use --limit instead"
        )
    try:
        parent = OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        raise _denied(controller, path, error) from error
    try:
        _sweep(parent)
        _try(parent, controller, path, limit)
    except BaseException:
        parent.close()
        raise
    return parent


def _try(parent: OwnedFd, controller: str, path: str, limit: int) -> None:
    """Set the limit of an empty cgroup."""
    name = cgroup_name(os.getpid())  # no keeper's, as long as we live
    try:
        while not _has_limited(parent, name, LIMIT_FILES[controller], limit):
            pass  # another lowrun took it for a dead keeper's
    except FileNotFoundError as error:
        raise UnsupportedError(f"this kernel has no {LIMIT_FILES[controller]}; use --limit instead") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise _denied(controller, path, error) from error
        above = f"{path}/{LIMIT_FILES[controller]}"
        raise UsageError(f"the limit of {controller} is more than lowrun itself has ({above}); ask for less") from error
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=parent.fileno())


def _has_limited(parent: OwnedFd, name: str, file: str, limit: int) -> bool:
    """Make a cgroup and set its limit; False when it was removed meanwhile. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent.fileno())
    try:
        fd = os.open(f"{name}/{file}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=parent.fileno())
        with OwnedFd(fd) as limits:
            write_all(limits.fileno(), b"%d" % limit)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV) or name in os.listdir(parent.fileno()):
            raise
        return False
    return True


def _denied(controller: str, path: str, error: OSError) -> DeniedError:
    remedy = "run lowrun as root, or have that directory given to you"
    if error.errno == errno.EROFS:
        remedy = "give the container writable cgroups, or use --limit instead"
    text = f"no limit of {controller} can be set below {path}: {error.strerror}; {remedy}"
    return DeniedError(error.errno or errno.EACCES, text)


def _sweep(parent: OwnedFd) -> None:
    """Remove the empty cgroups of keepers that are no more: their locks have ended with them."""
    with os.scandir(parent.fileno()) as entries:
        names = [entry.name for entry in entries if CGROUP_NAME.fullmatch(entry.name)]
    for name in names:
        with contextlib.suppress(OSError):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            with OwnedFd(os.open(name, flags, dir_fd=parent.fileno())) as group:
                _remove_dead(parent, name, group)


def _remove_dead(parent: OwnedFd, name: str, group: OwnedFd) -> None:
    import fcntl

    fcntl.flock(group.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: a keeper's, in whatever pid namespace
    for _ in range(REMOVE_TRIES):
        if members(group) or remove_cgroup(parent, name):
            return


def members(group: OwnedFd) -> list[int]:
    """Return the pids in a cgroup, but for those that our pid namespace does not know. Raises OSError."""
    with open("cgroup.procs", opener=lambda path, flags: os.open(path, flags, dir_fd=group.fileno())) as file:
        return [pid for pid in map(int, file) if pid]


def remove_cgroup(parent: OwnedFd, name: str) -> bool:
    """Remove an empty cgroup; False, after a moment, when its last process has ended just now. Raises OSError."""
    try:
        os.rmdir(name, dir_fd=parent.fileno())
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        time.sleep(0.001)
        return False
    return True
