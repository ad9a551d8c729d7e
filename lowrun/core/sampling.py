"""The native sampler as a typed object: see _native/sampler.c for what it does."""

from __future__ import annotations

import errno
import os

from lowrun._native import ffi, lib
from lowrun.core.kernel import check
from lowrun.errors import ClosedError, UnsupportedError

__all__ = ["NativeSampler", "record_sizes"]

NO_CHILDREN = "this kernel has no /proc/PID/task/TID/children; it would with CONFIG_PROC_CHILDREN"

#: Pids and their clocks are our pid namespace's, files of /proc those of the namespace that it was mounted in.
OTHER_PROC = "/proc is missing, or shows another pid namespace; mount it anew in this one (mount -t proc proc /proc)"


def _proc_is_ours() -> bool:
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def record_sizes() -> dict[str, int]:
    """Return C's size of each record: its name -> bytes."""
    names = "lr_sample_record", "lr_sample_tick", "lr_sample_process"
    return {name: ffi.sizeof(f"struct {name}") for name in names}


class NativeSampler:
    """Looks at a tree of processes and writes records (sampler.h) to the descriptor `output`, the caller's.

    It keeps descriptors open until `close`, at most a fourth of those that this program may have.
    """

    __slots__ = ("_sampler",)

    def __init__(self, output: int) -> None:
        out = ffi.new("struct lr_sampler **")
        check(lib.lr_sampler_create(output, out), "lr_sampler_create")
        self._sampler = out[0]

    def _open(self) -> object:
        if self._sampler == ffi.NULL:
            raise ClosedError("the sampler is closed")
        return self._sampler

    def watch(self, keeper: int) -> None:
        """Look at all that is below `keeper` from now on. Raises UnsupportedError, OSError (ESRCH: it has ended)."""
        if not _proc_is_ours():
            raise UnsupportedError(OTHER_PROC)
        result = lib.lr_sampler_watch(self._open(), keeper)
        if result == -errno.ESRCH and os.path.isdir(f"/proc/{keeper}"):
            raise UnsupportedError(NO_CHILDREN)
        check(result, "read of /proc")

    def tick(self, time_ns: int, late_ns: int, missed: int) -> bool:
        """Look once: `time_ns` since the run began, `late_ns` after it was due, `missed` looks left out before it.

        True when there are more new processes than could be read in some 10 ms: `go_on`, or wait for the next tick.
        Raises OSError when records cannot be written any more; those that were stay whole.
        """
        return bool(check(lib.lr_sampler_tick(self._open(), time_ns, late_ns, missed), "write"))

    def go_on(self) -> bool:
        """Read some more new processes, which the next tick will have; True when there are still more."""
        return bool(lib.lr_sampler_go_on(self._open()))

    def append(self, records: bytes) -> None:
        """Write records of the caller's own. Raises OSError as `tick`."""
        check(lib.lr_sampler_append(self._open(), records, len(records)), "write")

    def flush(self) -> None:
        """Write what is still in memory. Raises OSError as `tick`."""
        check(lib.lr_sampler_flush(self._open()), "write")

    @property
    def last(self) -> tuple[int, int]:
        """Of the last tick: the tree's CPU time until then in nanoseconds, KiB of its largest process until then."""
        out = ffi.new("struct lr_sample_tick *")
        lib.lr_sampler_last(self._open(), out)
        return out.cpu_ns, out.peak_kib

    def close(self) -> None:
        """Close what it keeps open; the second time does nothing."""
        sampler, self._sampler = self._sampler, ffi.NULL
        if sampler != ffi.NULL:
            lib.lr_sampler_free(sampler)
