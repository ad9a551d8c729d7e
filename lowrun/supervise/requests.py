"""What is asked of a supervisor: a value from a message, whoever sent it. Pure.

    {"do": "stop", "timeout": 5}   {"do": "restart"}   {"do": "reload"}   {"do": "wait", "until": "ready"}

Keys that are not known are of a later version, and count for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lowrun.errors import ProtocolError, UsageError
from lowrun.notation import LONGEST_S

__all__ = ["DOINGS", "GOALS", "Asked", "read_request"]

DOINGS = ("stop", "restart", "reload", "wait")
#: What `wait` can wait for.
GOALS = ("running", "ready", "stopped")


class Asked(NamedTuple):
    """One request; `until` is of `wait`, `timeout` of `stop`."""

    do: str
    until: str = "running"
    #: Seconds until SIGKILL; None: the program's own.
    timeout: float | None = None


def read_request(message: Mapping[str, Any]) -> Asked:
    """Return what a message asks for. Raises UsageError for what is not known here, ProtocolError for other types."""
    do, until = message.get("do"), message.get("until", "running")
    if do not in DOINGS:
        raise UsageError(f"this supervisor knows no request {_shown(do)}; it may be of another version")
    if until not in GOALS:
        raise UsageError(f"{_shown(until)} cannot be waited for; {', '.join(GOALS)} can")
    return Asked(do, until, _seconds(message.get("timeout")))


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= LONGEST_S:
        raise ProtocolError(f"a timeout is a number of seconds from 0 to {LONGEST_S:g}, not {_shown(value)}")
    return float(value)


def _shown(value: Any) -> str:
    return f"{value!r:.60}"
