"""The request that starts one command, made once and sent as often as it is to run.

A request is a fixed part (`struct lr_request` of `_native/keeper/protocol.h`)
and a body in a memfd: strings and arrays at offsets, of any size, which the
keeper maps. What a `Command` leaves open is taken from the caller when the
request is made; the working directory when it is first sent to a keeper.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Mapping
from typing import Any

from lowrun._native import ffi, lib
from lowrun.core import kernel
from lowrun.core.cgroup import CPU_PERIOD_US, TreeLimits
from lowrun.core.fd import OwnedFd, write_all
from lowrun.errors import SpawnError, UsageError
from lowrun.values import CODE_NOT_EXECUTABLE, CODE_NOT_FOUND, Command, ExitStatus

__all__ = ["Launch", "failed_exec_status"]

#: Python ignores these for itself (Py_Initialize); a command gets the default.
PYTHON_IGNORES = kernel.mask_of((signal.SIGPIPE, signal.SIGXFSZ))
MAX_TARGET = 1 << 20
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


class _Body:
    """The variable part of a request: strings and arrays at offsets, in a memfd."""

    def __init__(self) -> None:
        self._parts: list[bytes] = [b"\0" * 8]  # offset 0 means "none"
        self._size = 8

    def add(self, data: bytes) -> int:
        offset = self._size
        data += b"\0" * (-len(data) % 8)
        self._parts.append(data)
        self._size += len(data)
        return offset

    def strings(self, words: list[bytes]) -> int:
        if any(b"\0" in word for word in words):
            raise UsageError("a word, variable or path of the command holds a NUL character")
        return self.add(b"\0".join(words) + b"\0") if words else 0

    def seal(self) -> tuple[OwnedFd, int]:
        fd = OwnedFd(os.memfd_create("lowrun-launch", os.MFD_CLOEXEC))
        try:
            write_all(fd.fileno(), b"".join(self._parts))
        except OSError as error:
            if error.errno == errno.EFBIG:  # RLIMIT_FSIZE holds for a memfd, too
                raise OSError(errno.EFBIG, "the file size limit (ulimit -f) is too small to start a command") from error
            raise
        return fd, self._size


def candidates(command: Command, env: Mapping[str, str]) -> list[str]:
    """Return the paths to try for the command's program, in order, as execvp(3) has it.

    Paths that lead nowhere now are left out (a failed execve costs as much as
    a successful one takes to begin), unless a chroot decides what they lead to.
    """
    program = command.argv[0]
    if "/" in program:
        return [program]
    path = env.get("PATH", DEFAULT_PATH)
    every = [f"{directory or '.'}/{program}" for directory in path.split(":")]
    if command.chroot is not None or command.cwd is not None:
        return every
    return [file for file in every if os.path.isfile(file)] or every


class Launch:
    """The request that starts one command, ready to be sent many times.

    What `command` leaves open (environment, signals) is taken from the
    caller now. Raises UsageError for what the request cannot hold.
    """

    def __init__(self, command: Command) -> None:
        env = os.environ if command.env is None else command.env
        self.command = command
        self._request = request = ffi.new("struct lr_request *")
        body = _Body()
        argv = [os.fsencode(word) for word in command.argv]
        pairs = [os.fsencode(f"{key}={value}") for key, value in env.items() if key not in command.pid_variables]
        texts = [os.fsencode(f"{name}={'0' * lib.LR_PID_DIGITS}") for name in command.pid_variables]
        if len(texts) > lib.LR_KEEPER_MAX_PID_TEXTS:
            raise UsageError(f"at most {lib.LR_KEEPER_MAX_PID_TEXTS} variables hold the command's pid")
        programs = [os.fsencode(path) for path in candidates(command, env)]
        request.kind = lib.LR_REQUEST_SPAWN
        request.argc, request.argv = len(argv), body.strings(argv)
        request.envc, request.env = len(texts) + len(pairs), body.strings(texts + pairs)
        place = request.env
        for index, text in enumerate(texts):
            place += len(text) + 1
            request.pid_texts[index] = place - 1 - lib.LR_PID_DIGITS
        request.nprograms, request.programs = len(programs), body.strings(programs)
        request.tracer = os.getpid()
        self._signals(command)
        self._place(command, body)
        self._limits(command, body)
        self._credentials(command, body)
        #: Those of every time; each time others come to them.
        self._flags: int = request.flags
        self.body, request.body_size = body.seal()

    def _signals(self, command: Command) -> None:
        blocked, ignored = command.blocked, command.ignored
        self._request.blocked = kernel.signals_blocked() if blocked is None else kernel.mask_of(blocked)
        self._request.ignored = (
            kernel.signals_ignored() & ~PYTHON_IGNORES if ignored is None else kernel.mask_of(ignored)
        )

    def _place(self, command: Command, body: _Body) -> None:
        flags = {"inherit": 0, "group": lib.LR_SPAWN_GROUP, "session": lib.LR_SPAWN_SESSION}
        if command.group not in flags:
            raise UsageError(f"group is inherit, group or session, not {command.group!r}")
        self._request.flags |= flags[command.group]
        if command.chroot is not None:
            self._request.chroot = body.strings([os.fsencode(command.chroot)])
        if command.cwd is not None:
            self._request.cwd = body.strings([os.fsencode(command.cwd)])

    def _limits(self, command: Command, body: _Body) -> None:
        request = self._request
        if command.umask is not None:
            request.flags |= lib.LR_SPAWN_UMASK
            request.umask = command.umask
        if command.nice is not None:
            request.flags |= lib.LR_SPAWN_NICE
            request.nice = command.nice
        if command.oom_score_adj is not None:
            request.flags |= lib.LR_SPAWN_OOM
            request.oom_score_adj = command.oom_score_adj
        if command.affinity is not None:
            size = (max(command.affinity, default=0) // 64 + 1) * 8
            mask = sum(1 << cpu for cpu in command.affinity)
            request.affinity, request.affinity_size = body.add(mask.to_bytes(size, "little")), size
        if len(command.rlimits) > lib.LR_KEEPER_MAX_RLIMITS:
            raise UsageError(f"at most {lib.LR_KEEPER_MAX_RLIMITS} resource limits")
        request.nrlimits = len(command.rlimits)
        for cell, (number, (soft, hard)) in zip(request.rlimits, command.rlimits.items(), strict=False):
            cell.resource = number
            cell.soft, cell.hard = soft & (1 << 64) - 1, hard & (1 << 64) - 1  # RLIM_INFINITY is -1

    def _credentials(self, command: Command, body: _Body) -> None:
        request = self._request
        if command.uid is not None:
            request.flags |= lib.LR_SPAWN_UID
            request.uid = command.uid
        if command.gid is not None:
            request.flags |= lib.LR_SPAWN_GID
            request.gid = command.gid
        if command.groups is not None:
            request.flags |= lib.LR_SPAWN_GROUPS
            request.ngroups = len(command.groups)
            request.groups = body.add(b"".join(group.to_bytes(4, "little") for group in command.groups))

    def request(self, targets: list[int], flags: int, limits: TreeLimits | None = None) -> Any:
        """Return the request with the command's descriptor numbers and one run's flags."""
        if len(targets) > lib.LR_KEEPER_MAX_FDS or any(target < 0 or target > MAX_TARGET for target in targets):
            raise UsageError(f"at most {lib.LR_KEEPER_MAX_FDS} descriptors, with numbers from 0 to {MAX_TARGET}")
        request = self._request
        request.flags = self._flags | flags
        request.memory_max, request.cpu_quota_us = (
            (0, 0) if limits is None else (limits.memory_max, limits.cpu_quota_us)
        )
        request.cpu_period_us = CPU_PERIOD_US
        request.group = os.getpgrp()
        request.nfds = len(targets)
        for index, target in enumerate(targets):
            request.targets[index] = target
        return request

    def close(self) -> None:
        """Free the body."""
        self.body.close()


def failed_exec_status(error: SpawnError) -> ExitStatus:
    """Return the status of a command whose exec failed, as a shell gives it."""
    number = error.errno
    if number in (errno.ENOENT, errno.ENOTDIR):
        if "/" in error.program and os.path.exists(error.program):
            return ExitStatus(CODE_NOT_FOUND, None, "its interpreter does not exist (see its first line)")
        return ExitStatus(CODE_NOT_FOUND, None, "command not found" if "/" not in error.program else "no such file")
    if number == errno.EACCES and _is_directory(error.program):
        return ExitStatus(CODE_NOT_EXECUTABLE, None, "is a directory")
    if number == errno.ENOEXEC:
        return ExitStatus(CODE_NOT_EXECUTABLE, None, "not an executable format (a script needs a #! line)")
    return ExitStatus(CODE_NOT_EXECUTABLE, None, (error.strerror or "cannot be executed").lower())


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False
