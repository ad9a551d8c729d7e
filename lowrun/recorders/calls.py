"""Records every system call of a run, as strace would print them.

While the command runs, the tracer's thread writes binary records to a file
without a name; text is made of them only when the run is kept. A command of
ours is followed from its own execve on, with all its descendants.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.loop import IoSource, Loop
from lowrun.core.tape import Tape
from lowrun.core.tracing import Turns
from lowrun.errors import UsageError
from lowrun.runs.recorder import RunInfo
from lowrun.runs.slices import Slices
from lowrun.trace.hooks import HookFunction, Hooks, tampering_of
from lowrun.trace.inject import Inject, injections_of, stops_of
from lowrun.trace.ptracelib import check_engine, load
from lowrun.trace.tracer import ENGINES, STRING_LIMIT, UNPRIVILEGED, Tracer
from lowrun.values import Artifact, Usage

if TYPE_CHECKING:
    from lowrun.trace.textfile import TextFile

__all__ = ["Calls"]

FILE_NAME = "calls.strace"
BINARY_NAME = "calls.records"
NOTHING_KNOWN = Usage(None, None, None, None)


class Calls:
    """Keeps `calls.strace`: what `strace -f -tt -T -y -yy -s 2048` would have written.

    `only` says which calls to record, as strace's -e trace= does:
    "open,close", "%file", "!%memory"; None records all. `engine` is "auto",
    "ptrace" or "python" (wholly on python-ptrace: slow, no injections). `inject`
    is done to calls, recorded or not. With `keep_binary` the records are kept
    beside the text, as `calls.records` (lowrun.trace.read reads them).

    Before a recorded call of the set `hook` (None: any) is executed,
    `on_call(call, process)` is called with it and a python-ptrace
    `PtraceProcess` of the thread, and when it returns, `on_return(call,
    process)`: on the tracer's thread, while the tracee is stopped (docs/hooks.md).

    Raises UsageError for a set or an engine that is not known, and UnsupportedError
    for hooks without python-ptrace.
    """

    name = "calls"

    def __init__(
        self,
        only: str | None = None,
        engine: str = "auto",
        keep_binary: bool = False,
        *,
        on_call: HookFunction | None = None,
        on_return: HookFunction | None = None,
        hook: str | None = None,
        inject: Inject | str | Sequence[Inject | str] = (),
    ) -> None:
        if engine not in ENGINES:
            raise UsageError(f'no such engine: "{engine}" (there are: {", ".join(ENGINES)})')
        self._only = None if only is None else _numbers(only)
        self._engine = engine
        self._on_call, self._on_return = on_call, on_return
        self._hooked = self._hook_numbers(hook)
        self._inject = injections_of(inject)
        if engine == "python":
            check_engine(self._inject)
        if on_call is not None or on_return is not None:
            load("hooks need")
        self._keep_binary = keep_binary
        self._hooks: Hooks | None = None
        self._run: RunInfo | None = None
        self._loop: Loop | None = None
        self._records: Tape | None = None
        #: Raised at the trace's end.
        self._wake = OwnedFd(-1)
        self._end_of_trace: IoSource | None = None
        self._text: TextFile | None = None
        self._slices: Slices | None = None
        self._tracer: Tracer | None = None
        self._seized = False
        #: When the tree was gone, nanoseconds since 1970; 0: it is not.
        self._ended_ns = 0
        self._used = NOTHING_KNOWN

    def _hook_numbers(self, hook: str | None) -> frozenset[int] | None:
        """Return the calls that have a hook; None: all that are recorded."""
        if hook is None:
            return self._only
        if self._on_call is None and self._on_return is None:
            raise UsageError("hook= names calls, but neither on_call nor on_return is given")
        numbers = _numbers(hook)
        if self._only is not None and not numbers <= self._only:
            raise UsageError(f"a hook is for calls that are recorded; only= leaves out some of {hook!r}")
        return numbers

    def start(self, run: RunInfo, loop: Loop) -> None:
        """Ask for the command to be parked and seized. Raises OSError."""
        from lowrun.trace.calls import file_header
        from lowrun.trace.table import capture_plan

        self.discard()
        self._run, self._loop = run, loop
        self._slices = Slices(run, loop, self._make_text)
        self._seized = False
        self._ended_ns = 0
        self._used = NOTHING_KNOWN
        size = None if run.window is None else run.window.size
        self._records = Tape(run.scratch, file_header(STRING_LIMIT), size)
        self._hooks = None
        if self._on_call is not None or self._on_return is not None:
            self._hooks = Hooks(self._on_call, self._on_return)
        tampering = tampering_of(self._inject, self._hooks, self._hooked)
        self._wake = OwnedFd(kernel.counter_create())
        self._tracer = Tracer(
            self._records.fileno(),
            capture_plan(),
            self._only,
            wake=self._wake.fileno(),
            tampering=tampering,
            engine=self._engine,
            turns=None if size is None else Turns(self._records.spare, self._records.head, size),
        )
        run.seize(self._seize)
        run.settle(self._settle)
        run.witness(self._usage)

    def _seize(self, pid: int) -> frozenset[int] | None:
        assert self._tracer is not None and self._run is not None
        if self._run.counts_io:
            self._tracer.count_io()
        self._tracer.seize(pid)
        self._seized = True
        return None if self._engine == "python" else stops_of(self._only, self._inject)

    def _usage(self) -> Usage:
        return self._used

    def stop(self) -> None:
        """Wait for the tracer's end."""
        assert self._tracer is not None and self._slices is not None
        self._slices.pause()
        self._tracer.stop()
        self._ended_ns = self._ended_ns or time.time_ns()
        if self._seized:
            self._used = self._tracer.usage()
            if self._tracer.unprivileged and self._run is not None:
                self._run.fault(f"system calls: {UNPRIVILEGED}")
        if self._hooks is not None and self._run is not None:
            for text in self._hooks.faults:
                self._run.fault(text)
        self._report()

    def _report(self) -> None:
        """Make what was lost a fault of the run, once."""
        assert self._tracer is not None and self._run is not None
        fault = self._tracer.fault
        if fault is not None:
            text = f"system calls: {fault} in {self._run.scratch}; free some space or choose another directory"
            if text not in self._run.faults:
                self._run.fault(text)

    # -- the text

    def _settle(self, done: Callable[[], None]) -> None:
        """Make the text in the loop, a slice at a time, if the run is to be kept: others go on meanwhile."""
        assert self._tracer is not None and self._run is not None and self._loop is not None
        slices, self._ended_ns = self._slices, time.time_ns()
        if not (self._run.kept and self._seized and slices is not None):
            done()
        elif self._tracer.finished:
            slices.settle(done)
        else:
            fd = self._wake.fileno()
            self._end_of_trace = self._loop.add_io(fd, kernel.READ, lambda _events: slices.settle(done))

    def _make_text(self, seconds: float) -> bool:
        """Go on with the text for some time; True when it is whole. Raises OSError."""
        return self._opened_text().step(seconds)

    def _opened_text(self) -> TextFile:
        from lowrun.trace.textfile import TextFile

        assert self._tracer is not None and self._records is not None and self._run is not None
        if self._end_of_trace is not None:
            self._end_of_trace.close()
            self._end_of_trace = None
        if self._text is None:
            self._tracer.flush()
            self._records.turned_to(self._tracer.output)
            self._text = TextFile(self._records, self._run.scratch, self._since_ns)
        return self._text

    @property
    def _since_ns(self) -> int:
        """From when on calls are wanted: nanoseconds since 1970."""
        assert self._run is not None
        window = self._run.window
        return 0 if window is None or window.seconds is None else self._ended_ns - int(window.seconds * 1e9)

    def keep(self, into: Path) -> list[Artifact]:
        """Name `calls.strace` in `into`; [] when no call was recorded. Raises OSError."""
        assert self._run is not None and self._slices is not None
        try:
            text = self._opened_text()
            self._report()
            self._slices.finish("the calls' text was")
            if text.empty:
                return []
            window = self._run.window
            text.link(into / FILE_NAME, None if window is None else window.size)
            if not self._keep_binary:
                return [Artifact(self.name, into / FILE_NAME)]
            self._link_binary(into / BINARY_NAME)
            return [Artifact(self.name, into / FILE_NAME), Artifact("records", into / BINARY_NAME)]
        finally:
            self.discard()

    def _link_binary(self, path: Path) -> None:
        assert self._records is not None
        if self._records.size is None:
            self._records.newer.link(path)
        else:
            with self._records.tail() as file:
                file.link(path)

    def discard(self) -> None:
        """Forget the records."""
        if self._slices is not None:
            self._slices.pause()
        for closable in (self._end_of_trace, self._text, self._tracer, self._records, self._wake):
            if closable is not None:
                closable.close()
        self._end_of_trace = self._text = self._tracer = self._records = None


def _numbers(only: str) -> frozenset[int]:
    from lowrun.trace.table import numbers_of

    return numbers_of(only)
