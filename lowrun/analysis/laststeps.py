"""What each process of a log did last: its failing calls, its last calls, where it stood when a signal came. Pure.

A process that ends well is forgotten, so memory is bounded by those that run and those that failed.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from lowrun.analysis.family import EXECS, Member
from lowrun.analysis.noise import SEARCHES, is_noise, sought
from lowrun.trace.event import CALL, EXIT, KILLED, SIGNAL, UNFINISHED, Event

__all__ = ["Failure", "Standing", "Trail", "Trails"]

#: Signals that ask a process to end, or end it.
ENDING = frozenset("SIGTERM SIGINT SIGHUP SIGQUIT SIGALRM SIGXCPU SIGUSR1 SIGUSR2 SIGPIPE".split())
#: Calls that are remembered beside the failing ones.
LAST_CALLS = 8
#: Housekeeping, which says little of what a program was doing: memory, signals' masks and handlers.
HOUSEKEEPING = frozenset(
    "brk madvise mmap mprotect munmap rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack set_robust_list rseq".split()
)
#: Failed processes, and threads of one, that are remembered.
PROCESSES, THREADS = 1000, 64
#: They never fail, and nobody hangs in them.
ENDS = frozenset(("exit", "exit_group"))


@dataclass(slots=True)
class Failure:
    """A failing call."""

    event: Event
    #: Healthy programs make it, too; or what it looked for was found later.
    noise: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a process stood when `signal` came."""

    signal: Event
    #: The last call of each thread, that of the thread that got the signal first.
    calls: tuple[Event, ...]


@dataclass(slots=True)
class Trail:
    """The end of what a process did."""

    failures: deque[Failure]
    #: The last calls, the failing ones among them, housekeeping not.
    calls: deque[Event] = field(default_factory=lambda: deque(maxlen=LAST_CALLS))
    #: Thread -> its last call.
    last: dict[int, Event] = field(default_factory=dict)
    #: The first signal of each name that asked it to end.
    asked: dict[str, Standing] = field(default_factory=dict)
    #: What killed it, with what the kernel said of it (SIGSEGV's address), if the log has that.
    signal: Event | None = None
    #: Base name -> failing calls that looked for it.
    sought: dict[str, list[Failure]] = field(default_factory=dict)

    def standing(self, event: Event) -> Standing:
        """Return where it stands, as `event` (a signal, an end) tells of it."""
        threads = sorted(self.last, key=lambda tid: (tid != event.tid, tid))
        return Standing(event, tuple(self.last[tid] for tid in threads))


class Trails:
    """Takes a log's events with their process (`Family.add`); `most` is how many failing calls each keeps."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._trails: OrderedDict[int, Trail] = OrderedDict()
        self._failed: OrderedDict[int, None] = OrderedDict()
        #: Signal that asked a process to end -> when the first of all processes got it.
        self.asked_ns: dict[str, int] = {}

    def of(self, member: Member) -> Trail:
        """Return the trail of `member`; an empty one when there is none."""
        return self._trails.get(member.serial) or Trail(deque(maxlen=self._most))

    def add(self, event: Event, member: Member) -> None:
        """Take an event."""
        trail = self._trails.get(member.serial)
        if trail is None:
            trail = self._trails[member.serial] = Trail(deque(maxlen=max(2 * self._most, 16)))
        if event.kind == CALL or event.kind == UNFINISHED:
            self._call(event, trail)
            return
        if event.kind == SIGNAL:
            trail.signal = event
            if event.name in ENDING:
                self._asked(event, trail)
        elif event.kind == KILLED and event.tid == member.pid:
            self._asked(event, trail)
        if event.kind in (EXIT, KILLED) and event.tid == member.pid:
            self._ended(member)

    def _asked(self, event: Event, trail: Trail) -> None:
        if event.name not in trail.asked:
            trail.asked[event.name] = trail.standing(event)
            if event.start_ns is not None:
                self.asked_ns[event.name] = min(event.start_ns, self.asked_ns.get(event.name, event.start_ns))

    def _call(self, event: Event, trail: Trail) -> None:
        if event.name in ENDS:
            return
        if event.name in EXECS and not event.error:  # what the former program did is not why this one fails
            trail.failures.clear()
            trail.sought.clear()
        if len(trail.last) < THREADS or event.tid in trail.last:
            trail.last[event.tid] = event
        if event.name not in HOUSEKEEPING:
            trail.calls.append(event)
        if not event.error and not trail.sought:
            return
        name = sought(event)
        if event.error:
            failure = Failure(event, is_noise(event))
            if len(trail.failures) == trail.failures.maxlen:
                self._forget_oldest(trail)
            trail.failures.append(failure)
            if name:
                trail.sought.setdefault(name, []).append(failure)
        elif name and event.name in SEARCHES and name in trail.sought:
            for failure in trail.sought.pop(name):
                failure.noise = failure.noise or failure.event.error in ("ENOENT", "ENOTDIR")

    @staticmethod
    def _forget_oldest(trail: Trail) -> None:
        """Make room: a failing call that is noise goes first."""
        place = next((i for i, failure in enumerate(trail.failures) if failure.noise), 0)
        failure = trail.failures[place]
        del trail.failures[place]
        name = sought(failure.event)
        left = [other for other in trail.sought.get(name, ()) if other is not failure]
        if left:
            trail.sought[name] = left
        else:
            trail.sought.pop(name, None)

    def _ended(self, member: Member) -> None:
        if not member.failed and member.serial:
            del self._trails[member.serial]
            return
        self._failed[member.serial] = None
        if len(self._failed) > PROCESSES:
            oldest = next(serial for serial in self._failed if serial)
            del self._failed[oldest]
            self._trails.pop(oldest, None)
