"""One life of a program: from its spawn until nothing of its tree is left.

    spawn -> executed -> [its starter exits, a main process is found or named] -> ready -> its end -> over

What all lives of a program share (the request, sockets, the pipe of its output) is `Resources`; what is recorded of
this one is its `LifeRecord`, which its owner takes over in the end. The keeper tells of
every end; nothing is waited for here. Events go up by callbacks: executed, main, exit, ready, late, over; `over` is the
last.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from lowrun.core.fd import Closable, OwnedFd
from lowrun.core.keeper import Keeper
from lowrun.core.keepers import Keepers
from lowrun.core.launch import failed_exec_status
from lowrun.core.lineage import Held
from lowrun.core.loop import Loop, Timer
from lowrun.core.process import Process
from lowrun.errors import LowrunError, explain
from lowrun.supervise.mainprocess import MainProcess
from lowrun.supervise.notify import Notice
from lowrun.supervise.pidfile import PidFile, check
from lowrun.supervise.processes import ProcessId
from lowrun.supervise.recording import LifeRecord
from lowrun.supervise.resources import Kept, Resources
from lowrun.supervise.settings import Program
from lowrun.values import ExitStatus

__all__ = ["Life", "Over"]

#: What the next life may have again: processes, memory, descriptors.
SCARCE = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


class Over(NamedTuple):
    """How a life ended."""

    #: Of its main process; None when none was executed.
    pid: int | None
    #: None: it is not known.
    status: ExitStatus | None
    #: When the main process ended, on CLOCK_MONOTONIC; seconds.
    at: float
    #: What a status alone does not tell; "".
    reason: str
    #: False: it was to say when it serves, and has ended by itself before.
    served: bool = True


class Life:
    """One life. `pid` is the main process, None before it is known and after its end."""

    def __init__(
        self,
        program: Program,
        loop: Loop,
        keepers: Keepers,
        resources: Resources,
        *,
        on_executed: Callable[[int], object],
        on_main: Callable[[int], object],
        on_exit: Callable[[int, ExitStatus | None], object],
        on_ready: Callable[[], object],
        on_late: Callable[[str], object],
        on_over: Callable[[Over], object],
        record: LifeRecord | None = None,
    ) -> None:
        self.ready = False
        self._record = record
        self._program, self._loop, self._resources = program, loop, resources
        self._on_executed, self._on_main, self._on_exit = on_executed, on_main, on_exit
        self._on_ready, self._on_late, self._on_over = on_ready, on_late, on_over
        self._pidfile: PidFile | None = None
        self._timer: Timer | None = None
        self._over: Over | None = None
        self._last_pid: int | None = None
        self._unannounced: int | None = None
        self._ending = self._is_early = False
        #: The command of a kept daemon: it has exited long ago.
        self._known_exit: int | None = None
        kept, resources.kept = resources.kept, None
        try:
            self._begin_readiness(resources)
            if program.pidfile is not None:
                self._pidfile = PidFile(loop, program.pidfile, on_pid=self._named, on_trouble=self._troubled)
            self._process = self._spawn(keepers, resources) if kept is None else self._adopt(keepers, kept.keeper)
        except BaseException:
            self._end_readiness()
            self._close_pidfile()
            raise
        self._process.when_exited(self._exited)
        self._main = MainProcess(
            self._process.keeper_pid,
            awaits_name=self._pidfile is not None,
            watch=self._watch,
            on_main=self._found,
            on_over=self._is_over,
        )
        if resources.notify is not None:
            resources.notify.listen(self._process.keeper_pid)
        if kept is not None:
            self._resume(kept)
        if not self._serves_at_once and not self.ready:
            self._timer = loop.add_timer(program.start_timeout, self._late)

    def _spawn(self, keepers: Keepers, resources: Resources) -> Process:
        info = None if self._record is None else self._record.info
        process = Process(
            self._loop,
            keepers,
            resources.launch,
            resources.fds if info is None else {**resources.fds, **info.redirects},
            on_start=self._started,
            on_reaped=self._reaped,
            on_end=self._ended,
            park=self._park if info is not None and info.seizers else None,
            count_io=info is not None and info.counts_io,
            before_spawn=None if self._record is None else self._record.before_spawn,
            linger=None,
            stay=resources.stay,
            limits=resources.limits,
        )
        # A message on a Unix socket wakes its reader on the sender's processor, where it waits until the sender sleeps
        # (wake_up_interruptible_sync_poll in sock_def_readable, net/core/sock.c). What is still to be done here,
        # writing the record above all, takes longer than the keeper's clone and exec: those first.
        os.sched_yield()
        return process

    def _park(self, pid: int, _sockets: list[OwnedFd]) -> None:
        """The command waits to be seized."""
        if self._record is not None:
            self._process.go(self._record.seize(pid))

    def _begin_readiness(self, resources: Resources) -> None:
        if resources.watchdog is not None:
            resources.watchdog.renew()
        if resources.notify is not None:
            resources.notify.begin(self._noticed)
        if resources.readiness is not None:
            resources.readiness.begin(self._serves)

    def _end_readiness(self) -> None:
        for part in (self._resources.watchdog, self._resources.notify, self._resources.readiness):
            if part is not None:
                part.end()

    def _adopt(self, keepers: Keepers, keeper: Keeper) -> Process:
        return Process.adopted(self._loop, keepers, keeper, on_reaped=self._reaped, on_end=self._ended, linger=None)

    def _resume(self, kept: Kept) -> None:
        """Go on where the lowrun that is gone was: what has ended since is told by the keeper, from the loop."""
        process, record = self._process, kept.record
        assert process.pid is not None
        if self._record is not None:
            self._record.started(process)
        main = None if record is None else record.main
        self._main.started(process.pid, process)
        if main is not None and main.pid != process.pid:
            self._known_exit = process.pid
            self._lead_again(main)
        self._last_pid = process.pid if main is None else main.pid
        self._on_executed(self._last_pid)
        if self._pidfile is not None and not kept.gone:
            self._pidfile.heed()
        if not kept.gone and (self._serves_at_once or (record is not None and record.ready)):
            self._serves()

    def _lead_again(self, main: ProcessId) -> None:
        """The main process of a daemon goes on, or has ended since."""
        with contextlib.suppress(LowrunError):
            held = check(main.pid, self._process.keeper_pid)
            if held.start == main.start:
                self._main.named(held)
                return
            held.close()
        self._main.was(main.pid)

    # -- what can be asked

    @property
    def pid(self) -> int | None:
        """The main process; None before it is known and after its end."""
        return self._main.pid

    @property
    def start(self) -> int | None:
        """When the main process started, in clock ticks since boot; None when it is the command."""
        return self._main.start

    @property
    def keeper_pid(self) -> int:
        """The parent of its tree."""
        return self._process.keeper_pid

    def send_signal(self, number: int) -> bool:
        """Send a signal to the main process; False when there is none, or it may not be sent one."""
        try:
            self._main.send_signal(number)
        except OSError:
            return False
        return True

    def end(self, number: int) -> None:
        """Send the signal `number` to its whole tree, and let what is stopped go on to act on it."""
        self._ending = True
        self._end_readiness()
        self._process.signal_tree(number)
        self._process.signal_tree(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to its whole tree, until nothing is left."""
        self._process.kill()

    # -- what happens

    @property
    def _serves_at_once(self) -> bool:
        return self._program.ready is None and self._pidfile is None

    def _started(self, process: Process) -> None:
        assert process.pid is not None
        self._last_pid = process.pid
        if self._record is not None:
            self._record.started(process)
        self._main.started(process.pid, process)
        self._on_executed(process.pid)
        if self._serves_at_once or self._is_early:
            self._serves()

    def _exited(self, status: ExitStatus) -> None:
        if self._process.pid is None:
            return
        if self._process.pid != self._known_exit:
            self._tell_exit(self._process.pid, status)
        self._announce()
        if self._pidfile is not None and self.pid is not None and self._program.ready in (None, "pidfile"):
            self._serves()

    def _reaped(self, pid: int, status: ExitStatus) -> None:
        if pid == self.pid:
            self._tell_exit(pid, status)

    def _tell_exit(self, pid: int, status: ExitStatus) -> None:
        self._last_pid = self.pid or pid
        self._on_exit(pid, status)
        self._main.exited(pid, status)

    def _take_main(self, pid: int) -> str:
        """Believe that `pid` is the main process when it is one of the tree; return why not."""
        try:
            self._main.named(check(pid, self._process.keeper_pid))
        except (LowrunError, OSError) as error:
            return explain(error)
        return ""

    def _named(self, pid: int) -> bool:
        """The pidfile has this pid."""
        if trouble := self._take_main(pid):
            self._troubled(f"pidfile {self._program.pidfile}: {trouble}")
            return False
        if self._program.ready not in (None, "pidfile"):
            return True
        if self._program.ready == "pidfile" or not self._process.alive or pid == self._process.pid:
            self._serves()
        return True

    def _troubled(self, text: str) -> None:
        self._trouble = text

    _trouble = ""

    def _found(self, pid: int) -> None:
        self._last_pid = self._unannounced = pid
        self._announce()

    def _announce(self) -> None:
        """Tell of a main process that is not the command; of one that is named before its starter exits, after that."""
        if self._unannounced is not None and (self._program.ready == "pidfile" or not self._process.alive):
            pid, self._unannounced = self._unannounced, None
            self._on_main(pid)

    def _watch(self, held: Held, on_exit: Callable[[ExitStatus | None], object]) -> Closable:
        from lowrun.core.watch import Watch

        def ended(status: ExitStatus | None) -> None:
            self._on_exit(held.pid, status)
            on_exit(status)

        return Watch(self._loop, held.pid, held.start, ended)

    def _noticed(self, notice: Notice) -> None:
        """It has said something by sd_notify."""
        if notice.main_pid is not None and notice.main_pid != self.pid:
            self._take_main(notice.main_pid)
        if self._resources.watchdog is not None:
            self._resources.watchdog.heard(notice)
        if notice.extend is not None and self._timer is not None:
            self._timer.set(notice.extend)
        if notice.ready:
            self._serves()

    def _serves(self) -> None:
        if self._process.pid is None:  # a quick program's word can come before the keeper's
            self._is_early = True
            return
        if not self.ready and self._over is None:
            self.ready = True
            self._cancel_timer()
            if self._resources.watchdog is not None and not self._ending:
                self._resources.watchdog.begin(self._on_late)
            self._on_ready()

    def _late(self) -> None:
        self._cancel_timer()
        seconds = self._program.start_timeout
        what = f"it was not ready within {seconds:g} s"
        if self._pidfile is not None and self.pid is not None and self._process.alive:
            what = f"its starter, pid {self._process.pid}, has not exited within {seconds:g} s"
        elif self._pidfile is not None:
            what = f"no pid of it in {self._program.pidfile} within {seconds:g} s"
        self._on_late(f"{what} ({self._trouble})" if self._trouble else what)

    def _is_over(self, status: ExitStatus | None) -> None:
        """Its main process has ended: what is left of its tree has to go, too, and has the time of a stop for it.

        As systemd has it (systemd.kill(5), KillMode=control-group); a respawn waits for that.
        """
        if not self.ready:
            self._hear_out()
        self._cancel_timer()
        self._end_readiness()
        at_ns = self._process.ended_ns if self._last_pid == self._process.pid else 0
        served = self.ready or self._serves_at_once or self._ending
        reason = "" if served or status is None else f"{status}, before it was ready"
        self._over = Over(self._last_pid, status, at_ns / 1e9 or time.monotonic(), reason, served)
        if not self._ending:
            self._process.terminate(self._program.stop_timeout, self._program.stop_signal)

    def _hear_out(self) -> None:
        """It may have said that it serves in its last moment, and the news of its end have come first."""
        resources = self._resources
        resources.output.drain()
        for part in (resources.notify, resources.readiness):
            if part is not None:
                part.hear()

    def _ended(self, process: Process) -> None:
        if self._record is not None:
            self._record.gone(process)
        self._main.ended()
        self._cancel_timer()
        self._end_readiness()
        if process.error is not None:
            status = None if process.error.errno in SCARCE else failed_exec_status(process.error)
            error = process.error
            why = str(error) if error.step == "exec" else error.reason
            self._on_over(Over(None, status, time.monotonic(), why))
        elif process.keeper_lost:
            self._on_over(Over(self._last_pid, None, time.monotonic(), "its keeper was killed"))
        else:
            self._on_over(self._over or Over(self._last_pid, process.status, time.monotonic(), ""))

    # -- its end

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    def _close_pidfile(self) -> None:
        pidfile, self._pidfile = self._pidfile, None
        if pidfile is not None:
            pidfile.close()

    def close(self) -> None:
        """End it at once, if it is not over; nothing is told any more."""
        self._cancel_timer()
        self._end_readiness()
        self._close_pidfile()
        self._main.close()
        self._process.close()
