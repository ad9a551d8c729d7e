"""One traced run: a process seized before its exec, and all that it makes.

ptrace belongs to the thread that seized (ptrace(2)) and its stops show on no
descriptor, so each traced run has one thread; it lives in C, without the GIL,
from the seizing to the last tracee's end, and Python sees no single stop
(_native/tracer_process.c says why it hands its work to a process).
Signals are blocked before it starts: a thread inherits the mask, so there is
no moment in which the host's signals could be delivered to it.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lowrun.core import kernel
from lowrun.core.tracing import NativeTracer, Tampering, Turns
from lowrun.errors import DeniedError, GoneError, InternalError, UnsupportedError, UsageError
from lowrun.trace.denial import Facts, reason, status_lines
from lowrun.values import Usage

if TYPE_CHECKING:
    from lowrun.trace.pyengine import PythonTracer

__all__ = ["AGAIN", "ENGINES", "STRING_LIMIT", "UNPRIVILEGED", "Tracer"]

UNPRIVILEGED = (
    "a set-user-ID program ran without its privilege, as under any tracer that has none itself; run lowrun as root"
)

#: What can trace; "auto" is the native loop, "ptrace", too.
ENGINES = ("auto", "ptrace", "python")

_T = TypeVar("_T")

#: Bytes copied of a string or buffer, as strace -s 2048.
STRING_LIMIT = 2048
#: Seconds until the seizing counts as hung.
PATIENCE = 10.0
#: Seconds that `stop` gives the tracer. The tree is gone by then: whoever reaped the last process of it could do so
#: only after the tracer had (ptrace(2): a zombie is its tracer's first), so milliseconds are much.
END_PATIENCE = 1.0
#: A request to let go, or to end, can come while the tracer is about to sleep: it is made again; seconds.
AGAIN = 0.01


class Tracer:
    """Traces one command, or running processes, into the descriptor `output`, which stays the caller's.

    `plan` is lowrun.trace.table.capture_plan(); `only` holds the numbers of
    the calls to record, None records all. `seize` or `attach`, then `stop`, then
    `flush` when the records are wanted, then `close`.

    With `output` -1 there are no files: the records are taken by `take`. The
    eventfd `wake` is raised when there are new ones, and at the end.
    `tampering` says what is done to calls. `engine` is one of ENGINES; the python engine takes no `turns`.
    """

    __slots__ = ("_attached", "_error", "_finished", "_in_python", "_native", "_over", "_started", "_wake")

    def __init__(
        self,
        output: int,
        plan: bytes,
        only: frozenset[int] | None = None,
        string_limit: int = STRING_LIMIT,
        wake: int = -1,
        tampering: Tampering | None = None,
        engine: str = "auto",
        turns: Turns | None = None,
    ) -> None:
        if engine not in ENGINES:
            raise UsageError(f'no such engine: "{engine}" (there are: {", ".join(ENGINES)})')
        self._native: NativeTracer | PythonTracer
        if engine == "python":
            from lowrun.trace.pyengine import PythonTracer

            self._native = PythonTracer(output, plan, only, string_limit, wake, tampering)
        else:
            self._native = NativeTracer(output, plan, only, string_limit, wake, tampering, turns=turns)
        self._in_python = engine == "python" or (tampering is not None and tampering.hook is not None)
        self._wake = wake
        self._error: OSError | None = None
        self._finished = _thread.allocate_lock()
        self._started = self._over = self._attached = False

    def count_io(self) -> None:
        """Have `usage` tell what the tree read and wrote, too; before `seize`. It costs a file read for each thread."""
        self._native.count_io()

    def seize(self, pid: int) -> None:
        """Trace `pid`, which waits to be let go before its execve; returns when it is traced.

        Raises DeniedError (with the reason and the remedy), GoneError.
        """
        if pid == os.getpid():
            raise DeniedError(
                errno.EPERM, f"cannot trace process {pid}: it is lowrun itself; trace it with another one"
            )
        self._begin(self._native.run, pid)
        try:
            self._native.await_seized(PATIENCE)
        except OSError as error:
            raise _translated(error, pid) from error

    def attach(self, pids: Sequence[int]) -> dict[int, Exception]:
        """Trace the running processes `pids` with all their threads, those that can be; returns when they are traced.

        What it returns says of each other one why not (DeniedError with the remedy, GoneError). Raises the first of
        these when none is traced. UnsupportedError: the python engine attaches to nothing.
        """
        if not isinstance(self._native, NativeTracer):
            raise UnsupportedError("the python engine traces commands only; attach with the engine ptrace")
        self._attached = True
        self._begin(self._native.attach, pids)
        try:
            self._native.await_seized(PATIENCE)
        except OSError as error:
            refusals = self._native.refusals
            self.stop()
            raise _translated(error, refusals[0][0] if refusals else pids[0]) from error
        return {pid: _translated(OSError(number, os.strerror(number)), pid) for pid, number in self._native.refusals}

    def _begin(self, trace: Callable[[_T], None], what: _T) -> None:
        """Start the thread."""
        self._finished.acquire()
        self._started = True
        former = kernel.signals_block(range(1, 65))
        try:
            if self._in_python:
                self._start_known_thread(trace, what)
            else:
                _thread.start_new_thread(self._trace, (trace, what))
        finally:
            kernel.signals_restore(former)

    def _start_known_thread(self, trace: Callable[[_T], None], what: _T) -> None:
        """Start a thread that Python code can run on, such as the logging module, which asks for its name.

        No hook is called once the interpreter ends: it takes no thread of a callback for one of its own then.
        """
        import threading

        atexit.register(self._native.abort)
        threading.Thread(target=self._trace, args=(trace, what), name="lowrun-tracer", daemon=True).start()

    def _trace(self, trace: Callable[[_T], None], what: _T) -> None:
        """The thread."""
        try:
            trace(what)
        except OSError as error:
            self._error = error
        finally:
            self._over = True
            if self._in_python:
                atexit.unregister(self._native.abort)
            if self._wake >= 0:
                kernel.counter_add(self._wake)
            self._finished.release()

    @property
    def finished(self) -> bool:
        """True when nothing is traced any more."""
        return self._over

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is traced any more, at most `timeout` seconds; tell whether it is so."""
        if self._finished.acquire(timeout=timeout):
            self._finished.release()
            return True
        return False

    def detach(self) -> None:
        """Let go of what was attached to; to be called again until `finished`."""
        self._native.detach()

    def take(self) -> memoryview:
        """Return the records since the last time, when there is no output; they last until the next time."""
        return self._native.take()

    def stop(self) -> None:
        """Wait for the end of the trace: the tree is gone, or never came to be. Kills what is left of it.

        What was attached to is let go instead. Takes at most twice END_PATIENCE. Raises InternalError when
        something could not be killed, or does not stop to be let go (it will be, when the caller ends).
        """
        if not self._started or self._finished.acquire(timeout=END_PATIENCE):
            self._started = False
            return
        until = time.monotonic() + END_PATIENCE
        while not self._finished.acquire(timeout=AGAIN):
            if self._attached:
                self._native.detach()
            else:
                self._native.abort()
            if time.monotonic() < until:
                continue
            what = "stopped" if self._attached else "killed"
            raise InternalError(
                "a hook does not return" if self._in_python else f"the traced processes cannot be {what}"
            )
        self._started = False

    def flush(self) -> None:
        """Write the records that are still in memory; after `stop`. What fails is told by `fault`."""
        with contextlib.suppress(OSError):
            self._native.flush()

    @property
    def output(self) -> int:
        """The descriptor that the latest records were written to: one of two, when they take turns."""
        return self._native.output

    @property
    def fault(self) -> str | None:
        """Why not all was recorded; None when all was."""
        reason = self._native.write_error
        if reason is not None:
            return f"recording ended early: {reason}"
        if self._native.gap is not None:
            return f"some are missing in between: {self._native.gap}"
        return None if self._error is None else f"the tracer ended early: {self._error}"

    def usage(self) -> Usage:
        """Return what the tree used; after `stop`.

        None: a process was killed before it could be asked, or asked not to be traced (CLONE_UNTRACED).
        """
        user_ns, sys_ns, max_rss_kib, processes, unweighed, untraced = self._native.usage()
        number = None if untraced else processes
        io = None if untraced else self._native.io
        if unweighed or untraced:
            return Usage(None, None, None, number, io)
        return Usage(user_ns / 1e9, sys_ns / 1e9, max_rss_kib, number, io)

    @property
    def unprivileged(self) -> int:
        """How many set-user-ID programs ran without their privilege because they were traced."""
        return self._native.unprivileged

    def close(self) -> None:
        """Free its memory; a trace that `stop` could not end keeps it. The second time does nothing."""
        if not self._started:
            self._native.close()


def _status_of(pid: int) -> dict[str, str]:
    """Return the lines of /proc/PID/status; {} when the process is gone."""
    try:
        return status_lines(Path(f"/proc/{pid}/status").read_text(errors="replace"))
    except OSError:
        return {}


def _same_namespace(pid: int) -> bool | None:
    try:
        return os.path.samefile(f"/proc/{pid}/ns/user", "/proc/self/ns/user")
    except OSError:
        return None


def _is_descendant(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(_status_of(pid).get("PPid", "0"))
    return False


def _facts_of(pid: int) -> Facts:
    theirs = _status_of(pid)
    try:
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip()
    except OSError:
        scope = "0"
    try:
        owner = str(os.stat(f"/proc/{pid}/mem").st_uid)
    except OSError:
        owner = ""
    return Facts(
        theirs=theirs,
        ours=_status_of(os.getpid()),
        tracer=_status_of(int(theirs.get("TracerPid", "0"))),
        same_namespace=_same_namespace(pid),
        dumpable=owner in theirs.get("Uid", owner).split()[1:2] or "Uid" not in theirs,
        descendant=_is_descendant(pid),
        scope=scope,
    )


def _translated(error: OSError, pid: int) -> Exception:
    """Return what `error` of PTRACE_SEIZE means, as ptrace(2) lists the reasons."""
    if error.errno == errno.ESRCH:
        return GoneError(errno.ESRCH, f"process {pid} has ended")
    if error.errno not in (errno.EPERM, errno.EACCES):
        return error
    return DeniedError(error.errno, f"cannot trace process {pid}: {reason(_facts_of(pid))}")
