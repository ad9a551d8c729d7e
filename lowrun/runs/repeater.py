"""Many runs of one command: one after the other or N at a time.

    slot:  prepare -> run -> keep or discard -> on_result      (jobs slots at a time)
    end:   count reached, or failed_count reached, or interrupted, or an error
           ... and nothing under way -> on_end

A `Repeater` lives in a loop of its owner's.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

from lowrun.core.fd import OwnedFd
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.loop import LONGEST, Loop, Timer
from lowrun.core.process import open_standard_fds
from lowrun.errors import BusyError, UsageError, explain
from lowrun.runs.directory import OutputDirectory
from lowrun.runs.keeping import KEEP, Keeping
from lowrun.runs.recorder import LastingRecorder, Recorder
from lowrun.runs.run import Run, RunPlan
from lowrun.steps import warn
from lowrun.values import Command, Result, Summary, Word
from lowrun.version import VERSION

__all__ = ["Repeater"]

#: From SIGTERM to SIGKILL when lowrun is interrupted; seconds.
INTERRUPT_KILL_AFTER = 0.5
#: ^C at a terminal has reached the command already: it may act on it this long before SIGTERM; seconds.
TERMINAL_GRACE = 0.2


class Repeater:
    """Runs a command `count` times; see `repeat` for the options.

    Raises UsageError for options that make no sense. `start` begins;
    `on_result(result)` comes after each counted run, `on_end(repeater)` once,
    when nothing is left: then `summary` is there, and `error` when something
    other than the command failed. What is wrong with no run, a summary that cannot
    be written, goes to `on_fault(text)`, or without it to the logger lowrun.repeat.
    Close it in the end (a context manager).
    """

    def __init__(
        self,
        command: Command | Word | Sequence[Word],
        *,
        count: int = 1,
        failed_count: int | None = None,
        jobs: int = 1,
        warmup: int = 0,
        prepare: Command | Word | Sequence[Word] | None = None,
        record: Iterable[Recorder] = (),
        keep: str = "failed",
        output: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        kill_after: float = 2.0,
        success: Iterable[int] = (0,),
        stdin: str | os.PathLike[str] | None = None,
        quiet: bool = False,
        on_result: Callable[[Result], object] | None = None,
        on_fault: Callable[[str], object] | None = None,
        on_end: Callable[[Repeater], object] | None = None,
    ) -> None:
        command = Command.of(command)
        _check(count, failed_count, jobs, warmup, keep, timeout, kill_after)
        if jobs > 1 and command.group == "inherit":
            from dataclasses import replace

            command = replace(command, group="group")
        self.command = command
        self.error: BaseException | None = None
        self._count, self._failed_count, self._jobs, self._warmup = count, failed_count, jobs, warmup
        self._recorders = list(record)
        self._on_result, self._on_end = on_result, on_end
        self._on_fault = on_fault or (lambda text: warn("repeat", "%s", text))
        self._directory = OutputDirectory(None if output is None else Path(output), command.name)
        self._owned: list[OwnedFd] = []
        self._stdin = stdin
        self._launch = Launch(command)
        self._prepare = None if prepare is None else Launch(Command.of(prepare))
        fds = self._standard_fds(quiet)
        self._plan = RunPlan(
            self._launch,
            fds=fds,
            success=frozenset(success),
            timeout=timeout,
            kill_after=kill_after,
            quiet=quiet,
            scratch=self._directory.scratch() if self._recorders else Path("/"),
            keep=Keeping(keep),
        )
        self._started = datetime.now(timezone.utc)
        self._begun_ns = time.monotonic_ns()
        self._results: list[Result] = []
        self._active: dict[Run, OwnedFd | None] = {}
        self._next = 1 - warmup  # warm-up runs have the numbers up to 0
        self._failures = 0
        self._signal: int | None = None
        self._grace: Timer | None = None
        self._loop: Loop | None = None
        self._keepers: Keepers | None = None
        self._filling = self._ended = False
        self._owner = os.getpid()

    def _standard_fds(self, quiet: bool) -> dict[int, int]:
        fds = open_standard_fds()
        if quiet:
            null = OwnedFd(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
            self._owned.append(null)
            fds[1] = fds[2] = null.fileno()
        if self._stdin is not None:
            self._open_stdin().close()  # an unreadable file is said before the first run
        fds.update(self.command.fds)
        return fds

    def _open_stdin(self) -> OwnedFd:
        assert self._stdin is not None
        try:
            return OwnedFd(os.open(self._stdin, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise UsageError(f"input {os.fsdecode(self._stdin)}: {error.strerror}") from error

    # -- from the owner

    def start(self, loop: Loop) -> None:
        """Begin in `loop`. Raises BusyError the second time."""
        if self._loop is not None:
            raise BusyError("the repeater has been started already")
        self._loop = loop
        self._keepers = Keepers(loop)
        loop.call_soon(self._fill)

    def interrupt(self, signal: int, *, from_terminal: bool = False) -> None:
        """End every run under way and start no new one; `summary` is there all the same.

        SIGTERM to their trees, SIGKILL 0.5 s later; called again, SIGKILL at
        once. `from_terminal`: the commands have got the signal themselves (^C)
        and may act on it for a moment before SIGTERM.
        """
        again = self._signal is not None
        self._signal = signal
        if self._grace is not None:
            self._grace.close()
            self._grace = None
        for run in self._active:
            run.mark_interrupted()
        if again:
            self._interrupt_runs(0)
        elif from_terminal and self._jobs == 1 and self._loop is not None and self._active:
            self._grace = self._loop.add_timer(TERMINAL_GRACE, lambda: self._interrupt_runs(INTERRUPT_KILL_AFTER))
        else:
            self._interrupt_runs(INTERRUPT_KILL_AFTER)
        self._end_if_idle()

    def _interrupt_runs(self, kill_after: float) -> None:
        for run in list(self._active):
            run.interrupt(kill_after)

    @property
    def ended(self) -> bool:
        """True when nothing is under way and nothing will be."""
        return self._ended

    @property
    def active(self) -> int:
        """How many runs are under way."""
        return len(self._active)

    @property
    def summary(self) -> Summary:
        """What has been done so far; whole after the end."""
        return Summary(
            command=self.command,
            started=self._started,
            wall_s=(time.monotonic_ns() - self._begun_ns) / 1e9,
            interrupted=self._signal is not None,
            output=self._directory.path,
            results=tuple(sorted(self._results, key=lambda result: result.index)),
            signal=self._signal,
        )

    # -- slots

    @property
    def _finished(self) -> bool:
        return self._next > self._count or self._signal is not None or self.error is not None or self._gave_up

    @property
    def _gave_up(self) -> bool:
        return self._failed_count is not None and self._failures >= self._failed_count

    def _fill(self) -> None:
        """Start runs until all slots are taken. A run may end while it is being started."""
        if self._filling or self._ended:
            return
        self._filling = True
        try:
            while not self._finished and len(self._active) < self._slots:
                index = self._next
                self._next += 1
                if self._prepare is None:
                    self._start_run(index)
                else:
                    self._start_prepare(self._prepare, index)
        except Exception as error:  # the world's fault while starting: told when the others are done
            self.error = self.error or error
        finally:
            self._filling = False
        self._end_if_idle()

    @property
    def _slots(self) -> int:
        """Warm-up runs go one at a time, and are over before the first counted run."""
        warming = self._next <= 0 or any(run.index <= 0 for run in self._active)
        return 1 if warming else self._jobs

    def _begin(
        self, index: int, plan: RunPlan, recorders: Sequence[Recorder], on_done: Callable[[Run], object]
    ) -> None:
        assert self._loop is not None and self._keepers is not None
        stdin = None
        if self._stdin is not None and plan is self._plan:
            stdin = self._open_stdin()
            plan = copy.copy(plan)
            plan.fds = {**plan.fds, 0: stdin.fileno()}
        try:
            run = Run(index, plan, recorders, self._loop, self._keepers, on_done)
        except BaseException:
            if stdin is not None:
                stdin.close()
            raise
        self._active[run] = stdin

    def _start_run(self, index: int) -> None:
        if index <= 0:
            self._begin(index, self._plan, [], self._warmed_up)
            return
        recorders = self._recorders if self._jobs == 1 else [copy.copy(recorder) for recorder in self._recorders]
        self._begin(index, self._plan, recorders, self._done)

    def _start_prepare(self, launch: Launch, index: int) -> None:
        plan = copy.copy(self._plan)
        plan.launch, plan.command, plan.timeout = launch, launch.command, None
        plan.success, plan.keep = frozenset({0}), Keeping("none")
        self._begin(index, plan, [], self._prepared)

    def _retire(self, run: Run) -> None:
        stdin = self._active.pop(run)
        if stdin is not None:
            stdin.close()
        if run.error is not None:
            self.error = self.error or run.error

    def _prepared(self, run: Run) -> None:
        self._retire(run)
        if not run.ok and not run.interrupted and self.error is None:
            name = " ".join(run.command.argv)
            self.error = UsageError(f"the prepare command failed before run {run.index}: {name}: {run.status}")
        run.finish(None)
        if self.error is None and self._signal is None and not self._gave_up:
            try:
                self._start_run(run.index)
            except Exception as error:
                self.error = error
        self._fill()

    def _warmed_up(self, run: Run) -> None:
        self._retire(run)
        run.finish(None)
        self._fill()

    def _done(self, run: Run) -> None:
        self._retire(run)
        if run.error is not None:
            run.finish(None)
            self._fill()
            return
        try:
            self._count_result(self._kept(run))
        finally:
            self._fill()

    def _count_result(self, result: Result) -> None:
        self._results.append(result)
        if result.completed and not result.ok:
            self._failures += 1
        if self._on_result is not None:
            self._on_result(result)

    def _kept(self, run: Run) -> Result:
        if not (run.kept and self._recorders):
            return run.finish(None)
        try:
            into = self._directory.for_run(run.index)
        except OSError as error:
            run.fault(f"output: {error.filename}: {error.strerror}; nothing of this run is kept")
            return run.finish(None)
        result = run.finish(into)
        try:
            self._directory.write_run(into, result)
        except OSError as error:
            self._on_fault(f"run.json of run {run.index} cannot be written: {explain(error)}")
        return result

    def _end_if_idle(self) -> None:
        if self._active or self._ended or self._filling or not self._finished:
            return
        self._ended = True
        self._release()
        try:
            self._directory.write_summary(self.summary, VERSION)
        except OSError as error:
            self._on_fault(f"summary.json cannot be written: {explain(error)}")
        if self._on_end is not None:
            self._on_end(self)

    # -- the end

    def _release(self) -> None:
        if self._grace is not None:
            self._grace.close()
            self._grace = None
        if self._keepers is not None:
            self._keepers.close()
        self._launch.close()
        if self._prepare is not None:
            self._prepare.close()
        for fd in self._owned:
            fd.close()
        for recorder in self._recorders:
            if isinstance(recorder, LastingRecorder):
                recorder.close()

    def close(self) -> None:
        """End what is under way, at once and without a Result; the second time does nothing.

        In a forked child it does nothing at all: the runs are the parent's.
        """
        if os.getpid() != self._owner:
            return
        self._ended = True
        with ExitStack() as everything:
            everything.callback(self._release)
            while self._active:
                run, stdin = self._active.popitem()
                if stdin is not None:
                    everything.callback(stdin.close)
                everything.callback(run.close)

    def __enter__(self) -> Repeater:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _check(
    count: int,
    failed_count: int | None,
    jobs: int,
    warmup: int,
    keep: str,
    timeout: float | None,
    kill_after: float,
) -> None:
    if count < 1:
        raise UsageError(f"count is at least 1, not {count}")
    if failed_count is not None and failed_count < 1:
        raise UsageError(f"failed_count is at least 1, not {failed_count}")
    if jobs < 1:
        raise UsageError(f"jobs is at least 1, not {jobs}")
    if warmup < 0:
        raise UsageError(f"warmup is at least 0, not {warmup}")
    if keep not in KEEP:
        raise UsageError(f"keep is one of {', '.join(KEEP)}, not {keep!r}")
    if timeout is not None and not 0 < timeout <= LONGEST:
        raise UsageError(f"timeout is more than 0 and at most {LONGEST:g} seconds, not {timeout}")
    if not 0 <= kill_after <= LONGEST:
        raise UsageError(f"kill_after is from 0 to {LONGEST:g} seconds, not {kill_after}")
