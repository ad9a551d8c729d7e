"""Which sockets a program is to be handed: `--socket`, as lowrun and as systemd write it. Pure.

    tcp:[HOST:]PORT     udp:[HOST:]PORT     IPv4, or IPv6 for a host in brackets; without a host, every address
    tcp6:[HOST:]PORT    udp6:[HOST:]PORT    IPv6 alone
    unix:PATH   unixgram:PATH   unixpacket:PATH             @NAME instead of a path: the abstract namespace
    ListenStream=   ListenDatagram=   ListenSequentialPacket=       ADDRESS as in systemd.socket(5): a PORT is one for
                                                                    IPv6 and IPv4, a path or @NAME is a unix socket

Behind it can stand `,name=NAME` (LISTEN_FDNAMES), `,mode=MODE` (of a unix socket's file, octal; default 0666) and
`,backlog=N`.
"""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from lowrun.errors import UsageError

__all__ = ["Listening", "parse_listening"]

#: The kernel lowers it to net.core.somaxconn.
BACKLOG = 4096
MODE = 0o666
STREAM, DATAGRAM, PACKETS = int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM), int(socket.SOCK_SEQPACKET)
IPV4, IPV6, UNIX = int(socket.AF_INET), int(socket.AF_INET6), int(socket.AF_UNIX)
KINDS = {
    "tcp": (IPV4, STREAM),
    "tcp6": (IPV6, STREAM),
    "udp": (IPV4, DATAGRAM),
    "udp6": (IPV6, DATAGRAM),
    "unix": (UNIX, STREAM),
    "unixgram": (UNIX, DATAGRAM),
    "unixpacket": (UNIX, PACKETS),
}
SYSTEMD = {"ListenStream": STREAM, "ListenDatagram": DATAGRAM, "ListenSequentialPacket": PACKETS}
FORMS = "tcp:HOST:PORT, tcp6:, udp:, udp6:, unix:PATH, unixgram:PATH, unixpacket:PATH or ListenStream=ADDRESS"
OPTION = re.compile(r",(name|mode|backlog)=([^,]*)\Z")
#: What a colon separates and the environment carries.
NAME = re.compile(r"[!-9;-~]{1,255}")
#: sun_path has 108 bytes, one of which ends it (unix(7)).
MAX_PATH = 107


class Listening(NamedTuple):
    """One socket: its address is a host and a port, or a path (with a NUL before an abstract name)."""

    #: As it was written, for messages.
    spec: str
    family: int
    kind: int
    host: str = ""
    port: int = 0
    path: str = ""
    #: IPv6 that takes IPv4 as well.
    dual: bool = False
    name: str = ""
    mode: int = MODE
    backlog: int = BACKLOG

    @property
    def is_file(self) -> bool:
        """True when it has a name in the file system."""
        return bool(self.path) and not self.path.startswith("\0")


def parse_listening(spec: str) -> Listening:
    """Return what `--socket SPEC` means. Raises UsageError."""
    address = spec
    options: dict[str, str] = {}
    while option := OPTION.search(address):
        options.setdefault(*option.groups())
        address = address[: option.start()]
    word, separator, rest = address.partition(":")
    directive, equals, value = address.partition("=")
    if equals and directive in SYSTEMD:
        found = _systemd(spec, SYSTEMD[directive], value.strip())
    elif separator and word in KINDS:
        family, kind = KINDS[word]
        found = _unix(spec, kind, rest) if family == UNIX else _internet(spec, family, kind, rest)
    else:
        raise UsageError(f"--socket takes {FORMS}, not {spec!r}")
    return _with_options(found, options)


def _with_options(found: Listening, options: dict[str, str]) -> Listening:
    name, mode, backlog = options.get("name"), options.get("mode"), options.get("backlog")
    if name is not None:
        if NAME.fullmatch(name) is None:
            raise UsageError(f"--socket {found.spec}: a name is up to 255 printable characters without a colon")
        found = found._replace(name=name)
    if mode is not None:
        if re.fullmatch("[0-7]{1,4}", mode) is None or not found.is_file:
            raise UsageError(f"--socket {found.spec}: a mode is octal, and of a unix socket with a path")
        found = found._replace(mode=int(mode, 8))
    if backlog is not None:
        if re.fullmatch("[0-9]{1,9}", backlog) is None:
            raise UsageError(f"--socket {found.spec}: a backlog is a number")
        found = found._replace(backlog=int(backlog))
    return found


def _unix(spec: str, kind: int, path: str) -> Listening:
    path = "\0" + path[1:] if path.startswith("@") else path
    if path[:1] not in ("/", "\0") or len(path) < 2:
        raise UsageError(f"--socket {spec}: a unix socket takes an absolute path or @NAME")
    if len(path.encode(errors="surrogateescape")) > MAX_PATH:
        raise UsageError(f"--socket {spec}: the path of a unix socket has at most {MAX_PATH} bytes")
    return Listening(spec, UNIX, kind, path=path)


def _internet(spec: str, family: int, kind: int, address: str) -> Listening:
    host, _, port = address.rpartition(":")
    if re.fullmatch("[0-9]{1,5}", port) is None or int(port) > 65535:
        raise UsageError(f"--socket {spec}: {port!r} is no port; as in tcp:127.0.0.1:8080")
    if host.startswith("[") and host.endswith("]"):
        family, host = IPV6, host[1:-1]
    elif ":" in host:
        raise UsageError(f"--socket {spec}: an IPv6 address stands in brackets, as in tcp6:[::1]:8080")
    return Listening(spec, family, kind, host="" if host == "*" else host, port=int(port))


def _systemd(spec: str, kind: int, address: str) -> Listening:
    if address[:1] in ("/", "@"):
        return _unix(spec, kind, address)
    if kind == PACKETS:
        raise UsageError(f"--socket {spec}: sequential packets are for unix sockets")
    found = _internet(spec, IPV4, kind, address)
    return found if found.host else found._replace(family=IPV6, dual=True)
