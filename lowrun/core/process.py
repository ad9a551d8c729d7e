"""A command and the whole tree below it, from spawn to the last one's end.

    spawning --started--> running --exited--> leftover --ended--> gone
        |                                                          ^
        +--failed (exec and the steps before it) ------------------+

The keeper is the subreaper, so orphans, setsid children and double forks
belong to the tree. When the command itself has exited, what it left behind
has a moment to finish; then it is ended like a tree that is told to.
"""

from __future__ import annotations

import contextlib
import os
import signal as _signal
import time
from collections.abc import Callable, Mapping

from lowrun.core import kernel
from lowrun.core.cgroup import TreeLimits
from lowrun.core.events import TreeUsage
from lowrun.core.fd import OwnedFd
from lowrun.core.keeper import Keeper
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.lineage import children_of, descends, hold
from lowrun.core.loop import Loop, Timer
from lowrun.errors import GoneError, SpawnError, UsageError
from lowrun.steps import tell
from lowrun.values import ExitStatus

__all__ = ["Process"]

#: What the command left behind may finish by itself for this long; seconds.
LINGER = 0.1
#: And has this long between SIGTERM and SIGKILL.
LINGER_KILL_AFTER = 0.5


class Process:
    """One command under way. All callbacks come on the loop's thread.

    `on_end(process)` is called once, when nothing of the tree is left: then
    `status` and `usage` are set, or `error` when it could not be executed.
    What the command leaves behind may finish by itself for `linger` seconds
    (None: for ever) before it is ended. With `count_io` its usage has `io`.
    `on_reaped(pid, status)` is called for each orphan of the tree that has ended: whoever lost its parent, as a daemon
    does. With `park` or `network` the command waits before its exec: `park(pid, sockets)` is called, and it goes
    on after `go`. With `network` it is in a network of its own then, and `sockets`, which are the callee's, are
    packet sockets in there that get nothing before they are bound.
    With `stay`, a listening socket (door.py), the tree outlives a lowrun that is lost (`adopted`), not one that closes.
    `limits` hold for the whole tree.
    `before_spawn(keeper)` is called before the command exists with what will be its parent.
    """

    def __init__(
        self,
        loop: Loop,
        keepers: Keepers,
        launch: Launch,
        fds: Mapping[int, int],
        *,
        on_end: Callable[[Process], object],
        on_start: Callable[[Process], object] | None = None,
        park: Callable[[int, list[OwnedFd]], object] | None = None,
        network: bool = False,
        linger: float | None = LINGER,
        count_io: bool = False,
        on_reaped: Callable[[int, ExitStatus], object] | None = None,
        stay: OwnedFd | None = None,
        limits: TreeLimits | None = None,
        before_spawn: Callable[[Keeper], object] | None = None,
    ) -> None:
        self._begin(loop, keepers, keepers.take(stay), linger, on_end)
        self._on_start, self._on_reaped, self._park = on_start, on_reaped, park
        keeper = self._keeper
        try:
            if before_spawn is not None:
                before_spawn(keeper)
            keeper.spawn(
                launch,
                fds,
                self,
                park=park is not None,
                network=network,
                count_io=count_io,
                tell_reaped=on_reaped is not None,
                stay=stay,
                limits=limits,
            )
        except BaseException:
            keepers.give_back(keeper)
            raise

    @classmethod
    def adopted(
        cls,
        loop: Loop,
        keepers: Keepers,
        keeper: Keeper,
        *,
        on_end: Callable[[Process], object],
        on_reaped: Callable[[int, ExitStatus], object] | None = None,
        linger: float | None = LINGER,
    ) -> Process:
        """Return the process that `keeper`, from `keepers.adopt`, has: `pid` and `started_ns` are known at once.

        What was told to its last owner, or to nobody, is told again, from the loop: orphans that have ended (the last
        64 ends), the command's own end, the tree's. Raises UsageError when that keeper was not adopted.
        """
        if keeper.kept is None:
            raise UsageError("that keeper was not adopted")
        tree, ends = keeper.kept
        keeper.kept = None
        self = cls.__new__(cls)
        self._begin(loop, keepers, keeper, linger, on_end)
        self._on_start, self._on_reaped, self._park = None, on_reaped, None
        self.pid, self.started_ns = tree.pid, tree.started_ns
        self._pidfd = None if ends.command.closed else ends.command
        keeper.listen(self)
        return self

    def _begin(
        self,
        loop: Loop,
        keepers: Keepers,
        keeper: Keeper,
        linger: float | None,
        on_end: Callable[[Process], object],
    ) -> None:
        self.pid: int | None = None
        self.status: ExitStatus | None = None
        self.usage: TreeUsage | None = None
        self.error: SpawnError | None = None
        #: True when the keeper was killed from outside: how the tree ended is not known.
        self.keeper_lost = False
        #: True when something in the tree may not be killed by us.
        self.undying = False
        self.started_ns = self.ended_ns = 0
        self._loop = loop
        self._keepers = keepers
        self._linger = linger
        self._on_end = on_end
        self._on_exit: Callable[[ExitStatus], object] | None = None
        self._pidfd: OwnedFd | None = None
        self._ladder: Timer | None = None
        self._due = 0.0
        self._gone = False
        self._keeper: Keeper = keeper

    # -- what can be done with it

    @property
    def alive(self) -> bool:
        """True until the command itself has exited or failed."""
        return self.status is None and self.error is None and not self._gone

    @property
    def wall_s(self) -> float:
        """Seconds from exec to the command's own end; 0 before it."""
        return max(0, self.ended_ns - self.started_ns) / 1e9

    @property
    def keeper_pid(self) -> int:
        """The pid of its keeper: its parent, and that of every orphan of its tree."""
        return self._keeper.pid

    def when_exited(self, callback: Callable[[ExitStatus], object] | None) -> None:
        """Call `callback(status)` when the command has exited, at once if it has; None forgets it."""
        self._on_exit = callback
        status = self.status
        if callback is not None and status is not None:
            self._loop.call_soon(lambda: callback(status))

    def send_signal(self, number: int) -> None:
        """Send a signal to the command itself, through its pidfd. Raises GoneError."""
        if self._pidfd is None:
            raise GoneError("the process has ended")
        if self._pidfd.closed:
            assert self.pid is not None
            self.send_signal_to(self.pid, number)
            return
        try:
            kernel.pidfd_signal(self._pidfd.fileno(), number)
        except ProcessLookupError as error:
            raise GoneError("the process has ended") from error

    def signal_tree(self, number: int) -> None:
        """Send a signal to every process of the tree; nothing when it is gone."""
        if not self._gone:
            self._keeper.signal(number)

    def children(self) -> list[tuple[int, int]]:
        """Return (pid, start) of the keeper's children, zombies too: the command, and the orphans of its tree."""
        return children_of(self._keeper.pid)

    def send_signal_to(self, pid: int, number: int) -> None:
        """Send a signal to one process of the tree. Raises GoneError when `pid` is none of it (any more)."""
        with hold(pid) as held:
            if self._gone or not descends(pid, self._keeper.pid):
                raise GoneError(f"pid {pid} is no process of this tree")
            held.send_signal(number)

    def terminate(self, kill_after: float, number: int = _signal.SIGTERM) -> None:
        """Send the signal `number` to every process of the tree, SIGKILL after `kill_after` seconds."""
        if self._gone or not self._keeper.busy:  # the command was the last of it: its end is being told
            return
        tell("process", "signal %d to the tree of pid %s, SIGKILL in %g s", number, self.pid, kill_after)
        self._keeper.wake()
        self._keeper.signal(number)
        self._keeper.signal(_signal.SIGCONT)  # a stopped process acts on it only when it goes on
        self._climb(kill_after, self.kill)

    def kill(self) -> None:
        """SIGKILL to every process of the tree, until nothing is left."""
        if not self._gone:
            tell("process", "SIGKILL to the tree of pid %s", self.pid)
            self._cancel_ladder()
            self._keeper.wake()
            self._keeper.end()

    def _climb(self, after: float, step: Callable[[], object]) -> None:
        """Call `step` after a time; a step that is due earlier stays."""
        due = time.monotonic() + after
        if self._ladder is not None and self._due <= due:
            return
        self._cancel_ladder()
        self._due = due
        self._ladder = self._loop.add_timer(after, step)

    def _cancel_ladder(self) -> None:
        ladder, self._ladder = self._ladder, None
        if ladder is not None:
            ladder.close()

    def go(self, stops: frozenset[int] | None) -> None:
        """Let the parked command go on; `stops` are the calls its tracer is stopped at, None for all."""
        if not self._gone:
            self._keeper.go(stops)

    # -- what the keeper says (Listener)

    def parked(self, pid: int, sockets: list[OwnedFd]) -> None:
        """See Listener."""
        if self._park is not None:
            self._park(pid, sockets)

    def started(self, pid: int, pidfd: OwnedFd, at_ns: int) -> None:
        """See Listener."""
        self.pid, self.started_ns = pid, at_ns
        self._pidfd = pidfd
        if self._on_start is not None:
            self._on_start(self)

    def failed(self, error: SpawnError) -> None:
        """See Listener."""
        self.error = error
        self._finish()

    def exited(self, status: int, at_ns: int) -> None:
        """See Listener."""
        self.ended_ns = at_ns
        self.status = ExitStatus.from_wait(status)
        self._drop_pidfd()
        if self._on_exit is not None:
            self._on_exit(self.status)

    def reaped(self, pid: int, status: int, at_ns: int) -> None:
        """See Listener."""
        if self._on_reaped is not None:
            self._on_reaped(pid, ExitStatus.from_wait(status))

    def leftover(self) -> None:
        """See Listener."""
        tell("process", "pid %s has exited and left others behind", self.pid)
        if self._ladder is None and self._linger is not None:
            self._climb(self._linger, self._end_leftover)

    def _end_leftover(self) -> None:
        self._cancel_ladder()
        self.terminate(LINGER_KILL_AFTER)

    def ended(self, usage: TreeUsage) -> None:
        """See Listener."""
        self.usage = usage
        self.keeper_lost = self.status is None
        self._finish()

    def denied(self) -> None:
        """See Listener: what has gained privileges cannot be waited for; its keeper goes on trying."""
        self.undying = True
        self._keepers.dismiss(self._keeper)
        self._finish()

    def lost(self) -> None:
        """See Listener."""
        self.keeper_lost = True
        with contextlib.suppress(GoneError):
            self.send_signal(_signal.SIGKILL)
        self._finish()

    def _drop_pidfd(self) -> None:
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is not None:
            pidfd.close()

    def _finish(self) -> None:
        self._gone = True
        self._cancel_ladder()
        self._drop_pidfd()
        if not self.undying:
            self._keepers.give_back(self._keeper)
        self._on_end(self)

    def close(self) -> None:
        """End the tree at once and wait for it; no callback comes any more."""
        if not self._gone:
            self._gone = True
            self._cancel_ladder()
            self._drop_pidfd()
            self._keeper.leave()
            self._keepers.give_back(self._keeper)


def open_standard_fds() -> dict[int, int]:
    """Return {fd: fd} for those of 0 to 2 that are open here and that an exec would hand on."""
    found = {}
    for fd in range(3):
        try:
            if os.get_inheritable(fd):
                found[fd] = fd
        except OSError:
            continue
    return found
