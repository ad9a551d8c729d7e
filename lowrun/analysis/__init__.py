"""What was kept, read again: questions to a log of calls, what failing runs did differently, why a run failed.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowrun.analysis.answer import Answer
    from lowrun.analysis.difference import Difference, Figure, Finding, Group
    from lowrun.analysis.kept import KeptRun, KeptRuns, kept_run, kept_runs
    from lowrun.analysis.questions import EXPORTS, QUERIES, Moment
    from lowrun.analysis.report import difference_dict, difference_text, first_lines
    from lowrun.analysis.session import Analysis
    from lowrun.analysis.sides import differences, differences_of
    from lowrun.analysis.table import Layout

__all__ = [
    "Analysis",
    "Answer",
    "Difference",
    "EXPORTS",
    "Figure",
    "Finding",
    "Group",
    "KeptRun",
    "KeptRuns",
    "Layout",
    "Moment",
    "QUERIES",
    "difference_dict",
    "difference_text",
    "differences",
    "differences_of",
    "first_lines",
    "kept_run",
    "kept_runs",
]

#: Name -> module.
_HOME = {
    "Analysis": "session",
    "Answer": "answer",
    "Difference": "difference",
    "EXPORTS": "questions",
    "Figure": "difference",
    "Finding": "difference",
    "Group": "difference",
    "KeptRun": "kept",
    "KeptRuns": "kept",
    "Layout": "table",
    "Moment": "questions",
    "QUERIES": "questions",
    "difference_dict": "report",
    "difference_text": "report",
    "differences": "sides",
    "differences_of": "sides",
    "first_lines": "report",
    "kept_run": "kept",
    "kept_runs": "kept",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
