"""What is written down of a supervised program, as JSON: a value and back. Pure.

A record is read by whoever asks for a status, and by the next supervisor. It may be half, of another version, or
garbage: then there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from lowrun.supervise.processes import ProcessId

__all__ = ["LastExit", "Moment", "Record", "from_json", "to_json"]

VERSION = 1


class Moment(NamedTuple):
    """A time: seconds since the epoch, which a user can set back, and on CLOCK_BOOTTIME, which nobody can."""

    wall: float
    boot: float


class LastExit(NamedTuple):
    """How the last life ended: exit code (128+S after signal S), S or None, and when (seconds since the epoch)."""

    code: int
    signal: int | None
    at: float


@dataclass(frozen=True, slots=True)
class Record:
    """One supervised program, as its supervisor knows it."""

    #: `policy.Phase.value`.
    phase: str = "idle"
    supervisor: ProcessId | None = None
    #: The parent of its tree.
    keeper: ProcessId | None = None
    #: The process that is the program; None while it is not known, or there is none.
    main: ProcessId | None = None
    #: "plain" or "daemon".
    kind: str = "plain"
    command: tuple[str, ...] = ()
    #: When the present life began, or the last one.
    began: Moment | None = None
    ready: bool = False
    #: Lives but for the first, ever and in a row; of these at most `respawn_limit`, 0: no limit.
    restarts: int = 0
    respawns: int = 0
    respawn_limit: int = 0
    last_exit: LastExit | None = None
    #: What becomes of it when its supervisor is killed: "kill" or "keep".
    on_lost: str = "kill"
    #: The name of its NOTIFY_SOCKET; "" without one.
    notify: str = ""
    #: How it is stopped: a signal, and seconds until SIGKILL.
    stop_signal: int = 15
    stop_timeout: float = 10.0
    #: Why it was given up, and with what code its supervisor ended; "" and 0 when it ended normally.
    reason: str = ""
    exit_code: int = 0
    #: The boot that all pids and `began.boot` are of (/proc/sys/kernel/random/boot_id).
    boot_id: str = ""


def to_json(record: Record) -> bytes:
    """Return the text of a record; words that are no UTF-8 are escaped as Python has them (surrogates)."""
    import json

    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return json.dumps({"version": VERSION, **values}, separators=(",", ":")).encode("ascii") + b"\n"


def from_json(text: bytes) -> Record | None:
    """Return the record that `to_json` made `text` of; None for anything else."""
    import json

    try:
        values = json.loads(text)
        if not isinstance(values, dict) or values.pop("version", None) != VERSION:
            return None
        return Record(**{name: READ[name](value) for name, value in values.items()})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


# -- what a field may be


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(_text, value))


def _process(value: Any) -> ProcessId | None:
    if value is None:
        return None
    pid, start = value
    if not 0 < _number(pid) < 1 << 31:
        raise ValueError
    return ProcessId(pid, _number(start))


def _moment(value: Any) -> Moment | None:
    return None if value is None else Moment(*map(_seconds, value))


def _last_exit(value: Any) -> LastExit | None:
    if value is None:
        return None
    code, signal, at = value
    return LastExit(_number(code), None if signal is None else _number(signal), _seconds(at))


READ: dict[str, Callable[[Any], Any]] = {
    "phase": _text,
    "supervisor": _process,
    "keeper": _process,
    "main": _process,
    "kind": _text,
    "command": _words,
    "began": _moment,
    "ready": _truth,
    "restarts": _number,
    "respawns": _number,
    "respawn_limit": _number,
    "last_exit": _last_exit,
    "on_lost": _text,
    "notify": _text,
    "stop_signal": _number,
    "stop_timeout": _seconds,
    "reason": _text,
    "exit_code": _number,
    "boot_id": _text,
}
