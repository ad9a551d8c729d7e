"""Why a run failed, on one screen or one page.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowrun.later import importer

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
__getattr__ = importer(
    __name__,
    {
        "LINES": "stories",
        "PAGE_LINES": "page",
        "Story": "stories",
        "diff_page": "page",
        "plain": "screen",
        "show_page": "page",
        "story": "stories",
        "story_dict": "storydict",
        "story_text": "screen",
    },
)
