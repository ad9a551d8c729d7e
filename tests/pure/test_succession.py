"""Which process is a program's main one: what follows from what happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun.supervise.pidfile import parse_pid
from lowrun.supervise.succession import Succession, elders_first, ended, exited, found, named, started
from lowrun.values import ExitStatus

OK, BAD, KILLED = ExitStatus(0), ExitStatus(1), ExitStatus(137, 9)


def plain() -> Succession:
    return started(Succession(), 10)


def awaiting() -> Succession:
    return started(Succession(awaits_name=True), 10)


def test_a_command_leads_while_it_lives() -> None:
    """Others of its tree may come and go; its failure is the program's."""
    state = exited(plain(), 11, BAD)
    assert state.pid == 10 and not state.is_over
    assert exited(state, 10, KILLED).status == KILLED


def test_a_starter_is_succeeded_by_the_oldest() -> None:
    """One that exits with 0 hands over to the oldest child of the keeper, that one to the next, until one fails."""
    state = exited(plain(), 10, OK)
    assert state.orphaned
    assert elders_first([(30, 7), (20, 5), (40, 5)]) == [20, 40, 30]
    state = found(state, 20)
    assert state.pid == 20 and not state.orphaned
    state = found(exited(state, 20, OK), 40)
    assert exited(state, 40, BAD).status == BAD


def test_a_command_that_leaves_nobody_has_ended_with_its_status() -> None:
    """Over with 0 when the tree is gone."""
    assert ended(exited(plain(), 10, OK)).status == OK


def test_a_daemon_that_fails_at_once_is_not_missed() -> None:
    """Its exit is told after its starter's, when no child is left to be found: it is the program's."""
    state = exited(exited(plain(), 10, OK), 11, BAD)
    assert ended(exited(state, 12, OK)).status == BAD
    assert ended(exited(exited(awaiting(), 10, OK), 11, KILLED)).status == KILLED
    assert found(state, 12).last is None, "another was found: it leads now"


def test_with_a_pidfile_only_the_named_one_leads() -> None:
    """The starter's end hands over to nobody; the named one's end is the program's, with 0 as well."""
    state = exited(awaiting(), 10, OK)
    assert state.pid is None and not state.orphaned
    assert found(state, 20) == state
    state = named(state, 20)
    assert not exited(state, 30, BAD).is_over
    assert exited(state, 20, OK).status == OK


def test_a_starter_that_fails_is_the_end() -> None:
    """No pidfile is awaited any more."""
    assert exited(awaiting(), 10, BAD).status == BAD


def test_a_daemon_that_replaces_itself_names_the_new_one() -> None:
    """The former one's end means nothing then."""
    state = named(named(awaiting(), 20), 21)
    assert exited(exited(state, 20, OK), 10, OK).pid == 21


def test_the_command_itself_can_be_named() -> None:
    """A program in the foreground that writes a pidfile, too."""
    assert exited(named(awaiting(), 10), 10, OK).status == OK


def test_a_pid_that_is_named_before_the_start_is_known_leads() -> None:
    """A quick starter has written its pidfile before the keeper's word that it was executed is read."""
    state = started(named(Succession(awaits_name=True), 11), 10)
    assert state.pid == 11
    assert exited(state, 10, ExitStatus(0)) == state


def test_an_end_that_nobody_saw_is_no_success() -> None:
    """It is the end, and how is not known."""
    state = exited(named(awaiting(), 20), 20, None)
    assert state.is_over and state.status is None


PIDS = st.integers(10, 14)
EVENTS = st.one_of(
    st.tuples(st.just(exited), PIDS, st.sampled_from((OK, BAD, KILLED, None))),
    st.tuples(st.just(named), PIDS),
    st.tuples(st.just(found), PIDS),
    st.tuples(st.just(ended)),
)


@given(st.booleans(), st.lists(EVENTS, max_size=12))
def test_what_is_over_stays_so(awaits_name: bool, events: list[tuple]) -> None:
    """Whatever comes in whatever order: at most one leads, nobody once it is over, and the tree's end is the end."""
    state = started(Succession(awaits_name), 10)
    for event, *arguments in events:
        following = event(state, *arguments)
        assert not state.is_over or following == state
        assert not following.is_over or following.pid is None
        state = following
    assert ended(state).is_over


@pytest.mark.parametrize("content", [b"42", b"42\n", b"  42 \r\n", b"0042\n", b"42\n/var/lib/postgresql\n5432\n"])
def test_a_pid_is_the_first_line_of_a_pidfile(content: bytes) -> None:
    """As daemons write it."""
    assert parse_pid(content) == 42


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"-42", b"+42", b"4 2", b"42x", b"0x2a", b"4_2", "٤٢".encode(), b"\0" * 8, b"9" * 21]
)
def test_anything_else_is_no_pid(content: bytes) -> None:
    """Garbage is refused, whatever Python's int() would make of it."""
    with pytest.raises(ValueError):
        parse_pid(content)


def test_named_before_it_is_known_to_be_executed() -> None:
    """A pidfile can come to be read before the keeper's word that the command was executed: it holds all the same."""
    state = started(named(Succession(awaits_name=True), 11), 10)
    assert (state.pid, state.command, state.is_named) == (11, 10, True)
