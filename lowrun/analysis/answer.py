"""The rows that answer a question: a title, columns, and rows that are fetched as they are asked for.

They are read from the session's one connection, so an answer is read before the next question is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Column"]

#: Rows that are fetched at a time.
BATCH = 4096
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
