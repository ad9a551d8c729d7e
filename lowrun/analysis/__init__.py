"""What was kept, read again: questions to a log of calls, what failing runs did differently, why a run failed.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowrun.analysis.answer import Answer
    from lowrun.analysis.difference import Difference, Figure, Finding, Group
    from lowrun.analysis.export import export_timeline
    from lowrun.analysis.kept import KeptRun, KeptRuns, kept_run, kept_runs
    from lowrun.analysis.page import PAGE_LINES, diff_page, show_page
    from lowrun.analysis.questions import EXPORTS, QUERIES, Moment
    from lowrun.analysis.report import difference_dict, difference_text, first_lines
    from lowrun.analysis.screen import plain, story_text
    from lowrun.analysis.session import Analysis
    from lowrun.analysis.sides import differences, differences_of
    from lowrun.analysis.stories import LINES, Story, story
    from lowrun.analysis.storydict import story_dict
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
    "LINES",
    "Layout",
    "Moment",
    "PAGE_LINES",
    "QUERIES",
    "Story",
    "diff_page",
    "difference_dict",
    "difference_text",
    "differences",
    "differences_of",
    "export_timeline",
    "first_lines",
    "kept_run",
    "kept_runs",
    "plain",
    "show_page",
    "story",
    "story_dict",
    "story_text",
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
    "LINES": "stories",
    "Layout": "table",
    "Moment": "questions",
    "PAGE_LINES": "page",
    "QUERIES": "questions",
    "Story": "stories",
    "diff_page": "page",
    "difference_dict": "report",
    "difference_text": "report",
    "differences": "sides",
    "differences_of": "sides",
    "export_timeline": "export",
    "first_lines": "report",
    "kept_run": "kept",
    "kept_runs": "kept",
    "plain": "screen",
    "show_page": "page",
    "story": "stories",
    "story_dict": "storydict",
    "story_text": "screen",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
