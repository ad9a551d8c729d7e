"""Why a run failed, on one screen or one page.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowrun.showing.page import PAGE_LINES, diff_page, show_page
    from lowrun.showing.screen import plain, story_text
    from lowrun.showing.stories import LINES, Story, story
    from lowrun.showing.storydict import story_dict

__all__ = [
    "LINES",
    "PAGE_LINES",
    "Story",
    "diff_page",
    "plain",
    "show_page",
    "story",
    "story_dict",
    "story_text",
]

#: Name -> module.
_HOME = {
    "LINES": "stories",
    "PAGE_LINES": "page",
    "Story": "stories",
    "diff_page": "page",
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
