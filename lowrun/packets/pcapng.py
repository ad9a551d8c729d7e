"""Blocks of a pcapng file but for its packets, which C writes. Pure: values in, bytes out.

draft-ietf-opsawg-pcapng: a block is its type, its length, a body and the length
again; options are code, length and a value that is padded to 4 bytes. All is in
this machine's byte order, which the section header's magic number tells.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["InterfaceStatistics", "interface_block", "section_block", "statistics_block"]

SECTION, INTERFACE, STATISTICS = 0x0A0D0D0A, 1, 5
MAGIC = 0x1A2B3C4D
OPT_ENDOFOPT, OPT_COMMENT = 0, 1
SHB_HARDWARE, SHB_OS, SHB_USERAPPL = 2, 3, 4
IF_NAME, IF_MACADDR, IF_TSRESOL, IF_FILTER, IF_OS = 2, 6, 9, 11, 12
ISB_STARTTIME, ISB_ENDTIME, ISB_IFRECV, ISB_IFDROP, ISB_FILTERACCEPT, ISB_OSDROP, ISB_USRDELIV = range(2, 9)
#: Timestamps are in units of 10 to the power of minus this.
NANOSECONDS = 9
#: if_filter begins with what kind of filter it is: a text for libpcap.
FILTER_TEXT = b"\0"
#: The longest value of an option.
LONGEST = 0xFFFF

Option = tuple[int, bytes]


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _options(options: Iterable[Option]) -> bytes:
    """Return the options that have a value, and their end; b"" without any."""
    parts = [struct.pack("=HH", code, len(value)) + _padded(value) for code, value in options if value]
    return b"".join([*parts, struct.pack("=HH", OPT_ENDOFOPT, 0)]) if parts else b""


def _block(kind: int, body: bytes) -> bytes:
    total = len(body) + 12
    return struct.pack("=II", kind, total) + body + struct.pack("=I", total)


def _text(text: str) -> bytes:
    """UTF-8 of at most LONGEST bytes, cut between characters; what is no character is replaced."""
    data = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode("utf-8")
    return data[:LONGEST].decode("utf-8", "ignore").encode("utf-8")


def section_block(*, hardware: str, os: str, application: str, comment: str) -> bytes:
    """Return the section header block, of a section whose length is not told."""
    options = (
        (OPT_COMMENT, _text(comment)),
        (SHB_HARDWARE, _text(hardware)),
        (SHB_OS, _text(os)),
        (SHB_USERAPPL, _text(application)),
    )
    return _block(SECTION, struct.pack("=IHHq", MAGIC, 1, 0, -1) + _options(options))


def interface_block(*, linktype: int, snaplen: int, name: str, mac: bytes, filter_text: str, os: str) -> bytes:
    """Return an interface description block; `mac` is b"" or 6 bytes, `filter_text` "" without a filter."""
    options = (
        (IF_NAME, _text(name)),
        (IF_MACADDR, mac),
        (IF_TSRESOL, bytes((NANOSECONDS,))),
        (IF_FILTER, FILTER_TEXT + _text(filter_text)[: LONGEST - 1] if filter_text else b""),
        (IF_OS, _text(os)),
    )
    return _block(INTERFACE, struct.pack("=HHI", linktype, 0, snaplen) + _options(options))


@dataclass(frozen=True)
class InterfaceStatistics:
    """What became of an interface's packets; None: not known. Times are ns since the epoch."""

    start_ns: int
    end_ns: int
    #: Received by the interface, before the filter.
    received: int | None
    #: Dropped by the interface.
    interface_drops: int | None
    #: Accepted by the filter, those included that the kernel then dropped.
    accepted: int
    #: Accepted, and dropped by the kernel: the ring was full.
    kernel_drops: int
    #: Accepted and in the file.
    delivered: int | None


def _time(ns: int) -> bytes:
    return struct.pack("=II", ns >> 32 & 0xFFFFFFFF, ns & 0xFFFFFFFF)


def statistics_block(interface: int, statistics: InterfaceStatistics) -> bytes:
    """Return the interface statistics block of the file's interface number `interface`."""
    counts = (
        (ISB_IFRECV, statistics.received),
        (ISB_IFDROP, statistics.interface_drops),
        (ISB_FILTERACCEPT, statistics.accepted),
        (ISB_OSDROP, statistics.kernel_drops),
        (ISB_USRDELIV, statistics.delivered),
    )
    options = [(ISB_STARTTIME, _time(statistics.start_ns)), (ISB_ENDTIME, _time(statistics.end_ns))]
    options += [(code, struct.pack("=Q", count)) for code, count in counts if count is not None]
    return _block(STATISTICS, struct.pack("=I", interface) + _time(statistics.end_ns) + _options(options))
