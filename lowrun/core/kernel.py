"""The kernel as typed Python: the only importer of `lowrun._native`.

Each function is one C call; results come back as copies, `-errno` becomes
OSError with the call's name, in one place. cffi releases the GIL around every
call, so a call that waits holds nobody up.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lowrun._native import ffi, lib

__all__ = ["READ", "WRITE"]

READ: int = lib.EPOLLIN
WRITE: int = lib.EPOLLOUT
HANGUP: int = lib.EPOLLHUP
ERROR: int = lib.EPOLLERR
#: si_code of a signal that the kernel sent, such as ^C typed at a terminal.
SI_KERNEL: int = lib.SI_KERNEL

BATCH = 64


def check(result: int, call: str) -> int:
    """Return `result`, or raise the OSError that a negative one stands for, naming `call`."""
    if result < 0:
        raise OSError(-result, os.strerror(-result), call)
    return result


def mask_of(signals: Iterable[int]) -> int:
    """Return the kernel's mask (bit N-1 is signal N) of signal numbers."""
    mask = 0
    for number in signals:
        mask |= 1 << (number - 1)
    return mask


class Handler(NamedTuple):
    """What C does about a source's events (poller.c): a function of `lib`, and what it is called with."""

    function: object
    context: object


class Poller:
    """An epoll instance: register descriptors with a token, wait for tokens."""

    __slots__ = ("_fd", "_handlers", "_ready", "_table")

    def __init__(self) -> None:
        self._fd = check(lib.lr_poller_create(), "epoll_create1")
        self._ready = ffi.new("struct lr_ready[]", BATCH)
        self._handlers: dict[int, Handler] = {}
        self._table = ffi.new("struct lr_handler[]", 0)

    def fileno(self) -> int:
        """Return the epoll descriptor: readable when a source is ready."""
        return self._fd

    def add(self, fd: int, events: int, token: int) -> None:
        """Watch `fd`. Raises OSError: EPERM for a regular file, which is always ready."""
        check(lib.lr_poller_add(self._fd, fd, events, token), "epoll_ctl")

    def modify(self, fd: int, events: int, token: int) -> None:
        """Watch `fd` for other events from now on."""
        check(lib.lr_poller_modify(self._fd, fd, events, token), "epoll_ctl")

    def remove(self, fd: int, token: int) -> None:
        """Watch `fd` no more; call it before the descriptor is closed."""
        if self._handlers.pop(token, None) is not None:
            self._write_table()
        check(lib.lr_poller_remove(self._fd, fd), "epoll_ctl")

    def handle(self, token: int, handler: Handler) -> None:
        """Let C handle the events of the source with `token`: `wait` tells what the handler has to say instead."""
        self._handlers[token] = handler
        self._write_table()

    def _write_table(self) -> None:
        rows = [(token, *handler) for token, handler in self._handlers.items()]
        self._table = ffi.new("struct lr_handler[]", rows)

    def wait(self, timeout_ms: int = -1) -> list[tuple[int, int]]:
        """Return (token, events) of what is ready; [] after a signal or the timeout."""
        table = self._table
        count = lib.lr_poller_wait(self._fd, table, len(self._handlers), self._ready, BATCH, timeout_ms)
        if count == -errno.EINTR:  # a Python signal handler is to run
            return []
        check(count, "epoll_wait")
        return [(self._ready[i].token, self._ready[i].events) for i in range(count)]

    def close(self) -> None:
        """Close the epoll descriptor; the second time does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def timer_create() -> int:
    """Return a new disarmed timerfd on CLOCK_MONOTONIC."""
    return check(lib.lr_timer_create(), "timerfd_create")


def timer_set(fd: int, after: float, every: float = 0.0) -> None:
    """Arm a timerfd: first after `after` seconds (0 is "now"), then every `every` seconds."""
    check(lib.lr_timer_set(fd, max(1, int(after * 1e9)), int(every * 1e9)), "timerfd_settime")


def timer_stop(fd: int) -> None:
    """Disarm a timerfd."""
    check(lib.lr_timer_set(fd, 0, 0), "timerfd_settime")


def counter_create() -> int:
    """Return a new eventfd with count 0."""
    return check(lib.lr_counter_create(), "eventfd")


def counter_add(fd: int) -> None:
    """Add one to an eventfd; safe from any thread."""
    check(lib.lr_counter_add(fd), "write")


def counter_take(fd: int) -> int:
    """Return and clear the count of an eventfd or timerfd; 0 when it has none."""
    return check(lib.lr_counter_take(fd), "read")


def signals_create(signals: Iterable[int]) -> int:
    """Return a signalfd for `signals`, which the caller has blocked."""
    return check(lib.lr_signals_create(mask_of(signals)), "signalfd")


def signals_take(fd: int) -> tuple[int, int, int] | None:
    """Return (signal, si_code, sender's pid) of one pending signal, None without one."""
    out = ffi.new("int[3]")
    if check(lib.lr_signals_take(fd, out, out + 1, out + 2), "read") == 0:
        return None
    return out[0], out[1], out[2]


def _mask_from(call: Any, name: str) -> int:
    out = ffi.new("uint64_t *")
    check(call(out), name)
    return int(out[0])


def signals_blocked() -> int:
    """Return the calling thread's mask of blocked signals."""
    return _mask_from(lib.lr_signals_blocked, "sigprocmask")


def signals_ignored() -> int:
    """Return the mask of signals that the process ignores."""
    return _mask_from(lib.lr_signals_ignored, "sigaction")


def signals_block(signals: Iterable[int]) -> int:
    """Block `signals` in the calling thread; return the former mask."""
    out = ffi.new("uint64_t *")
    check(lib.lr_signals_block(mask_of(signals), out), "sigprocmask")
    return int(out[0])


def signals_restore(mask: int) -> None:
    """Set the calling thread's mask of blocked signals."""
    check(lib.lr_signals_restore(mask), "sigprocmask")


#: What a user or the system ends a program with.
ENDING = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))


def end_is_asked() -> bool:
    """Return True when a signal that ends programs is pending for this thread.

    It is pending in a program that blocks it to read it from a signalfd of its
    own; long work in such a program asks here whether to go on.
    """
    return not ENDING.isdisjoint(signal.sigpending())


def pidfd_open(pid: int) -> int:
    """Return a pidfd of `pid`. Raises ProcessLookupError."""
    return check(lib.lr_pidfd_open(pid), "pidfd_open")


def pidfd_signal(pidfd: int, number: int) -> None:
    """Send signal `number` to exactly the process behind `pidfd`. Raises ProcessLookupError, PermissionError."""
    check(lib.lr_pidfd_signal(pidfd, number), "pidfd_send_signal")


def native_directory() -> Path:
    """Return the directory of the native module; the keeper program lies there too."""
    from lowrun import _native

    return Path(_native.__file__).parent
