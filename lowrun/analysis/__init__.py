"""What was kept, read again: questions to a log of calls, what failing runs did differently, why a run failed.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowrun.analysis.difference import Difference, Figure, Finding, Group
    from lowrun.analysis.export import export_timeline
    from lowrun.analysis.kept import KeptRun, KeptRuns, kept_run, kept_runs
    from lowrun.analysis.page import LINES as PAGE_LINES
    from lowrun.analysis.page import diff_page, show_page
    from lowrun.analysis.report import difference_dict, difference_text, first_lines
    from lowrun.analysis.screen import plain, story_text
    from lowrun.analysis.sides import differences, differences_of
    from lowrun.analysis.stories import LINES, Story, story
    from lowrun.analysis.storydict import story_dict

__all__ = [
    "Difference",
    "Figure",
    "Finding",
    "Group",
    "KeptRun",
    "KeptRuns",
    "LINES",
    "PAGE_LINES",
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

#: Name -> module, name there.
_HOME = {
    "Difference": ("difference", "Difference"),
    "Figure": ("difference", "Figure"),
    "Finding": ("difference", "Finding"),
    "Group": ("difference", "Group"),
    "KeptRun": ("kept", "KeptRun"),
    "KeptRuns": ("kept", "KeptRuns"),
    "LINES": ("stories", "LINES"),
    "PAGE_LINES": ("page", "LINES"),
    "Story": ("stories", "Story"),
    "diff_page": ("page", "diff_page"),
    "difference_dict": ("report", "difference_dict"),
    "difference_text": ("report", "difference_text"),
    "differences": ("sides", "differences"),
    "differences_of": ("sides", "differences_of"),
    "export_timeline": ("export", "export_timeline"),
    "first_lines": ("report", "first_lines"),
    "kept_run": ("kept", "kept_run"),
    "kept_runs": ("kept", "kept_runs"),
    "plain": ("screen", "plain"),
    "show_page": ("page", "show_page"),
    "story": ("stories", "story"),
    "story_dict": ("storydict", "story_dict"),
    "story_text": ("screen", "story_text"),
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, there = _HOME[name]
    return getattr(import_module(f"{__name__}.{module}"), there)
