"""Each reason for which a command cannot have its own network becomes one line with the setting at fault."""

from __future__ import annotations

import errno

import pytest

from lowrun.packets.namespaces import IDS, LOOPBACK, NETWORK, PACKETS, USERS, reason

FREE = {"user.max_user_namespaces": "96365", "user.max_net_namespaces": "96365"}
DEBIAN = {**FREE, "kernel.unprivileged_userns_clone": "0"}
UBUNTU = {**FREE, "kernel.apparmor_restrict_unprivileged_userns": "1"}


@pytest.mark.parametrize(
    ("step", "error", "settings", "why", "remedy"),
    [
        (USERS, errno.EPERM, DEBIAN, "kernel.unprivileged_userns_clone is 0", "set it to 1"),
        (IDS, errno.EACCES, UBUNTU, "kernel.apparmor_restrict_unprivileged_userns is 1", "set it to 0"),
        (NETWORK, errno.EPERM, UBUNTU, "kernel.apparmor_restrict_unprivileged_userns is 1", "set it to 0"),
        (USERS, errno.EPERM, FREE, "a container's seccomp filter", "--security-opt seccomp=unconfined"),
        (LOOPBACK, errno.EPERM, FREE, "a security module", "allow them"),
        (USERS, errno.ENOSPC, {"user.max_user_namespaces": "0"}, "user.max_user_namespaces is 0", "raise it"),
        (USERS, errno.ENOSPC, FREE, "user.max_user_namespaces is 96365", "raise it"),
        (NETWORK, errno.ENOSPC, {"user.max_net_namespaces": "0"}, "user.max_net_namespaces is 0", "raise it"),
        (USERS, errno.EUSERS, {}, "user.max_user_namespaces", "raise it"),
        (USERS, errno.EINVAL, {}, "CONFIG_USER_NS", "as root"),
        (NETWORK, errno.EINVAL, {}, "CONFIG_NET_NS", "leave out"),
        (PACKETS, errno.EAFNOSUPPORT, {}, "CONFIG_PACKET", "leave out -nt"),
        (IDS, errno.ENOENT, {}, "/proc/self/uid_map cannot be written", "mount /proc"),
        (PACKETS, errno.EMFILE, {}, "packet socket: Too many open files", ""),
    ],
)
def test_the_reason_and_the_remedy(step: str, error: int, settings: dict[str, str], why: str, remedy: str) -> None:
    """One line: what forbids it, then what to do."""
    text = reason(step, error, settings)
    assert why in text
    assert remedy in text[text.index(why) :]
    assert "\n" not in text
