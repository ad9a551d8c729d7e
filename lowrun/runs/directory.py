"""Where a repetition's artifacts go: a directory that exists only when something is kept.

    DIR/summary.json
    DIR/run-0002/run.json  and what the recorders kept

Files are written unnamed and then linked, so each appears whole or not at all.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from lowrun.core.fd import nearest_directory, write_whole
from lowrun.errors import UsageError
from lowrun.runs.report import result_dict, summary_dict, to_json
from lowrun.values import Result, Summary

__all__ = ["OutputDirectory"]


class OutputDirectory:
    """The directory of one repetition.

    `asked` is the user's choice, None for `lowrun-COMMAND-YYYYmmdd-HHMMSS` in
    the working directory. Raises UsageError when it exists and is not empty
    or is no directory, or cannot be made.
    """

    def __init__(self, asked: Path | None, command_name: str) -> None:
        self._asked = None if asked is None else _absolute(asked)
        self._command_name = command_name
        self._path: Path | None = None
        if self._asked is not None:
            self._refuse_unusable(self._asked)

    def scratch(self) -> Path:
        """Return an existing directory on the same file system, for files without a name yet. Raises OSError."""
        return nearest_directory(self._asked or Path.cwd())

    @staticmethod
    def _refuse_unusable(path: Path) -> None:
        try:
            if any(path.iterdir()):
                raise UsageError(f"output {path}: is not empty; name another directory")
        except FileNotFoundError:
            if path.is_symlink():
                raise UsageError(f"output {path}: is a symbolic link to nowhere") from None
            where = nearest_directory(path)
            if not os.access(where, os.W_OK | os.X_OK):
                raise UsageError(f"output {path}: {where} may not be written to") from None
        except OSError as error:
            raise UsageError(f"output {path}: {error.strerror}") from error

    @property
    def path(self) -> Path | None:
        """The directory, None as long as nothing was kept."""
        return self._path

    def for_run(self, index: int) -> Path:
        """Make and return the directory of run `index`. Raises OSError."""
        if self._path is None:
            self._path = self._make()
        directory = self._path / f"run-{index:04d}"
        directory.mkdir()
        return directory

    def _make(self) -> Path:
        if self._asked is not None:
            self._asked.mkdir(parents=True, exist_ok=True)
            return self._asked
        name = "".join(c if c.isalnum() or c in "._+-" else "_" for c in self._command_name)[:64]
        base = Path.cwd() / f"lowrun-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        path, number = base, 1
        while True:
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
                path = base.with_name(f"{base.name}-{number}")
            else:
                return path

    def write_run(self, directory: Path, result: Result) -> None:
        """Write `run.json` beside the run's artifacts. Raises OSError."""
        write_whole(directory / "run.json", os.fsencode(to_json(result_dict(result, self._path))))

    def write_summary(self, summary: Summary, version: str) -> None:
        """Write `summary.json`, if anything was kept. Raises OSError."""
        if self._path is not None:
            write_whole(self._path / "summary.json", os.fsencode(to_json(summary_dict(summary, version))))


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except OSError as error:
        raise UsageError(f"output {path}: the working directory: {error.strerror}") from error
