"""Who a run talked to: addresses, ports, bytes and looked up names. Pure; calls and packets are counted here alike.

Of calls it is the descriptor's own text (`TCP:[10.0.0.1:5->10.0.0.2:80]`, as strace -yy has it) that names the other
end, and the address among the arguments where there is no connection yet. What is shorter than it was on the wire, or
another program's, only packets show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lowrun.kept.dns import RCODES, Message, message
from lowrun.trace.event import CALL, UNFINISHED, Event

__all__ = ["Host", "Lookup", "Peers", "unescaped"]

SENDING = frozenset("write writev send sendto sendmsg sendmmsg sendfile sendfile64 splice pwritev".split())
RECEIVING = frozenset("read readv recv recvfrom recvmsg recvmmsg preadv".split())
MANY = frozenset(("sendmmsg", "recvmmsg"))
CONNECTED = re.compile(r"(TCP|UDP|UDPLITE|SCTP|DCCP|RAW|PING|MPTCP)(v6)?:\[(.+)->(.+)\]")
SOCKET = re.compile(r"(TCP|UDP|UDPLITE|SCTP|DCCP|RAW|PING|MPTCP)(v6)?:\[")
IPV4 = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([\d.]+)"\)')
IPV6 = re.compile(r'sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([\da-fA-F:.]+)"')
LENGTH = re.compile(r"msg_len=(\d+)")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
ESCAPE = re.compile(r"\\([0-7]{1,3}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
LETTERS = {"n": 10, "t": 9, "r": 13, "v": 11, "f": 12, "a": 7, "b": 8, "e": 27}
DNS_PORT = 53
KINDS = frozenset((CALL, UNFINISHED))
#: Hosts and names beyond these are counted, not listed.
MOST = 1000


@dataclass(slots=True)
class Host:
    """One end that was talked to, at one port."""

    #: "TCP", "UDP" ...
    protocol: str
    address: str
    port: int
    connections: int = 0
    sent: int = 0
    received: int = 0
    #: "ECONNREFUSED" or, of packets, "reset" -> how often.
    errors: dict[str, int] = field(default_factory=dict)
    #: Names that were looked up and had this address.
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Lookup:
    """A name that was looked up by DNS."""

    name: str
    asked: int = 0
    #: Of the last answer: "NOERROR", "NXDOMAIN" ...; "" as long as there is none.
    answer: str = ""
    addresses: tuple[str, ...] = ()


def unescaped(text: str) -> bytes:
    """Return the bytes of a string as strace writes it, without its quotes."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "x" and len(code) == 3:
            return chr(int(code[1:], 16))
        return chr(int(code, 8) & 0xFF) if code[0] in "01234567" else chr(LETTERS.get(code, ord(code)))

    return ESCAPE.sub(one, text).encode("latin-1", "replace")


class Peers:
    """Adds up who was talked to."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, str, int], Host] = {}
        self._lookups: dict[str, Lookup] = {}
        #: How many hosts there was no room for.
        self.left_out = 0

    @property
    def hosts(self) -> list[Host]:
        """All that anything went to or came from, or that refused; those that most was said to first."""
        names: dict[str, list[str]] = {}
        for lookup in self._lookups.values():
            for address in lookup.addresses:
                names.setdefault(address, []).append(lookup.name)
        found = [host for host in self._hosts.values() if host.sent or host.received or host.errors or _met(host)]
        for host in found:
            host.names = tuple(names.get(host.address, ()))
        return sorted(found, key=lambda host: (not host.errors, -(host.sent + host.received)))

    @property
    def lookups(self) -> list[Lookup]:
        """All names, those without an address first."""
        return sorted(self._lookups.values(), key=lambda lookup: bool(lookup.addresses))

    def host(self, protocol: str, address: str, port: int) -> Host | None:
        """Return the host, None when there are too many."""
        key = protocol, address, port
        host = self._hosts.get(key)
        if host is None:
            if len(self._hosts) >= MOST:
                self.left_out += 1
                return None
            host = self._hosts[key] = Host(protocol, address, port)
        return host

    def dns(self, data: bytes) -> None:
        """Take what may be a DNS message."""
        found = message(data)
        if found is not None and (found.name in self._lookups or len(self._lookups) < MOST):
            self._look_up(found)

    def _look_up(self, found: Message) -> None:
        lookup = self._lookups.setdefault(found.name, Lookup(found.name))
        if found.rcode is None:
            lookup.asked += 1
            return
        lookup.answer = RCODES.get(found.rcode, f"code {found.rcode}")
        lookup.addresses = tuple(dict.fromkeys((*lookup.addresses, *found.addresses)))

    def add(self, event: Event) -> None:
        """Take a call; most are about no socket."""
        if "[" not in event.target or event.kind not in KINDS or (socket := SOCKET.match(event.target)) is None:
            return
        protocol = socket[1]
        if event.name == "connect":
            self._connect(protocol, event)
        elif event.name in SENDING or event.name in RECEIVING:
            self._transfer(protocol, event)

    def _connect(self, protocol: str, event: Event) -> None:
        where = _address_in(event.arguments)
        host = None if where is None else self.host(protocol, *where)
        if host is None:
            return
        if event.kind == UNFINISHED or (event.error and event.error != "EINPROGRESS"):
            error = event.error or "no answer"
            host.errors[error] = host.errors.get(error, 0) + 1
        else:
            host.connections += 1

    def _transfer(self, protocol: str, event: Event) -> None:
        where = _other_end(event.target) or _address_in(event.arguments)
        if where is None:
            return
        if where[1] == DNS_PORT:
            for text in TEXT.findall(event.arguments):
                self.dns(unescaped(text))
        host = self.host(protocol, *where)
        if host is None:
            return
        if event.error:
            if event.error in ("ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"):
                host.errors[event.error] = host.errors.get(event.error, 0) + 1
            return
        size = event.value or 0
        if event.name in MANY:
            size = sum(map(int, LENGTH.findall(event.arguments)))
        if event.name in SENDING:
            host.sent += max(0, size)
        else:
            host.received += max(0, size)


def _met(host: Host) -> bool:
    """A connection was made; of a datagram's socket that says nothing: glibc so asks for the way to an address."""
    return host.connections > 0 and not host.protocol.startswith("UDP")


def _other_end(target: str) -> tuple[str, int] | None:
    match = CONNECTED.fullmatch(target)
    return None if match is None else _split(match[4])


def _split(text: str) -> tuple[str, int] | None:
    address, _, port = text.rpartition(":")
    return (address.strip("[]"), int(port)) if port.isdigit() and address else None


def _address_in(arguments: str) -> tuple[str, int] | None:
    match = IPV4.search(arguments) or IPV6.search(arguments)
    return None if match is None else (match[2], int(match[1]))
