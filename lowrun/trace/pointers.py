"""Formatters of arguments that point to memory: strings, structs, arrays, buffers.

What was not copied (a NULL or bad pointer, a call that failed before it wrote)
prints as an address, as strace does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from lowrun.trace.constants import flags_text
from lowrun.trace.context import Context, Formatter, signed
from lowrun.trace.grammar import RESULT, Argument
from lowrun.trace.ioctls import IOCTL_MEMORY
from lowrun.trace.layout import layout_text
from lowrun.trace.layouts import layout_names
from lowrun.trace.memory import MEMORY
from lowrun.trace.messages import content_of, iovecs_text, mmsghdrs_text, msghdr_text
from lowrun.trace.plan import element_size
from lowrun.trace.quoting import address, hexed, quoted
from lowrun.trace.records import Chunk
from lowrun.trace.scalars import descriptor_text
from lowrun.trace.signals import siginfo_text
from lowrun.trace.sizes import SIZED
from lowrun.trace.sockets import sockaddr_text
from lowrun.trace.sockopts import option_text
from lowrun.trace.structs import STRUCTS, sigset_text

__all__ = ["pointer_formatter", "pollfds_text"]

#: Text of what was copied: (context, the argument's index, the chunk) -> text.
Reader = Callable[[Context, int, Chunk], str]

#: Bytes of a set of processors that are looked at.
_CPUSET_SIZE = 128
_poll_events = flags_text("poll_events")


def _string(c: Context, i: int, chunk: Chunk) -> str:
    return quoted(chunk.data.partition(b"\0")[0], chunk.cut)


def _argv(c: Context, i: int, chunk: Chunk) -> str:
    data, at = chunk.data, 8
    texts: list[str] = []
    count = int.from_bytes(data[:8], "little")
    while at + 8 <= len(data) and len(texts) < count:
        size, cut = struct.unpack_from("<II", data, at)
        texts.append(quoted(data[at + 8 : at + 8 + size], cut != 0))
        at += 8 + ((size + 7) & ~7)
    if len(texts) < count:
        texts.append("...")
    return "[" + ", ".join(texts) + "]"


def _envp(c: Context, i: int, chunk: Chunk) -> str:
    count = int.from_bytes(chunk.data[:8], "little")
    return f"{c.arguments[i]:#x} /* {count} var{'' if count == 1 else 's'} */"


def _dirents(c: Context, i: int, chunk: Chunk) -> str:
    count, at, data = 0, 0, chunk.data
    while at + 18 <= len(data):
        count += 1
        at += int.from_bytes(data[at + 16 : at + 18], "little") or len(data)
    return f"{c.arguments[i]:#x} /* {count} entries */"


def _optval(c: Context, i: int, chunk: Chunk) -> str:
    return option_text(c, i, chunk.data, chunk.cut, bool(c.at_exit))


def _socklen(c: Context, i: int, chunk: Chunk) -> str:
    after = int.from_bytes(chunk.data[:4], "little")
    entry = c.at_entry.get(i)
    before = int.from_bytes(entry.data[:4], "little") if entry and entry.data else after
    return f"[{before}]" if before == after else f"[{before} => {after}]"


def _sockaddr(c: Context, i: int, chunk: Chunk) -> str:
    entry = c.at_entry.get(i + 1)
    room = int.from_bytes(entry.data[:4], "little") if entry and entry.data else None
    return sockaddr_text(chunk.data, room) or address(c.arguments[i])


def pollfds_text(c: Context, data: bytes) -> str:
    """Return `[{fd=3, events=POLLIN}]`."""
    return "[" + ", ".join(
        f"{{fd={descriptor_text(c, fd)}, events={_poll_events(events)}}}" if fd >= 0 else f"{{fd={fd}}}"
        for fd, events, _ in struct.iter_unpack("<iHH", data[: len(data) & ~7])
    ) + "]"  # fmt: skip


def _fdset(c: Context, i: int, chunk: Chunk) -> str:
    bits = int.from_bytes(chunk.data, "little") & ((1 << max(0, min(signed(c.arguments[0]), 1024))) - 1)
    return "[" + " ".join(descriptor_text(c, fd) for fd in range(bits.bit_length()) if bits >> fd & 1) + "]"


def _cpuset(c: Context, i: int, chunk: Chunk) -> str:
    bits = int.from_bytes(chunk.data[:_CPUSET_SIZE], "little")
    words = [str(cpu) for cpu in range(bits.bit_length()) if bits >> cpu & 1]
    given = c.arguments[1] & 0xFFFFFFFF if not c.at_exit else 0
    return "[" + " ".join([*words, "..."] if given > _CPUSET_SIZE else words) + "]"


def _fdpair(c: Context, i: int, chunk: Chunk) -> str:
    return "[" + ", ".join(descriptor_text(c, fd) for fd in struct.unpack("<ii", chunk.data[:8])) + "]"


def _remaining(c: Context, i: int, chunk: Chunk) -> str:
    return STRUCTS["timespec"](chunk.data) if c.value in (-514, -516, -4) else address(c.arguments[i])


def _iovec(c: Context, i: int, chunk: Chunk) -> str:
    return iovecs_text(chunk.data, c.arguments[2], c.arguments[i], chunk.cut)


def _iovec_unread(c: Context, i: int) -> str:
    """Iovecs that the kernel has not filled: where they are."""
    chunk = c.at_entry.get(i)
    if chunk is None or chunk.bad:
        return address(c.arguments[i])
    pairs = struct.iter_unpack("<QQ", chunk.data[: len(chunk.data) & ~15])
    texts = [f"{{iov_base={address(base)}, iov_len={size}}}" for base, size in pairs]
    return "[" + ", ".join([*texts, "..."] if chunk.cut else texts) + "]"


def _rooms(c: Context, i: int) -> list[int]:
    """What there was for the names of a call's message headers before it."""
    entry = c.at_entry.get(i)
    if not c.at_exit or entry is None:
        return []
    return [int.from_bytes(entry.data[at : at + 4], "little") for at in range(8, len(entry.data) - 3, 64)]


def _msghdr(c: Context, i: int, chunk: Chunk) -> str:
    room = next(iter(_rooms(c, i)), None)
    descriptor = signed(c.arguments[0])
    return msghdr_text(chunk.data, c.descriptors, descriptor, room, chunk.cut) or address(c.arguments[i])


def _msghdr_unread(c: Context, i: int) -> str:
    chunk = c.at_entry.get(i)
    if chunk is None or chunk.bad or len(chunk.data) < 12:
        return address(c.arguments[i])
    return f"{{msg_namelen={struct.unpack_from('<i', chunk.data, 8)[0]}}}"


def _mmsghdrs(c: Context, i: int, chunk: Chunk) -> str:
    return mmsghdrs_text(chunk.data, c.descriptors, signed(c.arguments[0]), _rooms(c, i), chunk.cut)


def _sent(c: Context, i: int, chunk: Chunk) -> str:
    return content_of(c.descriptors.get(c.arguments[0] & 0xFFFFFFFF, ""))(chunk.data, chunk.cut)


def _names(c: Context, i: int, chunk: Chunk) -> str:
    """Names of extended attributes: only their length is asked for with no room for them."""
    return quoted(chunk.data, chunk.cut) if c.arguments[i + 1] else address(c.arguments[i])


def _wstatus_or_usage(kind: str) -> Reader:
    text = STRUCTS[kind]
    return lambda c, i, chunk: text(chunk.data) if c.value > 0 else address(c.arguments[i])


READERS: dict[str, Reader] = {
    "path": _string, "str": _string, "argv": _argv, "envp": _envp, "dirents": _dirents, "optval": _optval,
    "socklen": _socklen, "fdset": _fdset, "cpuset": _cpuset, "fdpair": _fdpair,
    "remaining": _remaining, "wstatus": _wstatus_or_usage("wstatus"),
    "data": lambda c, i, chunk: quoted(chunk.data, chunk.cut),
    "value": lambda c, i, chunk: quoted(chunk.data[:-1] if chunk.data[-1:] == b"\0" else chunk.data, chunk.cut),
    "names": _names,
    "bytes": lambda c, i, chunk: hexed(chunk.data, chunk.cut),
    "text": lambda c, i, chunk: quoted(chunk.data.partition(b"\0")[0], chunk.cut),
    "pollfd": lambda c, i, chunk: pollfds_text(c, chunk.data),
    "siginfo": lambda c, i, chunk: siginfo_text(chunk.data, c.descriptors),
    "sockaddr": lambda c, i, chunk: sockaddr_text(chunk.data) or address(c.arguments[i]),
    "iovec": _iovec, "msghdr": _msghdr, "mmsghdr": _mmsghdrs, "sockbuf": _sent,
    "sigset": lambda c, i, chunk: sigset_text(chunk.data),
}  # fmt: skip


#: Kind -> its text when the call failed, before the kernel wrote anything.
UNREAD: dict[str, Callable[[Context, int], str]] = {"iovec": _iovec_unread, "msghdr": _msghdr_unread}


def _layouts(kind: str, argument: Argument, size: int) -> Reader:
    """A struct of layouts.py, or an array of it."""
    text = layout_text(kind)
    if argument.of < 0 or kind in SIZED:
        return lambda c, i, chunk: text(chunk.data, c)

    def array(c: Context, i: int, chunk: Chunk) -> str:
        data = chunk.data
        items = [text(data[at : at + size], c) for at in range(0, len(data) - size + 1, size)]
        return "[" + ", ".join([*items, "..."] if chunk.cut else items) + "]"

    return array


def _reader_of(argument: Argument) -> Reader | None:
    kind = argument.kind
    if kind == "sockaddr" and argument.indirect:
        return _sockaddr
    found = READERS.get(kind) or MEMORY.get(kind) or IOCTL_MEMORY.get(kind)
    if found is not None:
        return found
    size = element_size(kind)
    if kind in layout_names():
        return _layouts(kind, argument, size)
    if kind not in STRUCTS:
        return None
    text = STRUCTS[kind]
    if argument.of < 0:
        return lambda c, i, chunk: text(chunk.data) if len(chunk.data) >= size else address(c.arguments[i])

    def array(c: Context, i: int, chunk: Chunk) -> str:
        data = chunk.data
        items = [text(data[at : at + size]) for at in range(0, len(data) - size + 1, size)]
        return "[" + ", ".join([*items, "..."] if chunk.cut else items) + "]"

    return array


#: Written though the call fails.
_WRITTEN_FAILING = frozenset(("remaining", "file_handle"))
#: Printed as they were at entry where the call did not write them.
_AS_ENTERED = frozenset(("socklen", "timeout", "ifreq", "ifconf", "io_uring_params", "fiemap", "file_handle"))


def pointer_formatter(argument: Argument, index: int, leaving: bool) -> Formatter | None:
    """Return the formatter of memory, as it was at exit when `leaving`, else at entry; None: not known."""
    reader = _reader_of(argument)
    if reader is None:
        return None
    if not leaving:

        def entered(c: Context) -> str:
            chunk = c.at_entry.get(index)
            if chunk is None or chunk.bad or not c.arguments[index]:
                return address(c.arguments[index])
            return reader(c, index, chunk)

        return entered
    quotes = argument.kind in ("data", "sockbuf", "names", "value", "bytes")
    empty = argument.of == RESULT and (quotes or argument.kind in ("epoll_event", "gid", "dirents"))
    blank = '""' if quotes else "" if argument.kind == "dirents" else "[]"
    unread = UNREAD.get(argument.kind)
    always = argument.kind in _WRITTEN_FAILING
    same = argument.kind in _AS_ENTERED

    def left(c: Context) -> str:
        chunk = c.at_exit.get(index)
        if chunk is None or chunk.bad or (c.failed and not always) or not c.arguments[index]:
            if empty and c.value == 0 and not c.failed and c.arguments[index]:
                return blank or f"{c.arguments[index]:#x} /* 0 entries */"
            if unread is not None and c.arguments[index]:
                return unread(c, index)
            if same and (chunk := c.at_entry.get(index)) is not None and not chunk.bad:
                return reader(c, index, chunk)
            return address(c.arguments[index])
        return reader(c, index, chunk)

    return left
