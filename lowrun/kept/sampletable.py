"""A table that the samples' recorder kept (docs/samples.md), row by row. What makes no sense in it is not known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

__all__ = ["number", "tree_rows"]


def number(text: str | None) -> float | None:
    """Return a cell's number, None when it is empty, cut off or none that a measurement can be."""
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def tree_rows(path: Path | None) -> Iterator[dict[str, str]]:
    """Give the rows about the whole tree; none where the table is not there, and none behind what is no CSV.

    Raises OSError.
    """
    if path is None:
        return
    import csv

    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        try:
            for row in csv.DictReader(file):
                if row.get("row", "tree") == "tree":
                    yield row
        except csv.Error:
            return
