"""What can go wrong and by whose fault.

`LowrunError` is never raised itself: catch it to catch all of lowrun's. The
caller's fault: `UsageError`, `ClosedError`, `BusyError`. The world's:
`SpawnError`, `GoneError`, `DeniedError`, `UnsupportedError`. The peer's:
`ProtocolError`. Ours: `InternalError`. What a child did (a code, a signal, a
timeout) is a value in `Result`, never an exception.
"""

from __future__ import annotations

import errno
import os

#: What a disk says that has no room left for this user.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

__all__ = [
    "FULL",
    "BusyError",
    "ClosedError",
    "DeniedError",
    "GoneError",
    "InternalError",
    "LowrunError",
    "ProtocolError",
    "SpawnError",
    "UnsupportedError",
    "UsageError",
    "explain",
]


class LowrunError(Exception):
    """The root of all errors of lowrun; never raised itself."""


class UsageError(LowrunError, ValueError):
    """The caller asked for something that makes no sense (an unknown option, an empty command).

    Each argument says one thing that is wrong; a file has more than one at once.
    """

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class ClosedError(LowrunError):
    """The object was closed and is used again."""


class BusyError(LowrunError):
    """The object is in use and cannot take another task (a keeper has a run under way)."""


class SpawnError(LowrunError, OSError):
    """A command could not be started.

    Attributes: `step` names what failed ("exec", "working directory", "uid", ...),
    `errno` is the kernel's reason, `place` the directory that it is about.
    """

    def __init__(self, step: str, errno: int, program: str, place: str | None = None) -> None:
        self.step = step
        self.program = program
        self.place = place
        OSError.__init__(self, errno, os.strerror(errno))

    @property
    def reason(self) -> str:
        """What failed and why, without the program."""
        what = self.step if self.place is None else f"{self.step} {self.place}"
        return f"{what}: {self.strerror}"

    def __str__(self) -> str:
        return f"{self.program}: {self.reason}"


class GoneError(LowrunError, ProcessLookupError):
    """The process has ended already."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class DeniedError(LowrunError, PermissionError):
    """A permission or kernel setting forbids it; the message names it and the remedy."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class UnsupportedError(LowrunError):
    """This kernel or machine cannot do it; the message says what would."""


class ProtocolError(LowrunError):
    """The other end of a socket did not keep to the protocol."""


class InternalError(LowrunError):
    """lowrun itself failed: a defect to report."""


def explain(error: BaseException) -> str:
    """Return what a user is told of `error`: no number, the file if it names one, the remedy for a full disk."""
    if isinstance(error, LowrunError) or not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    where = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    remedy = "; free some space or choose another directory" if error.errno in FULL else ""
    return f"{error.strerror}{where}{remedy}"
