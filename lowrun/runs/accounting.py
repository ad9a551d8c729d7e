"""What the tree of one execution used: its keeper's sums and all that its recorders and the exits testify to."""

from __future__ import annotations

from collections.abc import Callable

from lowrun.core.keeper import Keeper
from lowrun.core.process import Process
from lowrun.runs.exits import ExitAccounts
from lowrun.runs.observers import Observers
from lowrun.runs.usage import NOTHING_USED, account, nothing_known
from lowrun.values import Usage

__all__ = ["Accounting"]


class Accounting:
    """Begun with the spawn (`before_spawn`, when the recorders have been started), ended when the tree is gone."""

    def __init__(self, observers: Observers) -> None:
        self._observers = observers
        self._exits = ExitAccounts()

    @property
    def before_spawn(self) -> Callable[[Keeper], object] | None:
        """What is to be called before the spawn; None: nothing.

        Exits are accounted for who asks for io, and for what is recorded without another witness.
        """
        info = self._observers.info
        counts = info.counts_io or (bool(self._observers) and not info.witnesses)
        return self._exits.begin if counts else None

    def end(self) -> None:
        """The tree is gone, and its keeper can have another one soon; the second time does nothing."""
        self._exits.end()

    def account(self, process: Process, wall_s: float) -> tuple[Usage, list[str]]:
        """Return what `process`, which lasted `wall_s` seconds, used, and what of it is not known; after `end`."""
        if process.error is not None:
            return NOTHING_USED, []
        if process.usage is None or process.pid is None:
            return nothing_known("part of the tree could not be waited for")
        return account(
            process.usage,
            process.pid,
            wall_s,
            [*self._observers.testimonies(), *self._counted_exits()],
            wants_io=self._observers.info.counts_io,
            user_share=self._exits.user_share,
            refusal=self._exits.refusal,
        )

    def _counted_exits(self) -> list[Usage]:
        try:
            counted = self._exits.usage()
        except Exception as error:
            self._observers.info.fault(f"usage: {error}")
            return []
        return [] if counted is None else [counted]
