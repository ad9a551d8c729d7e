"""Each reason for which packets cannot be captured becomes one line that names it and the remedy."""

from __future__ import annotations

import errno

import pytest

from lowrun.packets.denial import reason

USER = "Name:\tlowrun\nUid:\t7\t7\t7\t7\nCapEff:\t0000000000000000\n"
ROOT = "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n"
CONTAINED = "Uid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n"
WITHOUT_RAW = "Uid:\t0\t0\t0\t0\nCapEff:\t0000000000000001\n"
MACHINE, NAMESPACE = "         0          0 4294967295\n", "         0       1000          1\n"


@pytest.mark.parametrize(
    ("error", "status", "uid_map", "why", "remedy"),
    [
        (errno.EPERM, USER, MACHINE, "CAP_NET_RAW is missing", "run lowrun as root"),
        (errno.EPERM, USER, NAMESPACE, "CAP_NET_RAW is missing", "--net rootless"),
        (errno.EACCES, USER, MACHINE, "CAP_NET_RAW is missing", "--ambient-caps=+net_raw"),
        (errno.EPERM, WITHOUT_RAW, MACHINE, "root lacks the capability CAP_NET_RAW", "--cap-add NET_RAW"),
        (errno.EPERM, CONTAINED, NAMESPACE, "none over its network", "--net rootless"),
        (errno.EPERM, ROOT, MACHINE, "a seccomp filter or a security module", "allow them"),
        (errno.EAFNOSUPPORT, ROOT, MACHINE, "has no packet sockets (CONFIG_PACKET", "outside"),
        (errno.ENOPROTOOPT, ROOT, MACHINE, "have no rings", "outside"),
        (errno.ENOMEM, ROOT, MACHINE, "no memory for the ring", "--net-ring-size"),
        (errno.EIO, ROOT, MACHINE, "cannot be had: Input/output error", ""),
    ],
)
def test_the_reason_and_the_remedy(error: int, status: str, uid_map: str, why: str, remedy: str) -> None:
    """One line: what forbids it, then what to do."""
    text = reason(error, status, uid_map)
    assert why in text
    assert remedy in text[text.index(why) :]
    assert "\n" not in text
