"""Events as the lines of a log: what strace -f -T would have written, from which they can be read again.

A call whose beginning and end are not one line of the log (it took part of others' time) is written as two, the first
with ` <unfinished ...>` where it began. Times are written as they stand in the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowrun.trace.event import CALL, EXIT, KILLED, SIGNAL, STOPPED, SUPERSEDED, UNFINISHED, Event

__all__ = ["lines_of"]

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
#: Seconds: a time of more digits is since 1970, one of fewer since the line before.
LEAST_EPOCH = 100_000_000
RESULT_COLUMN = 40


class _Line(NamedTuple):
    """A line before it is known where it stands."""

    tid: int
    #: As in the log; "" when that does not tell, or is to be computed of `time_ns`.
    time: str
    time_ns: int | None
    text: str


def _time_ns(event: Event) -> int | None:
    """Return the time of the line that completes the event, as far as its own text tells: of a day, since 1970."""
    if ":" in event.time:
        hours, minutes, seconds = event.time.split(":")
        whole, _, fraction = seconds.partition(".")
        return ((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * SECOND + int(fraction.ljust(9, "0"))
    whole, _, fraction = event.time.partition(".")
    return int(whole) * SECOND + int(fraction.ljust(9, "0")[:9]) if whole else None


def _is_relative(event: Event) -> bool:
    return event.time != "" and ":" not in event.time and int(event.time.partition(".")[0]) < LEAST_EPOCH


def _in_two(event: Event) -> bool:
    """Tell whether the call began before the line that completes it."""
    if event.kind == UNFINISHED:
        return True
    if event.kind != CALL or event.start_ns is None or _is_relative(event):
        return False
    here = _time_ns(event)
    assert here is not None
    return (event.start_ns - here) % (DAY if ":" in event.time else 1 << 64) != 0


def _digits(event: Event) -> int:
    return len(event.time.partition(".")[2])


def _time_text(ns: int, like: Event) -> str:
    """Return a time in the form that the time of `like` has."""
    seconds, rest = divmod(ns % DAY if ":" in like.time else ns, SECOND)
    digits = _digits(like)
    fraction = f".{rest:09d}"[: digits + 1] if digits else ""
    if ":" in like.time:
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"
    return f"{seconds}{fraction}"


def _result(event: Event) -> str:
    took = ""
    if event.duration_ns is not None:
        seconds, rest = divmod(event.duration_ns, SECOND)
        took = f" <{seconds}.{rest // 1000:06d}>" if rest % 1000 == 0 else f" <{seconds}.{rest:09d}>"
    return f"= {event.result}{took}"


def _begin(event: Event, tid: int) -> _Line:
    time = event.time if event.kind == UNFINISHED else ""
    if not time and event.start_ns is not None:
        time = _time_text(event.start_ns, event)
    return _Line(tid, time, event.start_ns, f"{event.name}({event.arguments} <unfinished ...>")


def _text(event: Event, resumed: bool) -> str:
    """Return what stands behind the time in the line that completes the event."""
    if event.kind == CALL:
        before = f"<... {event.name} resumed>) " if resumed else f"{event.name}({event.arguments}) "
        return before.ljust(RESULT_COLUMN) + _result(event)
    if event.kind in (SIGNAL, STOPPED):
        words = ("stopped by " if event.kind == STOPPED else "") + f"{event.name} {event.arguments}".rstrip()
        return f"--- {words} ---"
    words = {
        EXIT: f"exited with {event.value}",
        KILLED: f"killed by {event.name} {event.arguments}".rstrip(),
        SUPERSEDED: f"superseded by execve in pid {event.value}",
    }.get(event.kind, event.result)
    return f"+++ {words} +++"


def _is_own_word(event: Event) -> bool:
    """Tell whether it is a word of strace's own, which stands on a line by itself."""
    return event.result.startswith(("strace: ", "Process ", "[ Process ", "> "))


def _places(events: Sequence[Event]) -> list[list[_Line]]:
    """Return, for each event, the beginnings of calls that stand before the line that completes it."""
    places: list[list[_Line]] = [[] for _ in range(len(events) + 1)]
    last: dict[int, int] = {}
    for index, event in enumerate(events):
        if _in_two(event):
            tid, lowest = event.tid, last.get(event.tid, -1)
            before = events[lowest] if lowest >= 0 else None
            if before is not None and before.kind == SUPERSEDED and event.name.startswith("exec"):
                tid = before.value or 0
                lowest = last.get(tid, -1)
            place = lowest + 1
            start = event.start_ns
            while start is not None and place < index and (events[place].end_ns or 0) <= start:
                place += 1
            places[place].append(_begin(event, tid))
        last[event.tid] = index
    return places


def lines_of(events: Sequence[Event]) -> list[str]:
    """Return the lines, without newlines, of `events`, which are in the order in which they were complete."""
    places = _places(events)
    lines: list[str] = []
    former = 0
    for index, event in enumerate(events):
        here = list(places[index])
        if event.kind != UNFINISHED:
            own = _is_own_word(event) and event.kind not in (CALL, EXIT, KILLED, SUPERSEDED, SIGNAL, STOPPED)
            text = event.result if own else _text(event, _in_two(event))
            if own and not event.time:
                lines.append(f" {text}" if text.startswith("> ") else text)
                continue
            here.append(_Line(event.tid, event.time, event.start_ns, text))
        for line in here:
            time, padded = line.time, ""
            if _is_relative(event) and line.time_ns is not None:
                padded = f"{(line.time_ns - former) / SECOND:12.6f}"
                former = line.time_ns
            leader = [f"{line.tid:<5}"] if line.tid else []
            leader += [padded or time] if padded or time else []
            lines.append(" ".join([*leader, line.text]))
    return lines
