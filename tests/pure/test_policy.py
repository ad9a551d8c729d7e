"""The table of restart policy: what follows from what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun.supervise.policy import Action, Aim, Event, Phase, State, step
from lowrun.supervise.settings import Restart, StartLimit

ON_FAILURE = Restart("failure", delay=5)
ENDS = (Event.ENDED_WELL, Event.FAILED, Event.BROKEN)


def follow(restart: Restart, *events: tuple[Event, float], state: State | None = None) -> tuple[State, list[Action]]:
    """The state after `events`, and all actions on the way."""
    state = State() if state is None else state
    actions: list[Action] = []
    for event, now in events:
        state, done = step(restart, state, event, now)
        actions += done
    return state, actions


def alive(restart: Restart = ON_FAILURE, began: float = 0.0) -> State:
    return follow(restart, (Event.START, began), (Event.READY, began))[0]


def test_a_life() -> None:
    """It is started, is ready, fails, waits its delay and is started again."""
    state, actions = follow(ON_FAILURE, (Event.START, 0), (Event.READY, 1), (Event.FAILED, 2), (Event.DELAY_OVER, 7))
    assert actions == [Action.SPAWN, Action.ARM_DELAY, Action.SPAWN]
    assert (state.phase, state.respawns, state.restarts, state.delay) == (Phase.STARTING, 1, 1, 5)


@pytest.mark.parametrize(
    ("when", "event", "phase", "code"),
    [
        ("never", Event.ENDED_WELL, Phase.DONE, 0),
        ("never", Event.FAILED, Phase.DONE, 1),
        ("failure", Event.ENDED_WELL, Phase.DONE, 0),
        ("failure", Event.FAILED, Phase.WAITING, 0),
        ("failure", Event.BROKEN, Phase.DONE, 1),
        ("always", Event.ENDED_WELL, Phase.WAITING, 0),
        ("always", Event.BROKEN, Phase.DONE, 1),
    ],
)
def test_what_follows_an_end(when: str, event: Event, phase: Phase, code: int) -> None:
    """A normal end ends the supervisor with 0, a failure is respawned if that is asked for, a hopeless one is final."""
    restart = Restart(when)
    state, _ = step(restart, alive(restart), event, 1)
    assert (state.phase, state.exit_code) == (phase, code)


def test_the_limit() -> None:
    """Of three respawns in a row each comes after the delay; the fourth failure is final and arms no timer."""
    restart = Restart("failure", limit=3, delay=1)
    state, actions = alive(restart), []
    for life in range(3):
        state, more = follow(restart, (Event.FAILED, life), (Event.DELAY_OVER, life), state=state)
        actions += more
    assert actions == [Action.ARM_DELAY, Action.SPAWN] * 3
    state, actions = step(restart, state, Event.FAILED, 4)
    assert (state.phase, state.exit_code, actions) == (Phase.DONE, 1, (Action.FINISH,))
    assert "3 times" in state.reason


def test_a_stable_life_begins_a_new_row() -> None:
    """After a life longer than `stable_after` the count and the backoff begin anew."""
    restart = Restart("failure", limit=2, delay=1, backoff=8, stable_after=60)
    state = alive(restart)
    delays = []
    for now in (1, 2, 100):
        state, _ = step(restart, state, Event.FAILED, now)
        delays.append(state.delay)
        assert state.phase is Phase.WAITING
        state, _ = step(restart, state, Event.DELAY_OVER, now)
    assert delays == [1, 2, 1]


@given(row=st.integers(0, 10_000), delay=st.floats(0, 100), backoff=st.floats(0, 1000))
def test_backoff_doubles_up_to_its_ceiling(row: int, delay: float, backoff: float) -> None:
    """A delay is never shorter than the first one, nor longer than the ceiling, if that is the longer of the two."""
    restart = Restart("failure", delay=delay, backoff=backoff)
    state = State(phase=Phase.RUNNING, respawns=row)
    after, _ = step(restart, state, Event.FAILED, 0)
    assert delay <= after.delay <= max(backoff, delay)
    assert after.delay == min(delay * 2.0 ** min(row, 64), max(backoff, delay))


def test_the_limit_of_starts_in_a_time() -> None:
    """With at most three starts within ten seconds the failure of the third within that time is final."""
    restart = Restart("failure", delay=0, start_limit=StartLimit(3, 10))
    state = alive(restart)
    for now in (1, 2):
        state, _ = follow(restart, (Event.FAILED, now), (Event.DELAY_OVER, now), state=state)
    assert step(restart, state, Event.FAILED, 3).state.phase is Phase.DONE
    assert step(restart, state, Event.FAILED, 30).state.phase is Phase.WAITING


def test_stop_in_the_delay_wins() -> None:
    """A stop while a respawn is due cancels it."""
    state, actions = follow(ON_FAILURE, (Event.FAILED, 1), (Event.STOP, 2), (Event.DELAY_OVER, 6), state=alive())
    assert (state.phase, state.exit_code) == (Phase.DONE, 0)
    assert actions == [Action.ARM_DELAY, Action.CANCEL_DELAY, Action.FINISH]


def test_restarts_while_it_starts_yield_one_life() -> None:
    """However often a restart is asked for while it starts and stops, it is stopped once and started once."""
    events = [(Event.START, 0.0), *[(Event.RESTART, 1.0)] * 3, (Event.FAILED, 2.0), (Event.READY, 3.0)]
    state, actions = follow(ON_FAILURE, *events)
    assert actions == [Action.SPAWN, Action.TERMINATE, Action.SPAWN]
    assert state.phase is Phase.RUNNING


def test_a_stop_outlives_a_restart() -> None:
    """Who asks for a stop gets it, whatever is asked before or after."""
    for order in ((Event.STOP, Event.RESTART), (Event.RESTART, Event.STOP)):
        state, actions = follow(ON_FAILURE, *((event, 1.0) for event in order), (Event.FAILED, 2.0), state=alive())
        assert (state.phase, state.exit_code) == (Phase.DONE, 0)
        assert Action.SPAWN not in actions


def test_what_is_late_has_failed() -> None:
    """A program that is not ready in time is ended and respawned as after a failure."""
    state, actions = follow(ON_FAILURE, (Event.START, 0), (Event.LATE, 9), (Event.ENDED_WELL, 10))
    assert (state.phase, state.aim) == (Phase.WAITING, Aim.FAIL)
    assert actions == [Action.SPAWN, Action.TERMINATE, Action.ARM_DELAY]


def test_what_does_not_hear_is_killed() -> None:
    """SIGKILL follows the stop signal that had no effect."""
    _, actions = follow(ON_FAILURE, (Event.STOP, 1), (Event.STUBBORN, 11), state=alive())
    assert actions == [Action.TERMINATE, Action.KILL]


@given(
    when=st.sampled_from(["never", "failure", "always"]),
    limit=st.integers(0, 3),
    events=st.lists(st.tuples(st.sampled_from(list(Event)), st.floats(0, 1e6)), max_size=40),
)
def test_never_two_lives(when: str, limit: int, events: list[tuple[Event, float]]) -> None:
    """Whatever happens in whatever order: no life begins before the one before it has ended, nor after the finish."""
    restart, state = Restart(when, limit=limit), State()
    living = False
    for event, now in events:
        if event in ENDS and not living:
            continue  # nothing can end
        living = living and event not in ENDS
        state, actions = step(restart, state, event, now)
        for action in actions:
            assert not (action is Action.SPAWN and living)
            assert action not in (Action.TERMINATE, Action.KILL) or living
            living = living or action is Action.SPAWN
        assert living == (state.phase in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING))
        assert state.exit_code in (0, 1)
