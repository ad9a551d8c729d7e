"""What a repetition, or a supervised program, has kept: DIR/run-NNNN with its run.json, and DIR/summary.json.

A directory that has no summary (a supervisor's failures, a repetition under way or cut off) is read by its runs alone.
What a file lacks is unknown, never an error; a file that is no JSON is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lowrun.errors import ProtocolError, UsageError

__all__ = ["KeptRun", "KeptRuns", "kept_run", "kept_runs"]

RUN = re.compile(r"run-(\d{4,})")


@dataclass(frozen=True, slots=True)
class KeptRun:
    """One run, as its run.json has it; times are seconds, None is unknown."""

    index: int
    directory: Path
    ok: bool
    code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    interrupted: bool = False
    #: Why lowrun ended it (a supervised program's life), "" if it did not.
    reason: str = ""
    command: tuple[str, ...] = ()
    pid: int | None = None
    #: ISO 8601.
    started: str = ""
    wall_s: float | None = None
    user_s: float | None = None
    sys_s: float | None = None
    max_rss_kib: int | None = None
    processes: int | None = None
    #: What the recorders kept, by name: "stdout", "calls", "net" ...; such as are still there.
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptRuns:
    """A directory of runs. `codes` and `count` are of all runs, also of those of which nothing was kept."""

    directory: Path
    command: tuple[str, ...]
    runs: tuple[KeptRun, ...]
    #: How many runs there were; None when there is no summary.
    count: int | None = None
    #: Exit code -> the numbers of its runs.
    codes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def failing(self) -> tuple[KeptRun, ...]:
        """Those that failed; interrupted ones are on no side."""
        return tuple(run for run in self.runs if not run.ok and not run.interrupted)

    @property
    def passing(self) -> tuple[KeptRun, ...]:
        """Those that passed."""
        return tuple(run for run in self.runs if run.ok and not run.interrupted)


def _no_number(word: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have. Raises ValueError."""
    raise ValueError(f"{word} is no number")


def _load(path: Path) -> dict[str, Any] | None:
    import json

    try:
        value = json.loads(path.read_bytes(), parse_constant=_no_number)
    except FileNotFoundError:
        return None
    except RecursionError:
        raise ProtocolError(f"{path}: is no JSON of lowrun's: it is nested too deeply") from None
    except ValueError as error:
        raise ProtocolError(f"{path}: is no JSON of lowrun's: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError(f"{path}: is no JSON of lowrun's: an object is needed")
    _check(path, value)
    return value


#: An exit code, and more than any number that a file has.
CODE, MOST = re.compile(r"-?[0-9]{1,9}"), 1 << 63
_NUMBER, _COUNT, _WORDS = (int, float, type(None)), (int, type(None)), (list, type(None))
#: What a file has to have, where it has it.
_TYPES: dict[str, tuple[type, ...]] = {
    "index": _COUNT, "code": _COUNT, "signal": _COUNT, "pid": _COUNT, "processes": _COUNT, "max_rss_kib": _COUNT,
    "wall_s": _NUMBER, "user_s": _NUMBER, "sys_s": _NUMBER, "reason": (str, type(None)), "started": (str, type(None)),
    "command": _WORDS, "faults": _WORDS, "artifacts": (dict, type(None)), "codes": (dict, type(None)), "runs": _WORDS,
}  # fmt: skip


def _check(path: Path, value: dict[str, Any]) -> None:
    """Raise ProtocolError when a field is not of its type."""
    wrong = [name for name, types in _TYPES.items() if not isinstance(value.get(name), (*types, type(None)))]
    wrong += [
        name for name, one in value.items() if name in _TYPES and isinstance(one, int | float) and abs(one) > MOST
    ]
    for name in ("command", "faults"):
        if name not in wrong:
            wrong += [name for word in value.get(name) or () if not isinstance(word, str)]
    if "artifacts" not in wrong:
        wrong += ["artifacts" for its in (value.get("artifacts") or {}).values() if not isinstance(its, str)]
    if "codes" not in wrong:
        for code, numbers in (value.get("codes") or {}).items():
            whole = isinstance(numbers, list) and all(
                isinstance(number, int) and abs(number) <= MOST for number in numbers
            )
            wrong += [] if whole and CODE.fullmatch(code) else ["codes"]
    if wrong:
        raise ProtocolError(f"{path}: is no JSON of lowrun's: {wrong[0]} is not what it should be")


def kept_run(directory: Path, command: tuple[str, ...] = ()) -> KeptRun:
    """Read the run whose run.json is in `directory`; `command` is what it ran, where run.json does not tell.

    Raises UsageError when there is no run, ProtocolError when the file makes no sense, OSError.
    """
    value = _load(directory / "run.json")
    if value is None:
        raise UsageError(f"{directory}: has no run.json, so it is no run that lowrun kept")
    artifacts = {}
    for name, relative in dict(value.get("artifacts") or {}).items():
        path = directory / Path(relative).name
        if path.exists():
            artifacts[name] = path
    match = RUN.fullmatch(directory.resolve().name)
    index = value.get("index") or (int(match[1]) if match else 0)
    return KeptRun(
        index=index,
        directory=directory,
        ok=bool(value.get("ok")),
        code=value.get("code"),
        signal=value.get("signal"),
        timed_out=bool(value.get("timed_out")),
        interrupted=bool(value.get("interrupted")),
        reason=value.get("reason") or "",
        command=tuple(value.get("command") or command),
        pid=value.get("pid"),
        started=value.get("started") or "",
        wall_s=value.get("wall_s"),
        user_s=value.get("user_s"),
        sys_s=value.get("sys_s"),
        max_rss_kib=value.get("max_rss_kib"),
        processes=value.get("processes"),
        artifacts=artifacts,
        faults=tuple(value.get("faults") or ()),
    )


def kept_runs(directory: Path) -> KeptRuns:
    """Read all runs that are kept in `directory`, by number.

    Raises UsageError when there are none, ProtocolError when a file makes no sense, OSError.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory}: is no directory" if directory.exists() else f"{directory}: no such directory")
    summary = _load(directory / "summary.json") or {}
    command = tuple(summary.get("command") or ())
    places = [path for path in directory.iterdir() if RUN.fullmatch(path.name) and (path / "run.json").exists()]
    runs = sorted((kept_run(path, command) for path in places), key=lambda run: run.index)
    if not runs and not summary:
        if (directory / "run.json").exists():
            raise UsageError(f"{directory}: is one run; the directory of all runs is {directory.resolve().parent}")
        raise UsageError(f"{directory}: holds no runs that lowrun kept (no summary.json, no run-NNNN)")
    codes = {int(code): tuple(numbers) for code, numbers in dict(summary.get("codes") or {}).items()}
    count = len(summary["runs"]) if summary.get("runs") is not None else None
    return KeptRuns(directory, command or (runs[-1].command if runs else ()), tuple(runs), count, codes)
