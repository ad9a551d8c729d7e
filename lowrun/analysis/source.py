"""What a FILE is, by its first bytes, and its events as a table.

    Parquet (PAR1)          read where it is: columns of events, or stracepy's nine
    CSV (by its header)     the same
    anything else           a log: its text goes through the scanner and a pipe into a Parquet file without a name

Nothing of it has to fit into memory. The names of files never get into SQL: DuckDB is given descriptors.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

from lowrun.analysis.engine import Engine
from lowrun.analysis.schema import (
    EVENT_COLUMNS,
    LONGEST_ROW,
    NINE,
    SEPARATOR,
    csv_events,
    nine_as_events,
    nine_csv,
    scanned_events,
)
from lowrun.analysis.views import View
from lowrun.core.fd import OwnedFd, UnnamedFile, write_all
from lowrun.core.logs import EVENTS, LogScanner
from lowrun.errors import ProtocolError, UsageError
from lowrun.trace.event import FIELDS
from lowrun.trace.logfile import LogText, open_log
from lowrun.trace.parse import scanner

__all__ = ["Source"]

#: What a run's directory has its calls in.
KEPT = ("calls.strace", "calls.records")
#: Bytes that tell what a file is: a header line fits in.
HEAD = 4096
PIPE_SIZE = 1 << 20
#: A row that is longer than a reader of CSV takes is cut: its arguments, or its result.
LONGEST_FIELD = LONGEST_ROW // 8


class Source:
    """The table `all_events` of one FILE, for a connection; close it after that. Of a log it has `columns` only.

    Raises UsageError when FILE is a directory without a log, ProtocolError when it is none of all that, OSError.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        columns: Container[str] = FIELDS,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        #: There are stracepy's columns only, in the table `nine`.
        self.nine = False
        #: Its rows take time to read, each time: it is CSV.
        self.slow = False
        #: The table `all_events`, and what it is made of.
        self.views: dict[str, View] = {}
        #: Lines of a log that no rule understands, and the numbers of the first.
        self.unknown = 0
        self.unknown_lines: tuple[int, ...] = ()
        self._engine = engine
        self._columns = columns
        self._progress = progress
        with contextlib.ExitStack() as self._stack:
            self._open(name)
            self._stack = self._stack.pop_all()

    def close(self) -> None:
        """Let go of the file."""
        self._stack.close()

    def _open(self, name: str) -> None:
        path = _log_in(Path(name)) if os.path.isdir(name) else name
        with open_log(path) as log:
            #: What tells whether a path is its file.
            self.is_file = log.is_file
            if log.size is not None and _is_table(head := _head(path)):
                self._read_tables(self._stack.enter_context(OwnedFd(_opened(path))), head, log.name)
                return
            first = b""
            for chunk in log:
                first += chunk
                if len(first) >= HEAD:
                    break
            if _is_table(first):  # compressed, or through a pipe
                file = self._stack.enter_context(self._spooled(itertools.chain([first], log)))
                self._read_tables(file, first[:HEAD], log.name)
            else:
                self._read_log(first, log)

    def _spooled(self, chunks: Iterable[bytes]) -> UnnamedFile:
        file = _scratch()
        try:
            for chunk in chunks:
                with _in_scratch():
                    write_all(file.fileno(), chunk)
        except BaseException:
            file.close()
            raise
        return file

    # -- tables

    def _read_tables(self, file: OwnedFd, head: bytes, name: str) -> None:
        place = _place(file)
        if head.startswith(b"PAR1"):
            described = self._engine.run(f"DESCRIBE SELECT * FROM read_parquet('{place}')").fetchall()
            columns = {column: kind for column, kind, *_ in described}
            self._read_parquet(place, columns, name)
            return
        self.slow = True
        names = _header(head)
        if set(FIELDS) <= set(names):
            self.views["all_events"] = View(csv_events(place, names))
        else:
            self._make_nine(f"SELECT * FROM {nine_csv(place, names)}")

    def _read_parquet(self, place: str, columns: dict[str, str], name: str) -> None:
        if set(EVENT_COLUMNS) <= set(columns):
            self.views["all_events"] = View(f"SELECT {', '.join(FIELDS)} FROM read_parquet('{place}')")
        elif set(NINE) <= set(columns):
            texts = ", ".join(_as_text(column, columns[column]) for column in NINE)
            self._make_nine(f"SELECT {texts} FROM read_parquet('{place}')")
        else:
            raise ProtocolError(f"{name}: is Parquet, but has no columns of lowrun's or of strace2csv's")

    def _make_nine(self, select: str) -> None:
        self.nine = True
        self.views = {"nine": View(select), "all_events": View(nine_as_events("nine"), ("nine",))}

    # -- logs

    def _read_log(self, first: bytes, log: LogText) -> None:
        events = scanner(EVENTS)
        file = self._stack.enter_context(_scratch())
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        with OwnedFd(read_end) as rows, OwnedFd(write_end) as sink:
            with contextlib.suppress(OSError):  # a user's pipes may have had their share (pipe(7))
                fcntl.fcntl(sink.fileno(), fcntl.F_SETPIPE_SZ, PIPE_SIZE)
            feeder = _Feeder(events, first, log, sink, self._progress)
            feeder.start()
            try:
                select = scanned_events(_place(rows), self._columns)
                options = "FORMAT parquet, COMPRESSION lz4, USE_TMP_FILE false"
                with _in_scratch():
                    self._engine.run(f"COPY ({select}) TO '{_place(file)}' ({options})")
            finally:
                rows.close()  # so that a feeder whose rows nobody reads ends
                feeder.join()
        if feeder.error is not None:
            raise feeder.error
        self.unknown, self.unknown_lines = events.unknown, tuple(events.unknown_lines)
        place = _place(file)
        self.views["all_events"] = View(f"SELECT * FROM read_parquet('{place}')")
        if self.unknown and not self._engine.run(f"SELECT count(*) FROM read_parquet('{place}')").fetchone()[0]:
            raise ProtocolError(
                f"{log.name}: is no log of system calls, no CSV of strace2csv and no Parquet of lowrun's"
            )


class _Feeder(threading.Thread):
    """Writes the rows of a log into a pipe; what goes wrong is `error`."""

    def __init__(
        self,
        events: LogScanner,
        first: bytes,
        log: LogText,
        sink: OwnedFd,
        progress: Callable[[int, int | None], None] | None,
    ) -> None:
        super().__init__(name="lowrun-analyze", daemon=True)
        self.error: BaseException | None = None
        self._events, self._first, self._log, self._sink, self._progress = events, first, log, sink, progress

    def run(self) -> None:
        try:
            with self._sink as sink:
                for rows in self._rows():
                    write_all(sink.fileno(), _cut(rows))
        except BrokenPipeError:
            return  # the reader tells why
        except BaseException as error:
            self.error = error

    def _rows(self) -> Iterator[bytes]:
        for chunk in itertools.chain([self._first], self._log):
            yield self._events.feed(chunk)
            if self._progress is not None:
                self._progress(self._log.position, self._log.size)
        yield self._events.finish()


def _cut(rows: bytes) -> bytes:
    """Cut the fields of rows that are too long for the reader; only a chunk as long as that can hold one."""
    if len(rows) < LONGEST_ROW:
        return rows
    return b"\n".join(row if len(row) < LONGEST_ROW else _shorter(row) for row in rows.split(b"\n"))


def _shorter(row: bytes) -> bytes:
    fields = row.split(SEPARATOR)
    for place, field in enumerate(fields):
        if len(field) > LONGEST_FIELD:
            keep = field[:LONGEST_FIELD].decode("utf-8", "ignore").encode() + b"..."
            fields[place] = b"[]" if FIELDS[place] == "paths" else keep
    return SEPARATOR.join(fields)


def _log_in(directory: Path) -> str:
    for name in KEPT:
        if (directory / name).exists():
            return str(directory / name)
    runs = sorted(log.parent for name in KEPT for log in directory.glob(f"run-*/{name}"))
    if runs:
        raise UsageError(f"{directory}: is a directory of runs; one is needed, such as {runs[0]}")
    raise UsageError(f"{directory}: is a directory without {KEPT[0]}; a run that was kept with -ct has it")


def _scratch() -> UnnamedFile:
    """A file in TMPDIR that is gone with its descriptor."""
    with _in_scratch():
        return UnnamedFile(Path(tempfile.gettempdir()))


@contextlib.contextmanager
def _in_scratch() -> Iterator[None]:
    """What cannot be made or written in TMPDIR may be elsewhere: the OSError says so."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno, f"{error.strerror}; set TMPDIR to another directory", tempfile.gettempdir()
        ) from None


def _place(file: OwnedFd) -> str:
    return f"/proc/self/fd/{file.fileno()}"


def _header(head: bytes) -> tuple[str, ...]:
    """The names in the first line of CSV."""
    import csv

    line = head.partition(b"\n")[0].rstrip(b"\r").decode("utf-8-sig", "replace")
    try:
        return tuple(next(csv.reader([line]), ()))
    except csv.Error:
        return ()


def _opened(path: str) -> int:
    """A descriptor of what open_log has opened; of standard input one of its own, which begins at the beginning."""
    return os.open("/proc/self/fd/0" if path == "-" else path, os.O_RDONLY | os.O_CLOEXEC)


def _head(path: str) -> bytes:
    with OwnedFd(_opened(path)) as file:
        return os.pread(file.fileno(), HEAD, 0)


def _is_table(head: bytes) -> bool:
    """Tell whether it is Parquet, or CSV with the columns that are needed; else it is taken for a log."""
    if head.startswith(b"PAR1"):
        return True
    if b"," not in head.partition(b"\n")[0]:
        return False
    names = set(_header(head))
    return names >= set(NINE) or names >= set(FIELDS)


def _as_text(column: str, kind: str) -> str:
    if kind == "VARCHAR":
        return column
    text = f"printf('%.9f', {column})" if kind in ("DOUBLE", "FLOAT") else f"CAST({column} AS VARCHAR)"
    return f"coalesce({text}, '') AS {column}"
