"""Limits where a controller is in a hierarchy of cgroup v1 (cgroups(7); Documentation/admin-guide/cgroup-v1/).

A controller is in one hierarchy alone, so what /proc/self/cgroup names here is not to be had from cgroup v2. Keepers
make a cgroup `lowrun-PID` of theirs below ours, lock it and remove it in the end (_native/keeper/group_v1.c). One of
a keeper that was killed together with its lowrun stays, with what lives in it; its lock does not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re

from lowrun.core.fd import OwnedFd, write_all
from lowrun.errors import DeniedError, UnsupportedError, UsageError

__all__ = ["CGROUP_NAME", "open_hierarchy"]

#: Of a keeper's cgroup, v1 and v2.
CGROUP_NAME = "lowrun-{}"
#: What a limit is written to; a kernel without CONFIG_CFS_BANDWIDTH has cpu cgroups that have none.
LIMIT_FILES = {"memory": "memory.limit_in_bytes", "cpu": "cpu.cfs_quota_us"}


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
    name = CGROUP_NAME.format(os.getpid())  # no keeper's, as long as we live
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=parent.fileno())
    except OSError as error:
        raise _denied(controller, path, error) from error
    try:
        file = os.open(f"{name}/{LIMIT_FILES[controller]}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=parent.fileno())
        with OwnedFd(file) as limits:
            write_all(limits.fileno(), b"%d" % limit)
    except FileNotFoundError as error:
        raise UnsupportedError(f"this kernel has no {LIMIT_FILES[controller]}; use --limit instead") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise _denied(controller, path, error) from error
        file_above = f"{path}/{LIMIT_FILES[controller]}"
        raise UsageError(
            f"the limit of {controller} is more than lowrun itself has ({file_above}); ask for less"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=parent.fileno())


def _denied(controller: str, path: str, error: OSError) -> DeniedError:
    remedy = "run lowrun as root, or have that directory given to you"
    if error.errno == errno.EROFS:
        remedy = "give the container writable cgroups, or use --limit instead"
    text = f"no limit of {controller} can be set below {path}: {error.strerror}; {remedy}"
    return DeniedError(error.errno or errno.EACCES, text)


def _sweep(parent: OwnedFd) -> None:
    """Remove the empty cgroups of keepers that are no more."""
    import fcntl

    pattern = re.compile(CGROUP_NAME.format(r"(\d+)"))
    with os.scandir(parent.fileno()) as entries:
        found = [match for entry in entries if (match := pattern.fullmatch(entry.name))]
    for match in found:
        if os.path.exists(f"/proc/{match[1]}"):
            continue
        with contextlib.suppress(OSError):  # it is locked by a keeper of another pid namespace, or somebody lives there
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            with OwnedFd(os.open(match[0], flags, dir_fd=parent.fileno())) as group:
                fcntl.flock(group.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rmdir(match[0], dir_fd=parent.fileno())
