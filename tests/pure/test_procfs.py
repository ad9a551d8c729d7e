"""What /proc says, parsed."""

from __future__ import annotations

import pytest

from lowrun.core.procfs import backlogged, dropped_by_interfaces, own_cgroup_v1, own_cgroup_v2, process_stat

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


V1 = (
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    "37 31 0:34 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
)


@pytest.mark.parametrize(
    ("controller", "cgroup", "directory"),
    [
        ("cpu", "4:cpu,cpuacct:/a:b\n0::/\n", "/sys/fs/cgroup/cpu,cpuacct/a:b"),
        ("cpu", "3:cpuset:/x\n4:cpuacct,cpu:/\n", "/sys/fs/cgroup/cpu,cpuacct"),
        ("memory", "5:memory:/docker/1/x\n", "/sys/fs/cgroup/memory/x"),
        ("memory", "5:memory:/docker/1\n", "/sys/fs/cgroup/memory"),
        ("memory", "5:memory:/docker/12\n", None),
        ("pids", "5:pids:/\n", None),
    ],
)
def test_own_cgroup_v1(controller: str, cgroup: str, directory: str | None) -> None:
    """It is found by its controller, among several of one hierarchy too, and below what is mounted (a container's)."""
    assert own_cgroup_v1(controller, cgroup, V1) == directory


@pytest.mark.parametrize("cgroup", ["0::/memory\n", "3:memory_more:/\n0::/\n", "1:name=memory:/\n", ""])
def test_no_cgroup_v1(cgroup: str) -> None:
    """Where no hierarchy has the controller it is cgroup v2's."""
    with pytest.raises(LookupError):
        own_cgroup_v1("memory", cgroup, V1)


def test_a_queue_with_packets_is_seen() -> None:
    """The twelfth figure of a processor's line is how many packets wait; old kernels have none."""
    line = "00131f04 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 {} {}\n"
    assert backlogged(line.format("00000000", "00000000") + line.format("00000003", "0000000a")) == {10}
    assert backlogged("00131f04 00000000 00000000\n") == set()


def test_what_interfaces_drop_is_read() -> None:
    """The fourth figure of an interface's line in /proc/net/dev is how many packets it had no room for."""
    heads = "Inter-|   Receive    |  Transmit\n face |bytes    packets errs drop fifo|bytes    packets\n"
    text = heads + "    lo: 1391468   14035    0    0    0     0\neth0.7:       1       2    3    4    5     6\n"
    assert dropped_by_interfaces(text) == {"lo": 0, "eth0.7": 4}


def test_a_thread_of_the_kernel() -> None:
    """PF_KTHREAD among the flags tells it, whatever its name looks like."""
    rest = " ".join(["0"] * 43)
    assert process_stat(f"2 (kthreadd) S 0 0 0 0 -1 {0x208040} {rest}").is_kernel_thread
    assert not process_stat(f"7 (k) S 0 (x) S 1 7 7 0 -1 {0x400000} {rest}").is_kernel_thread
