"""What is said while the runs go on: each thing once, whatever the number of runs."""

from __future__ import annotations

from collections.abc import Callable

from lowrun import Result
from lowrun.cli.console import complain, warn
from lowrun.cli.progress import Progress
from lowrun.cli.summary import warnings

__all__ = ["Notices"]


class Notices:
    """Takes each result as it comes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._said: set[str] = set()

    def add(self, result: Result) -> None:
        """Say what is new about `result`, then draw the progress."""
        if result.status.reason is not None and not result.timed_out:
            self._say_once(complain, f"{result.command.argv[0]}: {result.status.reason}")
        for text in warnings(result):
            self._say_once(warn, text)
        if result.completed:
            self._progress.add(result)

    def warn(self, text: str) -> None:
        """Say what does not work as asked for."""
        self._say_once(warn, text)

    def close(self) -> None:
        """Make room for the summary."""
        self._progress.erase()

    def _say_once(self, say: Callable[[str], None], text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._progress.erase()
            say(text)
