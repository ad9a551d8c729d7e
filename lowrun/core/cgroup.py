"""The cgroup v2 that keepers make cgroups below, one for each tree (_native/keeper/group.c; cgroups(7)).

Limits need more than a cgroup: its controllers are there only when its parent hands them on (cgroup.subtree_control),
and a cgroup that has processes of its own cannot do that, but for the root (cgroup-v2.rst, "No Internal Process
Constraint"). So the nearest one at or above ours that does is taken: in a session or service of systemd a slice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path

from lowrun.core.fd import OwnedFd, write_all
from lowrun.core.procfs import own_cgroup_v2
from lowrun.errors import DeniedError, UnsupportedError

__all__ = ["TreeLimits", "end_cgroup", "tree_limits", "writable_cgroup"]

#: Of cpu.max, microseconds; the kernel's default.
CPU_PERIOD_US = 100_000
#: The least that the kernel takes as quota, microseconds.
CPU_QUOTA_LEAST_US = 1000

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


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """Limits of a whole tree: bytes (0: none), microseconds of CPU time in each CPU_PERIOD_US (0: no limit).

    Its cgroup is made below `parent`, which hands on the controllers.
    """

    parent: OwnedFd
    memory_max: int
    cpu_quota_us: int


def tree_limits(memory: int | None, cpu_percent: float | None) -> TreeLimits:
    """Return the limits of a tree: bytes of memory, percent of one processor. The caller closes `parent`.

    Raises UnsupportedError where no cgroup v2 has the controllers, DeniedError where we may not use it.
    """
    wanted = {name for name, value in (("memory", memory), ("cpu", cpu_percent)) if value is not None}
    names = " and ".join(sorted(wanted))
    try:
        own = own_cgroup_v2(_text("/proc/self/cgroup"), _text("/proc/self/mountinfo"))
    except OSError:
        own = None
    if own is None:
        raise UnsupportedError(
            "limits of memory and CPU need cgroup v2, which is not mounted here; use --limit instead"
        )
    refused = False
    for path in (Path(own), *Path(own).parents):
        if not (path / "cgroup.controllers").exists():
            break
        if _hands_on(path, wanted, own=path == Path(own)):
            if os.access(path, os.W_OK) and os.access(path / "cgroup.procs", os.W_OK):
                parent = OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                quota = 0 if cpu_percent is None else max(int(cpu_percent * CPU_PERIOD_US / 100), CPU_QUOTA_LEAST_US)
                return TreeLimits(parent, memory or 0, quota)
            refused = True
    if refused:
        message = (
            f"the cgroups that can limit {names} are not ours; run lowrun as root, or as a service with Delegate=yes"
        )
        raise DeniedError(errno.EACCES, message)
    raise UnsupportedError(f"no cgroup v2 here hands on {names} (cgroup v1 may have it); use --limit instead")


def _hands_on(path: Path, wanted: set[str], *, own: bool) -> bool:
    """Return True when cgroups below `path` have the `wanted` controllers; of our `own` we try to make it so."""
    control = path / "cgroup.subtree_control"
    with contextlib.suppress(OSError):
        if own and wanted <= set(_text(str(path / "cgroup.controllers")).split()):
            control.write_text(" ".join(f"+{name}" for name in sorted(wanted)))
    try:
        return wanted <= set(_text(str(control)).split())
    except OSError:
        return False


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
