"""Socket addresses, messages and options as text: bytes in, strace's notation out.

Addresses are in network order, all else in the machine's (socket(7), unix(7),
ip(7), netlink(7)).
"""

from __future__ import annotations

import socket
import struct

from lowrun.trace.constants import enum_text, flags_text
from lowrun.trace.quoting import address, hexed, quoted

__all__ = ["control_text", "iovecs_text", "msghdr_text", "sockaddr_text"]

_family = enum_text("family")
_level = enum_text("sockopt_level")
_msg_flags = flags_text("msg_flags")
_SCM = {1: "SCM_RIGHTS", 2: "SCM_CREDENTIALS", 3: "SCM_SECURITY", 4: "SCM_PIDFD"}


def sockaddr_text(data: bytes, length: int | None = None) -> str:
    """Return `{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}` and its like."""
    if length is not None:
        data = data[:length]
    if len(data) < 2:
        return hexed(data)
    family = int.from_bytes(data[:2], "little")
    head = f"{{sa_family={_family(family)}"
    if family == socket.AF_UNIX:
        path = data[2:110]
        if not path:
            return head + "}"
        if path[0] == 0 and len(path) > 1:
            return f"{head}, sun_path=@{quoted(path[1:])}}}"
        return f"{head}, sun_path={quoted(path.partition(bytes(1))[0])}}}"
    if family == socket.AF_INET and len(data) >= 8:
        port = int.from_bytes(data[2:4], "big")
        return f'{head}, sin_port=htons({port}), sin_addr=inet_addr("{socket.inet_ntoa(data[4:8])}")}}'
    if family == socket.AF_INET6 and len(data) >= 24:
        port, flow = struct.unpack_from(">HI", data, 2)
        host = socket.inet_ntop(socket.AF_INET6, data[8:24])
        scope = f", sin6_scope_id={int.from_bytes(data[24:28], 'little')}" if len(data) >= 28 else ""
        return (
            f"{head}, sin6_port=htons({port}), sin6_flowinfo=htonl({flow}),"
            f' inet_pton(AF_INET6, "{host}", &sin6_addr){scope}}}'
        )
    if family == socket.AF_NETLINK and len(data) >= 12:
        pid, groups = struct.unpack_from("<II", data, 4)
        return (
            f"{head}, nl_pid={pid}, nl_groups={groups:#010x}}}"
            if groups
            else f"{head}, nl_pid={pid}, nl_groups=00000000}}"
        )
    return f"{head}, sa_data={quoted(data[2:])}}}"


#: How many elements the tracer copies (LR_VECTOR_MAX in records.h; a test compares).
VECTOR_MAX = 32


def _pieces(data: bytes, at: int) -> list[tuple[bytes, bool]]:
    """Split `u32 len, u32 cut, bytes padded to 8` repeated."""
    pieces = []
    while at + 8 <= len(data):
        size, cut = struct.unpack_from("<II", data, at)
        at += 8
        pieces.append((data[at : at + size], cut != 0))
        at += (size + 7) & ~7
    return pieces


def _iovec_list(raw: list[tuple[int, int]], pieces: list[tuple[bytes, bool]], limit: int) -> str:
    texts = []
    for index, (base, size) in enumerate(raw):
        if index < len(pieces):
            data, cut = pieces[index]
            part = data[: max(limit, 0)]
            base_text = quoted(part, cut and len(part) == len(data) < limit) if base or data else "NULL"
            limit -= size
        else:
            base_text = address(base)
        texts.append(f"{{iov_base={base_text}, iov_len={size}}}")
    return "[" + ", ".join(texts) + "]"


def iovecs_text(data: bytes, count: int, limit: int) -> str:
    """Return an IOVEC chunk as `[{iov_base="...", iov_len=3}]`, at most `limit` bytes of content."""
    kept = min(count, VECTOR_MAX, len(data) // 16)
    raw = [struct.unpack_from("<QQ", data, 16 * index) for index in range(kept)]
    text = _iovec_list([(base, size) for base, size in raw], _pieces(data, 16 * kept), limit)
    return text if kept == count else text[:-1] + ", ...]"


def control_text(data: bytes, decorate: dict[int, str]) -> str:
    """Return the control messages of a msghdr (cmsg(3))."""
    texts, at = [], 0
    while at + 16 <= len(data):
        size, level, kind = struct.unpack_from("<Qii", data, at)
        body = data[at + 16 : at + size] if size >= 16 else b""
        name = _SCM.get(kind, f"{kind:#x}") if level == socket.SOL_SOCKET else f"{kind:#x}"
        text = f"{{cmsg_len={size}, cmsg_level={_level(level)}, cmsg_type={name}"
        if name == "SCM_RIGHTS":
            fds = struct.unpack(f"<{len(body) // 4}i", body[: len(body) & ~3])
            text += ", cmsg_data=[" + ", ".join(f"{fd}{decorate.get(fd, '')}" for fd in fds) + "]"
        elif name == "SCM_CREDENTIALS" and len(body) >= 12:
            text += ", cmsg_data={{pid={}, uid={}, gid={}}}".format(*struct.unpack_from("<iII", body))
        elif body:
            text += f", cmsg_data={hexed(body)}"
        texts.append(text + "}")
        if size < 16:
            break
        at += (size + 7) & ~7
    return "[" + ", ".join(texts) + "]"


def msghdr_text(data: bytes, limit: int, decorate: dict[int, str], room: int | None = None) -> str:
    """Return a MSGHDR chunk as `{msg_name=..., msg_iov=[...], ...}`.

    `limit` bytes of content are of interest; `room` is what there was for the
    name before the call.
    """
    if len(data) < 56:
        return hexed(data)
    name, name_size, iov, iov_count, control, control_size, flags = struct.unpack_from("<QI4xQQQQi", data)
    pieces, at = [], 56
    for _ in range(2):
        size = int.from_bytes(data[at : at + 4], "little")
        pieces.append(data[at + 8 : at + 8 + size])
        at += 8 + ((size + 7) & ~7)
    name_text = sockaddr_text(pieces[0], name_size) if name and pieces[0] else address(name)
    iov_text = iovecs_text(data[at:], iov_count, limit) if iov else "NULL"
    length = f"{name_size}" if room in (None, name_size) else f"{room} => {name_size}"
    control_part = f"msg_control={control_text(pieces[1], decorate)}, " if control and pieces[1] else ""
    return (
        f"{{msg_name={name_text}, msg_namelen={length}, msg_iov={iov_text}, msg_iovlen={iov_count}, "
        f"{control_part}msg_controllen={control_size}, msg_flags={_msg_flags(flags & 0xFFFFFFFF)}}}"
    )
