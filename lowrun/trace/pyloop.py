"""The loop of the engine "python": stops of tracees, served on python-ptrace's debugger, processes and registers.

It shares no code with the native loop (_native/tracer.c), whose order of stops is its, too. It runs in a process that
waits for its own tracees alone (pyengine.py), and Python reads each record's memory, name and time itself.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass
from typing import Any

from lowrun.core import tracing
from lowrun.core.tracing import Tampering
from lowrun.trace import pynames
from lowrun.trace.plan import FD
from lowrun.trace.ptracelib import load
from lowrun.trace.pycapture import WRITES_FAILING, Rows, capture, row_of, rows_of
from lowrun.trace.records import Enter, Exec, Exit, Exited, Exiting, Fork, Path, Record, Signal, Stopped, encode
from lowrun.trace.table import call_of

__all__ = ["PythonLoop"]

SYSGOOD = 0x80
#: How long a child waits for its creator's event; seconds.
HOLD_S = 0.005
SIGINFO_SIZE = 128
#: `struct ptrace_syscall_info`: op, then arch at 4.
SYSCALL_INFO_SIZE = 88
CLONE_PTRACE, CLONE_UNTRACED = 0x2000, 0x800000
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


class PythonLoop:
    """Traces one command and hands each record to `put`. Raises UnsupportedError without python-ptrace."""

    def __init__(
        self,
        put: Callable[[bytes], None],
        plan: bytes,
        only: frozenset[int] | None,
        string_limit: int,
        tampering: Tampering | None,
    ) -> None:
        library = load("the python engine needs")
        from ptrace.binding import func
        from ptrace.error import PtraceError
        from ptrace.syscall import ptrace_syscall

        self._func, self._process_of, self._syscalls = func, library.PtraceProcess, ptrace_syscall
        self._ptrace_error: type[Exception] = PtraceError
        self._debugger = library.PtraceDebugger()
        self._debugger.traceFork()
        self._debugger.traceExec()
        self._debugger.traceClone()
        self._take, self._only, self._limit = put, only, string_limit
        self._rows: Rows = rows_of(plan)
        self._hook: Callable[[bytes], tracing.Answer | None] | None = tampering.hook if tampering else None
        self._hooked = tampering.hooked if tampering else frozenset()
        self._tasks: dict[int, _Task] = {}
        #: Children that stopped before their creator told of them -> when.
        self._early: dict[int, float] = {}
        #: Tasks that their creator has not told of, and that are not waited for.
        self._untold: set[int] = set()
        #: The command's first entry; it is recorded when its execve has succeeded.
        self._pending: Enter | None = None
        #: Of this machine: the command waits in a program of ours.
        self._arch = 0
        self._root = 0
        self._aborted = False
        #: The command's first execve has succeeded.
        self.recording = False
        #: Why it ended early.
        self.failure: str | None = None
        #: Thread groups; tasks made with CLONE_UNTRACED; programs that ran without their privilege.
        self.processes = self.untraced = self.unprivileged = 0

    def abort(self) -> None:
        """Kill what is traced; from any thread."""
        self._aborted = True
        for task in list(self._tasks.values()):
            self._kill(task.tid)

    def seize(self, pid: int) -> int:
        """Trace `pid` and see it go on; returns 0, or -errno."""
        self._root = pid
        options = self._debugger.options | self._func.PTRACE_O_TRACEEXIT | tracing.PTRACE_O_EXITKILL
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
        self.failure = f"the python engine failed: {type(error).__name__}: {error}"

    def _serve_next(self) -> bool:
        """Serve all that have stopped: the kernel tells of the newest first, two busy ones would starve the others."""
        flags = self._func.THREAD_TRACE_FLAGS
        found = []
        try:
            found.append(os.waitpid(-1, flags | (os.WNOHANG if self._early else 0)))
            while found[-1][0]:
                found.append(os.waitpid(-1, flags | os.WNOHANG))
        except ChildProcessError:
            if not found:
                return False
        for tid, status in found:
            if tid:
                self._serve(tid, status)
        if found[0][0]:
            return True
        if time.monotonic() - max(self._early.values()) > HOLD_S:
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
        elif event == self._func.PTRACE_EVENT_EXIT and task.enter is not None:
            self._put(task, Exiting(task.tid, task.tgid, time.time_ns()))
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
        self.processes += tgid == tid
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
        if task.tid == self._root and not self.recording:
            self.recording = True
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
        if not self.recording and task.tid != self._root:
            return
        if native and self._only is not None and number not in self._only:
            return
        row = row_of(self._rows, number, arguments) if native else None
        cells = row.enter if row is not None else ()
        if self.recording:
            for index, cell in enumerate(cells):
                if cell[0] == FD:
                    self._name(task, _signed(arguments[index]))
        pointers = arguments
        if native and call_of(number).name == "rt_sigreturn":
            pointers = (task.process.getStackPointer() + tracing.FRAME_MASK, *arguments[1:])
        chunks = capture(self._reader(task), cells, pointers, None, self._limit)
        enter = Enter(task.tid, task.tgid, time.time_ns(), number, arguments, arch, chunks)
        task.enter, task.entered_ns = enter, time.monotonic_ns()
        if not self.recording:
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
        if enter is None or not self.recording:
            return
        value = _long(task.process.getreg(self._syscalls.RETURN_VALUE_REGISTER))
        if task.injected is not None:
            value = self._set_result(task, task.injected)
        failed = -ERRNO_MAX <= value < 0
        if not failed and value > 0 and task.injected is None:
            self._note_untraced(task, enter)
        row = row_of(self._rows, enter.number, enter.arguments) if enter.arch == self._arch else None
        cells = row.leave if row is not None else ()
        may_write = not failed or value in WRITES_FAILING
        chunks = {} if not may_write else capture(self._reader(task), cells, enter.arguments, value, self._limit)
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
        self.untraced += bool(flags & CLONE_UNTRACED and not flags & CLONE_PTRACE)

    # -- descriptors

    def _name(self, task: _Task, fd: int) -> None:
        kind, text, number = pynames.describe(task.tid, fd)
        self._put(task, Path(task.tid, task.tgid, time.time_ns(), fd, text, kind, number))

    def _name_results(self, task: _Task, enter: Enter, leave: Exit) -> None:
        """Say what the call has made."""
        call = call_of(enter.number)
        call = call.variants.get(call.key(enter.arguments), call)
        if call.result == "fd":
            self._name(task, leave.value)
        if call.name in ("chdir", "fchdir"):
            self._name(task, pynames.WORKING_DIRECTORY)
        for index, argument in enumerate(call.arguments):
            if argument.kind == "fdpair" and index in leave.chunks and not leave.chunks[index].bad:
                data = leave.chunks[index].data
                self._name(task, int.from_bytes(data[:4], "little"))
                self._name(task, int.from_bytes(data[4:8], "little"))

    def _put(self, task: _Task, record: Record) -> None:
        if self.recording:
            self._take(encode(record))


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
