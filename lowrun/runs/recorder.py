"""The seam between a run and what watches it.

A recorder is started before the command exists; what it needs of the spawn it
asks of `RunInfo`: a descriptor redirected, the command parked before its exec
to be seized, its testimony about usage. Events go up by these calls alone; a
recorder never sees the run's machinery.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.loop import Loop
from lowrun.core.process import open_standard_fds
from lowrun.values import Artifact, Command, Usage

__all__ = ["LastingRecorder", "Recorder", "RunInfo", "Window"]

#: What is recorded of an interrupted run is kept as far as it can be made ready in this time: all is to be over within
#: a second; seconds.
TIME_TO_KEEP = 0.7


class Window(NamedTuple):
    """How much is kept of what is recorded, counted from the end."""

    #: Bytes of each artifact at most. What is written meanwhile has no more than twice that, however long it goes on.
    size: int
    #: Seconds; None: as many as there are bytes for.
    seconds: float | None = None


@runtime_checkable
class Recorder(Protocol):
    """What watches a run. After `stop`, exactly one of `keep` and `discard` is called.

    A recorder object can be used for many runs, one after the other: `start`
    begins anew. For runs at the same time each run gets a copy (copy.copy of
    an idle recorder).
    """

    name: str

    def start(self, run: RunInfo, loop: Loop) -> None:
        """Begin, before the command exists. Raising switches the recorder off for this run."""

    def stop(self) -> None:
        """The tree is gone (or never came to be); called exactly once after `start`."""

    def keep(self, into: Path) -> list[Artifact]:
        """Name what was recorded, in the existing directory `into`."""

    def discard(self) -> None:
        """Forget what was recorded."""


@runtime_checkable
class LastingRecorder(Recorder, Protocol):
    """A recorder that keeps something open from one run to the next."""

    def close(self) -> None:
        """No run of this repetition follows. The recorder may be started again all the same."""


@dataclass(slots=True)
class RunInfo:
    """One run as its recorders see it."""

    index: int
    command: Command
    #: An existing directory on the filesystem where artifacts will be named;
    #: unnamed files go there.
    scratch: Path
    #: True when the command's output is not to be shown.
    quiet: bool = False
    #: Of its standard descriptors, those that a command without recorders would have -> the caller's.
    outputs: Mapping[int, int] = field(default_factory=open_standard_fds)
    #: None: all that is recorded is kept.
    window: Window | None = None
    #: Set by the run, before `stop`, when it is cut short by a signal to lowrun: wait for nobody then.
    interrupted: bool = False
    #: Until when recorders may work on what is kept, once the end is asked for; on CLOCK_MONOTONIC, seconds.
    deadline: float | None = None
    #: Set by the run, before recorders settle: its artifacts are to be kept.
    kept: bool = False
    #: Set by the run, before `keep` or `discard`: what the tree used, all witnesses heard.
    usage: Usage | None = None
    #: descriptor in the command -> descriptor here (filled by `redirect`).
    redirects: dict[int, int] = field(default_factory=dict)
    #: True when what the tree reads and writes is counted (set by `count_io`).
    counts_io: bool = False
    networkers: list[Callable[[list[OwnedFd]], None]] = field(default_factory=list)
    seizers: list[Callable[[int], frozenset[int] | None]] = field(default_factory=list)
    starters: list[Callable[[int, int], None]] = field(default_factory=list)
    settlers: list[Callable[[Callable[[], None]], None]] = field(default_factory=list)
    witnesses: list[Callable[[], Usage]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    #: Called with each fault at once; a life of a program is long.
    on_fault: Callable[[str], object] | None = None

    def redirect(self, target: int, fd: int) -> None:
        """Give the command `fd` (the recorder's own, kept open until `stop`) as its descriptor `target`."""
        self.redirects[target] = fd

    def seize(self, callback: Callable[[int], frozenset[int] | None]) -> None:
        """Park the command before its exec and call `callback(pid)` on the loop's thread.

        The command goes on when every such callback has returned; it can be
        seized with PTRACE_SEIZE meanwhile. The one that did so returns the numbers
        of the calls to be stopped at, by a seccomp filter (SECCOMP_RET_TRACE), or
        None for all. What a callback raises becomes a fault.
        """
        self.seizers.append(callback)

    def network(self, callback: Callable[[list[OwnedFd]], None]) -> None:
        """Give the command a network of its own, with loopback and, where pasta is installed, a way out.

        `callback(sockets)` is called on the loop's thread when all is configured and before the command's first
        instruction. Each socket, one for loopback and one for the way out, is an AF_PACKET socket made in there
        (SOCK_RAW, protocol 0), which gets nothing before it is bound; they are the callee's.
        Where such a network cannot be had the command is not run: `Run.error` says why.
        """
        self.networkers.append(callback)

    def count_io(self) -> None:
        """Ask, in `start`, for `usage.io`; without somebody who asks it is None without a fault."""
        self.counts_io = True

    def when_started(self, callback: Callable[[int, int], None]) -> None:
        """Call `callback(pid, keeper)` on the loop's thread when the command has been executed.

        `pid` is the command's. `keeper` is the pid of its parent, which is also the parent of
        every orphan of the tree: all that is below it is the tree. The command may have ended by then.
        """
        self.starters.append(callback)

    def settle(self, callback: Callable[[Callable[[], None]], None]) -> None:
        """Have a say in when `stop` comes: `callback(done)` is called when the tree is gone.

        The run goes on to `stop` when every such `done()` has been called, from
        the loop; sooner when it is interrupted.
        """
        self.settlers.append(callback)

    def witness(self, callback: Callable[[], Usage]) -> None:
        """Offer what this recorder knows of the tree's usage; called after `stop`.

        Each figure must be exact or a lower bound that misses nothing but teardown; None is unknown.
        """
        self.witnesses.append(callback)

    def interrupt(self) -> None:
        """The run is cut short: wait for nobody from now on, and be through soon."""
        if not self.interrupted:
            self.interrupted = True
            self.deadline = time.monotonic() + TIME_TO_KEEP

    def is_late(self) -> bool:
        """Tell whether work on what is to be kept is to be given up: the end was asked for a while ago, or again."""
        asked = kernel.end_is_asked()
        if self.deadline is None and asked:
            self.deadline = time.monotonic() + TIME_TO_KEEP
        elif self.interrupted and asked:
            return True
        return self.deadline is not None and time.monotonic() > self.deadline

    def fault(self, text: str) -> None:
        """Report what could not be recorded: one sentence with cause and remedy."""
        self.faults.append(text)
        if self.on_fault is not None:
            self.on_fault(text)
