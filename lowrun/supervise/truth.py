"""What is so of a program, from what was written down and what can be seen. Pure.

supervisor lives?  its program lives?   then
yes                as it may be         the record's phase
no                 yes                  lost: it lives on for the next supervisor, or is being ended by its keeper
no                 no                   the record's phase if that was an end, else crashed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lowrun.supervise.processes import ProcessId
from lowrun.supervise.record import LastExit, Moment, Record

__all__ = ["CRASHED", "LOST", "Seen", "Truth", "judge"]

#: Beside the values of `policy.Phase`.
LOST, CRASHED = "lost", "crashed"
#: Phases that need no supervisor.
AT_REST = ("idle", "done")
#: Phases in which there are processes of a life whose main one may not be known yet.
ALIVE = ("starting", "running", "stopping")


class Kept(NamedTuple):
    """What the keeper of a life says that has outlived its lowrun."""

    #: Of the command.
    pid: int
    began: Moment
    #: How the command has ended; None while it lives.
    ended: LastExit | None
    #: Nothing of the tree is left.
    gone: bool


class Seen(NamedTuple):
    """What can be seen at one moment."""

    #: Of this boot or another; None without one that can be understood.
    record: Record | None
    #: Who lives and holds the lock.
    supervisor: ProcessId | None
    boot_id: str
    #: The record's main process lives.
    main_lives: bool
    #: Pids of the children of the record's keeper that live, oldest first: the first one is the command.
    children: tuple[int, ...]
    now: Moment
    #: None while a supervisor lives, and when no keeper waits for the next one.
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """What `status` tells of a program."""

    name: str
    #: Its main process lives; or one is being started, whose pid is not known yet.
    running: bool
    #: A value of `policy.Phase`, LOST or CRASHED.
    phase: str
    pid: int | None
    #: The pid of its supervisor, None when none lives.
    supervisor: int | None
    #: Seconds since the present life began; None when it is not running.
    uptime: float | None
    ready: bool
    restarts: int
    last_exit: LastExit | None
    #: What was written down last, for all else.
    record: Record | None


def judge(name: str, seen: Seen) -> Truth:
    """Return the truth about `name`."""
    record, kept = seen.record, seen.kept
    if record is None:
        record = Record(boot_id=seen.boot_id, phase="idle" if seen.supervisor is None and kept is None else "starting")
    this_boot = record.boot_id == seen.boot_id
    main = record.main if this_boot and seen.main_lives else None
    expected = seen.record is not None and this_boot and record.main is None and record.phase in ALIVE
    found = seen.children if expected else ()
    kept_lives = kept is not None and not kept.gone
    running = main is not None or kept_lives or bool(found)
    pid, began, ready = _pid(main), record.began, record.ready
    if kept is not None and main is None:  # what was written down is of a former life
        pid, began, ready = kept.pid if kept.ended is None else None, kept.began, False
    elif found and record.kind == "plain":
        pid = found[0]
    return Truth(
        name,
        running,
        _phase(record, seen.supervisor, running),
        pid,
        _pid(seen.supervisor),
        max(0.0, seen.now.boot - began.boot) if running and began is not None else None,
        ready and running,
        record.restarts,
        _last_exit(record, kept),
        seen.record,
    )


def _last_exit(record: Record, kept: Kept | None) -> LastExit | None:
    """How the last life ended: its keeper knows better, if its command was the main process."""
    if kept is None or not kept.gone or record.kind != "plain":
        return record.last_exit
    if record.main is not None and record.main.pid != kept.pid:
        return record.last_exit
    return kept.ended or record.last_exit


def _phase(record: Record, supervisor: ProcessId | None, running: bool) -> str:
    if supervisor is not None:
        return record.phase if supervisor == record.supervisor else "starting"
    if running:
        return LOST
    return record.phase if record.phase in AT_REST else CRASHED


def _pid(process: ProcessId | None) -> int | None:
    return None if process is None else process.pid
