"""What failing runs did that passing ones did not.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowrun.later import importer

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
__getattr__ = importer(
    __name__,
    {
        "Difference": "difference",
        "Figure": "difference",
        "Finding": "difference",
        "Group": "difference",
        "difference_dict": "report",
        "difference_text": "report",
        "differences": "sides",
        "differences_of": "sides",
        "first_lines": "report",
    },
)
