"""How a life ended, and what that means for the policy. Pure.

A death by SIGTERM, SIGINT or SIGHUP that lowrun has just sent is a normal end; codes 126 and 127 are final: what cannot
be executed now cannot be executed in five seconds, either.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import NamedTuple

from lowrun.supervise.policy import Event
from lowrun.supervise.settings import Restart
from lowrun.values import CODE_NOT_EXECUTABLE, CODE_NOT_FOUND, ExitStatus

__all__ = ["LastExit", "meaning_of"]

FINAL = frozenset({CODE_NOT_EXECUTABLE, CODE_NOT_FOUND})
#: Deaths by these are a normal end when lowrun has sent them.
DELIBERATE = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})

#: A signal that was survived for longer is not what it died of, seconds: by default a program has as much time to act
#: on its stop signal before it gets SIGKILL.
HEEDED = 10.0


class LastExit(NamedTuple):
    """How the life before ended."""

    #: Of its main process; None when none was executed.
    pid: int | None
    #: None: it is not known.
    status: ExitStatus | None
    #: Seconds since the epoch.
    at: float
    #: Why it could not be executed, or was ended by lowrun; "".
    reason: str

    @property
    def text(self) -> str:
        """How it ended, in words."""
        return self.reason or (str(self.status) if self.status is not None else "it ended; its status is not known")


def meaning_of(
    status: ExitStatus | None, executed: bool, served: bool, sent: Mapping[int, float], restart: Restart
) -> Event:
    """Return the event that a life's end is: `status` None is not known.

    `served`: it has become ready, if it was to say so; what ends before that has failed, whatever its code.
    `sent` has the signals that lowrun sent it, and how many seconds before its end, the last time.
    """
    if status is None:
        return Event.FAILED
    if not executed:
        return Event.BROKEN if status.code in FINAL else Event.FAILED
    if status.signal is not None:
        deliberate = status.signal in DELIBERATE and sent.get(status.signal, HEEDED + 1) <= HEEDED
        return Event.ENDED_WELL if deliberate or status.code in restart.success else Event.FAILED
    if status.code in restart.success:
        return Event.ENDED_WELL if served else Event.FAILED
    return Event.BROKEN if status.code in FINAL | restart.prevent else Event.FAILED
