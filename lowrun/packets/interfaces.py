"""Which network interfaces there are, and what their packets look like in a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lowrun.core.packets import ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_RAW, Interface, interface_at
from lowrun.errors import UsageError

__all__ = ["Link", "chosen", "interfaces_behind", "interfaces_here", "link_of"]

#: Numbers of pcap-linktype(7).
LINKTYPE_ETHERNET, LINKTYPE_RAW, LINKTYPE_LINUX_SLL = 1, 101, 113
#: tcpdump's name for all of them.
ANY = "any"
#: A network namespace that was made for a command numbers its few interfaces from 1.
HIGHEST_IN_NEW_NAMESPACE = 256


class Link(NamedTuple):
    """How an interface's packets are captured."""

    #: In the file.
    linktype: int
    #: For a filter: a socket that is cooked hands it what is behind the header.
    filter_linktype: int
    #: By a SOCK_DGRAM socket, with an SLL header in front.
    cooked: bool


def link_of(interface: Interface) -> Link:
    """Return how tcpdump would capture there: Ethernet and IP as they are, anything else "cooked"."""
    if interface.hardware in (ARPHRD_ETHER, ARPHRD_LOOPBACK):
        return Link(LINKTYPE_ETHERNET, LINKTYPE_ETHERNET, False)
    if interface.hardware in ARPHRD_RAW:
        return Link(LINKTYPE_RAW, LINKTYPE_RAW, False)
    return Link(LINKTYPE_LINUX_SLL, LINKTYPE_RAW, True)


def _at(fd: int, indexes: Iterable[int]) -> list[Interface]:
    found = (interface_at(fd, index) for index in indexes)
    return [interface for interface in found if interface is not None]


def interfaces_here() -> list[Interface]:
    """Return all interfaces of this network namespace, up or not. Raises OSError."""
    from socket import AF_UNIX, SOCK_DGRAM, if_nameindex, socket

    with socket(AF_UNIX, SOCK_DGRAM) as any_socket:
        return _at(any_socket.fileno(), (index for index, _name in if_nameindex()))


def interfaces_behind(fd: int) -> list[Interface]:
    """Return all interfaces of the new network namespace that the socket `fd` was made in. Raises OSError."""
    return _at(fd, range(1, HIGHEST_IN_NEW_NAMESPACE))


def chosen(names: Sequence[str], there: Sequence[Interface]) -> list[Interface]:
    """Return those of `there` that `names` says, in its order, or without names all that are up.

    Raises UsageError for a name that is none of them.
    """
    if not names or ANY in names:
        return [interface for interface in there if interface.up]
    by_name = {interface.name: interface for interface in there}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise UsageError(f'no such interface: "{unknown[0]}" (there are: {", ".join(by_name)})')
    return [by_name[name] for name in dict.fromkeys(names)]
