"""What /proc says, parsed."""

from __future__ import annotations

import pytest

from lowrun.core.procfs import own_cgroup_v2

V2 = "24 1 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
HYBRID = (
    "41 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n31 30 0:23 / /sys/fs/cgroup/cpu rw - cgroup c rw\n"
)
NESTED = "41 30 0:29 /a/b /mnt/my\\040cg rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("cgroup", "mounts", "directory"),
    [
        ("0::/user.slice/x\n", V2, "/sys/fs/cgroup/user.slice/x"),
        ("0::/\n", V2, "/sys/fs/cgroup"),
        ("1:cpu:/x\n0::/\n", HYBRID, "/sys/fs/cgroup/unified"),
        ("0::/a/b/c\n", NESTED, "/mnt/my cg/c"),
        ("0::/a/bc\n", NESTED, None),  # another root that begins alike
        ("1:cpu:/x\n", HYBRID, None),
        ("0::/x\n", "31 30 0:23 / /sys/fs/cgroup/cpu rw - cgroup c rw\n", None),
    ],
)
def test_own_cgroup(cgroup: str, mounts: str, directory: str | None) -> None:
    """The cgroup v2 directory is the mount's point and the path below its root."""
    assert own_cgroup_v2(cgroup, mounts) == directory
