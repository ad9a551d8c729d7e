"""A trace that is read while it goes on: of a command of ours, or of processes that run already.

    tracer (its own thread, in C) --records--> two buffers --eventfd--> loop --> sink(records)

The loop is woken once for what has come since it took the last, and waits a
moment for more: a wake per call would disturb what is traced. When the sink is
slower than the tracees, they wait. A sink that raises OSError (a closed pipe, a
full disk) gets nothing more; the trace goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch, failed_exec_status
from lowrun.core.loop import IoSource, Loop, Timer
from lowrun.core.process import Process, open_standard_fds
from lowrun.errors import BusyError, GoneError, InternalError, LowrunError
from lowrun.trace.hooks import tampering_of
from lowrun.trace.inject import Inject, stops_of
from lowrun.trace.records import Buffer
from lowrun.trace.table import capture_plan
from lowrun.trace.tracer import AGAIN, STRING_LIMIT, UNPRIVILEGED, Tracer
from lowrun.values import Command, ExitStatus

__all__ = ["LiveTrace"]

#: From the first new record to the reading of all that came by then; seconds.
GATHER = 0.02


class LiveTrace:
    """Hands the records of one trace to `sink(records)`, from `loop`, as they come.

    `start` a command or `attach` to processes, once. `on_end(trace)` is called
    when nothing is traced any more and the sink has had all: then `status` is
    the command's, `error` why it could not be brought to its exec, `sink_error`
    why the sink got no more. `only` holds the call numbers to trace (None: all);
    `string_limit` bytes are copied of a string; `inject` is done to calls,
    `engine` is as for lowrun.Calls. Close it (a context manager): a command that
    is still there is killed, attached processes are let go.
    """

    def __init__(
        self,
        loop: Loop,
        sink: Callable[[Buffer], object],
        on_end: Callable[[LiveTrace], object],
        *,
        only: frozenset[int] | None = None,
        string_limit: int = STRING_LIMIT,
        inject: Sequence[Inject] = (),
        engine: str = "auto",
    ) -> None:
        self.status: ExitStatus | None = None
        self.error: LowrunError | None = None
        self.sink_error: OSError | None = None
        #: Why the command is not traced, or not to its end.
        self.faults: list[str] = []
        self._loop, self._sink, self._on_end = loop, sink, on_end
        self._wake = OwnedFd(kernel.counter_create())
        self._stops = None if engine == "python" else stops_of(only, inject)
        self._tracer = Tracer(-1, capture_plan(), only, string_limit, self._wake.fileno(), tampering_of(inject), engine)
        self._source: IoSource = loop.add_io(self._wake.fileno(), kernel.READ, self._woken)
        self._gathering: Timer | None = None
        self._leaving: Timer | None = None
        self._keepers: Keepers | None = None
        self._launch: Launch | None = None
        self._process: Process | None = None
        self._tree_gone = self._traced = self._ended = False

    # -- beginning

    def start(self, command: Command, fds: Mapping[int, int] | None = None) -> None:
        """Run `command` traced, with the descriptors `fds` (its own -> ours; None: our 0 to 2).

        Raises UsageError, OSError.
        """
        self._begin()
        self._launch = Launch(command)
        self._keepers = Keepers(self._loop)
        self._process = Process(
            self._loop,
            self._keepers,
            self._launch,
            open_standard_fds() if fds is None else fds,
            on_end=self._tree_ended,
            park=self._seize,
            linger=None,
        )

    def attach(self, pids: Sequence[int]) -> dict[int, Exception]:
        """Trace the running processes `pids`, with all their threads; return why others are not traced.

        Raises DeniedError, GoneError with the reason when none is.
        """
        self._begin()
        self._tree_gone = True
        refusals = self._tracer.attach(pids)
        self._traced = True
        return refusals

    def _begin(self) -> None:
        if self._launch is not None or self._traced:
            raise BusyError("the trace has begun already")

    def _seize(self, pid: int, _sockets: list[OwnedFd]) -> None:
        stops = None
        try:
            self._tracer.seize(pid)
        except Exception as error:
            self.faults.append(str(error))
        else:
            self._traced = True
            stops = self._stops
        if self._process is not None:
            self._process.go(stops)

    # -- the end

    def detach(self) -> None:
        """Let go of the attached processes at once; they run on. The end comes by `on_end`."""
        if self._traced and not self._tracer.finished and self._process is None and self._leaving is None:
            self._tracer.detach()
            self._leaving = self._loop.add_timer(AGAIN, self._tracer.detach, every=AGAIN)

    def send_signal(self, number: int) -> None:
        """Send a signal to the command. Raises GoneError."""
        if self._process is None:
            raise GoneError("there is no command")
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the command and its whole tree."""
        if self._process is not None:
            self._process.kill()

    def _tree_ended(self, process: Process) -> None:
        self.status = process.status
        if process.error is not None and process.error.step == "exec":
            self.status = failed_exec_status(process.error)
        elif process.keeper_lost:
            self.error = InternalError("the keeper of the command was killed; how it ended is not known")
        else:
            self.error = process.error
        self._tree_gone = True
        self._look_for_end()

    def _woken(self, _events: int) -> None:
        kernel.counter_take(self._wake.fileno())
        if self._gathering is None and not self._ended:
            self._gathering = self._loop.add_timer(GATHER, self._take)

    def _take(self) -> None:
        if self._gathering is not None:
            self._gathering.close()
            self._gathering = None
        finished = self._tracer.finished
        self._hand_on()
        if finished:
            self._hand_on()
            self._look_for_end()

    def _hand_on(self) -> None:
        with self._tracer.take() as records:
            if len(records) and self.sink_error is None:
                try:
                    self._sink(records)
                except OSError as error:
                    self.sink_error = error

    def _look_for_end(self) -> None:
        if self._ended or not self._tree_gone or (self._traced and not self._tracer.finished):
            return
        self._ended = True
        self._hand_on()
        if self._tracer.fault is not None:
            self.faults.append(self._tracer.fault)
        if self._tracer.unprivileged:
            self.faults.append(UNPRIVILEGED)
        self._on_end(self)

    @property
    def ended(self) -> bool:
        """True when nothing is traced any more and the sink has had all."""
        return self._ended

    def close(self) -> None:
        """End what is left; the sink gets nothing more."""
        if self._source.closed:
            return
        self._ended = True
        for timer in (self._gathering, self._leaving):
            if timer is not None:
                timer.close()
        if self._process is not None:
            self._process.close()
        if self._keepers is not None:
            self._keepers.close()
        while self._traced and not self._tracer.wait(AGAIN):
            self._tracer.take().release()  # it can be waiting for room
            if self._process is None:
                self._tracer.detach()
        self._tracer.stop()
        self._tracer.close()
        if self._launch is not None:
            self._launch.close()
        self._source.close()
        self._wake.close()

    def __enter__(self) -> LiveTrace:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
