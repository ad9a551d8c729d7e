"""What --help prints of a table of options: made of the table, so it cannot lie about it."""

from __future__ import annotations

from collections.abc import Iterable

from lowrun.cli.parser import Option

__all__ = ["option_lines"]

COLUMN = 34


def option_lines(table: Iterable[Option]) -> str:
    """Return a line for each option."""
    return "".join(_line(option) for option in table)


def _line(option: Option) -> str:
    names = ", ".join(option.names) if option.names[0][1] != "-" else f"    {option.names[0]}"
    gap = "" if option.value.startswith("[=") else " "
    left = f"  {names}{gap}{option.value}".rstrip()
    if len(left) > COLUMN - 2:
        return f"{left}\n{'':{COLUMN}}{option.text}\n"
    return f"{left:{COLUMN}}{option.text}\n"
