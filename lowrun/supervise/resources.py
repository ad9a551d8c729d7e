"""What all lives of one program share: opened once, handed to each, closed with the supervision.

The request and the descriptors stay the same objects, so that a respawn costs the keeper nothing but the clone and the
exec; sockets and pipes stay open between two lives, so that nobody is refused and nothing is lost.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

from lowrun.core.cgroup import TreeLimits, tree_limits
from lowrun.core.fd import OwnedFd
from lowrun.core.keeper import Keeper
from lowrun.core.launch import Launch
from lowrun.core.loop import Loop
from lowrun.errors import UsageError
from lowrun.supervise.notify import NotifySocket
from lowrun.supervise.outputlog import DirectOutput, Output, PipedOutput
from lowrun.supervise.policy import Phase, State
from lowrun.supervise.readiness import Readiness, open_readiness
from lowrun.supervise.readyspec import Ready, check_descriptors, parse_ready
from lowrun.supervise.record import Moment, Record
from lowrun.supervise.recording import Archive
from lowrun.supervise.settings import Program
from lowrun.supervise.sockets import ListenSockets
from lowrun.supervise.state import now
from lowrun.supervise.watchdog import Watchdog

__all__ = ["Kept", "Resources"]


class Kept(NamedTuple):
    """A life that outlived its lowrun."""

    #: An adopted one, which has its tree.
    keeper: Keeper
    #: What was written down of it last.
    record: Record | None
    #: When its command was executed, on CLOCK_MONOTONIC; seconds.
    started: float
    #: Nothing of it is left: it has ended since.
    gone: bool

    @property
    def was_ready(self) -> bool:
        """It served already, as far as it was written down: its post hook was run."""
        return self.record is not None and self.record.ready

    @property
    def began(self) -> Moment:
        """The same moment on other clocks."""
        here, since = now(), time.monotonic() - self.started
        return Moment(here.wall - since, here.boot - since)

    def resumed(self, state: State) -> State:
        """Return `state` with what is known of the lives that there were."""
        if self.record is not None:
            state = replace(state, respawns=self.record.respawns, restarts=self.record.restarts)
        return replace(state, began=self.started)

    @property
    def is_to_end(self) -> bool:
        """It lives, and was told to end."""
        return self.record is not None and self.record.phase == Phase.STOPPING.value and not self.gone


class Resources:
    """See the module; takes `output`, `archive` and `stay` over.

    With `stay`, a listening socket (core/door.py), a life outlives a lowrun that is killed; `kept` is one that has.
    Raises OSError, UsageError, DeniedError, UnsupportedError.
    """

    def __init__(
        self,
        program: Program,
        loop: Loop,
        output: Output,
        *,
        stay: OwnedFd | None = None,
        kept: Kept | None = None,
        archive: Archive | None = None,
    ) -> None:
        self.output, self.stay, self.kept, self.archive = output, stay, kept, archive
        self.notify: NotifySocket | None = None
        self.watchdog: Watchdog | None = None
        self.readiness: Readiness | None = None
        self._sockets: ListenSockets | None = None
        self.limits: TreeLimits | None = None
        with ExitStack() as stack:
            stack.callback(output.close)
            if archive is not None:
                stack.callback(archive.close)
            null = stack.enter_context(OwnedFd(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)))
            #: The program's descriptor -> ours.
            self.fds = {0: null.fileno(), **output.fds}
            env: dict[str, str] = {}
            ready = None if program.ready is None else parse_ready(program.ready)
            check_descriptors(ready, len(program.sockets))
            #: What a life that goes on was given: its descriptor -> ours.
            self._held = {} if self.kept is None else self.kept.keeper.take_held()
            notification = self._take_notification(ready)
            self._open_sockets(program, env, stack)
            self._open_notify(program, ready, loop, env, stack)
            if ready is not None:
                self._open_readiness(ready, loop, notification, stack)
            if program.limits.memory is not None or program.limits.cpu_percent is not None:
                self.limits = tree_limits(program.limits.memory, program.limits.cpu_percent)
                stack.callback(self.limits.close)
            inherited = os.environ if program.command.env is None else program.command.env
            command = replace(
                program.command,
                env={**inherited, **env},
                group="session",
                oom_score_adj=program.oom_score_adj,
                pid_variables=("LISTEN_PID",) if program.sockets else (),
            )
            self.launch = Launch(command)
            stack.callback(self.launch.close)
            self._stack = stack.pop_all()

    def _open_sockets(self, program: Program, env: dict[str, str], stack: ExitStack) -> None:
        held, self._held = list(self._held.values()), {}
        if program.sockets:
            self._sockets = sockets = ListenSockets(program.sockets, program.name, held)
            stack.callback(sockets.close)
            self.fds.update(sockets.fds)
            env.update(sockets.env)
        for descriptor in held:
            descriptor.close()

    def _take_notification(self, ready: Ready | None) -> OwnedFd | None:
        """Return the end of the pipe that a life which goes on has for `fd=N`."""
        if self.kept is None or self.kept.gone or ready is None or ready.fd not in self._held:
            return None
        if not stat.S_ISFIFO(os.fstat(self._held[ready.fd].fileno()).st_mode):
            return None
        return self._held.pop(ready.fd)

    def _open_notify(
        self, program: Program, ready: Ready | None, loop: Loop, env: dict[str, str], stack: ExitStack
    ) -> None:
        if program.watchdog is not None:
            self.watchdog = Watchdog(loop, program.watchdog)
            stack.callback(self.watchdog.end)
            env.update(self.watchdog.env)
        if program.watchdog is not None or (ready is not None and ready.way == "notify"):
            record = None if self.kept is None else self.kept.record
            self.notify = NotifySocket(loop, program.command.uid, "" if record is None else record.notify)
            stack.callback(self.notify.close)
            env.update(self.notify.env)

    def _open_readiness(self, ready: Ready, loop: Loop, held: OwnedFd | None, stack: ExitStack) -> None:
        follow = self.output.follow if isinstance(self.output, DirectOutput) else None
        if ready.way == "log" and follow is None and not isinstance(self.output, PipedOutput):
            raise UsageError("--ready log=... reads the output: not with --pass-output")
        self.readiness = open_readiness(loop, ready, held, follow)
        if self.readiness is not None:
            stack.callback(self.readiness.close)
            self.fds.update(self.readiness.fds)
        if isinstance(self.output, PipedOutput) and ready.way == "log" and self.readiness is not None:
            self.output.listen(self.readiness.feed)

    def close(self) -> None:
        """Close all of it."""
        self._stack.close()

    def let_go(self) -> None:
        """Close it all for a life that goes on: the files of its sockets stay."""
        if self._sockets is not None:
            self._sockets.leave_files()
        self.close()
