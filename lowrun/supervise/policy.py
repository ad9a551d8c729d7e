"""What follows from what: (state, event) -> (state, actions). Pure: the time comes with the event.

    idle --start--> starting --ready--> running            idle --stop, left_out--> done
                       |  ^                |
      stop, restart,   |  |                | stop, restart, late
      late             v  |                v
                    stopping <-------------+        ended_well, failed, broken: whatever runs has ended
                       |  |
          aim restart: |  | aim stop, or nothing follows
          starting     v  v
      waiting <---- failed     done
         |  delay_over: starting
         +--stop: done

A cell of the table is named phase_event. An event that a phase has no cell for changes nothing: it came too late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import NamedTuple

from lowrun.supervise.settings import Restart

__all__ = ["Action", "Aim", "Event", "Phase", "State", "Step", "step"]

EXIT_ENDED, EXIT_GAVE_UP = 0, 1


class Phase(Enum):
    """Where a program's supervision is."""

    #: Nothing was started yet.
    IDLE = "idle"
    #: Its command is executed, or about to be; it does not serve yet.
    STARTING = "starting"
    RUNNING = "running"
    #: It was told to end.
    STOPPING = "stopping"
    #: It has ended, and a respawn is due.
    WAITING = "waiting"
    #: It has ended, and nothing follows.
    DONE = "done"


class Event(Enum):
    """What happened."""

    START = auto()
    #: It is never started: what it needs is not there. `State.reason` says so already.
    LEFT_OUT = auto()
    READY = auto()
    #: Its tree is gone. Its main process had a code that is a normal end, or died by a signal of lowrun's own.
    ENDED_WELL = auto()
    FAILED = auto()
    #: It cannot be executed, or ended with a code after which there is no respawn.
    BROKEN = auto()
    DELAY_OVER = auto()
    STOP = auto()
    RESTART = auto()
    #: It was not ready in time, or its watchdog heard nothing of it.
    LATE = auto()
    #: It has not ended within its stop timeout.
    STUBBORN = auto()


class Aim(Enum):
    """What a program that is stopping is to do then."""

    STOP = auto()
    RESTART = auto()
    #: As if it had failed by itself.
    FAIL = auto()


class Action(Enum):
    """What is to be done; in this order when there are several."""

    CANCEL_DELAY = auto()
    SPAWN = auto()
    #: The stop signal to its tree; STUBBORN when that does not help in time.
    TERMINATE = auto()
    KILL = auto()
    #: DELAY_OVER after `State.delay` seconds.
    ARM_DELAY = auto()
    #: It has come to `State.exit_code`, for the reason `State.reason`.
    FINISH = auto()


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered of a program's lives. Times are seconds on one monotonic clock."""

    phase: Phase = Phase.IDLE
    aim: Aim = Aim.STOP
    #: Respawns in a row, and ever.
    respawns: int = 0
    restarts: int = 0
    #: When the present life, or the last one, began.
    began: float = 0.0
    #: When the last lives began, for `Restart.start_limit`.
    starts: tuple[float, ...] = ()
    #: Of phase waiting.
    delay: float = 0.0
    exit_code: int = EXIT_ENDED
    #: Why it was given up, or never started; "" when it ended normally.
    reason: str = ""
    #: Of phase done: it was told to stop.
    stopped: bool = False


class Step(NamedTuple):
    """What follows."""

    state: State
    actions: tuple[Action, ...] = ()


Cell = Callable[[Restart, State, float], Step]


def step(restart: Restart, state: State, event: Event, now: float) -> Step:
    """Return what follows from `event` at the time `now` (of the main process's end for the events of an end)."""
    cell = TABLE.get((state.phase, event))
    return Step(state) if cell is None else cell(restart, state, now)


# -- parts of cells


def _begin(restart: Restart, state: State, now: float) -> Step:
    kept = restart.start_limit.starts if restart.start_limit is not None else 0
    starts = (*state.starts, now)[-kept:] if kept else ()
    return Step(replace(state, phase=Phase.STARTING, began=now, starts=starts), (Action.SPAWN,))


def _end(state: State, exit_code: int = EXIT_ENDED, reason: str = "") -> Step:
    return Step(replace(state, phase=Phase.DONE, exit_code=exit_code, reason=reason), (Action.FINISH,))


def _end_stopped(state: State) -> Step:
    return _end(replace(state, stopped=True))


def _respawn(restart: Restart, state: State, now: float) -> Step:
    row = 0 if now - state.began > restart.stable_after else state.respawns
    if restart.limit and row >= restart.limit:
        return _end(state, EXIT_GAVE_UP, f"it was respawned {row} times in a row, the limit")
    limit = restart.start_limit
    if limit is not None and len(state.starts) >= limit.starts and now - state.starts[0] < limit.seconds:
        return _end(state, EXIT_GAVE_UP, f"it was started {limit.starts} times within {limit.seconds:g} s, the limit")
    delay = restart.delay
    if restart.backoff is not None:
        delay = min(max(restart.backoff, delay), delay * 2.0 ** min(row, 64))
    state = replace(state, phase=Phase.WAITING, respawns=row + 1, delay=delay)
    return Step(state, (Action.ARM_DELAY,))


def _stop(state: State, aim: Aim) -> Step:
    return Step(replace(state, phase=Phase.STOPPING, aim=aim), (Action.TERMINATE,))


# -- cells


def idle_start(restart: Restart, state: State, now: float) -> Step:
    """The first life."""
    return _begin(restart, replace(state, respawns=0, exit_code=EXIT_ENDED, reason="", stopped=False), now)


def idle_stop(_restart: Restart, state: State, _now: float) -> Step:
    """It was due, and is not any more."""
    return _end_stopped(state)


def idle_left_out(_restart: Restart, state: State, _now: float) -> Step:
    """Nobody will start it by himself."""
    return _end(state, EXIT_GAVE_UP, state.reason)


def starting_ready(_restart: Restart, state: State, _now: float) -> Step:
    """It serves."""
    return Step(replace(state, phase=Phase.RUNNING))


def alive_ended_well(restart: Restart, state: State, now: float) -> Step:
    """A normal end is the end, but for what is to run always."""
    return _respawn(restart, state, now) if restart.when == "always" else _end(state)


def alive_failed(restart: Restart, state: State, now: float) -> Step:
    """A failure is what respawns are for."""
    return _end(state, EXIT_GAVE_UP, "it failed") if restart.when == "never" else _respawn(restart, state, now)


def alive_broken(_restart: Restart, state: State, _now: float) -> Step:
    """It would be the same again."""
    return _end(state, EXIT_GAVE_UP, "it would fail again")


def alive_stop(_restart: Restart, state: State, _now: float) -> Step:
    """Stop it."""
    return _stop(state, Aim.STOP)


def alive_restart(_restart: Restart, state: State, _now: float) -> Step:
    """Stop it, then start it anew."""
    return _stop(state, Aim.RESTART)


def alive_late(_restart: Restart, state: State, _now: float) -> Step:
    """It hangs: end it, as if it had failed."""
    return _stop(state, Aim.FAIL)


def stopping_ended(restart: Restart, state: State, now: float) -> Step:
    """What it was stopped for; how it ended does not matter."""
    if state.aim is Aim.RESTART:
        return _begin(restart, replace(state, respawns=0, restarts=state.restarts + 1), now)
    return alive_failed(restart, state, now) if state.aim is Aim.FAIL else _end_stopped(state)


def stopping_stop(_restart: Restart, state: State, _now: float) -> Step:
    """Nothing is to follow."""
    return Step(replace(state, aim=Aim.STOP))


def stopping_restart(_restart: Restart, state: State, _now: float) -> Step:
    """One new life is to follow, however often that is asked; but who has asked for a stop gets it."""
    return Step(state if state.aim is Aim.STOP else replace(state, aim=Aim.RESTART))


def stopping_stubborn(_restart: Restart, state: State, _now: float) -> Step:
    """It does not hear."""
    return Step(state, (Action.KILL,))


def waiting_delay_over(restart: Restart, state: State, now: float) -> Step:
    """The respawn."""
    return _begin(restart, replace(state, restarts=state.restarts + 1), now)


def waiting_stop(_restart: Restart, state: State, _now: float) -> Step:
    """No respawn."""
    step = _end_stopped(state)
    return Step(step.state, (Action.CANCEL_DELAY, *step.actions))


def waiting_restart(restart: Restart, state: State, now: float) -> Step:
    """The respawn, at once; a new row."""
    step = _begin(restart, replace(state, respawns=0, restarts=state.restarts + 1), now)
    return Step(step.state, (Action.CANCEL_DELAY, *step.actions))


TABLE: dict[tuple[Phase, Event], Cell] = {
    (Phase.IDLE, Event.START): idle_start,
    (Phase.IDLE, Event.STOP): idle_stop,
    (Phase.IDLE, Event.LEFT_OUT): idle_left_out,
    (Phase.STARTING, Event.READY): starting_ready,
    (Phase.STARTING, Event.ENDED_WELL): alive_ended_well,
    (Phase.STARTING, Event.FAILED): alive_failed,
    (Phase.STARTING, Event.BROKEN): alive_broken,
    (Phase.STARTING, Event.STOP): alive_stop,
    (Phase.STARTING, Event.RESTART): alive_restart,
    (Phase.STARTING, Event.LATE): alive_late,
    (Phase.RUNNING, Event.ENDED_WELL): alive_ended_well,
    (Phase.RUNNING, Event.FAILED): alive_failed,
    (Phase.RUNNING, Event.BROKEN): alive_broken,
    (Phase.RUNNING, Event.STOP): alive_stop,
    (Phase.RUNNING, Event.RESTART): alive_restart,
    (Phase.RUNNING, Event.LATE): alive_late,
    (Phase.STOPPING, Event.ENDED_WELL): stopping_ended,
    (Phase.STOPPING, Event.FAILED): stopping_ended,
    (Phase.STOPPING, Event.BROKEN): stopping_ended,
    (Phase.STOPPING, Event.STOP): stopping_stop,
    (Phase.STOPPING, Event.RESTART): stopping_restart,
    (Phase.STOPPING, Event.STUBBORN): stopping_stubborn,
    (Phase.WAITING, Event.DELAY_OVER): waiting_delay_over,
    (Phase.WAITING, Event.STOP): waiting_stop,
    (Phase.WAITING, Event.RESTART): waiting_restart,
    # A program that has come to its end can be started once more, by hand.
    (Phase.DONE, Event.START): idle_start,
}
