"""Records the packets that pass the network interfaces while a run goes on, as `net.pcapng`.

The rings are made before the command's first instruction, and used again by the
next run (lowrun/packets/capture.py). At a run's end nothing is waited for but
packets that are on their way through the kernel.

    start:  rings -> file: section, interfaces -> join
    settle: queues empty -> leave -> in order of time, if the run is kept
    keep:   statistics -> name
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from lowrun.core.fd import OwnedFd, UnnamedFile, write_all
from lowrun.core.loop import Loop
from lowrun.core.packets import CaptureFile, Interface, Sorter, recent_packets
from lowrun.core.procfs import dropped_by_interfaces
from lowrun.core.tape import Tape, copy_range
from lowrun.errors import ClosedError, DeniedError, UnsupportedError, UsageError, explain
from lowrun.packets.capture import SMALLEST_RING, Capture, Session
from lowrun.packets.denial import reason
from lowrun.packets.interfaces import chosen, interfaces_behind, interfaces_here, link_of
from lowrun.packets.pcapng import InterfaceStatistics, interface_block, section_block, statistics_block
from lowrun.runs.recorder import RunInfo, Window
from lowrun.steps import tell
from lowrun.values import Artifact
from lowrun.version import VERSION

__all__ = ["Packets"]

FILE_NAME = "net.pcapng"
#: Bytes kept of a packet: all, as tcpdump has it.
WHOLE_PACKET = 262144
NETWORKS = ("host", "rootless")
#: While packets are put in order: how often it is looked at whether the run is to be over; seconds.
LOOK_EVERY = 0.02


class Packets:
    """Keeps `net.pcapng`: the packets of `interfaces`, without any of all that are up.

    `filter` is a pcap-filter(7) expression, compiled by libpcap. `ring_size` is what
    the kernel has room for, for each interface, in bytes (default 32 MiB, less
    where there are more than two interfaces); `snaplen` the most that is kept of
    a packet. `network` is "host", or "rootless" for a command with a network of its own.

    Raises UsageError for an interface that does not exist, a filter that does
    not compile (with libpcap's words) or sizes out of range; UnsupportedError for a filter without libpcap.
    """

    name = "packets"

    def __init__(
        self,
        *interfaces: str,
        filter: str | None = None,
        ring_size: int | None = None,
        snaplen: int | None = None,
        network: str = "host",
    ) -> None:
        if not all(isinstance(name, str) for name in interfaces):
            raise UsageError("interfaces are given by name, one argument for each: Packets('lo', 'eth0')")
        if network not in NETWORKS:
            raise UsageError(f"network is {' or '.join(NETWORKS)}, not {network!r}")
        if ring_size is not None and not SMALLEST_RING <= ring_size <= 1 << 30:
            raise UsageError(f"ring_size {ring_size}: a ring has from 64 KiB to 1 GiB")
        if snaplen is not None and not 1 <= snaplen <= WHOLE_PACKET:
            raise UsageError(f"snaplen {snaplen}: from 1 to {WHOLE_PACKET} bytes of a packet can be kept")
        self._names, self._filter, self._ring_size = interfaces, filter, ring_size
        self._snaplen = WHOLE_PACKET if snaplen is None else snaplen
        self._network = network
        #: Of this recorder and its copies, for runs at the same time.
        self._capture = self._new_capture()
        self._capture.check_filter(chosen(interfaces, interfaces_here()) if network == "host" else ())
        self._run: RunInfo | None = None
        self._loop: Loop | None = None
        self._interfaces: Sequence[Interface] = ()
        self._record: Tape | None = None
        self._file: CaptureFile | None = None
        self._sorter: Sorter | None = None
        self._session: Session | None = None
        #: At the start, what each interface had dropped; {}: not known.
        self._dropped: dict[str, int] = {}
        self._sorting: threading.Thread | None = None
        #: Made anew of the record: in order, or only the end of it.
        self._made: UnnamedFile | None = None
        #: To be called when that is done.
        self._settled: Callable[[], None] | None = None

    def _new_capture(self) -> Capture:
        return Capture(self._filter, self._ring_size, self._snaplen)

    # -- the start

    def start(self, run: RunInfo, loop: Loop) -> None:
        """Begin to capture.

        Raises DeniedError without the right to (CAP_NET_RAW), with the remedy; OSError when
        `run.scratch` cannot be written to.
        """
        self._run, self._loop = run, loop
        run.settle(self._settle)
        if self._network == "rootless":
            run.network(self._begin_inside)
            return
        try:
            interfaces = chosen(self._names, interfaces_here())
        except UsageError as error:  # it was there when the recorder was made
            raise UnsupportedError(f"no packets are captured: {error}") from None
        self._begin(interfaces)

    def _begin_inside(self, sockets: list[OwnedFd]) -> None:
        """Begin in a new network, which no other run has a ring in. Raises what `start` does."""
        try:
            interfaces = chosen(self._names, interfaces_behind(sockets[0].fileno()))
        except UsageError as error:
            raise UnsupportedError(f"no packets are captured in COMMAND's own network: {error}") from None
        self._capture = self._new_capture()
        self._begin(interfaces[: len(sockets)], sockets)
        if unseen := interfaces[len(sockets) :]:
            names = ", ".join(interface.name for interface in unseen)
            self._fault(
                f"packets: {names} of COMMAND's own network: not captured, {len(sockets)} interfaces are at most; "
                "name the ones that matter with -i"
            )

    def _begin(self, interfaces: Sequence[Interface], sockets: Sequence[OwnedFd] | None = None) -> None:
        """Open the rings, write the head of the file, take part."""
        assert self._run is not None and self._loop is not None
        try:
            self._capture.open(interfaces, sockets)
        except OSError as error:
            raise DeniedError(f"no packets are captured: {_why(error)}") from error
        self._interfaces = interfaces
        window = self._run.window
        self._record = Tape(self._run.scratch, self._head(self._run), None if window is None else window.size)
        self._dropped = _dropped_by_interfaces() if sockets is None else {}
        try:
            self._file, self._sorter = CaptureFile(self._record), Sorter(self._record.head)
            self._session = self._capture.join(self._loop, self._file, interfaces)
        except BaseException:
            self.discard()
            raise
        for interface in interfaces:
            if not interface.up:
                text = f"packets: {interface.name} is down; bring it up (ip link set {interface.name} up)"
                self._run.fault(f"{text}, or name another with -i")

    def _head(self, run: RunInfo) -> bytes:
        from shlex import join

        system = os.uname()
        parts = [
            section_block(
                hardware=_hardware(),
                os=f"{system.sysname} {system.release}",
                application=f"lowrun {VERSION}",
                comment=join(run.command.argv),
            )
        ]
        for interface in self._interfaces:
            parts.append(
                interface_block(
                    linktype=link_of(interface).linktype,
                    snaplen=self._snaplen,
                    name=interface.name,
                    mac=interface.mac,
                    filter_text=self._filter or "",
                    os=f"{system.sysname} {system.release}",
                )
            )
        return b"".join(parts)

    # -- the end

    def _settle(self, done: Callable[[], None]) -> None:
        """Leave when no packet is on its way; then put a run's packets in order, if it is to be kept."""
        session = self._session
        if session is None:
            done()
            return

        def leave() -> None:
            try:
                session.leave()
            except OSError as error:
                self._fault(f"packets: the last ones may be missing: {error}")
            self._sort(done)

        session.settle(leave)

    def _sort(self, done: Callable[[], None]) -> None:
        assert self._run is not None and self._file is not None
        if not self._run.kept or (self._file.ordered and self._run.window is None):
            done()
            return
        self._settled = done
        self._start_sorting()

    def _start_sorting(self) -> None:
        loop = self._loop
        assert loop is not None

        def work() -> None:
            self._make()
            with suppress(ClosedError):
                loop.call_soon_threadsafe(self._in_order)

        self._sorting = threading.Thread(target=work, name="lowrun-packets")
        self._sorting.start()

    def _in_order(self) -> None:
        """Go on, unless the run was cut short meanwhile."""
        done, self._settled = self._settled, None
        if done is not None:
            done()

    def _make(self) -> None:
        """Make what is to be kept of the record: the end of it that is wanted, in order of time."""
        assert self._run is not None and self._record is not None and self._file is not None
        if self._run.window is not None:
            try:
                self._made = self._end_of(self._record, self._file, self._run.window)
            except OSError as error:
                self._fault(f"packets: none are kept: {_why_unordered(error)}")
                return
        if not self._file.ordered:
            self._put_in_order(self._made or self._record.newer, self._run.scratch)

    def _end_of(self, record: Tape, file: CaptureFile, window: Window) -> UnnamedFile:
        """Return a file of the last packets."""
        assert self._run is not None and self._session is not None
        record.turned_to(file.fd)
        since_ns = 0 if window.seconds is None else self._session.ended_ns - int(window.seconds * 1e9)
        room = window.size
        ranges = []
        for part in reversed(record.parts):
            fd, end = part.fileno(), os.fstat(part.fileno()).st_size
            start = recent_packets(fd, record.head, room, since_ns)
            ranges.append((fd, start, end))
            room = room - (end - start) if start == record.head else 0
        with ExitStack() as undo:
            made = undo.enter_context(UnnamedFile(self._run.scratch))
            copy_range(record.fileno(), made.fileno(), 0, record.head)
            for fd, start, end in reversed(ranges):
                copy_range(fd, made.fileno(), start, end)
            undo.pop_all()
        return made

    def _put_in_order(self, packets: UnnamedFile, directory: Path) -> None:
        """Put them in order of time, in place or in a file made anew, or leave them as they are and say so."""
        ordered = None
        try:
            assert self._sorter is not None
            if self._sorter.put_in_order(packets.fileno()):
                return
            ordered = UnnamedFile(directory)
            self._sorter.copy_in_order(packets.fileno(), ordered.fileno())
        except OSError as error:
            if ordered is not None:
                ordered.close()
            self._fault(f"packets: not all are in order of time: {_why_unordered(error)}")
        else:
            self._forget_made()
            self._made = ordered

    def _forget_made(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            made.close()

    def stop(self) -> None:
        """Take part no more; say what was lost."""
        self._settled = None
        if self._session is None:
            return
        self._session.leave()
        self._report()

    def _fault(self, text: str) -> None:
        assert self._run is not None
        self._run.fault(text)

    def _report(self) -> None:
        session, file = self._session, self._file
        assert session is not None and file is not None and self._run is not None
        for ring, counts in zip(session.rings, session.counts, strict=True):
            name = ring.interface.name
            tell("packets", "%s: %d captured, %d dropped", name, counts.packets, counts.drops)
            if counts.drops:
                total = counts.packets + counts.drops
                self._fault(
                    f"packets: {counts.drops} of {total} on {name} were dropped by the kernel: its ring was full; "
                    f"give a larger --net-ring-size (it was {_as_given(ring.size)}), or a --net-filter"
                )
            if ring.gone:
                self._fault(f"packets: the interface {name} went away; start the run when it is there to stay")
        if file.error:
            total = sum(counts.packets for counts in session.counts)
            cause = explain(OSError(file.error, os.strerror(file.error), self._run.scratch))
            self._fault(f"packets: the first {file.packets} of {total} are kept: {cause}")
        if file.gap_error:
            cause = explain(OSError(file.gap_error, os.strerror(file.gap_error), self._run.scratch))
            self._fault(f"packets: some are missing in between: {cause}")

    def keep(self, into: Path) -> list[Artifact]:
        """Name `net.pcapng` in `into`. Raises OSError."""
        try:
            if self._session is None or self._file is None or self._record is None or self._run is None:
                return []
            if self._sorting is None and not (self._file.ordered and self._run.window is None):
                self._start_sorting()  # the run was cut short
            self._wait_for_order()
            record = self._made or self._record.newer
            if self._made is None and self._run.window is not None:
                return []
            self._complete(record.fileno())
            record.link(into / FILE_NAME)
            return [Artifact(self.name, into / FILE_NAME)]
        finally:
            self.discard()

    def _complete(self, fd: int) -> None:
        """Put the statistics at the end of the file; where there is no room, say so: without them it is whole, too."""
        end = os.lseek(fd, 0, os.SEEK_END)
        try:
            write_all(fd, self._tail())
        except OSError as error:
            os.ftruncate(fd, end)
            self._fault(f"packets: {FILE_NAME} has no statistics at its end: {explain(error)}")

    def _tail(self) -> bytes:
        session, file = self._session, self._file
        assert session is not None and file is not None
        dropped = _dropped_by_interfaces()
        parts = []
        for number, (ring, counts) in enumerate(zip(session.rings, session.counts, strict=True)):
            name, before = ring.interface.name, self._dropped.get(ring.interface.name)
            accepted = counts.packets + counts.drops
            statistics = InterfaceStatistics(
                start_ns=session.started_ns,
                end_ns=session.ended_ns,
                received=None if self._filter else accepted,
                interface_drops=None if before is None else dropped.get(name, before) - before,
                accepted=accepted,
                kernel_drops=counts.drops,
                delivered=None if file.error else counts.packets,
            )
            parts.append(statistics_block(number, statistics))
        return b"".join(parts)

    def _wait_for_order(self) -> None:
        """Wait until the packets are in order, as long as the run may take."""
        assert self._run is not None
        while self._sorting is not None and self._sorting.is_alive() and not self._run.is_late():
            self._sorting.join(LOOK_EVERY)
        self._end_sorting()

    def _end_sorting(self) -> None:
        if self._sorting is not None and self._sorter is not None:
            self._sorter.give_up()
            self._sorting.join()
            self._sorting = None

    def discard(self) -> None:
        """Forget what was recorded; the rings stay for the next run."""
        self._end_sorting()
        self._forget_made()
        if self._record is not None:
            self._record.close()
        self._record = None
        self._run = self._loop = self._session = self._file = self._sorter = None

    def close(self) -> None:
        """Close the rings, unless a copy of this recorder has a run under way."""
        self._capture.close()


def _as_given(size: int) -> str:
    """Return a size of whole KiB as options take it: 64K, 32M, 1G."""
    unit = min((size & -size).bit_length() - 1, 30) // 10
    return f"{size >> 10 * unit}{'KMG'[unit - 1]}"


def _why_unordered(error: OSError) -> str:
    if error.errno == errno.ECANCELED:
        return (
            "lowrun was told to end before they were; `reordercap` of Wireshark does it, or let the run come to its end"
        )
    return explain(error)


def _why(error: OSError) -> str:
    return reason(error.errno or 0, Path("/proc/self/status").read_text(), Path("/proc/self/uid_map").read_text())


def _dropped_by_interfaces() -> dict[str, int]:
    try:
        with open("/proc/net/dev") as file:
            return dropped_by_interfaces(file.read())
    except OSError:
        return {}


@cache
def _hardware() -> str:
    """The processor's name, where there is one, else the kind of machine."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file.read(8192).splitlines() if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else os.uname().machine
