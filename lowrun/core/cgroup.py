"""The cgroups that keepers make cgroups below, one for each tree (_native/keeper/group.c, group_v1.c; cgroups(7)).

Of cgroup v1 see cgroup_v1.py. With v2 limits need more than a cgroup: its controllers are there only when its parent
hands them on (cgroup.subtree_control), and a cgroup that has processes of its own cannot do that, but for the root
(cgroup-v2.rst, "No Internal Process Constraint"). So the nearest one at or above ours that does is taken: in a
session or service of systemd a slice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from lowrun.core.cgroup_v1 import REMOVE_TRIES, members, open_hierarchy, remove_cgroup
from lowrun.core.fd import OwnedFd, write_all
from lowrun.core.lineage import hold
from lowrun.core.procfs import own_cgroup_v1, own_cgroup_v2
from lowrun.errors import DeniedError, GoneError, UnsupportedError

__all__ = ["TreeLimits", "end_cgroup", "tree_limits", "writable_cgroup"]

#: Of cpu.max, microseconds; the kernel's default.
CPU_PERIOD_US = 100_000
#: The least that the kernel takes as quota, microseconds.
CPU_QUOTA_LEAST_US = 1000


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

    Its cgroups are made below `parent` (v2), which hands on the controllers, `memory_v1` and `cpu_v1`; None where a
    limit is another one's, or not asked for.
    """

    parent: OwnedFd | None
    memory_max: int
    cpu_quota_us: int
    memory_v1: OwnedFd | None = None
    cpu_v1: OwnedFd | None = None

    @property
    def parents(self) -> list[OwnedFd]:
        """All that there are."""
        return [each for each in (self.parent, self.memory_v1, self.cpu_v1) if each is not None]

    def close(self) -> None:
        """Close them."""
        for each in self.parents:
            each.close()


def tree_limits(memory: int | None, cpu_percent: float | None) -> TreeLimits:
    """Return the limits of a tree: bytes of memory, percent of one processor. The caller closes them.

    A controller that is in a hierarchy of cgroup v1 is used there, else in v2. Raises UnsupportedError where there is
    none, DeniedError where we may not use it, UsageError when a limit is more than we have ourselves.
    """
    quota = 0 if cpu_percent is None else max(int(cpu_percent * CPU_PERIOD_US / 100), CPU_QUOTA_LEAST_US)
    wanted = {name: limit for name, limit in (("memory", memory or 0), ("cpu", quota)) if limit}
    found: dict[str, OwnedFd] = {}
    with contextlib.ExitStack() as stack:
        try:
            mine, mounts = _text("/proc/self/cgroup"), _text("/proc/self/mountinfo")
        except OSError:
            mine = mounts = ""
        for name, limit in wanted.items():
            try:
                path = own_cgroup_v1(name, mine, mounts)
            except LookupError:
                continue
            found[name] = stack.enter_context(open_hierarchy(name, path, limit))
        rest = wanted.keys() - found.keys()
        parent = _open_v2(rest, own_cgroup_v2(mine, mounts)) if rest else None
        stack.pop_all()
    return TreeLimits(parent, memory or 0, quota, found.get("memory"), found.get("cpu"))


def _open_v2(wanted: Set[str], own: str | None) -> OwnedFd:
    """Return the nearest cgroup v2 at or above our `own` that hands on the controllers `wanted`."""
    names = " and ".join(sorted(wanted))
    refused = False
    for path in () if own is None else (Path(own), *Path(own).parents):
        if not (path / "cgroup.controllers").exists():
            break
        if _hands_on(path, wanted, own=path == Path(own or "")):
            if os.access(path, os.W_OK) and os.access(path / "cgroup.procs", os.W_OK):
                return OwnedFd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            refused = True
    if refused:
        message = (
            f"the cgroups that can limit {names} are not ours; run lowrun as root, or as a service with Delegate=yes"
        )
        raise DeniedError(errno.EACCES, message)
    raise UnsupportedError(f"no cgroup here, v2 or v1, has {names} for us; use --limit instead")


def _hands_on(path: Path, wanted: Set[str], *, own: bool) -> bool:
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
        for _ in range(REMOVE_TRIES):
            _kill_all(group)
            if remove_cgroup(parent, name):
                return


def _kill_all(group: OwnedFd) -> None:
    """SIGKILL to what is in `group`: at one stroke, or where that cannot be (v1, v2 before Linux 5.14) one by one."""
    try:
        with OwnedFd(os.open("cgroup.kill", os.O_WRONLY | os.O_CLOEXEC, dir_fd=group.fileno())) as file:
            write_all(file.fileno(), b"1")
        return
    except FileNotFoundError:
        pass
    for pid in members(group):
        with contextlib.suppress(GoneError, ProcessLookupError, PermissionError), hold(pid) as held:
            if pid in members(group):  # it was when it was held, so it is no other one's pid
                held.send_signal(signal.SIGKILL)


def _text(path: str) -> str:
    with open(path, errors="surrogateescape") as file:
        return file.read()
