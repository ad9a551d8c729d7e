"""Answers as tables, streamed, since an answer may be as long as the log.

A table's columns need the widths of all rows before the first line can be made: DuckDB finds them, and makes the texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lowrun.analysis.answer import Column
from lowrun.analysis.engine import Engine
from lowrun.analysis.queries import Part
from lowrun.analysis.table import Layout, heading

__all__ = ["table_text", "values_text"]

#: Characters of a cell in a column that is cut.
WIDEST = 100
#: Control characters (C0, DEL, C1): what a text must not send to a terminal.
CONTROL = r"[\x00-\x1f\x7f-\x{9f}]"


def table_text(engine: Engine, part: Part, select: str) -> Iterator[str]:
    """Yield the rows of the statement `select` as a table in stracepy's style, its title above; nothing if there
    are none.
    """
    if not part.streams:
        engine.run(f"CREATE OR REPLACE TEMP TABLE answer AS {select}")
        select = "SELECT * FROM answer"
    columns = [Column(name, kind) for name, kind, *_ in engine.run(f"DESCRIBE {select}").fetchall()]
    if part.indented is not None:
        columns = [column for column in columns if column.name != part.indented[1]]
    texts = [f"{_display(column, part)} AS t{place}" for place, column in enumerate(columns)]
    shown = f"SELECT {', '.join(texts)} FROM ({select})"
    places = range(len(columns))
    asked = [f"max(length(t{place})), bool_and(regexp_full_match(t{place}, '([+-]?\\d+)?'))" for place in places]
    found = engine.run(f"SELECT {', '.join(asked)} FROM ({shown})").fetchone()
    if found[0] is None:
        return
    widths, numbers = found[::2], found[1::2]
    right = [
        column.is_number or (column.name in part.like_numbers and number and width > 0)
        for column, width, number in zip(columns, widths, numbers, strict=True)
    ]
    layout = Layout([_plain(column.name) for column in columns], widths, right)
    yield (heading(part.title) if part.title else "") + layout.head()
    for batch in engine.batches(engine.run(shown)):
        yield "".join(layout.lines(batch))
    yield "\n"


def values_text(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Yield a small table of values that are here already."""
    texts = [[_plain("" if value is None else str(value)) for value in row] for row in rows]
    if texts:
        layout = Layout(names, [max(map(len, column)) for column in zip(*texts, strict=True)], [False] * len(names))
        yield layout.head() + "".join(layout.lines(texts)) + "\n"


def _display(column: Column, part: Part) -> str:
    """SQL: what is shown of a column's value, trimmed as tabulate does."""
    name = '"' + column.name.replace('"', '""') + '"'
    if column.is_number:
        return f"coalesce(CAST({name} AS VARCHAR), '')"
    text = name if column.type == "VARCHAR" else f"CAST({name} AS VARCHAR)"
    visible = f"replace(replace(replace({text}, chr(10), '\\n'), chr(9), '\\t'), chr(13), '\\r')"
    visible = f"regexp_replace({visible}, '{CONTROL}', '?', 'g')"
    trimmed = f"coalesce(trim(CASE WHEN regexp_matches({text}, '{CONTROL}') THEN {visible} ELSE {text} END), '')"
    if column.name in part.cut:
        trimmed = (
            f"CASE WHEN length({trimmed}) > {WIDEST} THEN left({trimmed}, {WIDEST - 3}) || '...' ELSE {trimmed} END"
        )
    if part.indented is not None and column.name == part.indented[0]:
        return f"repeat('  ', {part.indented[1]}) || {trimmed}"
    return trimmed


def _plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", text)
