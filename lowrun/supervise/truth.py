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
    record = seen.record
    if record is None:
        phase = "idle" if seen.supervisor is None else "starting"
        return Truth(name, False, phase, None, _pid(seen.supervisor), None, False, 0, None, None)
    this_boot = record.boot_id == seen.boot_id
    main = record.main if this_boot and seen.main_lives else None
    expected = this_boot and record.main is None and record.phase in ALIVE
    found = seen.children if expected else ()
    running = main is not None or bool(found)
    uptime = max(0.0, seen.now.boot - record.began.boot) if running and record.began is not None else None
    return Truth(
        name,
        running,
        _phase(record, seen.supervisor, running),
        found[0] if found and record.kind == "plain" else _pid(main),
        _pid(seen.supervisor),
        uptime,
        record.ready and running,
        record.restarts,
        record.last_exit,
        record,
    )


def _phase(record: Record, supervisor: ProcessId | None, running: bool) -> str:
    if supervisor is not None:
        return record.phase if supervisor == record.supervisor else "starting"
    if running:
        return LOST
    return record.phase if record.phase in AT_REST else CRASHED


def _pid(process: ProcessId | None) -> int | None:
    return None if process is None else process.pid
