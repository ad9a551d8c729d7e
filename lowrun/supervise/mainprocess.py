"""The main process of one life: found or named, held by its pidfd, and its end told.

Who it is follows from succession.py. An exit comes from the keeper, which reaps the command and every orphan; a main
process that another of the tree is the parent of is watched by whatever `watch` is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lowrun.core.fd import Closable
from lowrun.core.lineage import Held, children_of, hold, read_stat
from lowrun.errors import GoneError
from lowrun.supervise import succession
from lowrun.supervise.succession import Succession
from lowrun.values import ExitStatus

__all__ = ["MainProcess", "Watch"]

#: Called with a process that is no child of the keeper and who is to be told its exit; closed before `Held` is.
Watch = Callable[[Held, Callable[[ExitStatus | None], object]], Closable]


class Signalled(Protocol):
    """What takes signals: a Process, or a hold on one."""

    def send_signal(self, number: int) -> None:
        """Send signal `number`. Raises GoneError."""


class MainProcess:
    """Which process of a program's life is the main one.

    `on_main(pid)` is called with each new one that is not the command itself, `on_over(status)` once, when the program
    is over (None: nobody can know how): others of its tree may still be there. Closed by its owner. Told of a pid's
    exit twice, it heeds the first.
    """

    def __init__(
        self,
        keeper_pid: int,
        *,
        awaits_name: bool,
        watch: Watch,
        on_main: Callable[[int], object],
        on_over: Callable[[ExitStatus | None], object],
    ) -> None:
        self._keeper_pid = keeper_pid
        self._watch = watch
        self._on_main, self._on_over = on_main, on_over
        self._state = Succession(awaits_name)
        self._command: Signalled | None = None
        self._held: Held | None = None
        self._watched: Closable | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The main process; None before it is known and when it has ended."""
        return self._state.pid

    @property
    def start(self) -> int | None:
        """When a main process that is not the command started, in clock ticks since boot; None for the command."""
        return None if self._held is None else self._held.start

    def send_signal(self, number: int) -> None:
        """Send signal `number` to exactly the main process. Raises GoneError when there is none."""
        target = self._held if self._held is not None else self._command
        if target is None or self.pid is None:
            raise GoneError("the main process has ended, or is not known yet")
        target.send_signal(number)

    # -- what happens

    def started(self, pid: int, command: Signalled) -> None:
        """The command was executed as `pid`."""
        self._command = command
        self._state = succession.started(self._state, pid)

    def named(self, held: Held) -> None:
        """`held`, which becomes ours, was named the main process and checked (see pidfile.check)."""
        if self._closed or self._state.is_over or held.pid == self.pid:
            held.close()
            if not self._closed:
                self._step(succession.named(self._state, held.pid))
            return
        self._lead(held, succession.named(self._state, held.pid))
        if held.parent != self._keeper_pid:
            self._watched = self._watch(held, lambda status: self.exited(held.pid, status))

    def was(self, pid: int) -> None:
        """`pid` was the main process before its supervisor was lost, and has ended; its exit is still to be told."""
        self._step(succession.named(self._state, pid))

    def exited(self, pid: int, status: ExitStatus | None) -> None:
        """The keeper has reaped `pid`, or the watch has seen it exit."""
        if not self._closed:
            self._step(succession.exited(self._state, pid, status))
            self._relieve()

    def _relieve(self) -> None:
        """Give up the watch when the main process has become an orphan: the keeper will tell its exit."""
        if self._watched is not None and self._held is not None:
            stat = read_stat(self._held.pid)
            if stat is not None and stat.parent == self._keeper_pid:
                self._watched.close()
                self._watched = None

    def ended(self) -> None:
        """Nothing is left of the tree."""
        if not self._closed:
            self._step(succession.ended(self._state))

    def _step(self, state: Succession) -> None:
        was_over, self._state = self._state.is_over, state
        if state.pid is None:
            self._drop()
        if state.orphaned:
            self._find()
        if state.is_over and not was_over:
            self._on_over(state.status)

    def _find(self) -> None:
        for pid in succession.elders_first(children_of(self._keeper_pid)):
            try:
                held = hold(pid)
            except GoneError:
                continue  # its exit will be told
            if held.parent == self._keeper_pid:
                self._lead(held, succession.found(self._state, pid))
                return
            held.close()

    def _lead(self, held: Held, state: Succession) -> None:
        self._drop()
        self._held, self._state = held, state
        self._on_main(held.pid)

    def _drop(self) -> None:
        watched, self._watched = self._watched, None
        held, self._held = self._held, None
        if watched is not None:
            watched.close()
        if held is not None:
            held.close()

    def close(self) -> None:
        """Let go of the main process; nothing is told any more."""
        self._closed = True
        self._drop()
