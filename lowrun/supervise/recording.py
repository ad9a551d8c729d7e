"""The recorders of a program's lives: begun anew with each, kept of those that end in failure.

    life 1  |--------| failure: settle, keep ... STATE/NAME/failures/run-0001
    life 2             |----------| normal end: forgotten
    life 3                           |---

What is written meanwhile is bounded, and only its end is kept (RunInfo.window). The next life does not wait for the
text of the last one to be made; but one failure is kept at a time: while that goes on, the record of another one is
forgotten, and said to be.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from lowrun.core.keeper import Keeper
from lowrun.core.loop import Loop, Timer
from lowrun.core.process import Process
from lowrun.errors import UsageError, explain
from lowrun.runs.accounting import Accounting
from lowrun.runs.observers import Observers
from lowrun.runs.recorder import LastingRecorder, Recorder, RunInfo, Window
from lowrun.runs.usage import NOTHING_USED
from lowrun.supervise.failures import Failures
from lowrun.supervise.journal import Journal
from lowrun.supervise.settings import Program, Recording
from lowrun.supervise.state import ProgramState
from lowrun.values import CODE_SIGNAL_BASE, Command, ExitStatus, Result, Usage

__all__ = ["Archive", "LifeRecord", "check_recording", "make_recorders", "open_archive"]

#: Of a life whose end is not known: its keeper was killed.
UNKNOWN = ExitStatus(CODE_SIGNAL_BASE + 9, None, "how it ended is not known")


def make_recorders(recording: Recording) -> list[Recorder]:
    """Return the recorders that `recording` asks for. Raises UsageError and others as they do."""
    recorders: list[Recorder] = []
    if recording.calls:
        from lowrun.recorders.calls import Calls

        recorders.append(Calls(recording.only, keep_binary=recording.keep_binary))
    if recording.output:
        from lowrun.recorders.output import Output

        recorders.append(Output())
    if recording.samples:
        from lowrun.recorders.samples import Samples

        recorders.append(Samples(recording.interval))
    if recording.packets:
        from lowrun.recorders.packets import Packets

        recorders.append(
            Packets(
                *recording.interfaces,
                filter=recording.filter,
                ring_size=recording.ring_size,
                snaplen=recording.snaplen,
            )
        )
    return recorders


def check_recording(program: Program) -> None:
    """Raise UsageError for recorders that cannot be had, or not of this program."""
    recording = program.recording
    if program.on_lost == "keep" and (recording.calls or recording.output):
        raise UsageError(
            "on-lost keep with call-trace or log-trace: a program that lowrun traces, or that writes to a pipe of "
            "lowrun's, cannot outlive it; leave one out"
        )
    make_recorders(recording)


class LifeRecord:
    """What is recorded of one life; begun at once, before its command exists."""

    def __init__(
        self, command: Command, recorders: Sequence[Recorder], info: RunInfo, loop: Loop, on_end: Callable[[], object]
    ) -> None:
        self.info = info
        self._status, self._wall_s = UNKNOWN, 0.0
        self._command, self._on_end = command, on_end
        self._started = datetime.now(timezone.utc)
        self._pid: int | None = None
        self._usage: tuple[Usage, list[str]] = NOTHING_USED, []
        self._process: Process | None = None
        self._observers = Observers(info, loop)
        self._observers.start(recorders)
        self._accounting = Accounting(self._observers)

    @property
    def before_spawn(self) -> Callable[[Keeper], object] | None:
        """See Accounting."""
        return self._accounting.before_spawn

    def seize(self, pid: int) -> frozenset[int] | None:
        """See Observers."""
        return self._observers.seize(pid)

    def started(self, process: Process) -> None:
        """Its command has been executed, some time ago perhaps."""
        assert process.pid is not None
        self._pid = process.pid
        self._observers.started(process.pid, process.keeper_pid)

    def gone(self, process: Process) -> None:
        """Nothing of its tree is left."""
        self._process = process
        self._accounting.end()

    def end(self, status: ExitStatus | None, reason: str, at: float, kept: bool) -> None:
        """Be through with what the tree left behind, then call `on_end`: within this call perhaps.

        `status` None is not known; `reason` is what it alone does not tell, or ""; `at` is when it ended, on
        CLOCK_MONOTONIC, in seconds.
        """
        self.info.kept = kept
        self._status = replace(status or UNKNOWN, reason=reason or (status or UNKNOWN).reason)
        if self._process is not None and self._process.started_ns:
            self._wall_s = max(0.0, at - self._process.started_ns / 1e9)
        self._observers.settle(self._wind_up)

    def hurry(self) -> None:
        """Be through soon: not all may be kept."""
        self.info.interrupt()
        self._observers.hurry()

    def _wind_up(self) -> None:
        self._observers.stop()
        if self._process is not None:
            self._usage = self._accounting.account(self._process, self._wall_s)
        self.info.usage = self._usage[0]
        self._on_end()

    def keep(self, number: int, directory: Path) -> Result:
        """Name what was recorded in `directory`, as failure `number`."""
        artifacts = self._observers.keep(directory)
        usage, faults = self._usage
        return Result(
            index=number,
            command=self._command,
            status=self._status,
            ok=False,
            timed_out=False,
            interrupted=False,
            pid=self._pid,
            started=self._started,
            wall_s=self._wall_s,
            usage=usage,
            artifacts=artifacts,
            faults=(*self.info.faults, *faults),
        )

    def close(self) -> None:
        """Forget it at once; `on_end` is not called."""
        self._on_end = lambda: None
        self._accounting.end()
        self.hurry()
        self._observers.stop()
        self._observers.discard()


class Archive:
    """The recorders of all lives of a program, and those lives that are being kept. Raises UsageError."""

    def __init__(self, program: Program, loop: Loop, failures: Failures, journal: Journal) -> None:
        self._command, self._loop, self._failures, self._journal = program.command, loop, failures, journal
        recording = program.recording
        self._window = Window(recording.last_size, recording.last)
        self._recorders = make_recorders(recording)
        #: Of the present life.
        self._present: LifeRecord | None = None
        #: Those that are not through yet, whether to be kept or not.
        self._pending: list[LifeRecord] = []
        self._idle: Callable[[], object] | None = None
        #: Until they have to be.
        self._patience: Timer | None = None
        #: What could not be recorded, of the present life or the last one; and of the one before it.
        self.faults: list[str] = []
        self._former_faults: list[str] = []

    def begin(self, outputs: Mapping[int, int]) -> LifeRecord | None:
        """Begin with a new life, whose output goes to `outputs`: its descriptor -> ours. None: nothing is recorded."""
        self._former_faults, self.faults = self.faults, []
        try:
            self._failures.prepare()
        except OSError as error:
            self._fault(explain(error))
            return None
        info = RunInfo(
            0,
            self._command,
            self._failures.path,
            outputs=outputs,
            window=self._window,
            on_fault=self._fault,
        )
        record = LifeRecord(
            self._command, [copy.copy(one) for one in self._recorders], info, self._loop, lambda: self._ended(record)
        )
        self._present = record
        return record

    def _fault(self, text: str) -> None:
        """Say what cannot be recorded; not once more with each life."""
        if text not in self._former_faults and text not in self.faults:
            self._journal.say(f"not recorded: {text}")
        self.faults.append(text)

    def end(self, status: ExitStatus | None, reason: str, at: float, failed: bool) -> None:
        """The present life is over; see LifeRecord."""
        record, self._present = self._present, None
        if record is None:
            return
        for other in [other for other in self._pending if not other.info.kept]:
            other.hurry()  # nobody reads what it passes on
        if failed and self._pending:
            failed = False
            self._journal.say("this failure is not kept: the one before is still being written")
        self._pending.append(record)
        record.end(status, reason, at, failed)

    def _ended(self, record: LifeRecord) -> None:
        if record.info.kept:
            self._keep(record)
        record.close()
        self._pending.remove(record)
        if not self._pending:
            self._is_idle()

    def _is_idle(self) -> None:
        self._cancel_patience()
        idle, self._idle = self._idle, None
        if idle is not None:
            idle()

    def _keep(self, record: LifeRecord) -> None:
        try:
            directory = self._failures.add(record.keep)
        except (OSError, ImportError) as error:  # a module that cannot be opened: no descriptor is left
            self._journal.say(f"this failure is not kept: {explain(error)}")
            return
        self._journal.say(f"kept {directory}")

    def forget(self) -> None:
        """The life that was to begin did not."""
        record, self._present = self._present, None
        if record is not None:
            record.close()

    @property
    def busy(self) -> bool:
        """True while something is not through yet."""
        return bool(self._pending)

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call `callback()` once nothing is left to be done; it must be `busy`."""
        self._idle = callback

    def hurry(self, within: float) -> None:
        """Be through within so many seconds: what is not whole then is not kept."""
        self._cancel_patience()
        if self._pending:
            self._patience = self._loop.add_timer(within, self._hurry)

    def _hurry(self) -> None:
        for record in list(self._pending):
            record.hurry()

    def _cancel_patience(self) -> None:
        patience, self._patience = self._patience, None
        if patience is not None:
            patience.close()

    def close(self) -> None:
        """Forget all that is not kept yet."""
        self._idle = None
        self._cancel_patience()
        self.forget()
        while self._pending:
            self._pending.pop().close()
        for recorder in self._recorders:
            if isinstance(recorder, LastingRecorder):
                recorder.close()


def open_archive(program: Program, loop: Loop, state: ProgramState, journal: Journal) -> Archive | None:
    """Return the archive of `program` in `state`, None when nothing is to be recorded. Raises UsageError."""
    recording = program.recording
    if not (recording.calls or recording.output or recording.samples or recording.packets):
        return None
    return Archive(program, loop, Failures(state, recording.keep), journal)
