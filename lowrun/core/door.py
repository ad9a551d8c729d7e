"""The way to a keeper that outlived its lowrun: a listening socket in the program's state directory.

lowrun makes it and hands it to the keeper (`_native/keeper/stay.c`), which answers there: to a question without any
change, and to the next lowrun by becoming its keeper. A socket's path has at most 107 bytes (unix(7)), so it is reached
through a descriptor of its directory.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowrun._native import ffi, lib
from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.errors import BusyError, ProtocolError
from lowrun.values import ExitStatus

__all__ = ["Ends", "KeptTree", "ask_for_keeper", "open_door", "query"]

#: Seconds that a keeper has to answer; it does so within a millisecond, unless somebody has stopped it.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class KeptTree:
    """What a keeper says of its tree: the command `pid`, which was executed at `started_ns` (CLOCK_MONOTONIC).

    `status` and `ended_ns`: when the command has exited. `gone`: nothing of the tree is left. `owned`: a lowrun lives
    whose it is.
    """

    keeper_pid: int
    pid: int
    started_ns: int
    status: ExitStatus | None
    ended_ns: int
    gone: bool
    owned: bool


@dataclass(slots=True)
class Ends:
    """The descriptors of a keeper; `command` is the pidfd of a command that lives, or closed.

    `held`: what the command was given (its descriptor -> ours), for its next life.
    """

    socket: OwnedFd
    listening: OwnedFd
    keeper: OwnedFd
    command: OwnedFd
    held: dict[int, OwnedFd]


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """An address of `path` that is short."""
    with OwnedFd(os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as directory:
        yield f"/proc/self/fd/{directory.fileno()}/{path.name}"


def open_door(path: Path) -> OwnedFd:
    """Make the socket `path`, mode 0600, in the place of what was there; return it, listening. Raises OSError.

    It belongs to `Process(..., stay=...)` of one program, and of its respawns. Whoever owns the directory removes it.
    """
    import socket

    new = path.with_name(f".{path.name}.{os.getpid()}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as listening:
        os.fchmod(listening.fileno(), 0o600)  # the name that bind makes gets the socket's mode
        with _reachable(new) as address:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)
            listening.bind(address)
            listening.listen()
            listening.setblocking(False)
            os.rename(new, path)
        return OwnedFd(listening.detach())


def _say(path: Path, request_kind: int, fds: list[int]) -> OwnedFd:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as connection:
        with _reachable(path) as address:
            connection.setblocking(False)
            try:
                connection.connect(address)
            except BlockingIOError as error:
                raise BusyError("the keeper does not answer: too many ask at once, or it was stopped") from error
            connection.setblocking(True)
        request = ffi.new("struct lr_request *")
        request.kind = request_kind
        kernel.check(lib.lr_keeper_send(connection.fileno(), request, fds, len(fds)), "sendmsg")
        return OwnedFd(connection.detach())


def _hear(connection: OwnedFd, kind: int = lib.LR_EVENT_TREE) -> tuple[Any, list[OwnedFd]]:
    """Wait for an event of this kind. Raises BusyError, ConnectionRefusedError (the keeper went), ProtocolError."""
    event = ffi.new("struct lr_event *")
    fds = ffi.new("int[]", lib.LR_EVENT_MAX_FDS)
    poller, until = select.poll(), time.monotonic() + PATIENCE
    poller.register(connection.fileno(), select.POLLIN)
    while (rest := until - time.monotonic()) > 0:
        poller.poll(rest * 1000)
        result = lib.lr_keeper_receive(connection.fileno(), event, fds)
        if result < 0:
            raise ConnectionRefusedError(-result, "the keeper has gone")
        came = [OwnedFd(fd) for fd in fds if fd >= 0]
        if result > 0 and event.kind == kind:
            return event, came
        if result > 0:
            raise ProtocolError("a keeper said something else than what it was asked")
    raise BusyError("the keeper has an owner that lives, or was stopped")


def _tree(event: Any) -> KeptTree:
    exited = event.state != lib.LR_TREE_RUNNING
    return KeptTree(
        event.keeper,
        event.pid,
        event.started_ns,
        ExitStatus.from_wait(event.status) if exited else None,
        event.ended_ns,
        event.state == lib.LR_TREE_GONE,
        event.error != 0,
    )


def query(path: Path) -> KeptTree | None:
    """Ask the keeper behind the socket `path`, which changes nothing; None when there is none.

    Raises BusyError when it does not answer, OSError.
    """
    try:
        with _say(path, lib.LR_REQUEST_QUERY, []) as connection:
            event, _ = _hear(connection)
            return _tree(event)
    except (FileNotFoundError, ConnectionError):
        return None


def ask_for_keeper(path: Path) -> tuple[KeptTree, Ends]:
    """Become the owner of the keeper behind `path`.

    Raises FileNotFoundError and ConnectionError when there is none, BusyError while it has an owner that lives,
    OSError.
    """
    with OwnedFd(kernel.pidfd_open(os.getpid())) as self_fd:
        connection = _say(path, lib.LR_REQUEST_ADOPT, [self_fd.fileno()])
    event, came = _hear(connection)
    if len(came) < 2:
        raise ProtocolError("a keeper did not hand over what belongs to it")
    listening, keeper, *command = came
    held = {}
    for _ in range(event.reaped):
        each, descriptor = _hear(connection, lib.LR_EVENT_HELD)
        held[each.pid] = descriptor[0]
    return _tree(event), Ends(connection, listening, keeper, command[0] if command else OwnedFd(-1), held)
