"""Network interfaces, rings of captured packets and the files they are written to: packet(7), _native/packets*.c.

A `Ring` is one AF_PACKET socket of one interface with its ring. It numbers the packets that its filter lets in from
0; readers of it begin at a number, and `count` says how many there have been and how many the kernel had no room for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lowrun._native import ffi, lib
from lowrun.core.fd import OwnedFd
from lowrun.core.kernel import check
from lowrun.core.tape import Tape

__all__ = [
    "CaptureFile",
    "Counts",
    "Interface",
    "Reader",
    "Ring",
    "RingBuffer",
    "Sorter",
    "close_rings",
    "interface_at",
    "map_rings",
    "packet_socket",
    "recent_packets",
    "visit_processors",
]

ARPHRD_ETHER: int = lib.ARPHRD_ETHER
ARPHRD_LOOPBACK: int = lib.ARPHRD_LOOPBACK
#: Hardware without a header: IP begins at once (tun(4), wireguard, sit, ipip).
ARPHRD_RAW: frozenset[int] = frozenset(
    (lib.ARPHRD_NONE, lib.ARPHRD_RAWIP, lib.ARPHRD_SIT, lib.ARPHRD_TUNNEL, lib.ARPHRD_TUNNEL6)
)
#: Beside a block's own size, what a packet can need in the buffer.
BUFFER_MARGIN = 4096


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface, as it is now."""

    name: str
    index: int
    #: ARPHRD_... of <net/if_arp.h>.
    hardware: int
    up: bool
    loopback: bool
    #: b"" where it has none.
    mac: bytes


def interface_at(fd: int, index: int) -> Interface | None:
    """Return the interface `index` of the network namespace that the socket `fd` is of; None: there is none.

    Raises OSError.
    """
    found = ffi.new("struct lr_interface *")
    result = lib.lr_interface_read(fd, index, found)
    if result == -errno.ENODEV:
        return None
    check(result, "ioctl")
    return Interface(
        os.fsdecode(ffi.string(found.name)),
        index,
        found.hardware,
        bool(found.flags & lib.IFF_UP),
        bool(found.flags & lib.IFF_LOOPBACK),
        bytes(found.mac)[: found.mac_size],
    )


def packet_socket(*, cooked: bool) -> OwnedFd:
    """Return an AF_PACKET socket that gets nothing yet. Raises OSError: EPERM without CAP_NET_RAW."""
    from socket import AF_PACKET, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW, socket

    kind = SOCK_DGRAM if cooked else SOCK_RAW
    return OwnedFd(socket(AF_PACKET, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0).detach())


class Counts(NamedTuple):
    """A ring's packets since it was made."""

    #: That the filter let in and the ring had room for.
    packets: int = 0
    #: That the filter let in and the ring had no room for.
    drops: int = 0


class RingBuffer:
    """Memory for blocks of a file while they are made; one does for many rings, one after the other."""

    __slots__ = ("_buffer", "data")

    def __init__(self, block_size: int) -> None:
        size: int = max(block_size, lib.LR_PACKET_WRITE) + BUFFER_MARGIN
        self._buffer = ffi.new_allocator(should_clear_after_alloc=False)("uint8_t[]", size)
        self.data = ffi.new("struct lr_packet_buffer *", {"size": size, "data": self._buffer})


class CaptureFile:
    """The file of `tape` (the caller's) that packets are appended to, turn by turn where it has a size."""

    __slots__ = ("data",)

    def __init__(self, tape: Tape) -> None:
        begin = {"size": tape.head}
        turns = {} if tape.size is None else {"spare": tape.spare, "turn_size": tape.size}
        self.data = ffi.new(
            "struct lr_packet_file *",
            {"fd": tape.fileno(), "size": tape.head, "older": begin, "newer": begin, "head": tape.head, **turns},
        )

    @property
    def fd(self) -> int:
        """The descriptor of the file that the latest packets are in."""
        return int(self.data.fd)

    @property
    def error(self) -> int:
        """Why nothing more is written to it: an errno, or 0."""
        return int(self.data.error)

    @property
    def gap_error(self) -> int:
        """Why packets are missing in between, where files take turns: an errno, or 0."""
        return int(self.data.gap_error)

    @property
    def packets(self) -> int:
        """How many are in it."""
        return int(self.data.packets)

    @property
    def ordered(self) -> bool:
        """True while no packet is older than one before it."""
        return not self.data.unordered


class Sorter:
    """Puts the packets of files in order of time, which begin at byte `head` of each. One thread works at a time."""

    __slots__ = ("_head", "_stop")

    def __init__(self, head: int) -> None:
        self._head = head
        self._stop = ffi.new("uint32_t *")

    def put_in_order(self, fd: int) -> bool:
        """Do it in the file itself; False: too many are out of place.

        The file is whole in any case. Raises OSError: ECANCELED after `give_up`.
        """
        return not check(lib.lr_packets_mend(fd, self._head, self._stop), "pwrite")

    def copy_in_order(self, fd: int, target: int) -> None:
        """Copy the file `fd` to `target`, in order. Raises OSError (ENOSPC...; ECANCELED after `give_up`)."""
        check(lib.lr_packets_sort(fd, target, self._head, self._stop), "write")

    def give_up(self) -> None:
        """Let the thread that works end soon; from another one."""
        self._stop[0] = 1


def recent_packets(fd: int, head: int, room: int, since_ns: int) -> int:
    """Return where the packets begin, behind the head of the file `fd`, that have `room` to its end and are recent.

    That is, of no earlier time than `since_ns` (nanoseconds since 1970). Raises OSError.
    """
    return check(lib.lr_packets_recent(fd, head, room, since_ns), "mmap")


class Reader(NamedTuple):
    """Who gets a ring's packets."""

    file: CaptureFile
    #: It gets those behind so many of the ring's.
    after: int
    #: The ring's interface, as the file numbers it.
    interface: int


def _native_readers(readers: Sequence[Reader]) -> Any:
    cells = ffi.new("struct lr_packet_reader[]", len(readers))
    for cell, reader in zip(cells, readers, strict=True):
        cell.file, cell.after, cell.interface = reader.file.data, reader.after, reader.interface
    return cells


class Ring:
    """The ring of one interface on `socket`, which it owns from now on; `map_rings`, then `bind`, make it whole.

    `size` is in bytes; `block_size`, a part of it and a multiple of the page size, is
    what a packet must fit in, or is cut. `cooked` says that the socket was made so.
    """

    __slots__ = ("_native", "_readers", "counts", "gone", "interface")

    def __init__(
        self, interface: Interface, socket: OwnedFd, *, size: int, block_size: int, cooked: bool, snaplen: int
    ) -> None:
        self.interface = interface
        self.counts = Counts()
        #: True when the interface does not exist any more.
        self.gone = False
        #: The second is made of the first, and points into it.
        self._readers: tuple[Sequence[Reader], Any] = (), _native_readers(())
        self._native = ffi.new(
            "struct lr_ring *",
            {
                "block_size": block_size,
                "blocks": size // block_size,
                "incoming_only": interface.loopback,  # on loopback each packet passes twice
                "cooked": cooked,
                "snaplen": snaplen,
            },
        )
        self._native.fd = socket.release()

    def fileno(self) -> int:
        """Return the socket: readable when there is something to take."""
        return int(self._native.fd)

    @property
    def block_size(self) -> int:
        """In bytes."""
        return int(self._native.block_size)

    @property
    def size(self) -> int:
        """In bytes."""
        return int(self._native.block_size * self._native.blocks)

    def filter(self, program: bytes) -> None:
        """Let in what `program` (struct sock_filter, see bpf(4)) lets in, from now on. Raises OSError."""
        check(lib.lr_ring_filter(self.fileno(), ffi.from_buffer(program), len(program) // 8), "setsockopt")

    def bind(self) -> None:
        """Begin to get packets. Raises OSError: ENODEV when the interface has gone."""
        check(lib.lr_ring_bind(self._native, self.interface.index), "bind")
        self.take_error()

    def take_error(self) -> int:
        """Return and clear the socket's error: ENETDOWN when the interface has gone down, or away; 0 without one."""
        return check(lib.lr_ring_error(self._native), "getsockopt")

    def count(self) -> Counts:
        """Return how many packets there have been. Raises OSError."""
        new = ffi.new("struct lr_ring_counts *")
        check(lib.lr_ring_count(self._native, new), "getsockopt")
        packets, drops = self.counts
        self.counts = Counts(packets + new.packets - new.drops, drops + new.drops)
        return self.counts

    @property
    def waiting(self) -> int:
        """How many packets are in the ring."""
        return int(lib.lr_ring_waiting(self._native))

    def read_by(self, readers: Sequence[Reader]) -> None:
        """Give to these from now on what is taken."""
        self._readers = readers, _native_readers(readers)

    def take(self, buffer: RingBuffer, blocks: int) -> int:
        """Empty blocks that the kernel has handed over, at most `blocks`; return how many."""
        readers, cells = self._readers
        return int(lib.lr_ring_take(self._native, cells, len(readers), buffer.data, blocks))

    def take_open(self, buffer: RingBuffer, until: int) -> None:
        """Take what is left of the first `until` packets, those in the open block too.

        They must have been counted, and their bytes be there: see `visit_processors`.
        """
        readers, cells = self._readers
        check(lib.lr_ring_take_open(self._native, cells, len(readers), buffer.data, until), "a ring of packets")

    def _pointer(self) -> Any:
        return self._native


def map_rings(rings: Sequence[Ring]) -> None:
    """Make the rings of them all, at the same time. Raises OSError: ENOMEM, EINVAL for sizes that do not fit."""
    lib.lr_rings_map([ring._pointer() for ring in rings], len(rings))
    for ring in rings:
        check(ring._native.error, "setsockopt(PACKET_RX_RING)")


def close_rings(rings: Sequence[Ring]) -> None:
    """Close them all, at the same time; some 25 ms. The second time does nothing."""
    lib.lr_rings_close([ring._pointer() for ring in rings], len(rings))


def visit_processors() -> None:
    """Come back when all that processors did about packets at the time of the call is done; some 0.05 ms."""
    lib.lr_processors_visit()
