"""The processes of a log, from its events: who began whom, which programs they ran, when and how they ended. Pure.

A process is known by its pid only while it lives (pids are used again), so each is a `Member` of its own. What fork,
vfork and clone return may stand in the log behind the child's first line: a parent is found either way. A process ends
with its leader's last line: the kernel tells that one when all its other threads are gone (ptrace(2)).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lowrun.trace.event import CALL, EXIT, KILLED, SUPERSEDED, Event

__all__ = ["Family", "Member", "basename"]

FORKS = frozenset(("fork", "vfork", "clone", "clone3"))
EXECS = frozenset(("execve", "execveat"))
WAITS = frozenset(("wait4", "waitpid", "waitid"))
#: Calls that send a signal to a process or a group, and the process, and the signal if it asks or orders to end.
KILLS = frozenset(("kill", "tgkill", "pidfd_send_signal"))
ORDER = re.compile(r"(?:\d+<pid:|-)?(\d+).*?, (SIG(?:TERM|KILL|INT|HUP|QUIT))\b")
#: More processes than this are not remembered one by one, once they have ended well.
MOST = 20_000


@dataclass(eq=False, slots=True)
class Member:
    """A process. Times are nanoseconds as the log has them, None where it has none."""

    pid: int
    #: Place in the order of appearance, from 0.
    serial: int
    parent: Member | None = None
    #: The program's path, the last that it executed; "" while that is not known.
    executable: str = ""
    start_ns: int | None = None
    #: Of its end; while it runs, of its last event.
    end_ns: int | None = None
    ended: bool = False
    code: int | None = None
    #: Name of the signal that killed it, "" for none.
    signal: str = ""
    calls: int = 0
    errors: int = 0
    #: Thread -> its first and last time; those that have ended too, the leader not.
    threads: dict[int, tuple[int | None, int | None]] = field(default_factory=dict)
    #: Serial -> child.
    children: dict[int, Member] = field(default_factory=dict)
    #: The child whose end it heard of last.
    reaped: Member | None = None
    #: The process that has sent it a signal to end.
    stopped_by: Member | None = None

    @property
    def failed(self) -> bool:
        """It ended with a code other than 0, or by a signal."""
        return self.ended and bool(self.signal or self.code)

    @property
    def name(self) -> str:
        """The program's base name, or "process"."""
        return basename(self.executable) or "process"


def basename(path: str) -> str:
    """Return what stands behind the last slash."""
    return path.rstrip("/").rpartition("/")[2]


class Family:
    """Takes a log's events in their order and knows the processes."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        #: How many there were, those included that are not in `members` any more.
        self.count = 0
        #: First and last time of the log.
        self.start_ns: int | None = None
        self.end_ns: int | None = None
        self._alive: dict[int, Member] = {}

    @property
    def root(self) -> Member | None:
        """The process that came first."""
        return self.members[0] if self.members else None

    def add(self, event: Event) -> Member:
        """Take an event; return the process that it is about."""
        member = self._alive.get(event.pid)
        if member is None or (member.ended and event.kind == CALL):
            member = self._new(event.pid, event.start_ns)
        self._note_time(member, event)
        if event.kind == CALL:
            member.calls += 1
            if event.error:
                member.errors += 1
            elif event.name in FORKS:
                self._forked(member, event)
            elif event.name in EXECS:
                member.executable = event.path or event.executable or member.executable
            elif event.name in WAITS and event.value:
                self._reaped(member, event.value)
            elif event.name in KILLS:
                self._stopped(member, event.arguments)
        elif event.kind in (EXIT, KILLED) and event.tid == event.pid:
            member.ended = True
            member.code, member.signal = (event.value, "") if event.kind == EXIT else (None, event.name)
        if event.executable and (not member.executable or event.kind == SUPERSEDED):
            member.executable = event.executable
        return member

    def _note_time(self, member: Member, event: Event) -> None:
        start, end = event.start_ns, event.end_ns if event.end_ns is not None else event.start_ns
        if start is None or end is None:
            return
        self.start_ns = start if self.start_ns is None else min(self.start_ns, start)
        self.end_ns = end if self.end_ns is None else max(self.end_ns, end)
        if member.start_ns is None or start < member.start_ns:
            member.start_ns = start
        member.end_ns = end if member.end_ns is None else max(member.end_ns, end)
        if event.tid != event.pid:
            first, _ = member.threads.get(event.tid, (start, None))
            member.threads[event.tid] = first, end

    def _new(self, pid: int, start_ns: int | None) -> Member:
        member = Member(pid, self.count, start_ns=start_ns, end_ns=start_ns)
        self.count += 1
        self._alive[pid] = member
        self.members.append(member)
        if len(self.members) > 2 * MOST:
            self._forget()
        return member

    def _forget(self) -> None:
        """Let go of the oldest that have ended well: a build of a million processes is to fit in memory."""
        spare = len(self.members) - MOST
        kept = []
        for place, member in enumerate(self.members):
            if spare > 0 and place and member.ended and not member.failed:
                spare -= 1
                if member.parent is not None:
                    member.parent.children.pop(member.serial, None)
                if self._alive.get(member.pid) is member:
                    del self._alive[member.pid]
            else:
                kept.append(member)
        self.members = kept

    def _forked(self, parent: Member, event: Event) -> None:
        if not event.value or "CLONE_THREAD" in event.arguments:
            return
        child = self._alive.get(event.value)
        early = child is not None and child.parent is None and child is not self.root
        before = child is not None and None not in (child.start_ns, event.start_ns)
        if child is None or not early or (before and (child.start_ns or 0) < (event.start_ns or 0)):
            child = self._new(event.value, event.end_ns)
        child.parent = parent
        child.executable = child.executable or parent.executable
        parent.children[child.serial] = child

    def _reaped(self, parent: Member, pid: int) -> None:
        child = self._alive.get(pid)
        if child is not None and child.parent is parent:
            parent.reaped = child

    def _stopped(self, sender: Member, arguments: str) -> None:
        order = ORDER.match(arguments)
        victim = None if order is None else self._alive.get(int(order[1]))
        if order is None or victim is None or victim is sender:
            return
        if not victim.ended or victim.signal == order[2]:  # its end may stand in the log before the call's
            victim.stopped_by = sender
