"""Questions to a log of system calls, answered in SQL; exports of it.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
_HOME = {
    "Analysis": "session",
    "Answer": "answer",
    "EXPORTS": "questions",
    "Layout": "table",
    "Moment": "questions",
    "QUERIES": "questions",
    "export_timeline": "export",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
