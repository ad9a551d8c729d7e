"""What a program tells its supervisor by sd_notify(3): datagrams to NOTIFY_SOCKET.

The socket is bound to a name in the abstract namespace (unix(7)): there is no file to clean up, and a program in a
chroot or of another user reaches it. Its senders are told by the kernel (SO_PASSCRED): whoever is below the program's
keeper is heard, systemd's NotifyAccess=all. systemd-notify(1) and the like may have ended before their message is read;
then there is no tree to look in, and the user decides: that of the program, of lowrun, or root.

A sender may wait until its message was heard (sd_notify_barrier(3)): it sends a descriptor and waits for its closing.
So every descriptor that comes is closed at once, which is also what becomes of FDSTORE=1: nothing is stored.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

from lowrun.core import kernel
from lowrun.core.lineage import descends, read_stat
from lowrun.core.loop import IoSource, Loop

__all__ = ["Notice", "NotifySocket", "parse_notice"]

PREFIX = "lowrun/notify/"
#: Bytes; systemd takes no longer ones (PIPE_BUF).
MAX_MESSAGE = 4096
MAX_STATUS = 512
#: Descriptors in one message (SCM_MAX_FD, unix(7)).
MAX_FDS = 253
CREDENTIALS = struct.Struct("iII")
CONTROL_SIZE = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(MAX_FDS * 4)
#: Messages taken before other sources of the loop have their turn.
BATCH = 32


class Notice(NamedTuple):
    """One message. Times are seconds; what it does not say is None or False."""

    ready: bool = False
    reloading: bool = False
    stopping: bool = False
    #: One line, without control characters.
    status: str | None = None
    errno: int | None = None
    main_pid: int | None = None
    #: WATCHDOG=1.
    alive: bool = False
    #: WATCHDOG=trigger: it asks to be taken for late.
    hangs: bool = False
    #: From now on.
    watchdog: float | None = None
    #: It is busy and wants this much longer, from now on, for what it does: to start or to stop.
    extend: float | None = None


def parse_notice(message: bytes) -> Notice:
    """Return what a message says; lines that make no sense say nothing, as with systemd."""
    said: dict[str, str] = {}
    for line in message.decode("utf-8", "replace").split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            said[key] = value
    status = said.get("STATUS")
    return Notice(
        ready=said.get("READY") == "1",
        reloading=said.get("RELOADING") == "1",
        stopping=said.get("STOPPING") == "1",
        status=None if status is None else "".join(c if c.isprintable() else " " for c in status[:MAX_STATUS]).strip(),
        errno=_number(said.get("ERRNO")),
        main_pid=_number(said.get("MAINPID")),
        alive=said.get("WATCHDOG") == "1",
        hangs=said.get("WATCHDOG") == "trigger",
        watchdog=_seconds(said.get("WATCHDOG_USEC")),
        extend=_seconds(said.get("EXTEND_TIMEOUT_USEC")),
    )


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 20 else None


def _seconds(value: str | None) -> float | None:
    number = _number(value)
    return None if not number else min(number / 1e6, 1e9)


class NotifySocket:
    """The socket of one program, for all its lives; `env` goes into its environment.

    `uid` is the program's user, None for lowrun's own; `name` the name of the socket that a program has which outlived
    its lowrun: it is taken if nobody else has it. Raises OSError.
    """

    def __init__(self, loop: Loop, uid: int | None = None, name: str = "") -> None:
        self._loop = loop
        self._users = {0, os.geteuid(), os.geteuid() if uid is None else uid}
        self._source: IoSource | None = None
        self._keeper_pid = 0
        self._on_notice: Callable[[Notice], object] | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self.name = self._bind(name)
        except BaseException:
            self._socket.close()
            raise
        self.env = {"NOTIFY_SOCKET": f"@{self.name}"}

    def _bind(self, former: str) -> str:
        if former.startswith(PREFIX):
            with contextlib.suppress(OSError):
                self._socket.bind(f"\0{former}")
                return former
        name = PREFIX + os.urandom(8).hex()
        self._socket.bind(f"\0{name}")
        return name

    def begin(self, on_notice: Callable[[Notice], object]) -> None:
        """A new life begins: nothing that was sent before is of it. Call it before the program is executed."""
        self.end()
        while self._take() is not None:
            pass
        self._on_notice = on_notice

    def listen(self, keeper_pid: int) -> None:
        """Hear all below the keeper from now on; what the new life has sent already is heard as well."""
        self._keeper_pid = keeper_pid
        self._source = self._loop.add_io(self._socket.fileno(), kernel.READ, self._receive)

    def hear(self) -> None:
        """Its main process has ended: take what it has said before."""
        self._receive(kernel.READ)

    def end(self) -> None:
        """The life is over."""
        self._on_notice = None
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def close(self) -> None:
        """No life follows."""
        self.end()
        self._socket.close()

    def _receive(self, _events: int) -> None:
        for _ in range(BATCH):
            taken = self._take()
            if taken is None or self._on_notice is None:
                return
            message, pid, uid = taken
            if message and self._is_heard(pid, uid):
                self._on_notice(parse_notice(message))

    def _is_heard(self, pid: int, uid: int) -> bool:
        if pid <= 0:
            return False
        return descends(pid, self._keeper_pid) or (read_stat(pid) is None and uid in self._users)

    def _take(self) -> tuple[bytes, int, int] | None:
        """Return (message, sender's pid, user) of the next one, b"" for one that is too long; None without one."""
        try:
            message, control, flags, _ = self._socket.recvmsg(MAX_MESSAGE, CONTROL_SIZE, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        pid = uid = -1
        for level, kind, data in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid, uid, _ = CREDENTIALS.unpack(data[: CREDENTIALS.size])
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                for fd in array.array("i", data[: len(data) - len(data) % 4]):
                    os.close(fd)
        return (b"" if flags & socket.MSG_TRUNC else message), pid, uid
