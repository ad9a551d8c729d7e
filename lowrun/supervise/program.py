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
from lowrun.core.loop import Loop, Timer
from lowrun.errors import ClosedError, explain
from lowrun.supervise.attached import AttachedLife
from lowrun.supervise.hooks import Hook, begin_hook, facts_of
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
        self._timer: Timer | None = None
        #: Before a life, or after it; and beside one.
        self._hook: Hook | None = None
        self._post: Hook | None = None
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
        #: Signals that this life got through lowrun.
        self._sent: set[int] = set()
        self._when_stopped: list[Callable[[], object]] = []
        self._when_restarted: list[Callable[[], object]] = []
        self._closed = False

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
        """Why it was given up; "" while it was not, and after a normal end."""
        return self.state.reason

    @property
    def faults(self) -> list[str]:
        """What cannot be recorded of its lives, and why."""
        return [] if self.resources.archive is None else self.resources.archive.faults

    # -- what can be asked

    def start(self) -> None:
        """Begin its first life, or a new one after its end. Raises ClosedError."""
        self._check_open()
        self._happened(Event.START)

    def stop(self, done: Callable[[], object] | None = None, timeout: float | None = None) -> None:
        """End it, its whole tree; `done()` when nothing is left. SIGKILL after `timeout` seconds (None: its own)."""
        self._stop_timeout = self.program.stop_timeout if timeout is None else timeout
        if self.at_rest:
            if done is not None:
                done()
            return
        if done is not None:
            self._when_stopped.append(done)
        if self.phase is Phase.DONE and self.resources.archive is not None:
            self.resources.archive.hurry(self._stop_timeout)
        else:
            self._happened(Event.STOP)

    def restart(self, done: Callable[[], object] | None = None) -> None:
        """End it and start it anew; `done()` when the new life is ready, or has failed to become so (see `last`).

        Raises ClosedError.
        """
        self._check_open()
        if done is not None:
            self._when_restarted.append(done)
        self._happened(Event.START if self.phase in (Phase.IDLE, Phase.DONE) else Event.RESTART)

    def reload(self) -> bool:
        """Send the reload signal to its main process; False without one."""
        return self._send("reload: ", self.program.reload_signal)

    def send_signal(self, number: int) -> bool:
        """Send a signal to its main process; False without one, and while it is being stopped."""
        return self._send("", number)

    def _send(self, what: str, number: int) -> bool:
        if self.life is None or self.phase is Phase.STOPPING or not self.life.send_signal(number):
            return False
        self._sent.add(number)
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
        for action in actions:
            ACTIONS[action](self)
        if self.state != before or actions:
            self._on_change(self)
        if self.phase in (Phase.RUNNING, Phase.WAITING) and before.phase is not self.phase:
            self._call(self._when_restarted)
        if self.phase is Phase.DONE and before.phase is not Phase.DONE:
            self._finish()
        elif self.phase is Phase.WAITING and self._timer is None:
            self._happened(Event.DELAY_OVER)

    def _finish(self) -> None:
        if self.state.reason:
            self.journal.gave_up(self.state.reason)
        archive = self.resources.archive
        if archive is not None and self.state.exit_code == 0:
            archive.hurry(self._stop_timeout)
        if archive is not None and archive.busy:
            archive.when_idle(self._tell_end)
        else:
            self._tell_end()

    @property
    def at_rest(self) -> bool:
        """True when nothing of it runs, and nothing is to be done any more for it."""
        archive = self.resources.archive
        return self.phase in (Phase.IDLE, Phase.DONE) and (archive is None or not archive.busy)

    def _tell_end(self) -> None:
        if self.phase is not Phase.DONE:
            return  # it was started anew meanwhile
        self._on_finish(self)
        self._call(self._when_stopped)
        self._call(self._when_restarted)

    @staticmethod
    def _call(callbacks: list[Callable[[], object]]) -> None:
        waiting, callbacks[:] = list(callbacks), []
        for callback in waiting:
            callback()

    def _arm(self, after: float, event: Event) -> None:
        self._disarm()
        self._timer = self._loop.add_timer(max(0.0, after), lambda: self._fire(event))

    def _fire(self, event: Event) -> None:
        self._disarm()
        self._happened(event)

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    def _arm_delay(self) -> None:
        """No timer for a delay that is over: one that is due at once still costs a turn of the loop."""
        after = self._ended_at + self.state.delay - time.monotonic()
        if after > 0:
            self._arm(after, Event.DELAY_OVER)

    # -- a life

    def _spawn(self) -> None:
        self._disarm()
        self._sent.clear()
        self._why = ""
        runs_already = self.resources.kept is not None or (self.program.attach is not None and self.last is None)
        if self.program.pre is None or runs_already:
            self._begin_life()
        else:
            self._hook = self._run_hook(self.program.pre, self._pre_over, self.program.start_timeout)

    def _pre_over(self, status: ExitStatus) -> None:
        self._hook = None
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
            on_exit=self._exited,
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
                on_exit=self._exited,
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
        self.state = replace(self.state, began=kept.started)
        if kept.record is not None:
            self.state = replace(self.state, respawns=kept.record.respawns, restarts=kept.record.restarts)
            if kept.record.phase == Phase.STOPPING.value and not kept.gone:
                self._loop.call_soon(self.restart)  # it was told to end

    def _executed(self, pid: int) -> None:
        kept, self._resumed = self._resumed, None
        self.began = now() if kept is None else kept.began
        if self._missed:
            self.journal.say(f"{self.name}, pid {pid}, has ended since its supervisor was lost")
        elif kept is not None:
            self.journal.say(f"{self.name} has outlived its supervisor, pid {pid}")
        elif self.state.restarts:
            self.journal.restarted(self.state.restarts, self.program.restart.limit, pid)
        else:
            self.journal.program_started(pid)
        self._on_change(self)

    def _traced(self, pid: int) -> None:
        """A daemon's main process is known."""
        self.journal.traced(pid)
        self._on_change(self)

    def _exited(self, pid: int, status: ExitStatus | None) -> None:
        """A main process, or what started it, has ended."""
        if status is None:
            self.journal.say(f"proc {pid} has ended; its status is not known")
        elif status.signal is None:
            self.journal.exited(pid, status.code)
        else:
            self.journal.killed(pid, status.signal)

    def _ready(self) -> None:
        self._ready_again()
        if self.program.post is not None and self.phase is Phase.RUNNING:
            self._post = self._run_hook(self.program.post, self._post_over, self.program.start_timeout)

    def _ready_again(self) -> None:
        self._happened(Event.READY)

    def _post_over(self, _status: ExitStatus) -> None:
        self._post = None

    def _late(self, reason: str) -> None:
        self.journal.say(reason)
        self._why = reason
        self._happened(Event.LATE)

    def _terminate(self) -> None:
        number = signal.SIGABRT if self.state.aim is Aim.FAIL and self._was_ready else self.program.stop_signal
        self._sent.add(number)
        self._arm(self._stop_timeout, Event.STUBBORN)
        if self.life is not None:
            if self.life.pid is not None:
                self.journal.told_to_stop(self.life.pid)
            self.life.end(number)
        elif self._hook is not None:
            self._hook.terminate()

    @property
    def _was_ready(self) -> bool:
        return self.life is not None and self.life.ready

    def _kill(self) -> None:
        if self.life is not None:
            self.journal.say("it has not ended in time: SIGKILL")
            self.life.kill()
        elif self._hook is not None:
            self._hook.kill()

    def _over(self, over: Over) -> None:
        """Nothing of the life is left."""
        life, self.life = self.life, None
        if life is not None:
            life.close()
        self._close_post()
        if self.resources.archive is not None:
            self.resources.archive.end(over.status, over.reason or self._why, over.at, self._has_failed(over))
        self.resources.output.drain()
        self._ended_at = over.at
        ended = time.time() - (time.monotonic() - over.at)
        self.last = LastExit(over.pid, over.status, ended, over.reason or self._why)
        if over.reason:
            self.journal.say(over.reason)
        if self.program.on_exit is not None:
            self._hook = self._run_hook(
                self.program.on_exit, lambda _status: self._end_life(over), self.program.stop_timeout
            )
        else:
            self._end_life(over)

    def _end_life(self, over: Over) -> None:
        self._hook = None
        self._disarm()
        self._happened(self._meaning(over), over.at)

    def _meaning(self, over: Over) -> Event:
        return meaning_of(over.status, over.pid is not None, self._sent, self.program.restart)

    def _has_failed(self, over: Over) -> bool:
        """Tell whether a life has failed: by itself, or it was ended because it had; not when it was told to end."""
        if self.phase is Phase.STOPPING:
            return self.state.aim is Aim.FAIL
        return self._meaning(over) is not Event.ENDED_WELL

    # -- hooks

    def _run_hook(self, argv: tuple[str, ...], done: Callable[[ExitStatus], object], timeout: float) -> Hook | None:
        facts = facts_of(self.name, self.state.restarts, self.life is not None, self.pid, self.last)
        like, say = self.program.command, self.journal.say
        return begin_hook(argv, like, facts, self._loop, self._keepers, done, timeout, say)

    def _close_post(self) -> None:
        post, self._post = self._post, None
        if post is not None:
            post.close()

    def close(self) -> None:
        """End it at once; nobody is told."""
        self._closed = True
        if self.phase not in (Phase.IDLE, Phase.DONE):
            self.journal.say("ended at once: its supervisor was closed")
            self.state = replace(self.state, phase=Phase.DONE)
        self._disarm()
        self._close_post()
        for part in (self._hook, self.life):
            if part is not None:
                part.close()
        self._hook = self.life = None


ACTIONS: dict[Action, Callable[[Supervised], None]] = {
    Action.CANCEL_DELAY: Supervised._disarm,
    Action.SPAWN: Supervised._spawn,
    Action.TERMINATE: Supervised._terminate,
    Action.KILL: Supervised._kill,
    Action.ARM_DELAY: Supervised._arm_delay,
    Action.FINISH: Supervised._disarm,
}
