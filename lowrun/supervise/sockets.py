"""Socket activation: a program's listening sockets, opened once and handed to each of its lives (sd_listen_fds(3)).

They are open from before the first life until after the last one, so between two lives a client waits in the backlog
and is not refused. The program finds them from descriptor 3 on, with LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID, its own
pid, which only the process that becomes the program can know: the launcher sets it. They are blocking, as those of
systemd are.

A unix socket's file outlives who was bound to it: one that nobody listens on any more is removed, one that somebody
listens on is not; connecting tells which (ECONNREFUSED, unix(7)). At the end our own are removed.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence
from typing import Any

from lowrun.core.fd import OwnedFd
from lowrun.errors import DeniedError, LowrunError, UsageError
from lowrun.supervise.listening import DATAGRAM, IPV6, UNIX, Listening, parse_listening
from lowrun.supervise.readyspec import FIRST_FD

__all__ = ["ListenError", "ListenSockets"]

UNPRIVILEGED = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


class ListenError(LowrunError, OSError):
    """A socket cannot be opened; the message names its address and the remedy."""

    def __str__(self) -> str:
        return str(self.strerror)


class ListenSockets:
    """The sockets of one program. `name` is the one of those without a name of their own.

    `fds` is the program's descriptor -> ours, `env` goes into its environment. `held` are sockets that a program has
    which outlived its lowrun: who has an address that is wanted is taken (and taken out of `held`), as it is.
    Raises UsageError for what is no address, ListenError, DeniedError.
    """

    def __init__(self, specs: Sequence[str], name: str, held: list[OwnedFd] | None = None) -> None:
        wanted = [parse_listening(spec) for spec in specs]
        self._sockets: list[socket.socket] = []
        #: Path, and which file it is.
        self._files: list[tuple[str, int, int]] = []
        try:
            for each in wanted:
                self._sockets.append(self._take(each, held or []) or self._open(each))
        except BaseException:
            self.close()
            raise
        self.fds = {FIRST_FD + place: sock.fileno() for place, sock in enumerate(self._sockets)}
        self.env = {
            "LISTEN_FDS": str(len(wanted)),
            "LISTEN_FDNAMES": ":".join(each.name or name.replace(":", "_") for each in wanted),
        }

    def leave_files(self) -> None:
        """The files are somebody else's from now on."""
        self._files.clear()

    def close(self) -> None:
        """Close them and remove the files that are still ours; the second time does nothing."""
        files, self._files = self._files, []
        for path, device, inode in files:
            try:
                found = os.lstat(path)
                if (found.st_dev, found.st_ino) == (device, inode):
                    os.unlink(path)
            except OSError:  # somebody else has removed it, or the directory is read-only by now
                continue
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            sock.close()

    # -- opening

    def _take(self, wanted: Listening, held: list[OwnedFd]) -> socket.socket | None:
        if wanted.is_file and not os.path.exists(wanted.path):
            return None
        address = _address(wanted)
        for descriptor in held:
            if _is_bound(descriptor.fileno(), wanted.kind, *address):
                held.remove(descriptor)
                self._note_file(wanted)
                return socket.socket(fileno=descriptor.release())
        return None

    def _note_file(self, wanted: Listening) -> None:
        if wanted.is_file:
            status = os.lstat(wanted.path)
            self._files.append((wanted.path, status.st_dev, status.st_ino))

    def _open(self, wanted: Listening) -> socket.socket:
        try:
            sock = self._bound(wanted)
        except OSError as error:
            raise _explained(wanted, error) from error
        try:
            self._note_file(wanted)
            if wanted.is_file:
                os.chmod(wanted.path, wanted.mode)
            if wanted.kind != DATAGRAM:
                sock.listen(wanted.backlog)
        except OSError as error:
            sock.close()
            raise _explained(wanted, error) from error
        return sock

    @staticmethod
    def _bound(wanted: Listening) -> socket.socket:
        family, address = _address(wanted)
        try:
            sock = socket.socket(family, wanted.kind)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT or not wanted.dual:
                raise
            family, address = socket.AF_INET, ("0.0.0.0", wanted.port)  # a machine without IPv6
            sock = socket.socket(family, wanted.kind)
        try:
            if family == UNIX:
                os.fchmod(sock.fileno(), wanted.mode)  # what bind gives the file, less the umask (unix(7))
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == IPV6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not wanted.dual)
            try:
                sock.bind(address)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not wanted.is_file or not _is_stale(wanted):
                    raise
                os.unlink(wanted.path)
                sock.bind(address)
        except BaseException:
            sock.close()
            raise
        return sock


def _is_bound(fd: int, kind: int, family: int, address: Any) -> bool:
    """Return True when `fd` is a socket of this kind with this address."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    with socket.socket(fileno=os.dup(fd)) as sock:
        if (sock.family, sock.type) != (family, kind):
            return False
        bound = sock.getsockname()
    if family == UNIX:
        return bool(os.fsdecode(bound) == address)
    return bool(bound[:2] == address[:2])


def _address(wanted: Listening) -> tuple[int, Any]:
    """Return the family and the address to bind to. Raises UsageError for an unknown host."""
    if wanted.family == UNIX:
        return UNIX, wanted.path
    try:
        found = socket.getaddrinfo(wanted.host or None, wanted.port, wanted.family, wanted.kind, 0, socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"--socket {wanted.spec}: {wanted.host}: {error.strerror}") from error
    return found[0][0], found[0][4]


def _is_stale(wanted: Listening) -> bool:
    """Return True when the path is a socket's that nobody listens on."""
    if not stat.S_ISSOCK(os.lstat(wanted.path).st_mode):
        return False
    with socket.socket(UNIX, wanted.kind | socket.SOCK_NONBLOCK) as probe:
        return probe.connect_ex(wanted.path) == errno.ECONNREFUSED


# -- why not


def _explained(wanted: Listening, error: OSError) -> LowrunError:
    """Return the error that names the address, the cause and the remedy."""
    number = error.errno or 0
    what = f"--socket {wanted.spec}"
    if number == errno.EADDRINUSE:
        who = _who_listens(wanted)
        return ListenError(number, f"{what}: {who}; stop it, or choose another address")
    if number == errno.EACCES and wanted.family != UNIX:
        return DeniedError(
            number,
            f"{what}: ports below {_first_unprivileged()} are root's: give lowrun CAP_NET_BIND_SERVICE, or lower "
            "net.ipv4.ip_unprivileged_port_start (sysctl)",
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DeniedError(number, f"{what}: {error.strerror}; choose a directory that lowrun may write to")
    remedies = {
        errno.EADDRNOTAVAIL: "no interface of this machine has that address (ip addr shows those that there are)",
        errno.EAFNOSUPPORT: "this machine has no IPv6; use tcp: or udp:",
        errno.ENOENT: f"{os.path.dirname(wanted.path)} does not exist; make that directory",
        errno.ENOTDIR: f"{os.path.dirname(wanted.path)} is no directory",
    }
    return ListenError(number, f"{what}: {remedies.get(number, error.strerror)}")


def _first_unprivileged() -> int:
    try:
        with open(UNPRIVILEGED) as file:
            return int(file.read())
    except OSError:
        return 1024


def _who_listens(wanted: Listening) -> str:
    """Return who has the address, as far as /proc tells."""
    if wanted.is_file and not stat.S_ISSOCK(os.lstat(wanted.path).st_mode):
        return "the file is there already, and is no socket"
    owners = sorted({pid for inode in _inodes(wanted) for pid in _owners(inode)})
    if not owners:
        return "the address is in use"
    return "in use by " + ", ".join(f"{_program(pid)} (pid {pid})" for pid in owners[:3])


def _inodes(wanted: Listening) -> set[str]:
    """Return the inodes of the sockets that have the address (proc_pid_net(5))."""
    found: set[str] = set()
    if wanted.family == UNIX:
        name = wanted.path.replace("\0", "@")
        with open("/proc/net/unix", errors="surrogateescape") as file:
            rows = (line.rstrip("\n").split(None, 7) for line in file)
            return {row[6] for row in rows if len(row) == 8 and row[7] == name}
    protocol = "udp" if wanted.kind == DATAGRAM else "tcp"
    for table in (protocol, f"{protocol}6"):
        try:
            with open(f"/proc/net/{table}") as file:
                rows = (line.split() for line in file)
                # 0A is a socket that listens, 07 one of UDP (include/net/tcp_states.h).
                found |= {row[9] for row in rows if row[3] in ("0A", "07") and int(row[1][-4:], 16) == wanted.port}
        except OSError:  # no IPv6
            continue
    return found


def _owners(inode: str) -> list[int]:
    """Return the processes that have the socket open, of those that we may look into."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with os.scandir(f"/proc/{pid}/fd") as entries:
                if any(os.readlink(entry.path) == f"socket:[{inode}]" for entry in entries):
                    found.append(int(pid))
        except OSError:
            continue
    return found


def _program(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process"
