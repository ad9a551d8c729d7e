"""The keeper's other end: requests out, events in.

A keeper (the program beside the native module; `_native/keeper/`) is the
parent and subreaper of one command's tree at a time and can run many, one
after the other. Its protocol is drawn in `_native/keeper/protocol.h`. A
`Keeper` sends it a `Launch` and hands the events to a `Listener`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowrun._native import ffi, lib
from lowrun.core import kernel
from lowrun.core.cgroup import TreeLimits, end_cgroup
from lowrun.core.cgroup_v1 import cgroup_name
from lowrun.core.door import Ends, KeptTree, ask_for_keeper
from lowrun.core.events import Listener, TreeUsage, Watcher, io_usage
from lowrun.core.fd import Closable, OwnedFd
from lowrun.core.launch import Launch
from lowrun.core.loop import Loop
from lowrun.core.procfs import effective_capabilities
from lowrun.errors import BusyError, SpawnError
from lowrun.steps import tell

#: What makes a tracer's set-user-ID tracees gain their privilege (ptrace(2), seccomp(2)).
CAP_SYS_PTRACE, CAP_SYS_ADMIN = 19, 21
#: Steps that are about a directory -> which of a command's.
PLACES = {"chroot": "chroot", "working directory": "cwd"}

__all__ = ["Keeper"]


class Keeper:
    """One keeper process; runs one command's tree at a time.

    `close()` ends whatever is left and waits until the keeper has gone.
    Raises OSError when it cannot be started.

    A tree that was spawned with `stay` outlives its owner, if that is lost without a word: the keeper waits at the
    listening socket `stay` for the next one, which calls `adopt`. `close()` and `leave()` end it as ever.
    """

    #: How long `close()` waits for the keeper, which kills and reaps first; seconds.
    CLOSE_TIMEOUT = 5.0

    def __init__(self, loop: Loop, cgroup: OwnedFd | None = None, kept: tuple[KeptTree, Ends] | None = None) -> None:
        #: What an adopted keeper said of its tree, with the descriptors that came along.
        self.kept = kept
        #: The listening socket of a tree that is to outlive us; its program's.
        self.stay: OwnedFd | None = None
        if kept is None:
            path = os.fsencode(kernel.native_directory() / "lowrun-keeper")
            out = ffi.new("int[2]")
            self.pid = kernel.check(lib.lr_keeper_start(path, out, out + 1), "start of the keeper")
            tell("keeper", "keeper started, pid %d%s", self.pid, "" if cgroup is None else ", with a cgroup of its own")
            self._socket, self._pidfd = OwnedFd(out[0]), OwnedFd(out[1])
        else:
            tree, ends = kept
            self.pid, self.stay = tree.keeper_pid, ends.listening
            tell("keeper", "keeper %d adopted, with pid %d", self.pid, tree.pid)
            self._socket, self._pidfd = ends.socket, ends.keeper
        self._cgroup = cgroup
        self._request = ffi.new("struct lr_request *")
        self._event = ffi.new("struct lr_event *")
        self._fds = ffi.new("int[]", lib.LR_EVENT_MAX_FDS)
        self._listener: Listener | None = None
        self._watcher: Watcher | None = None
        self._program = ""
        self._last: tuple[Launch, Mapping[int, int], OwnedFd | None, TreeLimits | None, int] | None = None
        #: What watches this keeper from one tree to the next; closed with it.
        self.companion: Closable | None = None
        self._source = loop.add_io(self._socket.fileno(), kernel.READ, self._receive)
        _keepers.add(self)

    @classmethod
    def adopt(cls, loop: Loop, path: Path, cgroup: OwnedFd | None = None) -> Keeper:
        """Return the keeper that waits at the socket `path`, ours from now on; `listen` is to follow.

        Its `stay` is the listening socket, the caller's. Raises FileNotFoundError and ConnectionError when there is
        none, BusyError while it has an owner that lives, OSError.
        """
        return cls(loop, cgroup, ask_for_keeper(path))

    def take_held(self) -> dict[int, OwnedFd]:
        """Return what the command of an adopted keeper was given (its descriptor -> ours), the caller's now; once."""
        if self.kept is None:
            return {}
        ends = self.kept[1]
        held, ends.held = ends.held, {}
        return held

    def listen(self, listener: Listener) -> None:
        """Tell `listener` what becomes of the tree of an adopted keeper, what it heard or missed before included."""
        self._listener = listener

    @property
    def busy(self) -> bool:
        """True while a tree is under way."""
        return self._listener is not None or self._watcher is not None

    def spawn(
        self,
        launch: Launch,
        fds: Mapping[int, int],
        listener: Listener,
        *,
        park: bool = False,
        network: bool = False,
        count_io: bool = False,
        tell_reaped: bool = False,
        stay: OwnedFd | None = None,
        limits: TreeLimits | None = None,
    ) -> None:
        """Start `launch` with `fds` (its descriptor -> ours); `listener` is told the rest.

        The same `launch` and the same mapping `fds` (the object itself) once more
        mean the same descriptors, which the keeper still has.
        With `park` it waits before its exec until `go`, with `network`, too, in a network of its own.
        With `count_io` its usage has `io`; with `tell_reaped` the listener hears of every orphan's end.
        With `stay`, a listening socket (door.py), the tree outlives us if we are lost. `limits` hold for all of it.
        Raises BusyError while a tree is under way, OSError when the keeper is gone.
        """
        if self.busy:
            raise BusyError("the keeper has a tree under way")
        flags = (lib.LR_SPAWN_PARK if park or network else 0) | (lib.LR_SPAWN_IO if count_io else 0)
        flags |= (lib.LR_SPAWN_NETWORK if network else 0) | (lib.LR_SPAWN_REAPED if tell_reaped else 0)
        flags |= lib.LR_SPAWN_STAY if stay is not None else 0
        last, self._last = self._last, (launch, fds, stay, limits, flags)
        if last is not None and last[4] == flags and all(a is b for a, b in zip(last[:4], self._last[:4], strict=True)):
            self._send(self._fill(lib.LR_REQUEST_SPAWN, flags=lib.LR_SPAWN_AGAIN), [])
        else:
            self._send_launch(launch, fds, flags, stay, limits)
        self.stay = stay
        self._program = launch.command.argv[0]
        self._listener = listener

    def _send_launch(
        self,
        launch: Launch,
        fds: Mapping[int, int],
        flags: int,
        stay: OwnedFd | None,
        limits: TreeLimits | None,
    ) -> None:
        numbers = [launch.body.fileno()]
        cgroup = self._cgroup if limits is None or limits.parent is None else limits.parent
        with _working_directory() as here:
            if not here.closed:
                flags |= lib.LR_SPAWN_DIRECTORY
                numbers.append(here.fileno())
            if cgroup is not None:
                flags |= lib.LR_SPAWN_CGROUP
                numbers.append(cgroup.fileno())
            if limits is not None and limits.memory_v1 is not None:
                flags |= lib.LR_SPAWN_MEMORY_V1
                numbers.append(limits.memory_v1.fileno())
            if limits is not None and limits.cpu_v1 is not None:
                flags |= lib.LR_SPAWN_CPU_V1
                numbers.append(limits.cpu_v1.fileno())
            if stay is not None:
                numbers.append(stay.fileno())
            self._send(launch.request(list(fds), flags, limits), [*numbers, *fds.values()])

    def watch(self, pid: int, watcher: Watcher) -> None:
        """Follow the process `pid`, no child of ours, to its end by ptrace(2); nothing is ever done to it.

        `end()` says that it has ended by now. Raises OSError.
        """
        if self.busy:
            raise BusyError("the keeper has a tree under way")
        request = self._fill(lib.LR_REQUEST_WATCH)
        request.watched = pid
        self._send(request, [])
        self._last, self._program, self._watcher = None, str(pid), watcher

    def signal(self, number: int) -> None:
        """Send a signal to every process of the tree; nothing without one."""
        self._tell(lib.LR_REQUEST_SIGNAL, number)

    def end(self) -> None:
        """Kill the tree with SIGKILL, again and again until nothing is left."""
        self._tell(lib.LR_REQUEST_END)

    def forget(self) -> None:
        """Take note of the end of a tree with `stay`: the keeper does not keep it for the next owner any more."""
        self.stay = self._last = None
        self._tell(lib.LR_REQUEST_FORGET)

    def _fill(self, kind: int, signo: int = 0, flags: int = 0) -> Any:
        request = self._request
        request.kind, request.signo, request.flags = kind, signo, flags
        return request

    def go(self, stops: frozenset[int] | None) -> None:
        """Let the parked command go on.

        `stops`: the numbers of the calls that its tracer wants to be stopped at (a seccomp
        filter is installed); None for all.
        """
        if stops is None:
            self._tell(lib.LR_REQUEST_GO)
            return
        words = [sum(1 << nr % 64 for nr in stops if nr // 64 == word) for word in range(lib.LR_STOPS_MAX // 64)]
        self._request.stops = words
        self._tell(lib.LR_REQUEST_GO, flags=lib.LR_GO_FILTER | (0 if _is_privileged() else lib.LR_GO_UNPRIVILEGED))

    def _tell(self, kind: int, signo: int = 0, flags: int = 0) -> None:
        try:
            self._send(self._fill(kind, signo, flags), [])
        except BrokenPipeError:
            self._lose()

    def _send(self, request: Any, fds: list[int]) -> None:
        kernel.check(lib.lr_keeper_send(self._socket.fileno(), request, fds, len(fds)), "sendmsg")

    # -- events

    def _receive(self, _events: int) -> None:
        result = lib.lr_keeper_receive(self._socket.fileno(), self._event, self._fds)
        if result == 0:
            return
        if result < 0:
            self._lose()
            return
        event = self._event
        kind = event.kind
        listener = self._listener
        if self._watcher is not None:
            self._receive_watched(self._watcher)
        if listener is None:
            return
        came = [OwnedFd(fd) for fd in self._fds if fd >= 0]
        if kind == lib.LR_EVENT_LAST:
            self._listener = None
            try:
                listener.exited(event.status, event.ended_ns)
            finally:
                listener.ended(self._usage(event))
        elif kind == lib.LR_EVENT_STARTED:
            pidfd = (
                came[0] if came else OwnedFd(-1)
            )  # there was no descriptor left for it (scm_detach_fds, net/core/scm.c)
            listener.started(event.pid, pidfd, event.started_ns)
        elif kind == lib.LR_EVENT_REAPED:
            listener.reaped(event.pid, event.status, event.ended_ns)
        elif kind == lib.LR_EVENT_EXITED:
            try:
                listener.exited(event.status, event.ended_ns)
            finally:
                listener.leftover()
        elif kind == lib.LR_EVENT_ENDED:
            self._listener = None
            listener.ended(self._usage(event))
        elif kind == lib.LR_EVENT_PARKED:
            listener.parked(event.pid, came)
        elif kind == lib.LR_EVENT_FAILED:
            error = self._error(event)
            self._listener = self._last = None
            listener.failed(error)
        elif kind == lib.LR_EVENT_DENIED:
            listener.denied()

    def _receive_watched(self, watcher: Watcher) -> None:
        event = self._event
        if event.kind == lib.LR_EVENT_WATCHED:
            watcher.watched()
            return
        self._watcher = None
        if event.kind == lib.LR_EVENT_FAILED:
            watcher.failed(self._error(event))
        else:
            watcher.ended(None if event.error else event.status)

    def _error(self, event: Any) -> SpawnError:
        step = ffi.string(lib.lr_step_word(event.step)).decode()
        place = None
        if self._last is not None and step in PLACES:
            place = getattr(self._last[0].command, PLACES[step])
        return SpawnError(step, event.error, self._program, place)

    @staticmethod
    def _usage(event: Any) -> TreeUsage:
        group = (event.group_user_us, event.group_sys_us)
        return TreeUsage(
            event.user_us,
            event.sys_us,
            event.max_rss_kib,
            event.reaped,
            event.tree_ns,
            group if any(group) else None,
            event.last_pid,
            io_usage(event.io) if event.has_io else None,
        )

    def _lose(self) -> None:
        listeners = [each for each in (self._listener, self._watcher) if each is not None]
        self._listener = self._watcher = None
        self._source.close()
        limits = None if self._last is None else self._last[3]
        for parent in (self._cgroup, *(() if limits is None else limits.parents)):
            if parent is not None and not parent.closed:
                end_cgroup(parent, cgroup_name(self.pid))
        for listener in listeners:
            listener.lost()

    def wake(self) -> None:
        """Let the keeper go on if somebody has stopped it (SIGSTOP)."""
        with contextlib.suppress(ProcessLookupError):
            kernel.pidfd_signal(self._pidfd.fileno(), signal.SIGCONT)

    # -- the end

    @property
    def usable(self) -> bool:
        """True while it can take a command."""
        return not self._source.closed and not self._socket.closed and not self.busy

    def leave(self) -> None:
        """Hang up: the keeper ends what is left of a tree, and goes by itself."""
        if self._socket.closed:
            return
        self.wake()
        self._listener = self._watcher = None
        if self.stay is not None:
            self._tell(lib.LR_REQUEST_LEAVE)
        self._hang_up()

    def let_go(self) -> None:
        """Hang up without a word, as one that is killed: a tree with `stay` lives on, and waits for the next owner."""
        if not self._socket.closed:
            self._listener = self._watcher = None
            self._hang_up()
            self._pidfd.close()

    def _hang_up(self) -> None:
        self._part()
        self._source.close()
        lib.lr_keeper_hang_up(self._socket.fileno())
        self._socket.close()

    def close(self) -> None:
        """End what is left of a tree and wait until the keeper has gone."""
        if not self._pidfd.closed:
            self.leave()
            lib.lr_keeper_wait(self._pidfd.fileno(), int(self.CLOSE_TIMEOUT * 1000))
            self._pidfd.close()

    def _part(self) -> None:
        companion, self.companion = self.companion, None
        if companion is not None:
            companion.close()

    def abandon(self) -> None:
        """In a forked child: close our copies; the parent's keeper goes on."""
        self._part()
        self._listener = self._watcher = None
        self._socket.close()
        self._pidfd.close()


def _is_privileged() -> bool:
    try:
        with open("/proc/self/status", errors="surrogateescape") as file:
            held = effective_capabilities(file.read())
        return bool(held & (1 << CAP_SYS_PTRACE | 1 << CAP_SYS_ADMIN))
    except OSError:
        return True


def _working_directory() -> OwnedFd:
    """Return the caller's working directory; a closed one where it may not be opened, or is gone."""
    try:
        return OwnedFd(os.open(".", os.O_PATH | os.O_CLOEXEC))
    except OSError:
        return OwnedFd(-1)


_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


def _abandon_after_fork() -> None:
    """A forked child of the host starts keepers of its own."""
    for keeper in list(_keepers):
        keeper.abandon()


os.register_at_fork(after_in_child=_abandon_after_fork)
