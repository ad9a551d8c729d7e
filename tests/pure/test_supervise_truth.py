"""What is so of a program: records and their texts, and the table of what follows from what is seen."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun.core.procfs import process_stat
from lowrun.supervise.processes import ProcessId
from lowrun.supervise.record import LastExit, Moment, Record, from_json, to_json
from lowrun.supervise.truth import CRASHED, LOST, Seen, judge

SUPERVISOR, KEEPER, MAIN, OTHER = (ProcessId(pid, pid * 10) for pid in (10, 11, 12, 99))
RECORD = Record(
    phase="running",
    supervisor=SUPERVISOR,
    keeper=KEEPER,
    main=MAIN,
    command=("sleep", "infinity"),
    began=Moment(1000.0, 50.0),
    ready=True,
    restarts=2,
    last_exit=LastExit(137, 9, 999.5),
    boot_id="this",
)
SEEN = Seen(RECORD, SUPERVISOR, "this", main_lives=True, children=(12, 13), now=Moment(-2600.0, 80.0))

processes = st.none() | st.builds(ProcessId, st.integers(1, (1 << 31) - 1), st.integers(0, 1 << 62))
seconds = st.floats(allow_nan=False, allow_infinity=False)
records = st.builds(
    Record,
    phase=st.text(),
    supervisor=processes,
    keeper=processes,
    main=processes,
    command=st.lists(st.text(st.characters())).map(tuple),
    began=st.none() | st.builds(Moment, seconds, seconds),
    last_exit=st.none() | st.builds(LastExit, st.integers(), st.none() | st.integers(), seconds),
)


@given(records)
def test_a_record_comes_back_as_it_was_written(record: Record) -> None:
    """Any words are, those that are no UTF-8 too."""
    assert from_json(to_json(record)) == record


@given(records, st.integers(0, 400))
def test_half_a_record_is_none(record: Record, length: int) -> None:
    """No beginning of a record is one."""
    text = to_json(record)
    assert from_json(text[: min(length, len(text) - 2)]) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.binary(), st.sampled_from([field.name for field in fields(Record)]), json_values)
def test_garbage_is_none_or_a_record(noise: bytes, name: str, value: object) -> None:
    """Neither noise nor a record with any one value in it raises; what is taken is well typed: it can be judged."""
    assert from_json(noise) is None or noise.strip().startswith(b"{")
    damaged = from_json(json.dumps({**json.loads(to_json(RECORD)), name: value}).encode())
    if damaged is not None:
        assert judge("x", SEEN._replace(record=damaged)).restarts == damaged.restarts
        assert from_json(to_json(damaged)) == damaged


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b'{"version":2}',
        b'{"version":1,"unknown":1}',
        b'{"version":1,"main":[0,1]}',
        b'{"version":1,"main":[-1,1]}',
        b'{"version":1,"main":[1]}',
        b'{"version":1,"began":[NaN,1]}',
        b'{"version":1,"restarts":true}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_record(text: bytes) -> None:
    """Another version, unknown fields, impossible pids, wrong types, nesting without end."""
    assert from_json(text) is None


def row(phase: str, running: bool, pid: int | None, by: int | None, /, **seen: object) -> object:
    return pytest.param(SEEN._replace(**seen), phase, running, pid, by)


DONE = replace(RECORD, phase="done", main=None)
STARTING = replace(RECORD, phase="starting", main=None)
WAITING = replace(RECORD, phase="waiting", main=None)


@pytest.mark.parametrize(
    ("seen", "phase", "running", "pid", "supervisor"),
    [
        row("running", True, 12, 10),
        row("running", False, None, 10, main_lives=False),
        row(LOST, True, 12, None, supervisor=None),
        row(CRASHED, False, None, None, supervisor=None, main_lives=False),
        row(CRASHED, False, None, None, supervisor=None, main_lives=False, children=()),
        # After a boot all pids are others'.
        row(CRASHED, False, None, None, supervisor=None, boot_id="next"),
        # The next supervisor has the lock and has written nothing yet.
        row("starting", True, 12, 99, supervisor=OTHER),
        row("starting", False, None, 99, supervisor=OTHER, main_lives=False),
        # Killed between the spawn and the record of it: its keeper has a child.
        row("starting", True, 12, 10, record=STARTING, main_lives=False),
        row("starting", False, None, 10, record=STARTING, main_lives=False, children=()),
        row(LOST, True, 12, None, record=STARTING, main_lives=False, supervisor=None),
        row(LOST, True, None, None, record=replace(STARTING, kind="daemon"), main_lives=False, supervisor=None),
        row(CRASHED, False, None, None, record=STARTING, main_lives=False, supervisor=None, children=()),
        row(CRASHED, False, None, None, record=STARTING, main_lives=False, supervisor=None, boot_id="next"),
        row("waiting", False, None, 10, record=WAITING, main_lives=False, children=()),
        row(CRASHED, False, None, None, record=WAITING, main_lives=False, supervisor=None, children=()),
        row("done", False, None, None, record=DONE, main_lives=False, supervisor=None, children=()),
        row("idle", False, None, None, record=None, supervisor=None),
        row("starting", False, None, 10, record=None),
    ],
)
def test_the_table(seen: Seen, phase: str, running: bool, pid: int | None, supervisor: int | None) -> None:
    """The lock says who supervises, start times say who lives, the record says the rest."""
    truth = judge("x", seen)
    assert (truth.phase, truth.running, truth.pid, truth.supervisor) == (phase, running, pid, supervisor)
    assert truth.uptime == (30.0 if running else None), "the wall clock was set back an hour meanwhile"
    assert truth.ready == (running and truth.record is not None and truth.record.ready)


def test_a_process_whose_first_thread_has_ended_lives() -> None:
    """It shows as a zombie with threads; a real one has none or only itself. Its name may be anything."""
    text = "7 (a) Z 1 (b) {} 3 7 7 0 -1 0 0 0 0 0 1 2 3 4 20 0 {} 0 555 0 66" + " 0" * 28
    assert process_stat(text.format("Z", 2)).alive
    assert not process_stat(text.format("Z", 1)).alive
    stat = process_stat(text.format("S", 1))
    assert (stat.parent, stat.start, stat.cpu_ticks, stat.resident_pages, stat.alive) == (3, 555, 10, 66, True)
