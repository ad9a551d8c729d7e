"""What a tree used, counted in the kernel as its threads exit: see _native/exits.c.

It needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) in the initial user
namespace, a kernel with its own type information (CONFIG_DEBUG_INFO_BTF), and pids as
the kernel itself counts them: those of the initial pid namespace.
"""

from __future__ import annotations

import errno
import functools
import os
from dataclasses import dataclass
from typing import Any

from lowrun._native import ffi, lib
from lowrun.core.events import io_usage
from lowrun.core.fd import OwnedFd
from lowrun.core.kernel import check
from lowrun.values import IoUsage

__all__ = ["ExitCounter", "ExitTotals"]

BTF = "/sys/kernel/btf/vmlinux"
#: The initial pid namespace's inode (PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h).
FIRST_PID_NAMESPACE = "pid:[4026531836]"


@dataclass(frozen=True, slots=True)
class ExitTotals:
    """Sums over all threads of a tree that have exited; `max_rss_kib` is its largest process's peak.

    `user_share` is the part of its CPU time that was user mode, as the ticks found it, None without a tick.
    `too_deep` counts processes and threads of which it is not known whose they are.
    """

    io: IoUsage
    max_rss_kib: int
    user_share: float | None
    processes: int
    too_deep: int


@functools.cache
def _layout() -> Any:
    """The same as long as the kernel runs."""
    layout = ffi.new("struct lr_exits_layout *")
    check(lib.lr_exits_layout(os.fsencode(BTF), layout), BTF)
    return layout


class ExitCounter:
    """Counts what exits below the process `keeper` until it is closed.

    The kernel takes some 7 ms to check the programs: keep it as long as the keeper.

    Raises OSError where it is not allowed (EPERM) or not to be had.
    """

    __slots__ = ("_fds",)

    def __init__(self, keeper: int) -> None:
        if os.readlink("/proc/self/ns/pid") != FIRST_PID_NAMESPACE:
            raise OSError(errno.EPERM, "pids are those of another pid namespace")
        out = ffi.new("int[3]")
        check(lib.lr_exits_open(_layout(), keeper, out), "bpf")
        self._fds = [OwnedFd(fd) for fd in out]

    def reset(self) -> None:
        """Count from 0 again, between two trees of the keeper. Raises OSError, ClosedError."""
        check(lib.lr_exits_reset(self._fds[0].fileno()), "bpf")

    def totals(self) -> ExitTotals:
        """Return the sums so far. Raises OSError, ClosedError."""
        out = ffi.new("struct lr_exits *")
        check(lib.lr_exits_read(self._fds[0].fileno(), out), "bpf")
        ticks = out.user_ticks_ns + out.sys_ticks_ns
        share = out.user_ticks_ns / ticks if ticks else None
        return ExitTotals(io_usage(out.io), out.max_rss_kib, share, out.processes, out.too_deep)

    def close(self) -> None:
        """Count no more; the second time does nothing."""
        for fd in reversed(self._fds):
            fd.close()
