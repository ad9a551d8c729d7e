"""Tables as stracepy prints them: tabulate's style "presto", strings to the left, numbers to the right. Pure.

     count | executable   | filepath
    -------+--------------+------------
         3 | /usr/bin/cat | /etc/hosts

A column is at least two wider than its name, and no line ends in blanks. tabulate holds a table in memory to find its
widths; here they are given, and the lines are made one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Layout", "heading"]

#: What tabulate adds to the width of a column's name (tabulate.MIN_PADDING).
PADDING = 2


class Layout:
    """Where the columns of one table stand.

    `widths` are those of the longest cells; the columns of `right` have numbers.
    """

    __slots__ = ("_names", "_template", "_widths")

    def __init__(self, names: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> None:
        self._names = names
        self._widths = [max(len(name) + PADDING, width) for name, width in zip(names, widths, strict=True)]
        cells = (f"%{'' if number else '-'}{width}s" for width, number in zip(self._widths, right, strict=True))
        self._template = " " + " | ".join(cells)

    def head(self) -> str:
        """Return the line of the names and the rule below it."""
        rule = "+".join("-" * (width + 2) for width in self._widths)
        return f"{(self._template % tuple(self._names)).rstrip()}\n{rule}\n"

    def lines(self, rows: Iterable[Sequence[str]]) -> Iterator[str]:
        """Return a line for each row of texts."""
        template = self._template
        return ((template % tuple(row)).rstrip() + "\n" for row in rows)


def heading(title: str) -> str:
    """Return what stands above a table: empty lines, and the title in lines of 80 characters."""
    lines = re.findall(r".{1,80}(?:\s+|$)", title)
    return "\n\n" + "\n".join(line.strip() for line in lines) + ":\n\n"
