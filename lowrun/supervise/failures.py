"""What is kept of lives that ended in failure: STATE/NAME/failures/run-0001, run-0002 ..., a bounded number of them.

The layout is that of a repetition's runs: run.json, and beside it what the recorders kept. Two facts more are there:
the command, which a repetition has in its summary, and why lowrun ended the life, if it did. Numbers go on for ever;
the oldest go. The directory is a program's own state (0700): nobody else puts anything there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from lowrun.core.fd import write_whole
from lowrun.runs.report import result_dict, to_json
from lowrun.supervise.state import ProgramState
from lowrun.values import Result

__all__ = ["Failures", "failures_path", "kept_failures"]

DIRECTORY = "failures"
KEPT = re.compile(r"run-(\d{4,})")


def failures_path(state: ProgramState) -> Path:
    """Return where a program's failures are kept, whether there are any or not."""
    return Path(state.path, DIRECTORY)


def kept_failures(path: Path) -> dict[int, Path]:
    """Return the failures that are kept in `path`, by number, the oldest first; {} when there is no such directory."""
    try:
        names = os.listdir(path)
    except OSError:
        return {}
    found = {int(match[1]): path / name for name in names if (match := KEPT.fullmatch(name))}
    return dict(sorted(found.items()))


class Failures:
    """The directory of one program's failures; the last `keep` stay. `prepare` it before it is used."""

    def __init__(self, state: ProgramState, keep: int) -> None:
        self.path = failures_path(state)
        self._state, self._keep = state, keep
        self._last = max(kept_failures(self.path), default=0)

    def prepare(self) -> None:
        """Make it, if it is not there. Raises OSError."""
        try:
            os.mkdir(DIRECTORY, 0o700, dir_fd=self._state.fileno())
        except FileExistsError:
            if self.path.is_symlink() or not self.path.is_dir():
                raise

    def add(self, keep: Callable[[int, Path], Result]) -> Path:
        """Make the directory of one more; `keep(number, directory)` fills it and returns the result. Raises OSError.

        The oldest go before: on a full disk that makes room.
        """
        self._prune(self._keep - 1)
        self._last += 1
        directory = self.path / f"run-{self._last:04d}"
        directory.mkdir()
        try:
            result = keep(self._last, directory)
            facts = {**result_dict(result, self.path), "reason": result.status.reason, "command": result.command.argv}
            write_whole(directory / "run.json", to_json(facts).encode())
        except OSError:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return directory

    def _prune(self, keep: int) -> None:
        kept = list(kept_failures(self.path).values())
        for directory in kept[: max(0, len(kept) - keep)]:
            shutil.rmtree(directory, ignore_errors=True)
