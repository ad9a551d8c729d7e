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
import contextlib
import errno
import os
from pathlib import Path

from lowrun.core import kernel
from lowrun.core.tracing import NativeTracer
from lowrun.errors import DeniedError, GoneError, InternalError
from lowrun.trace.denial import Facts, reason, status_lines
from lowrun.values import Usage

__all__ = ["STRING_LIMIT", "Tracer"]

#: Bytes copied of a string or buffer, as strace -s 2048.
STRING_LIMIT = 2048
#: Seconds until the seizing counts as hung.
PATIENCE = 10.0
#: Seconds that `stop` gives the tracer. The tree is gone by then: whoever reaped the last process of it could do so
#: only after the tracer had (ptrace(2): a zombie is its tracer's first), so milliseconds are much.
END_PATIENCE = 1.0


class Tracer:
    """Traces one command into the descriptor `output`, which stays the caller's.

    `plan` is lowrun.trace.table.capture_plan(); `only` holds the numbers of
    the calls to record, None records all. `seize`, then `stop`, then `flush`
    when the records are wanted, then `close`.
    """

    __slots__ = ("_error", "_finished", "_native", "_started")

    def __init__(
        self, output: int, plan: bytes, only: frozenset[int] | None = None, string_limit: int = STRING_LIMIT
    ) -> None:
        self._native = NativeTracer(output, plan, only, string_limit)
        self._error: OSError | None = None
        self._finished = _thread.allocate_lock()
        self._started = False

    def seize(self, pid: int) -> None:
        """Trace `pid`, which waits to be let go before its execve; returns when it is traced.

        Raises DeniedError (with the reason and the remedy), GoneError.
        """
        if pid == os.getpid():
            raise DeniedError(
                errno.EPERM, f"cannot trace process {pid}: it is lowrun itself; trace it with another one"
            )
        self._finished.acquire()
        self._started = True
        former = kernel.signals_block(range(1, 65))
        try:
            _thread.start_new_thread(self._trace, (pid,))
        finally:
            kernel.signals_restore(former)
        try:
            self._native.await_seized(PATIENCE)
        except OSError as error:
            raise _translated(error, pid) from error

    def _trace(self, pid: int) -> None:
        """The thread."""
        try:
            self._native.run(pid)
        except OSError as error:
            self._error = error
        finally:
            self._finished.release()

    def stop(self) -> None:
        """Wait for the end of the trace: the tree is gone, or never came to be. Kills what is left of it.

        Takes at most twice END_PATIENCE. Raises InternalError when something could not be killed.
        """
        if not self._started or self._finished.acquire(timeout=END_PATIENCE):
            self._started = False
            return
        self._native.abort()
        if not self._finished.acquire(timeout=END_PATIENCE):
            raise InternalError("the traced processes cannot be killed")
        self._started = False

    def flush(self) -> None:
        """Write the records that are still in memory; after `stop`. What fails is told by `fault`."""
        with contextlib.suppress(OSError):
            self._native.flush()

    @property
    def fault(self) -> str | None:
        """Why not all was recorded; None when all was."""
        reason = self._native.write_error
        if reason is not None:
            return f"recording ended early: {reason}"
        return None if self._error is None else f"the tracer ended early: {self._error}"

    def usage(self) -> Usage:
        """Return what the tree used; after `stop`.

        None: a process was killed before it could be asked, or asked not to be traced (CLONE_UNTRACED).
        """
        user_ns, sys_ns, max_rss_kib, processes, unweighed, untraced = self._native.usage()
        number = None if untraced else processes
        if unweighed or untraced:
            return Usage(None, None, None, number)
        return Usage(user_ns / 1e9, sys_ns / 1e9, max_rss_kib, number)

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
