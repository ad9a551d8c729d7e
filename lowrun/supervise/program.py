"""One program kept running: lives, one after the other, as the policy says.

    policy --SPAWN--> [pre hook] -> Life [-> ready, post hook] -> over -> [on-exit hook] --ENDED_WELL, ...--> policy
              ^                                                          |
              +---- DELAY_OVER (a timerfd, or at once) <--- ARM_DELAY ---+

Every change is told upwards by `on_change(program)`; nothing here knows of files, sockets or the command line. Who asks
for a stop or a restart is told when it is done.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace

from lowrun.core.keepers import Keepers
from lowrun.core.loop import Loop
from lowrun.errors import BusyError, ClosedError, explain
from lowrun.supervise.attached import AttachedLife
from lowrun.supervise.deadline import Deadline
from lowrun.supervise.hooks import Hooks, facts_of
from lowrun.supervise.journal import Journal
from lowrun.supervise.life import Life, Over
from lowrun.supervise.meaning import LastExit, meaning_of
from lowrun.supervise.policy import Action, Aim, Event, Phase, State, step
from lowrun.supervise.record import Moment
from lowrun.supervise.resources import Kept, Resources
from lowrun.supervise.settings import Program
from lowrun.supervise.state import now
from lowrun.values import ExitStatus

__all__ = ["Supervised"]


class Supervised:
    """One program under supervision; `start` begins. `on_change` after every change, `on_finish` at its end."""

    def __init__(
        self,
        program: Program,
        loop: Loop,
        keepers: Keepers,
        resources: Resources,
        journal: Journal,
        *,
        on_change: Callable[[Supervised], object],
        on_finish: Callable[[Supervised], object],
    ) -> None:
        self.program = program
        self.journal = journal
        self.state = State()
        self.life: Life | AttachedLife | None = None
        self.last: LastExit | None = None
        self.resources = resources
        self._loop, self._keepers = loop, keepers
        self._on_change, self._on_finish = on_change, on_finish
        #: True from its end on: nothing of it runs, nothing is still to be done, and nobody will start it unasked.
        self.over = False
        #: The end of a delay, or SIGKILL for what is being stopped.
        self._deadline = Deadline(loop, self._happened)
        self._hooks = Hooks(program, loop, keepers, resources.fds, journal.say)
        self._ended_at = 0.0
        self._stop_timeout = program.stop_timeout
        #: When the present life, or the last one, was executed.
        self.began: Moment | None = None
        #: Why lowrun ended the present life; "".
        self._why = ""
        #: The life that is about to go on.
        self._resumed: Kept | None = None
        #: The present life had ended before this supervisor came.
        self._missed = False
        #: Signals that this life got through lowrun, and when the last time, on CLOCK_MONOTONIC; seconds.
        self._sent: dict[int, float] = {}
        self._when_stopped: list[Callable[[], object]] = []
        self._when_restarted: list[Callable[[], object]] = []
        self._closed = False
        #: Why it may not be started any more; "" while it may.
        self._barred = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.program.name

    @property
    def phase(self) -> Phase:
        """Where it is."""
        return self.state.phase

    @property
    def pid(self) -> int | None:
        """The pid of its main process, None without one."""
        return None if self.life is None else self.life.pid

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return self.state.restarts

    @property
    def reason(self) -> str:
        """Why it was given up, or never started; "" while it was not, and after a normal end."""
        return self.state.reason

    @property
    def faults(self) -> list[str]:
        """What cannot be recorded of its lives, and why."""
        return [] if self.resources.archive is None else self.resources.archive.faults

    # -- what can be asked

    def start(self) -> None:
        """Begin its first life, or a new one after its end. Raises ClosedError; BusyError when all are to stop."""
        self._check_open()
        self._happened(Event.START)

    def stop(self, done: Callable[[], object] | None = None, timeout: float | None = None) -> None:
        """End it, its whole tree, or do not start it; `done()` when nothing is left.

        SIGKILL after `timeout` seconds (None: its own). The second time the shorter one counts.
        """
        if self.over:
            if done is not None:
                done()
            return
        if done is not None:
            self._when_stopped.append(done)
        seconds = self.program.stop_timeout if timeout is None else timeout
        if self.phase is Phase.DONE and self.resources.archive is not None:
            self.resources.archive.hurry(seconds)
            return
        if self.phase is not Phase.STOPPING:
            self._stop_timeout = seconds
        elif self._deadline.armed and time.monotonic() + seconds < self._deadline.at:
            self._stop_timeout = seconds
            self._deadline.arm(seconds, Event.STUBBORN)
        self._happened(Event.STOP)

    def restart(self, done: Callable[[], object] | None = None) -> None:
        """End it and start it anew; `done()` when the new life is ready, or has failed to become so (see `last`).

        One that is still to be started is not started before its turn. Raises ClosedError; BusyError when all are to
        stop.
        """
        self._check_open()
        if done is not None:
            self._when_restarted.append(done)
        if self.phase is not Phase.IDLE:
            self._happened(Event.START if self.phase is Phase.DONE else Event.RESTART)

    def leave_out(self, reason: str) -> None:
        """Do not start it, for `reason`: that is its end."""
        self.journal.left_out(reason)
        self.state = replace(self.state, reason=reason)
        self._happened(Event.LEFT_OUT)

    def bar(self, reason: str) -> None:
        """Let nobody start it any more."""
        self._barred = reason

    def reload(self) -> bool:
        """Send the reload signal to its main process; False without one."""
        return self._send("reload: ", self.program.reload_signal)

    def send_signal(self, number: int) -> bool:
        """Send a signal to its main process; False without one, and while it is being stopped."""
        return self._send("", number)

    def _send(self, what: str, number: int) -> bool:
        if self.life is None or self.phase is Phase.STOPPING or not self.life.send_signal(number):
            return False
        self._sent[number] = time.monotonic()
        self.journal.say(f"{what}{signal.Signals(number).name} to pid {self.life.pid}")
        return True

    def hurry(self) -> None:
        """Kill what is being stopped."""
        if self.resources.archive is not None:
            self.resources.archive.hurry(0)
        self._happened(Event.STUBBORN)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f'the supervisor of "{self.name}" is closed')
        if self._barred:
            raise BusyError(f'"{self.name}" is not started: {self._barred}')

    # -- policy

    def _happened(self, event: Event, at: float | None = None) -> None:
        before = self.state
        moment = time.monotonic() if at is None else at
        self.state, actions = step(self.program.restart, before, event, moment)
        if self._missed and self.phase is Phase.DONE and before.phase is not Phase.STOPPING:
            # What has ended before is not what this start was for.
            self.state, actions = step(self.program.restart, self.state, Event.START, moment)
        if Action.TERMINATE in actions:
            self._on_change(self)
        if self.phase is not Phase.DONE:
            self.over = False
        for action in actions:
            ACTIONS[action](self)
        if self.state != before or actions:
            self._on_change(self)
        if self.phase in (Phase.RUNNING, Phase.WAITING) and before.phase is not self.phase:
            self._call(self._when_restarted)
        if self.phase is Phase.DONE and before.phase is not Phase.DONE:
            self._finish()
        elif self.phase is Phase.WAITING and not self._deadline.armed:
            self._happened(Event.DELAY_OVER)

    def _finish(self) -> None:
        if self.state.reason and self.was_started:
            self.journal.gave_up(self.state.reason)
        archive = self.resources.archive
        if archive is None or not archive.busy:
            self._tell_end()
            return
        if self.state.exit_code == 0:
            archive.hurry(self._stop_timeout)
        archive.when_idle(self._tell_end)

    @property
    def was_started(self) -> bool:
        """True when it had a life, of whatever length."""
        return self.state.began > 0

    def _tell_end(self) -> None:
        if self.phase is not Phase.DONE:
            return  # it was started anew meanwhile
        self.over = True
        self._on_finish(self)
        self._on_change(self)
        self._call(self._when_stopped)
        self._call(self._when_restarted)

    @staticmethod
    def _call(callbacks: list[Callable[[], object]]) -> None:
        waiting, callbacks[:] = list(callbacks), []
        for callback in waiting:
            callback()

    def _arm_delay(self) -> None:
        """No timer for a delay that is over: one that is due at once still costs a turn of the loop."""
        after = self._ended_at + self.state.delay - time.monotonic()
        if after > 0:
            self._deadline.arm(after, Event.DELAY_OVER)

    # -- a life

    def _spawn(self) -> None:
        self._deadline.disarm()
        self._sent.clear()
        self._stop_timeout = self.program.stop_timeout
        self._why = ""
        runs_already = self.resources.kept is not None or (self.program.attach is not None and self.last is None)
        if self.program.pre is None or runs_already:
            self._begin_life()
        else:
            self._hooks.before(self.program.pre, self._facts, self._pre_over)

    def _pre_over(self, status: ExitStatus) -> None:
        if self.phase is Phase.STOPPING:
            self._over(Over(None, None, time.monotonic(), ""))
        elif status.code == 0:
            self._begin_life()
        else:
            self._over(Over(None, status, time.monotonic(), f"its pre hook: {status}"))

    def _attach(self, pid: int) -> None:
        """The first life runs already."""
        self.began = now()
        self.life = AttachedLife(
            pid,
            self._loop,
            on_main=self._traced,
            on_exit=self.journal.ended,
            on_ready=lambda: self._happened(Event.READY),
            on_over=self._over,
        )

    def _begin_life(self) -> None:
        if self.program.attach is not None and self.last is None:
            self._attach(self.program.attach)
            return
        kept, archive = self.resources.kept, self.resources.archive
        if kept is None:
            self._missed = False
        else:
            self._resume(kept)
        try:
            if kept is None:
                self.resources.output.begin_life()
            self.life = Life(
                self.program,
                self._loop,
                self._keepers,
                self.resources,
                on_executed=self._executed,
                on_main=self._traced,
                on_exit=self.journal.ended,
                on_ready=self._ready_again if kept is not None and kept.was_ready else self._ready,
                on_late=self._late,
                on_over=self._over,
                record=None if archive is None else archive.begin(self.resources.output.fds),
            )
        except OSError as error:  # no process or no descriptor is to be had at present
            if archive is not None:
                archive.forget()
            over = Over(None, None, time.monotonic(), f"it cannot be started now: {explain(error)}")
            self._loop.call_soon(lambda: self._over(over))

    def _resume(self, kept: Kept) -> None:
        """The life that begins is one that began long ago."""
        self._resumed, self._missed = kept, kept.gone
        self.state = kept.resumed(self.state)
        if kept.is_to_end:
            self._loop.call_soon(self.restart)

    def _executed(self, pid: int) -> None:
        kept, self._resumed = self._resumed, None
        self.began = now() if kept is None else kept.began
        if self._missed:
            self.journal.say(f"{self.name}, pid {pid}, has ended since its supervisor was lost")
        elif kept is not None:
            self.journal.say(f"{self.name} has outlived its supervisor, pid {pid}")
        elif self.state.respawns:
            self.journal.restarted(self.state.respawns, self.program.restart.limit, pid)
        else:
            self.journal.program_started(pid)
        self._on_change(self)

    def _traced(self, pid: int) -> None:
        """A daemon's main process is known."""
        self.journal.traced(pid)
        self._on_change(self)

    def _ready(self) -> None:
        self._ready_again()
        if self.program.post is not None and self.phase is Phase.RUNNING:
            self._hooks.beside(self.program.post, self._facts)

    def _ready_again(self) -> None:
        self._happened(Event.READY)

    def _late(self, reason: str) -> None:
        self.journal.say(reason)
        self._why = reason
        self._happened(Event.LATE)

    def _terminate(self) -> None:
        hangs = self.state.aim is Aim.FAIL and self.life is not None and self.life.ready
        number = signal.SIGABRT if hangs else self.program.stop_signal
        self._sent[number] = time.monotonic()
        if self.life is not None or self._hooks.forestall():
            self._deadline.arm(self._stop_timeout, Event.STUBBORN)
        if self.life is not None:
            if self.life.pid is not None:
                self.journal.told_to_stop(self.life.pid)
            self.life.end(number)

    def _kill(self) -> None:
        if self.life is not None:
            self.journal.say("it has not ended in time: SIGKILL")
            self.life.kill()
        else:
            self._hooks.kill()

    def _over(self, over: Over) -> None:
        """Nothing of the life is left."""
        life, self.life = self.life, None
        if life is not None:
            life.close()
        self._deadline.disarm()
        self._hooks.end_beside()
        if self.resources.archive is not None:
            self.resources.archive.end(over.status, over.reason or self._why, over.at, self._has_failed(over))
        self.resources.output.drain()
        self._ended_at = over.at
        ended = time.time() - (time.monotonic() - over.at)
        self.last = LastExit(over.pid, over.status, ended, over.reason or self._why)
        if over.reason:
            self.journal.say(over.reason)
        if self.program.on_exit is not None:
            self._hooks.after(self.program.on_exit, self._facts, lambda: self._end_life(over))
        else:
            self._end_life(over)

    def _end_life(self, over: Over) -> None:
        self._happened(self._meaning(over), over.at)

    def _meaning(self, over: Over) -> Event:
        before_its_end = {number: over.at - at for number, at in self._sent.items()}
        return meaning_of(over.status, over.pid is not None, over.served, before_its_end, self.program.restart)

    def _has_failed(self, over: Over) -> bool:
        """Tell whether a life has failed: by itself, or it was ended because it had; not when it was told to end."""
        if self.phase is Phase.STOPPING:
            return self.state.aim is Aim.FAIL
        return self._meaning(over) is not Event.ENDED_WELL

    @property
    def _facts(self) -> dict[str, str]:
        return facts_of(self.name, self.state.restarts, self.life is not None, self.pid, self.last)

    # -- its owner's end

    def close(self) -> None:
        """End it at once; nobody is told."""
        if not self._closed and self.phase not in (Phase.IDLE, Phase.DONE):
            self.journal.say("ended at once: its supervisor was closed")
            self.state = replace(self.state, phase=Phase.DONE)
        self.let_go()

    @property
    def outlives(self) -> bool:
        """True when it is to live on though its supervisor does not."""
        is_over = self.phase in (Phase.IDLE, Phase.DONE) and self.resources.kept is None
        return self.resources.stay is not None and not is_over

    def let_go(self) -> None:
        """Have no more to do with it: if its keeper was let go of, it goes on."""
        self._closed = self.over = True
        self._deadline.disarm()
        self._hooks.close()
        life, self.life = self.life, None
        if life is not None:
            life.close()


ACTIONS: dict[Action, Callable[[Supervised], None]] = {
    Action.CANCEL_DELAY: lambda program: program._deadline.disarm(),
    Action.SPAWN: Supervised._spawn,
    Action.TERMINATE: Supervised._terminate,
    Action.KILL: Supervised._kill,
    Action.ARM_DELAY: Supervised._arm_delay,
    Action.FINISH: lambda program: program._deadline.disarm(),
}
