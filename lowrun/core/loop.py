"""One epoll loop in one thread.

    add_*()        epoll_wait             dispatch
    source ----> [slot|generation] ----> slot's source, if the generation
      |                                  is still the same ----> callback
      +-- close(): deregister, then close the descriptor

All waiting is one epoll_wait without a timeout: timers are one timerfd on
CLOCK_MONOTONIC, armed for the first that is due, deferred calls an eventfd,
so `fileno()` polls readable exactly when `dispatch()` has something to do and
an idle loop never wakes. Both are there from the beginning: a timer needs no
descriptor, so none is refused when there is none left.

A closed descriptor's number is used again at once, and a batch that epoll has
already handed out may still name it: so a token is slot and generation, and
an event whose generation has passed is dropped (epoll(7), "stale events").
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol

from lowrun.core import kernel
from lowrun.core.fd import Closable, OwnedFd
from lowrun.core.timers import Timer, Timers
from lowrun.errors import ClosedError, UsageError
from lowrun.values import ExitStatus

__all__ = ["ChildSource", "IoSource", "Loop", "SignalInfo", "SignalSource", "Source", "Timer"]


#: The tokens of the eventfd and of the timerfd; no slot comes near them.
WAKEUP, TIMERS = (1 << 64) - 1, (1 << 64) - 2
#: Seconds; some thirty years.
LONGEST = 1e9


class SignalInfo(int):
    """A signal's number, with who sent it: `code` (si_code) and `pid`."""

    code: int
    pid: int

    @classmethod
    def of(cls, number: int, code: int, pid: int) -> SignalInfo:
        """Return the value."""
        self = cls(number)
        self.code, self.pid = code, pid
        return self

    @property
    def from_terminal(self) -> bool:
        """True when the kernel sent it: ^C or ^\\ typed at a terminal went to the whole process group."""
        return self.code == kernel.SI_KERNEL


class Source:
    """Something registered with a loop; whoever added it closes it (or uses `with`)."""

    __slots__ = ("__weakref__", "_fd", "_loop", "_token")

    def __init__(self, loop: Loop, fd: int, events: int, handler: kernel.Handler | None = None) -> None:
        self._loop = loop
        self._fd = fd
        self._token = loop._register(self, fd, events)
        if handler is not None:
            loop._poller.handle(self._token, handler)

    @property
    def closed(self) -> bool:
        """True after `close()`."""
        return self._token < 0

    def close(self) -> None:
        """Deregister, then close; the second time does nothing."""
        token, self._token = self._token, -1
        if token >= 0:
            self._loop._deregister(token, self._fd)
            self._finish()

    def _finish(self) -> None:
        """Close what the source owns; the descriptor is deregistered already."""
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _ready(self, events: int) -> None:
        raise NotImplementedError

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class IoSource(Source):
    """A descriptor of the caller's, watched; closing the source leaves it open."""

    __slots__ = ("_callback",)

    def __init__(self, loop: Loop, fd: int, events: int, callback: Callable[[int], object]) -> None:
        self._callback = callback
        super().__init__(loop, fd, events)

    def watch(self, events: int) -> None:
        """Watch for `events` (READ, WRITE or both) from now on."""
        if self.closed:
            raise ClosedError("the source is closed")
        self._loop._poller.modify(self._fd, events, self._token)

    def _finish(self) -> None:
        self._fd = -1

    def _ready(self, events: int) -> None:
        self._callback(events)


class SignalSource(Source):
    """A signalfd; blocks its signals in the calling thread and restores the mask when closed.

    For programs that own their process, never for a library call in a host.
    """

    __slots__ = ("_callback", "_former")

    def __init__(self, loop: Loop, signals: frozenset[int], callback: Callable[[SignalInfo], object]) -> None:
        self._callback = callback
        self._former = kernel.signals_block(signals)
        try:
            with OwnedFd(kernel.signals_create(signals)) as fd:
                super().__init__(loop, fd.fileno(), kernel.READ)
                fd.release()
        except BaseException:
            kernel.signals_restore(self._former)
            raise

    @property
    def former_mask(self) -> int:
        """The thread's mask before its signals were blocked (bit N-1 is signal N)."""
        return self._former

    def _finish(self) -> None:
        super()._finish()
        kernel.signals_restore(self._former)

    def _ready(self, events: int) -> None:
        while not self.closed and (taken := kernel.signals_take(self._fd)) is not None:
            self._callback(SignalInfo.of(*taken))


class Child(Protocol):
    """What `add_child` takes: it tells one listener, once, how it has ended."""

    def when_exited(self, callback: Callable[[ExitStatus], object] | None) -> None:
        """Call `callback(status)` when it has ended, at once if it has; None forgets the callback."""


class ChildSource:
    """Calls back once when a process of lowrun's has ended; closing forgets the callback."""

    __slots__ = ("_process",)

    def __init__(self, process: Child, callback: Callable[[ExitStatus], object]) -> None:
        self._process = process
        process.when_exited(callback)

    def close(self) -> None:
        """Forget the callback; the process goes on."""
        self._process.when_exited(None)


class Loop:
    """Waits for everything at once; single-threaded but for `call_soon_threadsafe`.

    Embedding: when `fileno()` polls readable, call `dispatch()`. A context
    manager; closing it closes no source (their owners do), but what it owns.
    """

    def __init__(self) -> None:
        self._poller = kernel.Poller()
        self._slots: list[Source | None] = []
        self._generations: list[int] = []
        self._free: list[int] = []
        self._deferred: deque[Callable[[], object]] = deque()
        self._stopping = False
        self._owned: dict[Closable, None] = {}
        self._wakeup = kernel.counter_create()
        self._poller.add(self._wakeup, kernel.READ, WAKEUP)
        self._timers = Timers()
        self._poller.add(self._timers.fd, kernel.READ, TIMERS)
        _loops.add(self)

    # -- sources

    def add_timer(self, after: float, callback: Callable[[], object], *, every: float = 0.0) -> Timer:
        """Call `callback()` after `after` seconds, then every `every` seconds (0: once). Raises UsageError."""
        if not (0 <= after <= LONGEST and 0 <= every <= LONGEST):
            raise UsageError(f"a timer takes from 0 to {LONGEST:g} seconds")
        if self.closed:
            raise ClosedError("the loop is closed")
        return Timer(self._timers, after, every, callback)

    def add_io(self, fd: int, events: int, callback: Callable[[int], object]) -> IoSource:
        """Call `callback(events)` while `fd` is ready for `events` (READ, WRITE), level-triggered.

        The descriptor stays the caller's. Raises OSError: EPERM for a regular file.
        """
        return IoSource(self, fd, events, callback)

    def add_signals(self, signals: Iterable[int], callback: Callable[[SignalInfo], object]) -> SignalSource:
        """Call `callback(signal)` for each of `signals` sent to this process (signalfd(2)).

        Blocks them in the calling thread; in a program with more threads block
        them before those start.
        """
        return SignalSource(self, frozenset(signals), callback)

    def add_child(self, process: Child, callback: Callable[[ExitStatus], object]) -> ChildSource:
        """Call `callback(status)` when `process` (of this loop) has ended, at once if it has."""
        return ChildSource(process, callback)

    # -- deferred calls

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call `callback()` from the next `dispatch()`, after calls deferred earlier."""
        if self._wakeup < 0:
            raise ClosedError("the loop is closed")
        self._deferred.append(callback)
        kernel.counter_add(self._wakeup)

    #: The same from any thread: deque.append is atomic and an eventfd wakes the loop.
    call_soon_threadsafe = call_soon

    def _run_deferred(self) -> None:
        kernel.counter_take(self._wakeup)
        for _ in range(len(self._deferred)):
            self._deferred.popleft()()

    # -- running

    def fileno(self) -> int:
        """Return the descriptor that polls readable when `dispatch()` has work."""
        if self._poller.fileno() < 0:
            raise ClosedError("the loop is closed")
        return self._poller.fileno()

    def dispatch(self, timeout_ms: int = 0) -> None:
        """Run the callbacks of what is ready; never waits unless told to (-1: without end).

        What a callback raises comes out; sources not yet served are served next time.
        """
        for token, events in self._poller.wait(timeout_ms):
            if token == WAKEUP:
                try:
                    self._run_deferred()
                finally:
                    if self._deferred:
                        kernel.counter_add(self._wakeup)
                continue
            if token == TIMERS:
                self._timers.run()
                continue
            slot = token >> 32
            source = self._slots[slot]
            if source is not None and self._generations[slot] == token & 0xFFFFFFFF:
                source._ready(events)

    def run(self) -> None:
        """Dispatch until `stop()` is called."""
        self._stopping = False
        while not self._stopping:
            self.dispatch(-1)

    def stop(self) -> None:
        """Make `run()` return after the present dispatch."""
        self._stopping = True

    # -- registration

    def _register(self, source: Source, fd: int, events: int) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._slots)
            self._slots.append(None)
            self._generations.append(0)
        token = slot << 32 | self._generations[slot]
        try:
            self._poller.add(fd, events, token)
        except OSError:
            self._free.append(slot)
            raise
        self._slots[slot] = source
        return token

    def _deregister(self, token: int, fd: int) -> None:
        slot = token >> 32
        self._slots[slot] = None
        self._generations[slot] = (self._generations[slot] + 1) & 0xFFFFFFFF
        self._free.append(slot)
        if self._poller.fileno() >= 0:
            self._poller.remove(fd, token)

    # -- the end

    def own(self, part: Closable) -> None:
        """Close `part` first when the loop is closed: for what serves without a caller that holds on to it."""
        self._owned[part] = None

    def disown(self, part: Closable) -> None:
        """Forget it: it was closed. What is not owned is no error."""
        self._owned.pop(part, None)

    @property
    def closed(self) -> bool:
        """True after `close()`."""
        return self._poller.fileno() < 0

    def close(self) -> None:
        """Close what it owns, last come first, then its own three descriptors; the second time does nothing."""
        while self._owned:
            self._owned.popitem()[0].close()
        if not self.closed:
            self._poller.close()
            wakeup, self._wakeup = self._wakeup, -1
            os.close(wakeup)
            self._timers.close()
            self._deferred.clear()

    def __enter__(self) -> Loop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_loops: weakref.WeakSet[Loop] = weakref.WeakSet()


def _close_after_fork() -> None:
    """In a forked child an inherited epoll instance is still its parent's: close, touch nothing in it."""
    for loop in list(_loops):
        loop._owned.clear()
        loop.close()


os.register_at_fork(after_in_child=_close_after_fork)
