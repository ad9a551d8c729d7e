"""How a life ended, and what that is to the policy. Pure."""

from __future__ import annotations

import signal
from collections.abc import Set
from typing import NamedTuple

from lowrun.supervise.policy import Event
from lowrun.supervise.settings import Restart
from lowrun.values import CODE_NOT_EXECUTABLE, CODE_NOT_FOUND, ExitStatus

__all__ = ["LastExit", "meaning"]

FINAL = frozenset({CODE_NOT_EXECUTABLE, CODE_NOT_FOUND})
#: Deaths by these are a normal end when lowrun has sent them.
DELIBERATE = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


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


def meaning(restart: Restart, pid: int | None, status: ExitStatus | None, sent: Set[int]) -> Event:
    """Return what the end of the main process `pid` (None: it was not executed) with `status` is to the policy, when
    lowrun had sent it the signals `sent`.
    """
    if status is None:
        return Event.FAILED
    if pid is None:
        return Event.BROKEN if status.code in FINAL else Event.FAILED
    if status.signal is not None:
        deliberate = status.signal in sent & DELIBERATE
        return Event.ENDED_WELL if deliberate or status.code in restart.success else Event.FAILED
    if status.code in restart.success:
        return Event.ENDED_WELL
    return Event.BROKEN if status.code in FINAL | restart.prevent else Event.FAILED
