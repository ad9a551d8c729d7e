"""DuckDB, bounded: memory, threads, and a place to spill to that does not stay behind.

It answers in SQL over files that may be larger than memory. It is an extra of lowrun's and imported where it is used;
its native module alone (`_duckdb`, since 1.4) costs a fifth of what the package does, which imports adapters to
others' data frames.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from lowrun.core.fd import OwnedFd
from lowrun.errors import ProtocolError, UnsupportedError, UsageError

__all__ = ["Engine"]

log = logging.getLogger(__name__)

#: What DuckDB may use of memory before it spills to disk: with what it does not count it stays well below 2 GB.
MEMORY = "800MB"
#: More would not help, and each holds buffers.
MOST_THREADS = 4
#: Rows that are fetched at a time.
BATCH = 4096
PREFIX = "lowrun-analyze-"


def _duckdb() -> ModuleType:
    for name in ("_duckdb", "duckdb"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise UnsupportedError("analyze needs DuckDB: pip install 'lowrun[analyze]'")


class _Spill:
    """A directory below TMPDIR that DuckDB spills to.

    It is locked as long as its owner lives: what one that was killed has left is removed by the next.
    """

    def __init__(self) -> None:
        base = Path(tempfile.gettempdir())
        self._sweep(base)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        self._lock = OwnedFd(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        fcntl.flock(self._lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    @staticmethod
    def _sweep(base: Path) -> None:
        for path in base.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                with OwnedFd(os.open(path, flags)) as directory:
                    if os.fstat(directory.fileno()).st_uid == os.geteuid():
                        fcntl.flock(directory.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                        shutil.rmtree(path)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


class Engine:
    """One connection to a DuckDB of its own, which holds nothing; close it (a context manager).

    Raises UnsupportedError when DuckDB is not installed, OSError.
    """

    def __init__(self) -> None:
        duckdb = _duckdb()
        self._error: type[Exception] = duckdb.Error
        self._spill = _Spill()
        try:
            self._connection = duckdb.connect(
                config={
                    "threads": min(len(os.sched_getaffinity(0)), MOST_THREADS),
                    "memory_limit": MEMORY,
                    "temp_directory": str(self._spill.path),
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                    "python_enable_replacements": False,
                }
            )
            self._connection.execute("SET enable_progress_bar = false")  # it would go to standard output
        except self._error as error:
            self._spill.close()
            raise UnsupportedError(_first_line(error)) from None

    def run(self, statement: str) -> Any:
        """Run one statement of lowrun's; return DuckDB's result. Raises ProtocolError, OSError."""
        log.debug("%s", statement)
        with self._errors():
            return self._connection.execute(statement)

    def run_foreign(self, statement: str) -> Any:
        """The same with a user's. Raises UsageError when it is none."""
        log.debug("%s", statement)
        try:
            return self._connection.execute(statement)
        except self._error as error:
            kind, _, text = _first_line(error).partition(" Error: ")
            if kind in ("Parser", "Binder", "Catalog", "Conversion", "Invalid Input", "Not implemented"):
                raise UsageError(f"sql: {text}") from None
            raise self._told(error) from None

    def batches(self, result: Any) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of `result`, some at a time, as they are made. Raises as `run` does."""
        while True:
            with self._errors():
                batch = result.fetchmany(BATCH)
            if not batch:
                return
            yield batch

    def statement(self, text: str) -> tuple[str, bool]:
        """Return the one statement in a user's `text`, and whether it is a SELECT. Raises UsageError."""
        try:
            statements = self._connection.extract_statements(text)
        except self._error as error:
            raise UsageError(f"sql: {_first_line(error).partition(' Error: ')[2]}") from None
        if len(statements) != 1:
            raise UsageError(f"sql takes one statement, not {len(statements)}")
        return statements[0].query.strip().rstrip(";"), str(statements[0].type).rpartition(".")[2].startswith("SELECT")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise self._told(error) from None

    def _told(self, error: Exception) -> Exception:
        text = _first_line(error)
        if os.strerror(errno.ENOSPC) in text and "/proc/self/fd/" in text:  # its caller knows what that is
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if os.strerror(errno.ENOSPC) in text or "max_temp_directory_size" in str(error):
            return OSError(errno.ENOSPC, "no space left for what is too large for memory; set TMPDIR to a larger disk",
                           str(self._spill.path.parent))  # fmt: skip
        return ProtocolError(text)

    def close(self) -> None:
        """Close the connection, remove what was spilled."""
        self._connection.close()
        self._spill.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
