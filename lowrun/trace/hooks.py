"""Hooks: Python functions that are called at the entry and at the exit of chosen system calls.

    def on_call(call: lr.HookedCall, process: PtraceProcess) -> None:
        if call.name == "connect":
            call.skip(error="ECONNREFUSED")

A hook runs on the tracer's thread, in the tracer's process (_native/
tracer_hooks.c), while its tracee is stopped: python-ptrace's `PtraceProcess`
reads and writes that tracee's memory and registers there, and nowhere else. All
other tracees of the run wait meanwhile when they stop. What a hook raises is a
fault of the run, and the tracee goes on as if there were no hook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lowrun.core.tracing import RESULT, SKIP, Answer, Tampering
from lowrun.errors import UsageError
from lowrun.steps import tell, warn
from lowrun.trace.arch import AUDIT_ARCH_X86_64, CALLS_MAX
from lowrun.trace.inject import Inject, compile_injections, error_number
from lowrun.trace.ptracelib import load
from lowrun.trace.records import Chunk, Enter, Exit, read

if TYPE_CHECKING:
    from ptrace.debugger import PtraceProcess

    from lowrun.trace.context import Context

__all__ = ["HookFunction", "Hooks", "HookedCall", "tampering_of"]

#: on_call and on_return.
HookFunction = Callable[["HookedCall", "PtraceProcess"], object]


class HookedCall:
    """A system call of a tracee at its entry, and then, the same object, at its exit."""

    __slots__ = ("_answer", "_enter", "_exit", "_leaving", "name", "number", "pid", "result", "tid")

    def __init__(self, enter: Enter) -> None:
        from lowrun.trace.table import FOREIGN, call_of

        self._enter = enter
        self._exit: Exit | None = None
        self._answer: Answer | None = None
        self._leaving = False
        #: The process (thread group) and the thread that makes the call.
        self.pid, self.tid = enter.tgid, enter.tid
        #: The call's number, and its name: "openat".
        self.number = enter.number
        self.name: str = call_of(enter.number if enter.arch == AUDIT_ARCH_X86_64 else enter.number | FOREIGN).name
        #: What the call returned, -errno when it failed; None at the entry.
        self.result: int | None = None

    @property
    def arguments(self) -> tuple[int, ...]:
        """The six argument registers at the entry; the call has the first few of them."""
        return self._enter.arguments

    @property
    def data(self) -> Mapping[int, bytes]:
        """What was copied of the memory that arguments point to: index of the argument -> bytes.

        A path or string is there without its NUL; a buffer as far as the recorder copies it. What the kernel
        writes is there at the exit only. What cannot be read is not there.
        """
        chunks: dict[int, Chunk] = {**self._enter.chunks, **(self._exit.chunks if self._exit is not None else {})}
        return MappingProxyType({index: chunk.data for index, chunk in chunks.items() if not chunk.bad})

    @property
    def text(self) -> str:
        """The call as strace writes it without -y: at the entry up to what the kernel will fill in."""
        from lowrun.trace.decode import call_format

        enter = self._enter
        form = call_format(enter.arch, enter.number, enter.arguments)
        context = self._context()
        text = f"{form.name}({form.enter(context)}"
        if self._exit is None:
            return text
        context.at_exit, context.value, context.failed = self._exit.chunks, self._exit.value, self._exit.failed
        return f"{text}{form.leave(context)}) = {form.result(context)}"

    def _context(self) -> Context:
        from lowrun.trace.context import Context

        return Context(self._enter.arguments, self._enter.chunks, {}, "")

    def skip(self, result: int = 0, error: str | int | None = None) -> None:
        """Do not execute the call: it returns `result`, or fails with `error` ("ENOSPC", or a number).

        Only in on_call. Raises UsageError.
        """
        if self._leaving:
            raise UsageError("a call can be skipped at its entry only; set_result() is for its exit")
        self._answer = SKIP, _result_of(result, error)

    def set_result(self, result: int = 0, error: str | int | None = None) -> None:
        """Let the call, which was executed, return `result` or fail with `error`.

        Only in on_return. Raises UsageError.
        """
        if not self._leaving:
            raise UsageError("a result can be set at the exit only; at the entry skip() sets it")
        self._answer = RESULT, _result_of(result, error)

    def leave(self, record: Exit) -> None:
        """Go on to the exit."""
        self._exit, self._leaving, self._answer = record, True, None
        self.result = record.value

    def take_answer(self) -> Answer | None:
        """Return what the hook wants."""
        return self._answer

    def __repr__(self) -> str:
        return f"<HookedCall {self.text}>"


def _result_of(result: int, error: str | int | None) -> int:
    if error is None:
        if not -(1 << 63) <= result < 1 << 63:
            raise UsageError(f"a result has 64 bits: {result}")
        return result
    try:
        return -error_number(error)
    except ValueError as reason:
        raise UsageError(str(reason)) from None


class _Debugger:
    """What PtraceProcess needs of a debugger when it neither attaches nor waits."""

    trace_exec = True

    def deleteProcess(self, process: object = None, pid: int | None = None) -> None:
        """Forget nothing: no list is kept."""


class Hooks:
    """The hooks of one run, as the tracer calls them: with a record, for an answer.

    `faults` says afterwards what hooks raised, each text once.
    """

    def __init__(self, on_call: HookFunction | None, on_return: HookFunction | None) -> None:
        self.faults: list[str] = []
        self._on_call, self._on_return = on_call, on_return
        self._process_of: Callable[..., Any] = load("hooks need").PtraceProcess
        self._debugger = _Debugger()
        #: Thread -> the call that it is in, while on_return is to come.
        self._calls: dict[int, HookedCall] = {}

    def __call__(self, data: bytes) -> Answer | None:
        """Serve one stop; never raises."""
        try:
            record = next(read(data), None)
            if isinstance(record, Enter):
                call: HookedCall | None = HookedCall(record)
                assert call is not None
                if self._on_return is not None:
                    self._calls[record.tid] = call
                return self._serve(self._on_call, call)
            if isinstance(record, Exit):
                call = self._calls.pop(record.tid, None)
                if call is not None:
                    call.leave(record)
                    return self._serve(self._on_return, call)
        except BaseException as error:
            self._blame("a hook", error)
        return None

    def _serve(self, function: HookFunction | None, call: HookedCall) -> Answer | None:
        if function is None:
            return None
        process = self._process_of(self._debugger, call.tid, True, is_thread=call.tid != call.pid)
        try:
            function(call, process)
            return call.take_answer()
        except BaseException as error:
            self._blame(f"the hook of {call.name}", error)
            return None
        finally:
            process.running = process.is_attached = False
            memory = getattr(process, "read_mem_file", None)
            if memory:
                memory.close()

    def _blame(self, what: str, error: BaseException) -> None:
        text = f"{what} failed: {type(error).__name__}: {error}"
        if text not in self.faults:
            self.faults.append(text)
            warn("hooks", "%s", text)
            tell("hooks", "%s", text, error=error)


def tampering_of(
    injections: Sequence[Inject], hooks: Hooks | None = None, hooked: frozenset[int] | None = None
) -> Tampering | None:
    """Return what the tracer is told to do to calls: `hooks` are for the calls `hooked` (None: all). None: nothing."""
    if not injections and hooks is None:
        return None
    rows, places = compile_injections(injections)
    return Tampering(rows, places, hooks, frozenset(range(CALLS_MAX)) if hooked is None else hooked)
