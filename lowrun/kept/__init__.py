"""What runs have left behind, read again: their directory, their calls, output, captures and samples, each by itself.

The names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowrun.kept.directory import KeptRun, KeptRuns, kept_run, kept_runs

__all__ = [
    "KeptRun",
    "KeptRuns",
    "kept_run",
    "kept_runs",
]

#: Name -> module.
_HOME = {
    "KeptRun": "directory",
    "KeptRuns": "directory",
    "kept_run": "directory",
    "kept_runs": "directory",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
