"""What failing runs did that passing ones did not.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowrun.comparison.difference import Difference, Figure, Finding, Group
    from lowrun.comparison.report import difference_dict, difference_text, first_lines
    from lowrun.comparison.sides import differences, differences_of

__all__ = [
    "Difference",
    "Figure",
    "Finding",
    "Group",
    "difference_dict",
    "difference_text",
    "differences",
    "differences_of",
    "first_lines",
]

#: Name -> module.
_HOME = {
    "Difference": "difference",
    "Figure": "difference",
    "Finding": "difference",
    "Group": "difference",
    "difference_dict": "report",
    "difference_text": "report",
    "differences": "sides",
    "differences_of": "sides",
    "first_lines": "report",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
