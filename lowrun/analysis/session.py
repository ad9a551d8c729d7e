"""A log that is asked: `with Analysis("calls.strace") as log: rows = list(log.query("calls"))`.

The file is read once, when the session begins; each question is SQL over its events.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from lowrun.analysis.answer import Answer, Column
from lowrun.analysis.engine import Engine
from lowrun.analysis.export import export
from lowrun.analysis.queries import SLOWEST, TABLES, VIEW, Part, columns_of, parts_of, preparation
from lowrun.analysis.questions import QUERIES, Moment
from lowrun.analysis.render import table_text, values_text
from lowrun.analysis.schema import EVENT_COLUMNS, literal
from lowrun.analysis.source import Source
from lowrun.analysis.views import Filters, views
from lowrun.core.fd import UnnamedFile
from lowrun.errors import UsageError
from lowrun.trace.event import FIELDS, Event

__all__ = ["Analysis"]

#: What nine columns do not tell: query -> what is missing of its answer.
MISSING = {
    "processes": "the nine columns tell no exits, no CPU times and not which threads make a process",
    "network": "the nine columns have no arguments, so peers other than files, and what was sent by write or received "
    "by read, are not known",
    "slow": "the nine columns have no arguments",
}


class Analysis:
    """A session with one log; close it (a context manager).

    `path` is a log of strace or lowrun, a run's directory, CSV of strace2csv or Parquet; "-" is standard input.
    `programs` are globs for paths or base names of programs, `pids` processes or threads, `since` and `until` moments
    (see Moment.parse), `failed` leaves failed calls only, and failed processes. `queries`: of a log no more is kept
    than these need, which takes half the time or less; nothing else can be asked then. `progress` is called with the
    bytes of a log that have been read, and all that it has (None: unknown), from another thread.

    Raises UsageError, ProtocolError when the file is none of that, UnsupportedError without DuckDB, OSError; so do
    all methods. One thread uses it, and one answer at a time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        programs: Sequence[str] = (),
        pids: Sequence[int] = (),
        since: str | Moment | None = None,
        until: str | Moment | None = None,
        failed: bool = False,
        queries: Collection[str] | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        with contextlib.ExitStack() as stack:
            self._engine = stack.enter_context(Engine())
            self._asked = queries
            columns = FIELDS if queries is None else columns_of(queries)
            self._source = Source(self._engine, os.fspath(path), columns, progress)
            stack.callback(self._source.close)
            self._made: set[str] = set()
            self._views = self._source.views
            first, last = self._moment(since), self._moment(until)
            filters = Filters(tuple(map(_visible, programs)), tuple(pids), first, last, failed)
            self._views = {**self._source.views, **views(filters, self._source.nine)}
            self._stack = stack.pop_all()

    def _moment(self, given: str | Moment | None) -> int | None:
        """What it is in the log's own nanoseconds."""
        if given is None:
            return None
        self._need("all_events")
        first, last = self._engine.run("SELECT min(start_ns), max(end_ns) FROM all_events").fetchone()
        try:
            moment = Moment.parse(given) if isinstance(given, str) else given
            return None if first is None else moment.within(first, last)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def _need_all(self) -> None:
        """What is no query of a name needs all columns."""
        if self._asked is not None:
            raise UsageError(f"this session was opened for {', '.join(self._asked)} only")
        self._need(*TABLES)

    def _need(self, *names: str) -> None:
        """Make the views `names`, and those that they are made of."""
        for name in names:
            if name not in self._made:
                self._need(*self._views[name].over)
                self._engine.run(f"CREATE VIEW {name} AS {self._views[name].select}")
                self._made.add(name)

    @property
    def unknown(self) -> int:
        """How many lines of the log no rule understands."""
        return self._source.unknown

    @property
    def unknown_lines(self) -> tuple[int, ...]:
        """The numbers of the first of them, from 1."""
        return self._source.unknown_lines

    def missing(self, name: str) -> str:
        """Return what this file does not tell of what the query `name` asks for; "" when it tells all."""
        return MISSING.get(name, "") if self._source.nine else ""

    # -- answers

    def query(self, name: str, limit: int | None = None) -> Answer:
        """Return the answer to one of QUERIES, of at most `limit` rows (slow: 20).

        summary's two tables are one, with a first column `part` that names the table. Raises UsageError.
        """
        parts = self._parts(name)
        if len(parts) > 1:
            return self._joined(parts, limit)
        return self._answer(parts[0].title, self._engine.run(_limited(parts[0], limit)))

    def sql(self, text: str, limit: int | None = None) -> Answer:
        """Return the answer to one statement over the tables events, calls, processes, files and network."""
        self._need_all()
        statement, _ = self._engine.statement(text)
        return self._answer("Answer", self._engine.run_foreign(statement), limit)

    def tables(self, name: str, limit: int | None = None) -> Iterator[str]:
        """Yield the answer to one of QUERIES as the text of tables, a piece at a time; nothing for empty ones."""
        for part in self._parts(name):
            yield from table_text(self._engine, part, _limited(part, limit))

    def sql_table(self, text: str, limit: int | None = None) -> Iterator[str]:
        """The same of a statement."""
        self._need_all()
        statement, selects = self._engine.statement(text)
        if selects:
            self._engine.run_foreign(f"CREATE OR REPLACE TEMP TABLE asked AS {statement}")
            some = "" if limit is None else f" LIMIT {limit}"
            return table_text(self._engine, Part("sql", "", "", streams=True), f"SELECT * FROM asked{some}")
        answer = self._answer("", self._engine.run_foreign(statement), limit)
        return values_text(answer.names, list(answer))

    def events(self) -> Iterator[Event]:
        """Yield the events that the filters leave, in the order of the log."""
        self._need_all()
        result = self._engine.run(f"SELECT {', '.join(FIELDS)} FROM events")
        for batch in self._engine.batches(result):
            yield from map(_event, batch)

    def export(self, kind: str, target: str | os.PathLike[str] | int, limit: int | None = None) -> None:
        """Write the events that the filters leave to the file `target`, as one of EXPORTS.

        A path's file appears whole or not at all, and replaces one that is there; a number is a descriptor. Raises
        UsageError when that is the log itself, OSError (ENOSPC... without a name: of `target`).
        """
        self._need_all()
        if isinstance(target, int):
            export(self._engine, kind, target, limit, self.events)
            return
        if self.is_file(target):
            raise UsageError(f"{os.fspath(target)}: is the log itself")
        path = Path(os.path.realpath(target))
        with UnnamedFile(path.parent) as file:
            export(self._engine, kind, file.fileno(), limit, self.events)
            file.replace(path)

    def is_file(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether the log is kept in the file `path`."""
        return self._source.is_file(path)

    def _parts(self, name: str) -> tuple[Part, ...]:
        if name not in QUERIES:
            raise UsageError(f"unknown query {name!r}; there are {', '.join(QUERIES)}")
        if self._asked is not None and name not in self._asked:
            raise UsageError(f"this session was opened for {', '.join(self._asked)} only")
        self._need(VIEW.get(name, "rows"))
        before = preparation(name, self._source.slow)
        if before is not None:
            self._engine.run(before)
        return parts_of(name, self._source.slow)

    def _answer(self, title: str, result: Any, limit: int | None = None) -> Answer:
        columns = tuple(Column(name, str(kind)) for name, kind, *_ in result.description)
        return Answer(title, columns, self._rows(result, limit))

    def _rows(self, result: Any, limit: int | None) -> Iterator[tuple[Any, ...]]:
        rows = itertools.chain.from_iterable(self._engine.batches(result))
        return itertools.islice(rows, limit)

    def _joined(self, parts: Sequence[Part], limit: int | None) -> Answer:
        selects = (f"SELECT {literal(part.name)} AS part, * FROM ({_limited(part, limit)})" for part in parts)
        return self._answer("Summary", self._engine.run(" UNION ALL BY NAME ".join(selects)))

    def close(self) -> None:
        """Let go of the file and of all that was made of it."""
        self._stack.close()

    def __enter__(self) -> Analysis:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _limited(part: Part, limit: int | None) -> str:
    limit = SLOWEST if limit is None and part.name == "slow" else limit
    return part.sql if limit is None else f"{part.sql} LIMIT {limit}"


def _event(row: tuple[Any, ...]) -> Event:
    values = dict(zip(FIELDS, row, strict=True))
    for name, value in values.items():
        if value is None and EVENT_COLUMNS[name] != "BIGINT":
            values[name] = ""
    return Event(
        **{**values, "paths": tuple(values["paths"] or ()), "tid": values["tid"] or 0, "pid": values["pid"] or 0}
    )


def _visible(glob: str) -> str:
    """What a glob's bytes that are no UTF-8 are in a log: octal escapes, whose backslashes GLOB takes for its own."""
    return "".join(f"\\\\{ord(letter) - 0xDC00:03o}" if 0xDC80 <= ord(letter) <= 0xDCFF else letter for letter in glob)
