"""Which runs keep what was recorded of them. Pure."""

from __future__ import annotations

__all__ = ["KEEP", "Keeping"]

#: "failed+1" keeps the first passing run, too: what the failing ones are compared with.
KEEP = ("failed", "failed+1", "all", "none")


class Keeping:
    """Decides for the runs of one repetition; `which` is one of KEEP. A decision on a run stands."""

    __slots__ = ("_reference", "_which")

    def __init__(self, which: str) -> None:
        self._which = which
        #: Number of the passing run that is kept.
        self._reference: int | None = None

    def wants(self, index: int, *, ok: bool, interrupted: bool) -> bool:
        """Tell whether what was recorded of run `index` is to be kept; of runs that pass the first one asked for is."""
        if self._which == "failed+1" and ok and self._reference is None and index > 0:
            self._reference = index
        if self._which in ("all", "none"):
            return self._which == "all"
        return not (ok or interrupted) or index == self._reference
