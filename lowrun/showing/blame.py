"""Which process of a run's tree determined how it ended, and what it was doing. Pure.

A run's exit is its main process's. That one may only have passed on a child's: a shell ends with the code of its last
command, with 128 + S when signal S killed it (POSIX, Exit Status for Commands); make, xargs or a test driver end with a
code of their own because a child failed. So one walks down, as long as a child's end explains its parent's; that of a
child that was ended from above, a server behind a test, explains nothing. Of a run that was ended from outside, the
process counts that the others waited for.
"""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass

from lowrun.kept.family import WAITS, Member
from lowrun.showing.laststeps import Standing, Trails
from lowrun.trace.event import CALL, UNFINISHED, Event

__all__ = ["Hang", "culprits", "failed_children", "hang_of", "signal_number", "waited_for"]

#: Program -> its codes that say that a command of its own failed (make(1), xargs(1), timeout(1)), however many ended
#: well behind that one, or that it had to be ended.
SAYS_CHILD_FAILED = {
    "make": frozenset((2,)), "gmake": frozenset((2,)), "xargs": frozenset((123, 124, 125)),
    "timeout": frozenset((124, 137)),
}  # fmt: skip

#: A tree deeper than this is a loop.
DEEPEST = 64
#: Nanoseconds after its last call for which a process counts as about to make the next.
PAUSE_NS = 50_000_000
#: It was in the call when the signal came: the kernel begins it again, or tells the program.
INTERRUPTED = "EINTR"


def signal_number(name: str) -> int | None:
    """Return the number of a signal's name, None for one that is not known: "SIGRT_3" of strace."""
    try:
        return signals.Signals[name].value
    except KeyError:
        return None


def _code_as_shell(member: Member) -> int | None:
    if member.signal:
        number = signal_number(member.signal)
        return None if number is None else 128 + number
    return member.code


def culprits(root: Member) -> list[Member]:
    """Return `root` and, as long as its end was a child's, that child: the last one is to blame for a failed run."""
    chain = [root]
    while len(chain) < DEEPEST and (child := _passed_on(chain[-1])) is not None and child not in chain:
        chain.append(child)
    return chain


def _passed_on(parent: Member) -> Member | None:
    """Return the child whose failure `parent` ended with."""
    code = _code_as_shell(parent)
    if not parent.failed or parent.signal:
        return None
    if code in SAYS_CHILD_FAILED.get(parent.name, ()):
        return max((child for child in parent.children.values() if child.failed), key=_ended_at, default=None)
    failed = failed_children(parent)
    same = [child for child in failed if _code_as_shell(child) == code]
    if same:
        return max(same, key=_ended_at)
    return parent.reaped if parent.reaped in failed else None


def failed_children(parent: Member) -> list[Member]:
    """Return the children of `parent` that failed by themselves: neither it nor a process above it ended them."""
    above = [parent]
    while len(above) < DEEPEST and above[-1].parent is not None:
        above.append(above[-1].parent)
    return [child for child in parent.children.values() if child.failed and child.stopped_by not in above]


def _ended_at(member: Member) -> int:
    return member.end_ns or 0


@dataclass(frozen=True, slots=True)
class Hang:
    """What a process was doing when it was ended. `call` None: it made no call that the log has."""

    #: The name of the signal.
    signal: str
    call: Event | None
    #: True: it was in the call; else it had been computing since.
    inside: bool
    #: Nanoseconds in the call, or since it; None: unknown.
    for_ns: int | None
    #: The calls that its other threads were in; those that wait for another thread of it come last.
    others: tuple[Event, ...] = ()


def hang_of(member: Member, trails: Trails, wanted: str) -> Hang | None:
    """Return where `member` stood when the signal `wanted` came, or what killed it; None: no signal came."""
    standing = _standing(member, trails, wanted)
    if standing is None:
        return None
    signal = standing.signal
    if not standing.calls:
        return Hang(signal.name, None, False, None)
    call, *others = standing.calls
    inside = _was_inside(call)
    since = call.start_ns if inside else call.end_ns
    for_ns = None if since is None or signal.start_ns is None else max(0, signal.start_ns - since)
    waiting = sorted(filter(_was_inside, others), key=lambda other: other.name == "futex")
    return Hang(signal.name, call, inside, for_ns, tuple(waiting))


def _standing(member: Member, trails: Trails, wanted: str) -> Standing | None:
    asked = trails.of(member).asked
    for name in (wanted, member.signal):
        if name in asked:
            return asked[name]
    return next(iter(asked.values()), None)


def _was_inside(call: Event) -> bool:
    if call.kind == UNFINISHED:
        return True
    return call.kind == CALL and (call.value is None or call.error == INTERRUPTED or call.error.startswith("ERESTART"))


def waited_for(root: Member, trails: Trails, wanted: str) -> list[Member]:
    """Return `root`, the child that it waited for when the signal `wanted` came, and so on: the last one hung."""
    chain = [root]
    while len(chain) < DEEPEST:
        standing = _standing(chain[-1], trails, wanted)
        if standing is None or not any(_waits(call) for call in standing.calls):
            break
        name = standing.signal.name
        at = trails.asked_ns.get(name, 0)  # a child may be gone by the time that its parent hears of the signal
        there = [child for child in chain[-1].children.values() if (child.start_ns or 0) <= at <= (child.end_ns or at)]
        named = _named(standing, there)
        if not there or (child := named or max(there, key=lambda child: child.start_ns or 0)) in chain:
            break
        chain.append(child)
    return chain


def _waits(call: Event) -> bool:
    """Tell whether a process in `call` waits for another: for its end, or for what it writes."""
    return _was_inside(call) and (call.name in WAITS or call.target.startswith("pipe:") or "<pipe:" in call.arguments)


def _named(standing: Standing, there: list[Member]) -> Member | None:
    """Return the child whose pid is the first argument of a wait."""
    first = {call.arguments.partition(",")[0] for call in standing.calls if call.name in WAITS}
    return next((child for child in there if str(child.pid) in first), None)
