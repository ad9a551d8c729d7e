"""Which arguments of a call are paths, and at which directory each begins: for the reader of logs.

Taken from the table's rows alone, not from the table: building that costs a tenth of a second.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain

from lowrun.core.logs import PathRow
from lowrun.trace.grammar import Argument, parsed
from lowrun.trace.rows import ROWS
from lowrun.trace.rows_i386 import I386_ROWS

__all__ = ["path_rows"]

#: These make their last path, and the other one is what it will say, whatever there is.
MAKES_LAST = frozenset(("symlink", "symlinkat"))


def _paths(name: str, arguments: tuple[Argument, ...]) -> tuple[tuple[int, int], ...]:
    kinds = ["", *(argument.kind for argument in arguments)]
    paths = [
        (index, index - 1 if kinds[index] == "dirfd" else -1) for index, kind in enumerate(kinds[1:]) if kind == "path"
    ]
    return tuple(paths[::-1] if name in MAKES_LAST else paths)[:2]


@lru_cache(maxsize=1)
def path_rows() -> tuple[PathRow, ...]:
    """Return the rows of the calls that have paths, of all architectures."""
    rows: dict[str, PathRow] = {}
    for row in chain(parsed(ROWS), parsed(I386_ROWS)):
        if paths := _paths(row.name, row.arguments):
            rows.setdefault(row.name, PathRow(row.name, paths))
    return tuple(rows.values())
