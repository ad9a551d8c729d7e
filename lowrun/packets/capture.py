"""Rings of all interfaces that are to be captured, and the runs that take part in what they see.

    runs       |-- run 1 --|  |-- run 2 --|-- run 3 --|
    filter  -- expression ------ none ---- expression -- none     (none: lets nothing in)
    ring    ======================================================> packets, numbered

A ring is made once and used by all runs, one after the other or at the same
time (making and closing one takes the kernel some 8 and 24 ms, see
_native/packets.c): a run takes part from the packet behind those that had been
counted when it joined, to the last one counted when it leaves. So what it has
captured and what was dropped meanwhile are exactly what the filter let in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from struct import pack

from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.loop import IoSource, Loop, Timer
from lowrun.core.packets import (
    CaptureFile,
    Counts,
    Interface,
    Reader,
    Ring,
    RingBuffer,
    close_rings,
    interface_at,
    map_rings,
    packet_socket,
    visit_processors,
)
from lowrun.core.procfs import backlogged
from lowrun.errors import UsageError
from lowrun.packets.interfaces import LINKTYPE_ETHERNET, link_of

__all__ = ["Capture", "Session", "ring_layout"]

#: Bytes: 0.1 s of a loopback flood that nobody takes (250,000 packets of 1,400 bytes a second).
DEFAULT_RING = 32 << 20
#: All rings together have this at most, where the user has not said how large one is.
ALL_RINGS = 64 << 20
SMALLEST_RING = 64 << 10
SMALLEST_BLOCK, LARGEST_BLOCK = 16 << 10, 1 << 20
#: A block that the largest packet fits in: 64 KiB (IP's limit, also for segments not yet cut), with its headers.
WHOLE_BLOCK = 128 << 10
#: Taken at a time, about; then others of the loop have their turn; bytes.
BATCH = 4 << 20
#: linux/bpf_common.h: BPF_RET | BPF_K, with the number of bytes to let in.
RETURN = 0x06
#: How long, and how often, a processor's queue is looked at until it has been empty once; seconds.
BACKLOG_WAIT, BACKLOG_EVERY = 0.05, 0.001


Key = tuple[int, str]


def _key(interface: Interface) -> Key:
    return interface.index, interface.name


def _let_in(size: int) -> bytes:
    return pack("=HBBI", RETURN, 0, 0, size)


def _backlogged() -> set[int]:
    try:
        with open("/proc/net/softnet_stat") as file:
            return backlogged(file.read())
    except OSError:  # without /proc nothing is known, and nearly always nothing waits
        return set()


def ring_layout(asked: int | None, interfaces: int) -> tuple[int, int]:
    """Return (ring size, block size) in bytes for each of so many interfaces.

    A ring has at least four blocks, since one is handed over while another is
    filled, and where it can be, blocks that a packet of 64 KiB fits in.
    """
    size = asked if asked is not None else min(DEFAULT_RING, max(SMALLEST_RING, ALL_RINGS // max(1, interfaces)))
    block = LARGEST_BLOCK
    while block > SMALLEST_BLOCK and ((block * 16 > size and block > WHOLE_BLOCK) or block * 4 > size):
        block //= 2
    return size // block * block, block


class Capture:
    """Rings of interfaces and who takes part; see the module.

    `expression` is a pcap-filter(7) text, `ring_size` in bytes or None,
    `snaplen` the most bytes kept of a packet.
    """

    def __init__(self, expression: str | None, ring_size: int | None, snaplen: int) -> None:
        self._expression, self._ring_size, self._snaplen = expression, ring_size, snaplen
        self._programs: dict[int, bytes] = {}
        #: By index and name of the interface.
        self._rings: dict[Key, Ring] = {}
        self._sources: dict[Ring, IoSource] = {}
        self._sessions: list[Session] = []
        self._buffer: RingBuffer | None = None

    def check_filter(self, interfaces: Sequence[Interface]) -> None:
        """Compile the filter; it must make sense for the packets of one of `interfaces`.

        Raises UsageError with libpcap's words, UnsupportedError without libpcap.
        """
        if self._expression is None:
            return
        linktypes = dict.fromkeys(link_of(interface).filter_linktype for interface in interfaces)
        refusals = []
        for linktype in linktypes or [LINKTYPE_ETHERNET]:
            try:
                self._programs[linktype] = self._compiled(self._expression, linktype)
            except UsageError as error:
                refusals.append(error)
        if not self._programs:
            raise refusals[0]

    def _compiled(self, expression: str, linktype: int) -> bytes:
        from lowrun.packets.netfilter import compile_filter  # loads ctypes

        return compile_filter(expression, linktype, self._snaplen)

    def _program(self, interface: Interface) -> bytes:
        """Return the filter's program for an interface: none of its packets, where the filter makes no sense there."""
        if self._expression is None:
            return _let_in(self._snaplen)
        linktype = link_of(interface).filter_linktype
        if linktype not in self._programs:
            try:
                self._programs[linktype] = self._compiled(self._expression, linktype)
            except UsageError:
                self._programs[linktype] = _let_in(0)
        return self._programs[linktype]

    # -- rings

    def open(self, interfaces: Sequence[Interface], sockets: Iterable[OwnedFd] | None = None) -> None:
        """See to it that there is a ring for each of `interfaces`, and for no other if nobody takes part.

        `sockets` are packet sockets that get nothing yet, made where the interfaces are; else they
        are made here. Raises OSError, UsageError, UnsupportedError.
        """
        if not self._sessions:
            wanted = set(map(_key, interfaces))
            self._close([ring for key, ring in self._rings.items() if key not in wanted or ring.gone])
        new = [interface for interface in interfaces if _key(interface) not in self._rings]
        if not new:
            return
        given = None if sockets is None else iter(sockets)
        size, block_size = ring_layout(self._ring_size, len(interfaces))
        rings: list[Ring] = []
        with ExitStack() as undo:
            undo.callback(lambda: close_rings(rings))
            for interface in new:
                link = link_of(interface)
                program = self._program(interface)
                cooked = link.cooked and given is None
                socket = packet_socket(cooked=cooked) if given is None else next(given)
                rings.append(
                    Ring(interface, socket, size=size, block_size=block_size, cooked=cooked, snaplen=self._snaplen)
                )
                rings[-1].filter(program if self._sessions else _let_in(0))
            map_rings(rings)
            for ring in rings:
                ring.bind()
            undo.pop_all()
        self._rings.update((_key(ring.interface), ring) for ring in rings)
        if self._buffer is None:
            self._buffer = RingBuffer(block_size)

    def _close(self, rings: Sequence[Ring]) -> None:
        if rings:
            for ring in rings:
                self._rings.pop(_key(ring.interface), None)
            close_rings(rings)

    def close(self) -> None:
        """Close the rings, unless a run takes part; they are made anew when one is to."""
        if not self._sessions:
            self._close(list(self._rings.values()))

    def __del__(self) -> None:
        self.close()

    # -- taking part

    def join(self, loop: Loop, file: CaptureFile, interfaces: Sequence[Interface]) -> Session:
        """Write to `file`, from now on, what the rings of `interfaces` see; numbered in this order. Raises OSError."""
        rings = [self._rings[_key(interface)] for interface in interfaces]
        session = Session(self, loop, file, rings)
        for ring in rings:
            if not self._sessions:
                ring.filter(self._program(ring.interface))
        self._sessions.append(session)
        self._hand_out()
        for ring in rings:
            if ring not in self._sources and not ring.gone:
                self._sources[ring] = loop.add_io(ring.fileno(), kernel.READ, self._taker(ring))
        return session

    def leave(self, session: Session) -> None:
        """Take everything that was sent until now, and no more: all of it is in the file, or counted as dropped."""
        try:
            self._take_all(session)
        finally:
            self._sessions.remove(session)
            self._hand_out()
            if not self._sessions:
                self._unwatch()

    def _take_all(self, session: Session) -> None:
        rings = session.rings
        # What is being handled now can be the run's last packet. What was in
        # the ring before that has its bytes, what came meanwhile maybe not.
        before = [ring.waiting for ring in rings]
        visit_processors()
        if len(self._sessions) == 1:
            for ring in rings:
                ring.filter(_let_in(0))
        session.end()
        if any(ring.waiting > count for ring, count in zip(rings, before, strict=True)):
            visit_processors()
        assert self._buffer is not None
        for ring in rings:
            ring.take_open(self._buffer, ring.counts.packets)

    def _hand_out(self) -> None:
        for ring in self._rings.values():
            ring.read_by([reader for session in self._sessions for reader in session.readers(ring)])

    def _unwatch(self) -> None:
        while self._sources:
            self._sources.popitem()[1].close()

    def _taker(self, ring: Ring) -> Callable[[int], None]:
        def take(events: int) -> None:
            assert self._buffer is not None
            ring.take(self._buffer, max(1, BATCH // ring.block_size))
            ring.count()  # the kernel's have 32 bits
            if events & kernel.ERROR and ring.take_error():
                ring.gone = interface_at(ring.fileno(), ring.interface.index) is None

        return take


class Session:
    """One run's part in a capture."""

    def __init__(self, capture: Capture, loop: Loop, file: CaptureFile, rings: Sequence[Ring]) -> None:
        self.rings = rings
        #: Of each ring, when the run joined, and how much more when it left.
        self.began = [ring.count() for ring in rings]
        self.counts = [Counts() for _ring in rings]
        self.started_ns, self.ended_ns = time.time_ns(), 0
        self._capture, self._loop, self._file = capture, loop, file
        self._busy: set[int] = set()
        self._timer: Timer | None = None
        self._deadline = 0.0
        self._done: Callable[[], None] | None = None

    def readers(self, ring: Ring) -> list[Reader]:
        """Return the session's reader of `ring`, if it has one."""
        if ring not in self.rings:
            return []
        number = self.rings.index(ring)
        return [Reader(self._file, self.began[number].packets, number)]

    def settle(self, done: Callable[[], None]) -> None:
        """Call `done()` when no packet waits any more for a processor to receive it: mostly at once.

        A packet to loopback is put in the queue of a processor (netif_rx), which is emptied in a softirq.
        """
        self._busy = _backlogged()
        if not self._busy:
            done()
            return
        self._done, self._deadline = done, time.monotonic() + BACKLOG_WAIT
        self._timer = self._loop.add_timer(BACKLOG_EVERY, self._look_again, every=BACKLOG_EVERY)

    def _look_again(self) -> None:
        self._busy &= _backlogged()
        if self._done is not None and (not self._busy or time.monotonic() > self._deadline):
            done = self._done
            self._wait_no_more()
            done()

    def _wait_no_more(self) -> None:
        self._done = None
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def end(self) -> None:
        """Count for the last time; for `Capture.leave`."""
        for number, (ring, began) in enumerate(zip(self.rings, self.began, strict=True)):
            now = ring.count()
            self.counts[number] = Counts(now.packets - began.packets, now.drops - began.drops)
        self.ended_ns = time.time_ns()

    def leave(self) -> None:
        """Take no part any more; the second time does nothing. Raises OSError."""
        self._wait_no_more()
        if not self.ended_ns:
            self._capture.leave(self)
