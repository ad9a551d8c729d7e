"""A pcap-filter(7) expression as the program that the kernel runs on each packet, compiled by libpcap.

libpcap is loaded when the first expression is compiled, by the names that its packages give the library (never by
ctypes.util.find_library, which runs ldconfig as a child of the host). An expression is compiled on a handle without a
device, so no privilege is needed. One thing cannot be had that way: the kernel takes a VLAN tag off a packet before a
filter sees it, so `vlan` has to ask for the tag beside the packet (SKF_AD_VLAN_TAG_PRESENT), and libpcap has that
code for an open packet socket alone. With `vlan` in it an expression is compiled on the loopback interface, opened
for that moment, and refused where this may not be: it would match nothing, without a word. What asks for a tag's
number in the frame (`ether proto 0x8100`, `ether[12:2] = 0x8100`) is refused, too: `vlan` is what it means.

libpcap's `struct bpf_insn` is the kernel's `struct sock_filter`: 16 bits of code, two jumps of 8, 32 of operand.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL, POINTER, Structure, byref, c_char_p, c_int, c_uint, c_void_p, create_string_buffer, string_at
from functools import cache
from struct import iter_unpack

from lowrun.errors import UnsupportedError, UsageError

__all__ = ["compile_filter"]

#: The library of libpcap 1.x: the name of its own build (Fedora, Alpine, Arch), Debian's, a developer's link.
NAMES = ("libpcap.so.1", "libpcap.so.0.8", "libpcap.so")
PACKAGES = "libpcap0.8 (Debian, Ubuntu) or libpcap (Fedora, Alpine, Arch)"
#: pcap.h: the netmask is not known; an expression with `ip broadcast` is refused then.
PCAP_NETMASK_UNKNOWN = 0xFFFFFFFF
PCAP_ERRBUF_SIZE = 256
#: linux/bpf_common.h: the longest program that a socket takes.
BPF_MAXINSNS = 4096
INSTRUCTION_SIZE = 8
ETHERNET = 1
#: What capture files and libpcap number differently here (pcap-linktype(7)): raw IP.
DLT_OF_LINKTYPE = {101: 12}
#: linux/bpf_common.h: A = a half-word of the frame; where A is compared with a constant.
LOAD_HALF, JUMP_EQUAL = 0x28, 0x15
CLASS, JUMPS, ALWAYS = 0x07, 0x05, 0x05
#: Loads of A, arithmetic, TXA.
CHANGES = (0x00, 0x04, 0x07)
#: Where Ethernet has the type of what follows; of VLAN tags (linux/if_ether.h: ETH_P_8021Q, ETH_P_8021AD, ETH_P_QINQ1).
TYPE_AT, TAGS = 12, (0x8100, 0x88A8, 0x9100)
#: The word `vlan`, and not a name that has it in it; a backslash makes a name of a word.
VLAN = re.compile(r"(?<![\w.$\\-])vlan(?![\w.$-])")

#: The parser of libpcap before 1.8 has global variables.
_lock = threading.Lock()


class _Program(Structure):
    """`struct bpf_program` of pcap/bpf.h."""

    _fields_ = (("length", c_uint), ("instructions", c_void_p))


@cache
def _libpcap() -> CDLL:
    """Return libpcap, its functions declared. Raises UnsupportedError."""
    for name in NAMES:
        try:
            library = CDLL(name)
            break
        except OSError:
            continue
    else:
        raise UnsupportedError(f"filter needs libpcap, which is not there; install {PACKAGES}")
    for function, result, *arguments in (
        ("pcap_open_dead", c_void_p, c_int, c_int),
        ("pcap_create", c_void_p, c_char_p, c_char_p),
        ("pcap_set_snaplen", c_int, c_void_p, c_int),
        ("pcap_activate", c_int, c_void_p),
        ("pcap_statustostr", c_char_p, c_int),
        ("pcap_compile", c_int, c_void_p, POINTER(_Program), c_char_p, c_int, c_uint),
        ("pcap_geterr", c_char_p, c_void_p),
        ("pcap_freecode", None, POINTER(_Program)),
        ("pcap_close", None, c_void_p),
    ):
        entry = getattr(library, function)  # kept: library[...] makes a new one each time
        entry.restype, entry.argtypes = result, arguments
    return library


def compile_filter(expression: str, linktype: int, snaplen: int) -> bytes:
    """Return the program of `expression`: an array of struct sock_filter, for SO_ATTACH_FILTER.

    `linktype` is that of the packets as a capture file numbers it (1 is Ethernet, and loopback), `snaplen`, at least
    1, the bytes of an accepted packet that it returns. Names of hosts and ports are looked up now.
    Raises UsageError with libpcap's words for what it does not accept, UnsupportedError without
    libpcap, or without the right that `vlan` takes.
    """
    title = f"filter {expression!r}"
    if not expression.strip():
        raise UsageError(f"{title} is empty; leave it out to capture all packets")
    if "\0" in expression or not expression.isascii():
        raise UsageError(f"{title}: only ASCII characters, and no NUL, can be in it")
    with _lock, _handle(expression, DLT_OF_LINKTYPE.get(linktype, linktype), snaplen) as handle:
        program = _compiled(handle, expression, title)
    if linktype == ETHERNET and VLAN.search(expression) is None and _asks_for_tags(program):
        raise UsageError(f"{title}: the kernel keeps VLAN tags beside the packet, not in it; ask with `vlan`")
    return program


def _asks_for_tags(program: bytes) -> bool:
    """Return whether the type in the Ethernet header can be compared with that of a VLAN tag. Jumps go forward only."""
    steps = list(iter_unpack("=HBBI", program))
    #: Instructions that can be come to with the type in A.
    typed: set[int] = set()
    for at, (code, equal, other, operand) in enumerate(steps):
        kind = code & CLASS
        if code == JUMP_EQUAL and at in typed and operand in TAGS:
            return True
        if kind == JUMPS:
            after = {at + 1 + operand} if code == ALWAYS else {at + 1 + equal, at + 1 + other}
        else:
            after = {at + 1}
        if (code == LOAD_HALF and operand == TYPE_AT) or (at in typed and kind not in CHANGES):
            typed |= after
    return False


def _compiled(handle: c_void_p, expression: str, title: str) -> bytes:
    library, program = _libpcap(), _Program()
    if library.pcap_compile(handle, byref(program), expression.encode("ascii"), 1, PCAP_NETMASK_UNKNOWN) < 0:
        words = library.pcap_geterr(handle).decode(errors="replace")
        raise UsageError(f"{title}: {words}")
    try:
        if program.length > BPF_MAXINSNS:
            raise UsageError(f"{title} is too long: {program.length} instructions, and the kernel takes {BPF_MAXINSNS}")
        return string_at(program.instructions, program.length * INSTRUCTION_SIZE)
    finally:
        library.pcap_freecode(byref(program))


@contextmanager
def _handle(expression: str, datalink: int, snaplen: int) -> Iterator[c_void_p]:
    """A pcap_t to compile `expression` on; see the module."""
    library = _libpcap()
    tagged = datalink == ETHERNET and VLAN.search(expression) is not None
    if tagged:
        handle = c_void_p(library.pcap_create(b"lo", create_string_buffer(PCAP_ERRBUF_SIZE)))
    else:
        handle = c_void_p(library.pcap_open_dead(datalink, snaplen))
    if not handle:
        raise MemoryError("libpcap has no memory for a handle")
    try:
        if tagged:
            _activate(handle, expression, snaplen)
        yield handle
    finally:
        library.pcap_close(handle)


def _activate(handle: c_void_p, expression: str, snaplen: int) -> None:
    library = _libpcap()
    library.pcap_set_snaplen(handle, snaplen)
    status = library.pcap_activate(handle)
    if status < 0:
        words = library.pcap_statustostr(status).decode(errors="replace")
        raise UnsupportedError(
            f"filter {expression!r}: the kernel keeps VLAN tags beside the packet, and only who may capture here can "
            f"ask for them (libpcap: {words}); run lowrun as root, or leave `vlan` out"
        )
