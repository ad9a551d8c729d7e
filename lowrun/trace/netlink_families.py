"""Asks the kernel which generic netlink families there are (linux/genetlink.h): their numbers are given at run time."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from functools import lru_cache

__all__ = ["generic_families"]

CONTROLLER = 16
GETFAMILY, FAMILY_ID, FAMILY_NAME = 3, 1, 2
REQUEST_ALL = 0x301
NETLINK_GENERIC, NLMSG_DONE, HEADER = 16, 3, struct.Struct("<IHHII")


def _attributes(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("<HH", data, at)
        found[kind] = data[at + 4 : at + size]
        at += max(4, size + 3 & ~3)
    return found


@lru_cache(maxsize=1)
def generic_families() -> Mapping[int, str]:
    """Return number -> name, as it is now; the controller alone where the kernel does not answer."""
    families = {CONTROLLER: "nlctrl"}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as asked:
            asked.settimeout(1)
            asked.send(HEADER.pack(20, CONTROLLER, REQUEST_ALL, 1, 0) + struct.pack("<BBH", GETFAMILY, 1, 0))
            while answer := asked.recv(1 << 16):
                at = 0
                while at + HEADER.size <= len(answer):
                    size, kind, *_ = HEADER.unpack_from(answer, at)
                    if kind <= NLMSG_DONE:
                        return families
                    about = _attributes(answer[at + HEADER.size + 4 : at + size])
                    if FAMILY_ID in about and FAMILY_NAME in about:
                        families[int.from_bytes(about[FAMILY_ID], "little")] = about[FAMILY_NAME][:-1].decode()
                    at += size + 3 & ~3
    except OSError:
        pass
    return families
