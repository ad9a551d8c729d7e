"""Questions to a log of system calls, answered in SQL; exports of it.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowrun.later import importer

if TYPE_CHECKING:
    from lowrun.analysis.answer import Answer
    from lowrun.analysis.export import export_timeline
    from lowrun.analysis.questions import EXPORTS, QUERIES, Moment
    from lowrun.analysis.session import Analysis
    from lowrun.analysis.table import Layout

__all__ = [
    "Analysis",
    "Answer",
    "EXPORTS",
    "Layout",
    "Moment",
    "QUERIES",
    "export_timeline",
]

#: Name -> module.
__getattr__ = importer(
    __name__,
    {
        "Analysis": "session",
        "Answer": "answer",
        "EXPORTS": "questions",
        "Layout": "table",
        "Moment": "questions",
        "QUERIES": "questions",
        "export_timeline": "export",
    },
)
