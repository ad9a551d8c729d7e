"""One execution of a command with its recorders.

    recorders start -> spawn [parked: recorders seize] -> exec ... -> tree gone
                    -> recorders settle -> stop -> keep or discard -> Result

Events go up by one callback: `on_done(run)`, when the tree is gone and the
recorders have stopped. The owner then calls `finish` once, with the directory
that artifacts go to or None.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from signal import SIGKILL

from lowrun.core.fd import OwnedFd
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch, failed_exec_status
from lowrun.core.loop import Loop, Timer
from lowrun.core.process import Process
from lowrun.errors import InternalError, LowrunError
from lowrun.runs.accounting import Accounting
from lowrun.runs.keeping import Keeping
from lowrun.runs.network import OwnNetwork, explained
from lowrun.runs.observers import Observers
from lowrun.runs.recorder import Recorder, RunInfo
from lowrun.runs.usage import nothing_known
from lowrun.steps import tell
from lowrun.values import (
    CODE_SIGNAL_BASE,
    CODE_TIMED_OUT,
    Command,
    ExitStatus,
    Result,
)

__all__ = ["Run", "RunPlan"]


class RunPlan:
    """What all runs of one command share: its request, its limits, what counts as success."""

    def __init__(
        self,
        launch: Launch,
        *,
        fds: Mapping[int, int],
        success: frozenset[int],
        timeout: float | None,
        kill_after: float,
        quiet: bool,
        scratch: Path,
        keep: Keeping,
    ) -> None:
        self.launch = launch
        self.command = launch.command
        self.fds = fds
        self.success = success
        self.timeout = timeout
        self.kill_after = kill_after
        self.quiet = quiet
        self.scratch = scratch
        #: Shared by all runs of the repetition.
        self.keep = keep


class Run:
    """One execution; see the module."""

    def __init__(
        self,
        index: int,
        plan: RunPlan,
        recorders: Sequence[Recorder],
        loop: Loop,
        keepers: Keepers,
        on_done: Callable[[Run], object],
    ) -> None:
        self.index = index
        self.timed_out = False
        #: Why the command could not be brought to its exec (not the exec itself); the owner raises it.
        self.error: LowrunError | None = None
        self._plan, self._loop, self._on_done = plan, loop, on_done
        self._info = RunInfo(index, plan.command, plan.scratch, plan.quiet)
        self._network = OwnNetwork(self._info, loop, keepers)
        self._started = datetime.now(timezone.utc)
        self._timer: Timer | None = None
        self._timed_out_ns = 0
        self._observers = Observers(self._info, loop)
        self._process: Process | None = None
        self._accounting = Accounting(self._observers)
        self._cut_short = False
        self._usage, self._usage_faults = nothing_known("the run has not ended")
        try:
            self._observers.start(recorders)
            tell("run", "run %d: start %r", index, plan.command.argv)
            self._process = self._spawn(keepers)
            # From here on: a command can hang before it is executed, or stop its keeper before that tells.
            if plan.timeout is not None:
                self._timer = loop.add_timer(plan.timeout, self._time_out)
        except BaseException:
            self.close()
            raise

    def _spawn(self, keepers: Keepers) -> Process:
        redirects = self._info.redirects
        fds = {**self._plan.fds, **redirects} if redirects else self._plan.fds
        return Process(
            self._loop,
            keepers,
            self._plan.launch,
            fds,
            on_end=self._end,
            on_start=self._start,
            park=self._park if self._info.seizers or self._network.wanted else None,
            network=self._network.wanted,
            count_io=self._info.counts_io,
            before_spawn=self._accounting.before_spawn,
        )

    def _park(self, pid: int, sockets: list[OwnedFd]) -> None:
        tell("run", "run %d: pid %d waits before its exec", self.index, pid)
        self._network.furnish(pid, sockets, lambda: self._seize(pid))

    def _seize(self, pid: int) -> None:
        stops = self._observers.seize(pid)
        if self._process is not None:
            self._process.go(stops)

    # -- the run's own course

    def _start(self, process: Process) -> None:
        tell("run", "run %d: executed, pid %s", self.index, process.pid)
        self._observers.started(process.pid or 0, process.keeper_pid)

    def _time_out(self) -> None:
        if self._process is not None and self._process.alive and not self.interrupted:
            tell("run", "run %d: timed out", self.index)
            self.timed_out = True
            self._timed_out_ns = time.monotonic_ns()
            self._process.terminate(self._plan.kill_after)

    @property
    def interrupted(self) -> bool:
        """True when the run is cut short from outside and does not count."""
        return self._cut_short

    def mark_interrupted(self) -> None:
        """From now on the run does not count, unless its tree was gone already; recorders wait for nobody."""
        self._info.interrupt()
        self._cut_short = self._cut_short or not self._observers.settling

    def interrupt(self, kill_after: float) -> None:
        """End the run; see `mark_interrupted`. Again: with the new, shorter time."""
        self.mark_interrupted()
        tell("run", "run %d: interrupted; SIGKILL in %g s", self.index, kill_after)
        if self._process is None:
            return
        if self._observers.settling:
            self._observers.hurry()
        elif kill_after > 0:
            self._process.terminate(kill_after)
        else:
            self._process.kill()

    def _end(self, process: Process) -> None:
        self._accounting.end()
        if self._timer is not None:
            self._timer.close()
        if self.timed_out and process.status is not None and process.ended_ns < self._timed_out_ns:
            self.timed_out = False  # it had ended when the timer fired
        if process.error is not None and process.error.step != "exec" and not (self.interrupted or self.timed_out):
            self.error = explained(process.error)
        if process.keeper_lost:
            self.error = InternalError("the keeper of the run was killed; how the run ended is not known")
        if process.undying:
            self.fault(f"pid {process.pid} or what it started has gained privileges and may not be killed; it goes on")
        self._info.kept = self.kept
        self._observers.settle(lambda: self._wind_up(process))

    def _wind_up(self, process: Process) -> None:
        self._observers.stop()
        self._network.leave(lambda: self._conclude(process))

    def _conclude(self, process: Process) -> None:
        self._usage, self._usage_faults = self._accounting.account(process, process.wall_s)
        self._info.usage = self._usage
        tell("run", "run %d: %s", self.index, process.status or process.error)
        self._on_done(self)

    @property
    def command(self) -> Command:
        """What it runs."""
        return self._plan.command

    def fault(self, text: str) -> None:
        """Add a fault to the Result."""
        self._info.fault(text)

    def close(self) -> None:
        """End the run at once, without a Result; recorders stop and forget."""
        if self._timer is not None:
            self._timer.close()
        if self._process is not None:
            self._process.close()
        self._network.close()
        self._accounting.end()
        self.mark_interrupted()
        self._observers.stop()
        self._observers.discard()

    # -- the result

    @property
    def status(self) -> ExitStatus:
        """How it ended; after `on_done`."""
        process = self._process
        assert process is not None
        if self.timed_out:
            signal = process.status.signal if process.status is not None else None
            return ExitStatus(CODE_TIMED_OUT, signal, f"timed out after {self._plan.timeout:g} s")
        if process.error is not None:
            return failed_exec_status(process.error)
        if process.status is not None:
            return process.status
        return ExitStatus(CODE_SIGNAL_BASE + SIGKILL, None, "it may not be killed: it has gained privileges")

    @property
    def ok(self) -> bool:
        """True when its code counts as success."""
        return not self.timed_out and not self.interrupted and self.status.code in self._plan.success

    @property
    def kept(self) -> bool:
        """True when what was recorded is to be kept."""
        return self.error is None and self._plan.keep.wants(self.index, ok=self.ok, interrupted=self.interrupted)

    def finish(self, into: Path | None) -> Result:
        """Keep what was recorded in the directory `into` (or nothing: None) and return the Result."""
        process = self._process
        assert process is not None
        artifacts = {} if into is None else self._observers.keep(into)
        self._observers.discard()
        return Result(
            index=self.index,
            command=self._plan.command,
            status=self.status,
            ok=self.ok,
            timed_out=self.timed_out,
            interrupted=self.interrupted,
            pid=process.pid,
            started=self._started,
            wall_s=process.wall_s,
            usage=self._usage,
            artifacts=artifacts,
            faults=(*self._info.faults, *self._usage_faults),
        )
