"""The rows that answer a question: a title, columns, and rows that are fetched as they are asked for.

They are read from the session's one connection, so an answer is read before the next question is asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

__all__ = ["Answer", "Column"]

#: Rows that make a piece of text.
PIECE = 1000
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
           "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name, and DuckDB's name of its type."""

    name: str
    type: str

    @property
    def is_number(self) -> bool:
        """It has numbers, or NULL."""
        return self.type.partition("(")[0] in NUMBERS


class Answer:
    """Iterate over it once: each row is a tuple. Raises LowrunError on the way when the data cannot be read."""

    __slots__ = ("_rows", "columns", "title")

    def __init__(self, title: str, columns: tuple[Column, ...], rows: Iterator[tuple[Any, ...]]) -> None:
        self.title = title
        self.columns = columns
        self._rows = rows

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def __next__(self) -> tuple[Any, ...]:
        return next(self._rows)

    def csv(self) -> Iterator[str]:
        """Yield the rows as CSV, a piece at a time: a header, every field quoted, NULL empty."""
        import csv
        import io

        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(self.names)
        for number, row in enumerate(self, 1):
            writer.writerow(row)
            if number % PIECE == 0:
                yield out.getvalue()
                out.seek(0)
                out.truncate()
        yield out.getvalue()

    def json(self) -> Iterator[str]:
        """Yield the rows as JSON, a piece at a time: an array of objects, one a line."""
        before = "[\n"
        for piece in self._objects():
            yield before + ",\n".join(piece)
            before = ",\n"
        yield "[]\n" if before == "[\n" else "\n]\n"

    def json_lines(self) -> Iterator[str]:
        """Yield the rows as JSON objects, one a line, a piece at a time."""
        for piece in self._objects():
            yield "\n".join(piece) + "\n"

    def _objects(self) -> Iterator[list[str]]:
        import json

        encoder = json.JSONEncoder(default=_json_value, allow_nan=False)
        names = self.names

        def encode(row: tuple[Any, ...]) -> str:
            try:
                return encoder.encode(dict(zip(names, row, strict=True)))
            except ValueError:
                return encoder.encode(dict(zip(names, map(_finite, row), strict=True)))

        while rows := list(islice(self._rows, PIECE)):
            yield [encode(row) for row in rows]


def _json_value(value: object) -> object:
    from decimal import Decimal

    if isinstance(value, bytes):
        return value.decode("ascii", "backslashreplace")
    return float(value) if isinstance(value, Decimal) else str(value)


def _finite(value: object) -> object:
    """JSON has no infinity and nothing that is no number (RFC 8259): null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return value
