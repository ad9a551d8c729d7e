"""What runs have left behind, read again: their directory, their calls, output, captures and samples, each by itself.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowrun.later import importer

if TYPE_CHECKING:
    from lowrun.kept.directory import KeptRun, KeptRuns, kept_run, kept_runs

__all__ = [
    "KeptRun",
    "KeptRuns",
    "kept_run",
    "kept_runs",
]

#: Name -> module.
__getattr__ = importer(
    __name__,
    {
        "KeptRun": "directory",
        "KeptRuns": "directory",
        "kept_run": "directory",
        "kept_runs": "directory",
    },
)
