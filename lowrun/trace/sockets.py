"""Socket addresses as text: bytes in, strace's notation out.

Addresses are in network order, all else in the machine's (socket(7), unix(7),
ip(7), netlink(7), packet(7), vsock(7)).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from lowrun.trace.constants import enum_text
from lowrun.trace.netlink import interface
from lowrun.trace.quoting import quoted

__all__ = ["sockaddr_text"]

#: sizeof(struct sockaddr_storage): no address is longer.
STORAGE = 128

_family = enum_text("family")
_hardware = enum_text("nl_hardware")
_packet_type = enum_text("nl_packet_type")
_ethernet = enum_text("nl_ethernet")


def _unix(data: bytes, size: int) -> str:
    path = data[2 : min(size, 110)]
    if path[0]:
        return f"sun_path={quoted(path.partition(bytes(1))[0])}"
    return f"sun_path=@{quoted(path[1:])}"


def _inet(data: bytes, size: int) -> str:
    port = int.from_bytes(data[2:4], "big")
    return f'sin_port=htons({port}), sin_addr=inet_addr("{socket.inet_ntoa(data[4:8])}")'


def _inet6(data: bytes, size: int) -> str:
    port, flow = struct.unpack_from(">HI", data, 2)
    host = socket.inet_ntop(socket.AF_INET6, data[8:24])
    text = f'sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), inet_pton(AF_INET6, "{host}", &sin6_addr)'
    if size <= 24:
        return text
    scope = int.from_bytes(data[24:28], "little")
    of_link = (data[8] == 0xFE and data[9] & 0xC0 == 0x80) or (data[8] == 0xFF and data[9] & 0xF == 2)
    return f"{text}, sin6_scope_id={interface(scope) if of_link else scope}"


def _netlink(data: bytes, size: int) -> str:
    pad, pid, groups = struct.unpack_from("<HII", data, 2)
    return (
        (f"nl_pad={pad:#x}, " if pad else "") + f"nl_pid={pid}, nl_groups=" + (f"{groups:#08x}" if groups else "0" * 8)
    )


def _packet(data: bytes, size: int) -> str:
    (protocol,) = struct.unpack_from(">H", data, 2)
    index, hardware, kind, length = struct.unpack_from("<IHBB", data, 4)
    text = (
        f"sll_protocol=htons({_ethernet(protocol)}), sll_ifindex={interface(index)},"
        f" sll_hatype={_hardware(hardware)}, sll_pkttype={_packet_type(kind)}, sll_halen={length}"
    )
    shown = [f"{byte:#04x}" if byte else "00" for byte in data[12 : 12 + min(length, size - 12)]]
    if length > size - 12:
        shown.append("...")
    return f"{text}, sll_addr=[{', '.join(shown)}]" if length else text


def _vsock(data: bytes, size: int) -> str:
    reserved, port, cid, flags = struct.unpack_from("<HIIB", data, 2)
    names = {0: "VMADDR_CID_HYPERVISOR", 1: "VMADDR_CID_LOCAL", 2: "VMADDR_CID_HOST", 0xFFFFFFFF: "VMADDR_CID_ANY"}
    return (
        (f"svm_reserved1={reserved:#x}, " if reserved else "")
        + f"svm_cid={names.get(cid) or hex(cid)}, svm_port="
        + ("VMADDR_PORT_ANY" if port == 0xFFFFFFFF else f"{port:#x}" if port else "0")
        + f", svm_flags={'VMADDR_FLAG_TO_HOST' if flags == 1 else f'{flags:#x}' if flags else '0'}"
    )


#: Family -> (bytes that must be there, text of what follows the family).
_TEXTS: dict[int, tuple[int, Callable[[bytes, int], str]]] = {
    socket.AF_UNIX: (3, _unix), socket.AF_INET: (16, _inet), socket.AF_INET6: (24, _inet6),
    socket.AF_NETLINK: (12, _netlink), socket.AF_PACKET: (20, _packet), socket.AF_VSOCK: (16, _vsock),
}  # fmt: skip


def sockaddr_text(data: bytes, length: int | None = None) -> str | None:
    """Return `{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}` and its like.

    None where there is no family to be read. `length`: no more bytes than these.
    """
    size = min(len(data), STORAGE, STORAGE if length is None else length)
    if size < 2:
        return None
    family = int.from_bytes(data[:2], "little")
    head = f"{{sa_family={_family(family)}"
    if size == 2:
        return head + "}"
    least, text = _TEXTS.get(family, (STORAGE + 1, _unix))
    if size < least:
        return f"{head}, sa_data={quoted(data[2:size])}}}"
    return f"{head}, {text(data[:size].ljust(STORAGE, bytes(1)), size)}}}"
