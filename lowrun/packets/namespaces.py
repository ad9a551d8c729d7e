"""Why a command cannot have a network of its own, and the remedy: user_namespaces(7), network_namespaces(7).

Pure but for `explain`, which reads the settings at fault. A limit of namespaces that is reached is ENOSPC (EUSERS
before Linux 4.9), also when it is 0. Debian's kernel has a setting that gives EPERM. Ubuntu's AppArmor lets the
namespace be made, but without capabilities, so that a later step gets EPERM or EACCES. A container's seccomp filter
gives EPERM, too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from lowrun.errors import SpawnError

__all__ = ["STEPS", "explain", "reason"]

#: The steps of _native/keeper/network.c, as _native/keeper/protocol.h words them.
USERS, IDS, NETWORK, PACKETS, LOOPBACK = STEPS = (
    "user namespace",
    "ids of the user namespace",
    "network namespace",
    "packet socket",
    "loopback interface",
)
CLONE = "kernel.unprivileged_userns_clone"
APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
MOST_USERS = "user.max_user_namespaces"
MOST_NETWORKS = "user.max_net_namespaces"
FORBIDDEN = (errno.EPERM, errno.EACCES)
FULL = (errno.ENOSPC, errno.EUSERS)


def reason(step: str, error: int, settings: Mapping[str, str]) -> str:
    """Return why `step` failed with errno `error`, and the remedy, as one line; `settings` are sysctls that exist."""
    if error in FORBIDDEN:
        return _forbidden(step, settings)
    if error in FULL:
        return _full(MOST_NETWORKS if step == NETWORK else MOST_USERS, settings)
    if step == IDS:
        return f"/proc/self/uid_map cannot be written ({os.strerror(error)}); mount /proc for this pid namespace"
    if step == USERS and error in (errno.EINVAL, errno.ENOSYS):
        return "this kernel has no user namespaces (CONFIG_USER_NS); run lowrun as root, with --net host"
    if step == NETWORK and error in (errno.EINVAL, errno.ENOSYS):
        return "this kernel has no network namespaces (CONFIG_NET_NS); leave out --net rootless"
    if step == PACKETS and error == errno.EAFNOSUPPORT:
        return "this kernel has no packet sockets (CONFIG_PACKET, or a sandbox such as gVisor); leave out -nt"
    return f"{step}: {os.strerror(error)}"


def _forbidden(step: str, settings: Mapping[str, str]) -> str:
    if settings.get(CLONE) == "0":
        return f"{CLONE} is 0, so only root may make user namespaces; set it to 1 with sysctl, or run lowrun as root"
    if settings.get(APPARMOR, "0") != "0":
        return (
            f"{APPARMOR} is {settings[APPARMOR]}, so AppArmor leaves user namespaces without rights; "
            "set it to 0 with sysctl, or run lowrun as root"
        )
    if step == USERS:
        return (
            "the system forbids user namespaces (a chroot, or a container's seccomp filter); "
            "allow them there (--security-opt seccomp=unconfined), or run lowrun outside"
        )
    return f"a security module leaves user namespaces without rights ({step}); allow them, or run lowrun as root"


def _full(setting: str, settings: Mapping[str, str]) -> str:
    limit = settings.get(setting)
    if limit == "0":
        return f"{setting} is 0, so none can be made; raise it with sysctl"
    return f"{setting}{'' if limit is None else f' is {limit}, and'} reached, or they are nested too deep; raise it"


def explain(error: SpawnError) -> str:
    """Return the line for a failed step, the settings read from /proc/sys."""
    settings = {}
    for name in (CLONE, APPARMOR, MOST_USERS, MOST_NETWORKS):
        try:
            with open(f"/proc/sys/{name.replace('.', '/')}") as file:
                settings[name] = file.read().strip()
        except OSError:
            continue
    return f"no network of its own for {error.program}: {reason(error.step, error.errno or 0, settings)}"
