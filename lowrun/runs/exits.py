"""Exit accounting of one run: a witness of its usage, where the machine allows it (lowrun/core/exits.py).

It costs some 10 ms once, when its programs are loaded, and 0.1 ms a run: next to nothing beside what is recorded, but
a fifth of a run of /bin/true that nobody records. So it depends on what is recorded: see Accounting.before_spawn.
"""

from __future__ import annotations

from lowrun.core.exits import ExitCounter, ExitTotals
from lowrun.core.keeper import Keeper
from lowrun.errors import ClosedError, InternalError, explain
from lowrun.steps import tell
from lowrun.values import Usage

__all__ = ["ExitAccounts"]


class ExitAccounts:
    """Counts what exits below a keeper from `begin` to `end`; what cannot be counted is not known.

    The counter stays with the keeper, for its next run.
    """

    def __init__(self) -> None:
        self._counter: ExitCounter | None = None
        self._totals: ExitTotals | None = None
        #: Why exits were not counted; None: they were, or nobody has asked.
        self.refusal: str | None = None

    def begin(self, keeper: Keeper) -> None:
        """Count what exits below `keeper`, which has no tree yet, from now on."""
        try:
            if isinstance(keeper.companion, ExitCounter):
                keeper.companion.reset()
            else:
                keeper.companion = ExitCounter(keeper.pid)
            self._counter = keeper.companion
        except OSError as error:
            self._refuse(error)

    def end(self) -> None:
        """Take the sums ; the second time does nothing."""
        counter, self._counter = self._counter, None
        if counter is None:
            return
        try:
            self._totals = counter.totals()
        except (OSError, ClosedError) as error:  # closed: the keeper was lost
            self._refuse(error)

    def _refuse(self, error: OSError | ClosedError) -> None:
        tell("exits", "no exit accounting", error=error)
        self.refusal = explain(error)

    @property
    def user_share(self) -> float | None:
        """The part of the tree's CPU time that was user mode; None: not known."""
        return None if self._totals is None else self._totals.user_share

    def usage(self) -> Usage | None:
        """Return all but CPU time; None: nothing is known. Raises InternalError when some exits belong to nobody."""
        totals = self._totals
        if totals is None:
            return None
        if totals.too_deep:
            raise InternalError(f"{totals.too_deep} exits were too deep in a tree to be accounted to it")
        return Usage(None, None, totals.max_rss_kib, totals.processes, totals.io)
