"""What a verb that reads a log says of that: how far it is, and which lines it did not understand."""

from __future__ import annotations

from collections.abc import Sequence

from lowrun.cli.bar import Bar

__all__ = ["ReadingBar", "not_understood"]


class ReadingBar(Bar):
    """How much of a log has been read."""

    def __init__(self) -> None:
        super().__init__("reading")

    def show(self, done: int, size: int | None) -> None:
        """Say that `done` bytes of `size` (None: unknown) are read."""
        if size:
            self.draw(min(done / size, 1))
        else:
            self.say(f"{done >> 20} MiB")


def not_understood(count: int, first: Sequence[int]) -> str:
    """Return the words for `count` lines, of which the numbers of the `first` are known."""
    numbers = ", ".join(map(str, first))
    more = ", ..." if count > len(first) else ""
    return (
        f"1 line was not understood (line {numbers})"
        if count == 1
        else (f"{count} lines were not understood (lines {numbers}{more})")
    )
