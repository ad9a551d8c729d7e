"""What a log of system calls says, one event at a time: a call, a signal, an end. Pure values.

Whoever reads a log (strace's text, lowrun's text, lowrun's records) gets these; the columns of `lowrun analyze`'s
table `events` are their fields, in this order.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CALL", "EXIT", "FIELDS", "KILLED", "NOTE", "SIGNAL", "STOPPED", "SUPERSEDED", "UNFINISHED", "Event"]

#: Kinds of events. A call that returned, or that is known never to return (`= ?`) ...
CALL = "call"
#: ... and one that was begun and of which the log says no more.
UNFINISHED = "unfinished"
#: `--- SIGCHLD {...} ---`
SIGNAL = "signal"
#: `--- stopped by SIGTSTP ---`
STOPPED = "stopped"
#: `+++ exited with 3 +++`
EXIT = "exit"
#: `+++ killed by SIGKILL +++`
KILLED = "killed"
#: `+++ superseded by execve in pid 42 +++`
SUPERSEDED = "superseded"
#: Any other line between `+++`, or of strace's own about processes attached and detached.
NOTE = "note"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. A text that the log does not have is "", a number None."""

    #: The number of the line that completes it, from 1.
    line: int
    kind: str
    #: That line's time as it stands there.
    time: str
    #: Nanoseconds at its beginning, and at its end (of a call; else the same): since 1970 when the log has dates,
    #: else since midnight of the first line's day, or since the log's beginning (-r).
    start_ns: int | None
    end_ns: int | None
    #: The thread, as the log calls it (0: it does not), and its process, as far as the log tells.
    tid: int
    pid: int
    #: The program that the process executes, "" while that is not known.
    executable: str
    #: The call's name; the signal's of SIGNAL, STOPPED and KILLED.
    name: str
    #: The call's arguments as they stand between the parentheses; what stands behind a signal's name.
    arguments: str
    #: The file that the call is about, and all that it names.
    path: str
    paths: tuple[str, ...]
    #: What stands between < and > behind the descriptor that is the call's first argument.
    target: str
    #: What it returned (an address, too); EXIT: the code; SUPERSEDED: the thread that executed.
    value: int | None
    #: All that stands behind the equals sign: `3</etc/hosts>`, `-1 ENOENT (No such file or directory)`, `?`; a note.
    result: str
    #: "ENOENT", "ERESTARTSYS"; "" when it did not fail.
    error: str
    #: Nanoseconds in the call, from -T.
    duration_ns: int | None


FIELDS = tuple(Event.__dataclass_fields__)
