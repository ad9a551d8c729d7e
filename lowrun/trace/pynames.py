"""What a descriptor of a tracee is, looked up in /proc as strace -yy does it, but for the addresses of sockets.

The Python engine's counterpart of _native/tracer_names.c; a socket is told by its protocol and inode.
"""

from __future__ import annotations

import os
import stat

from lowrun.trace.naming import BLOCK, CHAR, DELETED, LINK, PROCESS, SOCKET

__all__ = ["WORKING_DIRECTORY", "describe", "descriptors"]

WORKING_DIRECTORY = -100
_DELETED = b" (deleted)"


def describe(tid: int, fd: int) -> tuple[int, bytes, int]:
    """Return kind, text and number of a PATH record; (LINK, b"", 0) for what is closed."""
    link = f"/proc/{tid}/cwd" if fd == WORKING_DIRECTORY else f"/proc/{tid}/fd/{fd}"
    try:
        text = os.readlink(link.encode())
    except OSError:
        return LINK, b"", 0
    if fd == WORKING_DIRECTORY:
        return LINK, text, 0
    if text.startswith(b"socket:["):
        return _socket(link, text)
    if text == b"anon_inode:[pidfd]":
        return _process(tid, fd, text)
    return _path(link, text) if text.startswith(b"/") else (LINK, text, 0)


def _socket(link: str, text: bytes) -> tuple[int, bytes, int]:
    try:
        protocol = os.getxattr(link, "system.sockprotoname").rstrip(b"\0")
    except OSError:
        return LINK, text, 0
    return SOCKET, protocol, int(text[8:-1])


def _process(tid: int, fd: int, text: bytes) -> tuple[int, bytes, int]:
    try:
        with open(f"/proc/{tid}/fdinfo/{fd}") as info:
            pid = next((int(line[4:]) for line in info if line.startswith("Pid:")), -1)
    except OSError:
        pid = -1
    return (PROCESS, b"", pid) if pid > 0 else (LINK, text, 0)


def _path(link: str, text: bytes) -> tuple[int, bytes, int]:
    kind = LINK
    if text.endswith(_DELETED) and not _same(link, text):
        kind, text = DELETED, text.removesuffix(_DELETED)
    try:
        status = os.stat(text)
    except (OSError, ValueError):
        return kind, text, 0
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        kind = CHAR if stat.S_ISCHR(status.st_mode) else BLOCK
        return kind, text, os.major(status.st_rdev) << 32 | os.minor(status.st_rdev)
    return kind, text, 0


def _same(one: str, other: bytes) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def descriptors(tid: int) -> list[int]:
    """Return what the process has open."""
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{tid}/fd"))
    except OSError:
        return []
