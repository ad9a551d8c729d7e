"""The native sampler as a typed object: see _native/sampler.c for what it does."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from lowrun._native import ffi, lib
from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.kernel import check
from lowrun.core.loop import Loop, Source
from lowrun.errors import ClosedError, UnsupportedError

__all__ = ["ASKED", "BROKEN", "MORE", "Look", "NativeSampler", "record_sizes"]

#: News of a look.
MORE, BROKEN, ASKED = int(lib.LR_SAMPLER_MORE), int(lib.LR_SAMPLER_BROKEN), int(lib.LR_SAMPLER_ASKED)

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


class Look(NamedTuple):
    """Of one look: when it was (ns since the start), the tree's CPU time and its largest process until then."""

    time_ns: int
    cpu_ns: int
    peak_kib: int


class Looks(Source):
    """A sampler's timer: a look at every tick, by C alone; `callback(news)` only when there is something to tell."""

    __slots__ = ("_callback",)

    def __init__(self, loop: Loop, interval_ns: int, sampler: object, callback: Callable[[int], object]) -> None:
        self._callback = callback
        interval = interval_ns / 1e9
        with OwnedFd(kernel.timer_create()) as fd:
            check(lib.lr_sampler_start(sampler, fd.fileno(), interval_ns), "write")
            kernel.timer_set(fd.fileno(), interval, interval)
            super().__init__(loop, fd.fileno(), kernel.READ, kernel.Handler(lib.lr_sampler_due, sampler))
            fd.release()

    def _ready(self, events: int) -> None:
        self._callback(events)


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

    def start(self, loop: Loop, interval_ns: int, callback: Callable[[int], object]) -> Source:
        """Look now, and every `interval_ns` nanoseconds until what is returned is closed: before the sampler.

        `callback(news)` is called after a look when there are news, ORed: MORE (`go_on` reads more of those that are
        new), BROKEN (`flush` says why), ASKED (as `ask` wanted). Raises OSError when records cannot be written.
        """
        return Looks(loop, interval_ns, self._open(), callback)

    def ask(self, time_ns: int) -> None:
        """Have `callback` called after the first look from `time_ns` on (since the start)."""
        lib.lr_sampler_ask(self._open(), time_ns)

    def go_on(self) -> bool:
        """Read some more new processes, which the next look will have; True when there are more, and it is not due."""
        return bool(lib.lr_sampler_go_on(self._open()))

    @property
    def elapsed_ns(self) -> int:
        """Nanoseconds since the start."""
        return int(lib.lr_sampler_elapsed(self._open()))

    @property
    def missed(self) -> int:
        """Looks left out since the last one."""
        return int(lib.lr_sampler_missed(self._open()))

    def append(self, records: bytes) -> None:
        """Write records of the caller's own. Raises OSError when that fails; those that were written stay whole."""
        check(lib.lr_sampler_append(self._open(), records, len(records)), "write")

    def redirect(self, output: int) -> None:
        """Write what comes from now on to another descriptor, the caller's; an error of the former is forgotten."""
        lib.lr_sampler_redirect(self._open(), output)

    def flush(self) -> None:
        """Write what is still in memory. Raises OSError as `append`."""
        check(lib.lr_sampler_flush(self._open()), "write")

    @property
    def last(self) -> Look:
        """The last look."""
        out = ffi.new("struct lr_sample_tick *")
        lib.lr_sampler_last(self._open(), out)
        return Look(out.time_ns, out.cpu_ns, out.peak_kib)

    def close(self) -> None:
        """Close what it keeps open; the second time does nothing."""
        sampler, self._sampler = self._sampler, ffi.NULL
        if sampler != ffi.NULL:
            lib.lr_sampler_free(sampler)
