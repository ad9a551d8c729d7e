"""The engine "python": the tracer's loop on python-ptrace, its debugger, processes and registers.

Slow, and simple: each stop is Python. A second opinion on the native loop, which it shares no code with, for the
same records; and a way where that does not know the machine. It runs in the process that is made for the native
loop, too (_native/tracer_process.c), so it waits for its own tracees alone.

    run(pid) --C--> [the tracer's process] seize(pid) -- follow() -- back
"""

from __future__ import annotations

import _thread
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass
from typing import Any

from lowrun.core import kernel, tracing
from lowrun.core.tracing import NativeTracer, Tampering, TracedUsage
from lowrun.errors import UnsupportedError
from lowrun.trace import pynames
from lowrun.trace.plan import FD
from lowrun.trace.pycapture import Rows, capture, row_of, rows_of
from lowrun.trace.records import (
    Enter,
    Exec,
    Exit,
    Exited,
    Fork,
    Path,
    Record,
    Signal,
    Stopped,
    encode,
)
from lowrun.trace.table import call_of

__all__ = ["PythonTracer"]

BUFFER_SIZE = 1 << 20
SYSGOOD = 0x80
#: How long a child waits for its creator's event; seconds.
HOLD_S = 0.005
SIGINFO_SIZE = 128
#: `struct ptrace_syscall_info`: op, then arch at 4.
SYSCALL_INFO_SIZE = 88
CLONE_PTRACE, CLONE_UNTRACED = 0x2000, 0x800000
F_DUPFD, F_DUPFD_CLOEXEC = 0, 1030
MASK = (1 << 64) - 1
ERRNO_MAX = 4095


@dataclass(slots=True)
class _Task:
    """One thread."""

    tid: int
    tgid: int
    process: Any
    #: The call that it is in, when that is recorded.
    enter: Enter | None = None
    entered_ns: int = 0
    #: A hook waits for the call's exit.
    hooked: bool = False
    #: What a hook has put in the place of the call.
    injected: int | None = None


class _Sink:
    """Takes records: to the descriptor `output`, or -1: until they are taken, raising `wake`."""

    def __init__(self, output: int, wake: int) -> None:
        self._output, self._wake = output, wake
        self._lock = _thread.allocate_lock()
        self._buffer = bytearray()
        self.error: OSError | None = None
        self.lost = 0
        self.closing = False

    def put(self, record: bytes) -> None:
        """Take one record; where they are read as they come, wait for the reader when it is far behind."""
        while self._output < 0 and len(self._buffer) > BUFFER_SIZE and not self.closing:
            kernel.counter_add(self._wake)
            time.sleep(0.001)
        with self._lock:
            if self.error is not None:
                self.lost += 1
                return
            was_empty = not self._buffer
            self._buffer += record
            if self._output >= 0 and len(self._buffer) > BUFFER_SIZE:
                self._write()
        if self._output < 0 and was_empty:
            kernel.counter_add(self._wake)

    def _write(self) -> None:
        data, self._buffer = memoryview(self._buffer), bytearray()
        try:
            while data:
                data = data[os.write(self._output, data) :]
        except OSError as error:
            self.error, self.lost = error, self.lost + 1

    def flush(self) -> None:
        """Write what is in memory. Raises OSError: the first error of any write."""
        with self._lock:
            if self._output >= 0:
                self._write()
        if self.error is not None:
            raise self.error

    def take(self) -> memoryview:
        """Return the records since the last time."""
        with self._lock:
            data, self._buffer = self._buffer, bytearray()
        return memoryview(data)


class PythonTracer:
    """In the place of lowrun.core.tracing.NativeTracer, with the same interface; it attaches to nothing that runs.

    Raises UnsupportedError without python-ptrace, and for injections.
    """

    def __init__(
        self,
        output: int,
        plan: bytes,
        only: frozenset[int] | None,
        string_limit: int,
        wake: int = -1,
        tampering: Tampering | None = None,
    ) -> None:
        if tampering is not None and tampering.places:
            raise UnsupportedError("the python engine injects nothing; use hooks, or the engine ptrace")
        try:
            from ptrace.binding import func
            from ptrace.debugger import PtraceDebugger, PtraceProcess
            from ptrace.error import PtraceError
            from ptrace.syscall import ptrace_syscall
        except ImportError as error:
            raise UnsupportedError(f"the engine python needs python-ptrace: {error}") from error
        self._func, self._process_of, self._syscalls = func, PtraceProcess, ptrace_syscall
        self._ptrace_error: type[Exception] = PtraceError
        self._debugger = PtraceDebugger()
        self._debugger.traceFork()
        self._debugger.traceExec()
        self._debugger.traceClone()
        self._only, self._limit = only, string_limit
        self._rows: Rows = rows_of(plan)
        self._hook: Callable[[bytes], tracing.Answer | None] | None = tampering.hook if tampering else None
        self._hooked = tampering.hooked if tampering else frozenset()
        self._sink = _Sink(output, wake)
        self._tasks: dict[int, _Task] = {}
        #: Children that stopped before their creator told of them -> when.
        self._early: dict[int, float] = {}
        self._untold: set[int] = set()
        self._pending: Enter | None = None
        self._root = 0
        #: Of this machine: the command waits in a program of ours.
        self._arch = 0
        self._recording = self._aborted = False
        self._processes = self._untraced = 0
        self._failure: str | None = None
        self.unprivileged = 0
        #: Attaching is refused altogether.
        self.refused = 0
        self._native = NativeTracer(output, plan, only, string_limit, wake, engine=self)

    # -- what the loop's thread and the parked one call

    def run(self, pid: int) -> None:
        """As NativeTracer."""
        self._root = pid
        self._native.run(pid)
        if self._failure is not None:
            raise OSError(errno.EIO, self._failure)

    def attach(self, pids: Sequence[int]) -> None:
        """Refuse."""
        raise UnsupportedError("the python engine traces commands only; attach with the engine ptrace")

    def await_seized(self, timeout: float) -> None:
        """As NativeTracer."""
        self._native.await_seized(timeout)

    def abort(self) -> None:
        """Kill what is traced, so that `run` returns; from any thread."""
        self._aborted = self._sink.closing = True
        for task in list(self._tasks.values()):
            self._kill(task.tid)

    def detach(self) -> None:
        """Nothing is attached to."""

    def take(self) -> memoryview:
        """Return the records since the last time."""
        return self._sink.take() if self._recording else memoryview(b"")

    def flush(self) -> None:
        """Write what is still in memory. Raises OSError: the first error of any write."""
        self._sink.flush()

    @property
    def lost(self) -> int:
        """How many records could not be written."""
        return self._sink.lost

    @property
    def write_error(self) -> str | None:
        """Why records were lost, None without an error."""
        return None if self._sink.error is None else self._sink.error.strerror

    def usage(self) -> TracedUsage:
        """Return how many processes there were; what they used is not known."""
        return 0, 0, 0, self._processes, 1, self._untraced

    def close(self) -> None:
        """Free the process's memory."""
        self._native.close()

    # -- the engine, in the tracer's process

    def seize(self, pid: int) -> int:
        """Trace `pid` and see it go on."""
        options = self._debugger.options | tracing.PTRACE_O_EXITKILL
        try:
            self._func.ptrace(tracing.PTRACE_SEIZE, pid, 0, options)
            self._add(pid)
            self._func.ptrace(tracing.PTRACE_INTERRUPT, pid)
            self._serve(*os.waitpid(pid, self._func.THREAD_TRACE_FLAGS))
        except (self._ptrace_error, OSError) as error:
            return -(getattr(error, "errno", None) or errno.ESRCH)
        except Exception as error:
            self._fail(error)
            return -errno.EIO
        return 0

    def follow(self) -> None:
        """Serve stops until nothing is traced."""
        try:
            while self._serve_next():
                pass
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Something is wrong here: the tracees end with this process (PTRACE_O_EXITKILL)."""
        self._failure = f"the python engine failed: {type(error).__name__}: {error}"

    def _serve_next(self) -> bool:
        flags = self._func.THREAD_TRACE_FLAGS | (os.WNOHANG if self._early else 0)
        try:
            tid, status = os.waitpid(-1, flags)
        except ChildProcessError:
            return False
        if tid:
            self._serve(tid, status)
        elif time.monotonic() - max(self._early.values()) > HOLD_S:
            self._release_all()
        else:
            time.sleep(HOLD_S / 50)
        return True

    def _serve(self, tid: int, status: int) -> None:
        """One wait status. A tracee can be gone at any request (SIGKILL ends every stop): its end will be told."""
        task = self._tasks.get(tid)
        if not os.WIFSTOPPED(status):
            self._gone(tid, status)
        elif task is None and tid not in self._untold and not self._aborted:
            self._early[tid] = time.monotonic()
        else:
            task = task or self._add(tid)
            if self._aborted:
                self._kill(tid)
            try:
                signo = self._stop(task, status)
                if signo is not None:
                    task.process.syscall(signo)
            except (self._ptrace_error, ProcessLookupError):
                return

    def _stop(self, task: _Task, status: int) -> int | None:
        """Returns the signal to go on with; None: the tracee stays stopped."""
        event, signo = status >> 16, os.WSTOPSIG(status)
        if event == tracing.PTRACE_EVENT_STOP and signo != signal.SIGTRAP:
            self._put(task, Stopped(task.tid, task.tgid, time.time_ns(), signo))
            self._func.ptrace(tracing.PTRACE_LISTEN, task.tid)
            return None
        if event in (self._func.PTRACE_EVENT_FORK, self._func.PTRACE_EVENT_VFORK, self._func.PTRACE_EVENT_CLONE):
            self._forked(task, event)
        elif event == self._func.PTRACE_EVENT_EXEC:
            self._executed(task)
        elif event == 0 and signo == signal.SIGTRAP | SYSGOOD:
            self._call(task)
        elif event == 0:
            info = create_string_buffer(SIGINFO_SIZE)
            self._func.ptrace(self._func.PTRACE_GETSIGINFO, task.tid, 0, addressof(info))
            self._put(task, Signal(task.tid, task.tgid, time.time_ns(), info.raw))
            return signo
        return 0

    # -- who is traced

    def _add(self, tid: int) -> _Task:
        tgid = _thread_group(tid)
        process = self._process_of(self._debugger, tid, True, is_thread=tgid != tid)
        self._debugger.dict[tid] = process
        self._debugger.list.append(process)
        task = self._tasks[tid] = _Task(tid, tgid, process)
        self._processes += tgid == tid
        return task

    def _remove(self, tid: int) -> None:
        task = self._tasks.pop(tid, None)
        if task is not None:
            self._forget_memory(task)
            self._debugger.deleteProcess(pid=tid)

    @staticmethod
    def _forget_memory(task: _Task) -> None:
        memory, task.process.read_mem_file = task.process.read_mem_file, None
        if memory:
            memory.close()

    @staticmethod
    def _kill(tid: int) -> None:
        try:
            os.kill(tid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _release_all(self) -> None:
        """Nobody is waited for any longer: a creator that is gone will not tell."""
        for tid in list(self._early):
            del self._early[tid]
            self._untold.add(tid)
            self._serve(tid, tracing.PTRACE_EVENT_STOP << 16 | signal.SIGTRAP << 8 | 0x7F)

    def _forked(self, task: _Task, event: int) -> None:
        child = self._func.ptrace_geteventmsg(task.tid)
        self._put(task, Fork(task.tid, task.tgid, time.time_ns(), child, event))
        if child in self._untold:
            self._untold.discard(child)
        elif child not in self._tasks:
            self._add(child)
        if self._early.pop(child, None) is not None:
            self._serve(child, tracing.PTRACE_EVENT_STOP << 16 | signal.SIGTRAP << 8 | 0x7F)

    def _gone(self, tid: int, status: int) -> None:
        task = self._tasks.get(tid)
        self._early.pop(tid, None)
        if task is not None:
            self._put(task, Exited(tid, task.tgid, time.time_ns(), status))
            self._remove(tid)
            self._release_all()
        else:
            self._untold.add(tid)

    def _executed(self, task: _Task) -> None:
        former = self._func.ptrace_geteventmsg(task.tid)
        caller = self._tasks.get(former) if former != task.tid else None
        if caller is not None:
            task.enter, task.entered_ns, task.hooked = caller.enter, caller.entered_ns, caller.hooked
            self._remove(former)
        self._forget_memory(task)
        if task.tid == self._root and not self._recording:
            self._recording = True
            if self._pending is not None:
                self._put(task, self._pending)
            for fd in (pynames.WORKING_DIRECTORY, *pynames.descriptors(task.tid)):
                self._name(task, fd)
        self._note_privilege(task.tid)
        self._put(task, Exec(task.tid, task.tgid, time.time_ns(), former or task.tid))

    def _note_privilege(self, tid: int) -> None:
        if os.geteuid() == 0:
            return
        try:
            program = os.stat(f"/proc/{tid}/exe")
        except OSError:
            return
        set_user = program.st_mode & 0o4000 and program.st_uid != os.geteuid()
        self.unprivileged += bool(set_user or (program.st_mode & 0o2000 and program.st_gid != os.getegid()))

    # -- calls

    def _call(self, task: _Task) -> None:
        info = create_string_buffer(SYSCALL_INFO_SIZE)
        self._func.ptrace(tracing.PTRACE_GET_SYSCALL_INFO, task.tid, SYSCALL_INFO_SIZE, addressof(info))
        arch = int.from_bytes(info.raw[4:8], sys.byteorder)
        self._arch = self._arch or arch
        if info.raw[0] == tracing.PTRACE_SYSCALL_INFO_ENTRY:
            self._entry(task, arch)
        elif info.raw[0] == tracing.PTRACE_SYSCALL_INFO_EXIT:
            self._exit(task)

    def _reader(self, task: _Task) -> Callable[[int, int], bytes]:
        def read(address: int, size: int) -> bytes:
            try:
                return bytes(task.process.readBytes(address, size))
            except (self._ptrace_error, OSError, OverflowError, ValueError):
                return b""

        return read

    def _entry(self, task: _Task, arch: int) -> None:
        task.enter, task.hooked, task.injected = None, False, None
        registers = task.process.getregs()
        number = getattr(registers, self._syscalls.SYSCALL_REGISTER) & MASK
        syscall = self._syscalls.PtraceSyscall(task.process, None, registers)
        arguments = tuple(value & MASK for value in syscall.readArgumentValues(registers)[:6])
        native = arch == self._arch
        if not self._recording and task.tid != self._root:
            return
        if native and self._only is not None and number not in self._only:
            return
        row = row_of(self._rows, number, arguments) if native else None
        cells = row.enter if row is not None else ()
        if self._recording:
            for index, cell in enumerate(cells):
                if cell[0] == FD:
                    self._name(task, _signed(arguments[index]))
        chunks = capture(self._reader(task), cells, arguments, None, self._limit)
        enter = Enter(task.tid, task.tgid, time.time_ns(), number, arguments, arch, chunks)
        task.enter, task.entered_ns = enter, time.monotonic_ns()
        if not self._recording:
            self._pending = enter
            return
        self._put(task, enter)
        if self._hook is not None and native and number in self._hooked:
            task.hooked = True
            self._ask_entry(task, self._hook(encode(enter)))

    def _ask_entry(self, task: _Task, answer: tracing.Answer | None) -> None:
        if answer is not None:
            task.process.setreg(self._syscalls.SYSCALL_REGISTER, MASK)
            task.injected = answer[1]

    def _exit(self, task: _Task) -> None:
        now = time.monotonic_ns()
        enter, task.enter = task.enter, None
        if enter is None or not self._recording:
            return
        value = _long(task.process.getreg(self._syscalls.RETURN_VALUE_REGISTER))
        if task.injected is not None:
            value = self._set_result(task, task.injected)
        failed = -ERRNO_MAX <= value < 0
        if not failed and value > 0 and task.injected is None:
            self._note_untraced(task, enter)
        row = row_of(self._rows, enter.number, enter.arguments)
        cells = row.leave if row is not None else ()
        chunks = {} if failed else capture(self._reader(task), cells, enter.arguments, value, self._limit)
        leave = Exit(
            task.tid, task.tgid, time.time_ns(), value, now - task.entered_ns, failed, chunks, task.injected is not None
        )
        if not failed:
            self._name_results(task, enter, leave)
        if task.hooked and self._hook is not None:
            answer = self._hook(encode(leave))
            if answer is not None:
                leave.value = self._set_result(task, answer[1])
                leave.failed, leave.injected = -ERRNO_MAX <= leave.value < 0, True
        self._put(task, leave)

    def _set_result(self, task: _Task, value: int) -> int:
        task.process.setreg(self._syscalls.RETURN_VALUE_REGISTER, value & MASK)
        return value

    def _note_untraced(self, task: _Task, enter: Enter) -> None:
        name = call_of(enter.number).name
        flags = enter.arguments[0] if name == "clone" else 0
        if name == "clone3":
            flags = int.from_bytes(self._reader(task)(enter.arguments[0], 8), "little")
        self._untraced += bool(flags & CLONE_UNTRACED and not flags & CLONE_PTRACE)

    # -- descriptors

    def _name(self, task: _Task, fd: int) -> None:
        kind, text, number = pynames.describe(task.tid, fd)
        self._put(task, Path(task.tid, task.tgid, time.time_ns(), fd, text, kind, number))

    def _name_results(self, task: _Task, enter: Enter, leave: Exit) -> None:
        """Say what the call has made."""
        call = call_of(enter.number)
        duplicated = call.result == "fcntl" and enter.arguments[1] in (F_DUPFD, F_DUPFD_CLOEXEC)
        if call.result == "fd" or duplicated:
            self._name(task, leave.value)
        if call.name in ("chdir", "fchdir"):
            self._name(task, pynames.WORKING_DIRECTORY)
        for index, argument in enumerate(call.arguments):
            if argument.kind == "fdpair" and index in leave.chunks and not leave.chunks[index].bad:
                data = leave.chunks[index].data
                self._name(task, int.from_bytes(data[:4], "little"))
                self._name(task, int.from_bytes(data[4:8], "little"))

    def _put(self, task: _Task, record: Record) -> None:
        if self._recording:
            self._sink.put(encode(record))


def _signed(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _long(value: int) -> int:
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


def _thread_group(tid: int) -> int:
    try:
        with open(f"/proc/{tid}/status") as status:
            return next((int(line[5:]) for line in status if line.startswith("Tgid:")), tid)
    except OSError:
        return tid
