"""The native tracer as a typed object: see _native/tracer.c for what it does.

`run` takes a thread of its own for as long as anything is traced; cffi lets
go of the GIL, so that thread holds nobody up. `await_seized` and `abort` are
for other threads meanwhile, the rest is for when `run` has returned.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from lowrun._native import ffi, lib
from lowrun.core.events import io_usage
from lowrun.core.kernel import check
from lowrun.errors import ClosedError
from lowrun.values import IoUsage

__all__ = ["RESULT", "SKIP", "Answer", "Engine", "NativeTracer", "Tampering", "TracedUsage", "Turns"]


#: What a hook wants: at an entry SKIP, at an exit RESULT; with the call's result.
Answer = tuple[int, int]
SKIP: int = lib.LR_HOOK_SKIP
RESULT: int = lib.LR_HOOK_RESULT
#: From the stack pointer at rt_sigreturn to the mask that it restores, in bytes.
FRAME_MASK: int = lib.LR_FRAME_MASK
#: Of ptrace(2), what python-ptrace lacks.
PTRACE_SEIZE: int = lib.PTRACE_SEIZE
PTRACE_INTERRUPT: int = lib.PTRACE_INTERRUPT
PTRACE_LISTEN: int = lib.PTRACE_LISTEN
PTRACE_GET_SYSCALL_INFO: int = lib.PTRACE_GET_SYSCALL_INFO
PTRACE_SYSCALL_INFO_ENTRY: int = lib.PTRACE_SYSCALL_INFO_ENTRY
PTRACE_SYSCALL_INFO_EXIT: int = lib.PTRACE_SYSCALL_INFO_EXIT
PTRACE_EVENT_STOP: int = lib.PTRACE_EVENT_STOP
PTRACE_O_EXITKILL: int = lib.PTRACE_O_EXITKILL

#: (user ns, system ns, KiB of the largest process, number of processes, of those: what they used is not known)
TracedUsage = tuple[int, int, int, int, int, int]


def bitmap_of(numbers: Iterable[int]) -> bytes:
    """Return a bitmap: bit N%8 of byte N//8 is set for each N of `numbers`."""
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits.to_bytes(bits.bit_length() // 8 + 1, "little")


class Tampering(NamedTuple):
    """What is done to calls while they are traced."""

    #: `struct lr_inject` each, field by field.
    injections: Sequence[tuple[int, ...]] = ()
    #: Call number -> index in `injections`.
    places: Mapping[int, int] = {}
    #: Gets the ENTER, then the EXIT record of a call; must not raise. In the tracer's process, on the thread of `run`.
    hook: Callable[[bytes], Answer | None] | None = None
    #: The numbers of the calls that it is called for.
    hooked: frozenset[int] = frozenset()


@ffi.def_extern()  # type: ignore[untyped-decorator]
def lr_python_hook(handle: Any, hook: Any) -> None:
    """The one function that C calls: see _native/tracer_hooks.c."""
    answer = ffi.from_handle(handle)(bytes(ffi.buffer(hook.record, hook.size)))
    if answer is not None:
        hook.answer, hook.value = answer


class Turns(NamedTuple):
    """How two outputs take turns, so that only the last records are there."""

    #: The other one, a descriptor of the caller's.
    spare: int
    #: Bytes that stay at its beginning.
    head: int
    #: Bytes of records after which it is the other one's turn.
    size: int


class Engine(Protocol):
    """Traces in the native loop's place, in the process that is made for it; neither method may raise."""

    def seize(self, pid: int) -> int:
        """Trace `pid`; returns 0, or -errno."""

    def follow(self) -> None:
        """Trace until nothing is left."""


@ffi.def_extern(error=-errno.EINVAL)  # type: ignore[untyped-decorator]
def lr_python_engine(handle: Any, pid: int) -> int:
    """What C calls in the place of its own loop: see _native/tracer_process.c."""
    engine: Engine = ffi.from_handle(handle)
    if pid:
        return engine.seize(pid)
    engine.follow()
    return 0


class NativeTracer:
    """Follows processes and all that they make; writes records (records.h) to `output`.

    `plan` holds a struct lr_capture_row per call number, `only` the numbers
    of the calls to record (None: all), `string_limit` bytes are copied of a
    string. The descriptor `output` stays the caller's; -1: the records are
    taken while the command runs, and the counter `wake` (an eventfd, the
    caller's, too) is raised when there are some. With `turns` it and another one take turns.
    """

    __slots__ = ("_attached", "_counts_io", "_keep", "_tracer")

    def __init__(
        self,
        output: int,
        plan: bytes,
        only: frozenset[int] | None,
        string_limit: int,
        wake: int = -1,
        tampering: Tampering | None = None,
        engine: Engine | None = None,
        turns: Turns | None = None,
    ) -> None:
        bits = b"" if only is None else bitmap_of(only)
        rows = ffi.from_buffer("struct lr_capture_row[]", plan)
        options = ffi.new("struct lr_tracer_options *")
        options.output, options.wake = output, wake
        options.spare, options.head, options.turn_size = (-1, 0, 0) if turns is None else turns
        options.string_limit = min(string_limit, 2**32 - 1)  # a record holds less
        options.plan, options.rows = rows, len(rows)
        if only is not None:
            options.only, options.only_bits = ffi.from_buffer("uint8_t[]", bits), len(bits) * 8
        tampered = None if tampering is None else self._tamper(options, tampering)
        handle = None if engine is None else ffi.new_handle(engine)
        if handle is not None:
            options.engine, options.engine_handle = lib.lr_python_engine, handle
        out = ffi.new("struct lr_tracer **")
        check(lib.lr_tracer_create(options, out), "lr_tracer_create")
        self._tracer = out[0]
        self._attached: Any = ()
        self._counts_io = False
        self._keep = (plan, rows, bits, options, tampered, handle)  # C holds pointers to them

    @staticmethod
    def _tamper(options: Any, tampering: Tampering) -> tuple[Any, ...]:
        """Fill in what is done to calls; returns what C will hold pointers to."""
        injections = ffi.new("struct lr_inject[]", list(tampering.injections))
        injected = ffi.new("uint8_t[]", options.rows)
        for number, index in tampering.places.items():
            injected[number] = index + 1
        if tampering.places:
            options.injections, options.injected = injections, injected
        if tampering.hook is None:
            return injections, injected
        bits = ffi.from_buffer("uint8_t[]", bitmap_of(tampering.hooked))
        handle = ffi.new_handle(tampering.hook)
        options.hooked, options.hooked_bits = bits, len(bits) * 8
        options.hook, options.handle = lib.lr_python_hook, handle
        return injections, injected, bits, handle

    def _open(self) -> Any:
        if self._tracer == ffi.NULL:
            raise ClosedError("the tracer is closed")
        return self._tracer

    def count_io(self) -> None:
        """Sum up what the threads read and wrote, from each one's end on; before `run`."""
        lib.lr_tracer_count_io(self._open())
        self._counts_io = True

    def run(self, pid: int) -> None:
        """Trace `pid` and all that it makes until none is left. All signals are blocked in the caller.

        Raises OSError when the tracer could not be made, or was killed.
        """
        check(lib.lr_tracer_run(self._open(), pid), "clone")

    def attach(self, pids: Sequence[int]) -> None:
        """Trace the running processes `pids`, with all threads, until none is left or `detach`. As `run`."""
        self._attached = ffi.new("struct lr_attached[]", [{"pid": pid} for pid in pids])
        check(lib.lr_tracer_attach(self._open(), self._attached, len(pids)), "clone")

    def await_seized(self, timeout: float) -> None:
        """Wait until the process is traced. Raises OSError: EPERM, ESRCH, ETIMEDOUT after `timeout` seconds."""
        check(lib.lr_tracer_await_seized(self._open(), int(timeout * 1000)), "ptrace")

    def abort(self) -> None:
        """Kill what is traced, so that `run` returns; from any thread."""
        lib.lr_tracer_abort(self._open())

    def detach(self) -> None:
        """Let go of what is traced, so that `attach` returns; to be called again until it has. From any thread."""
        lib.lr_tracer_detach(self._open())

    def take(self) -> memoryview:
        """Return the records since the last time; they last until the next one."""
        out = ffi.new("uint8_t **")
        size = lib.lr_tracer_take(self._open(), out)
        return memoryview(ffi.buffer(out[0], size))

    @property
    def refusals(self) -> list[tuple[int, int]]:
        """The processes that `attach` does not trace, each with the errno that says why; once it is traced."""
        return [(row.pid, -row.error) for row in self._attached if row.error]

    def flush(self) -> None:
        """Write what is still in memory. Raises OSError: the first error of any write."""
        check(lib.lr_tracer_flush(self._open()), "write")

    @property
    def output(self) -> int:
        """The descriptor that the latest records were written to."""
        return int(lib.lr_tracer_output(self._open()))

    @property
    def write_error(self) -> str | None:
        """Why recording ended before the command did, None without an error."""
        error = int(lib.lr_tracer_write_error(self._open()))
        return os.strerror(error) if error else None

    @property
    def gap(self) -> str | None:
        """Why records are missing in between, where outputs take turns; None: none are."""
        error = int(lib.lr_tracer_gap_error(self._open()))
        return os.strerror(error) if error else None

    def usage(self) -> TracedUsage:
        """Return what the processes that have ended used."""
        out = ffi.new("struct lr_tracer_usage *")
        lib.lr_tracer_usage(self._open(), out)
        return out.user_ns, out.sys_ns, out.max_rss_kib, out.processes, out.unweighed, out.untraced

    @property
    def io(self) -> IoUsage | None:
        """What all that has ended read and wrote; None: it was not asked for, or is not known of all."""
        out = ffi.new("struct lr_tracer_usage *")
        lib.lr_tracer_usage(self._open(), out)
        return None if not self._counts_io or out.io_unread else io_usage(out.io)

    @property
    def unprivileged(self) -> int:
        """How many set-user-ID programs ran without their privilege because they were traced."""
        out = ffi.new("struct lr_tracer_usage *")
        lib.lr_tracer_usage(self._open(), out)
        return int(out.unprivileged)

    def close(self) -> None:
        """Free it; the second time does nothing. Never while `run` is under way."""
        tracer, self._tracer = self._tracer, ffi.NULL
        if tracer != ffi.NULL:
            lib.lr_tracer_free(tracer)
