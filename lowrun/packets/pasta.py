"""The way out of a command's own network: pasta of https://passt.top, where it is installed.

pasta gives the namespace an interface with the addresses and routes of the machine's, and makes in the machine's
network, by ordinary sockets of its user, the connections that go out there. It runs below a keeper of its own: it ends
with the run, and with lowrun. It says its pid on descriptor 1 when all is configured, and, in the foreground, what went
wrong on 2. No ports are forwarded, so that the namespace's loopback is the command's alone.

Without a user namespace (the command of a privileged user) pasta may not look at /proc/PID/ns, and would become the
user nobody: it gets the namespace opened, as descriptor 0, and stays who it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from lowrun.core import kernel
from lowrun.core.fd import OwnedFd
from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch
from lowrun.core.loop import IoSource, Loop, Timer
from lowrun.core.process import Process
from lowrun.errors import SpawnError
from lowrun.steps import tell
from lowrun.values import Command

__all__ = ["Pasta", "lookup_fault"]

OPTIONS = ("--foreground", "--quiet", "--config-net", "--pid", "/proc/self/fd/1")
NO_PORTS = ("--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none")
#: How long its interface may take; seconds.
READY_WITHIN = 5.0
RESOLVERS = "/etc/resolv.conf"
WORDS_SIZE = 4096


class Pasta:
    """pasta for the namespace of the parked process `pid`.

    `on_ready(fault)` is called once, from the loop: with None when connections can go out, else with why not.
    Raises OSError when it cannot be started.
    """

    def __init__(self, loop: Loop, keepers: Keepers, pid: int, on_ready: Callable[[str | None], object]) -> None:
        self._on_ready: Callable[[str | None], object] | None = on_ready
        self._on_gone: Callable[[], object] | None = None
        self._source: IoSource | None = None
        self._timer: Timer | None = None
        self._gone = False
        self._words = OwnedFd(os.memfd_create("lowrun-pasta", os.MFD_CLOEXEC))
        reader, writer = map(OwnedFd, os.pipe2(os.O_CLOEXEC))
        self._ready = reader
        target, namespace = _target(pid)
        command = Command(("pasta", *OPTIONS, *NO_PORTS, *target), group="session")
        self._launch = Launch(command)
        with writer, namespace:
            fds = {0: namespace.fileno(), 1: writer.fileno(), 2: self._words.fileno()}
            try:
                self._process = Process(loop, keepers, self._launch, fds, on_end=self._end, linger=0)
            except BaseException:
                self._close()
                raise
        self._source = loop.add_io(reader.fileno(), kernel.READ, lambda _events: self._look())
        self._timer = loop.add_timer(
            READY_WITHIN, lambda: self._tell_ready(f"it was not ready within {READY_WITHIN:g} s")
        )

    def _look(self) -> None:
        if os.read(self._ready.fileno(), 64):
            self._tell_ready(None)
        elif self._source is not None:  # it has ended: _end comes
            self._source.close()

    def _tell_ready(self, why: str | None) -> None:
        on_ready, self._on_ready = self._on_ready, None
        self._unwatch()
        if on_ready is not None:
            tell("network", "pasta is ready" if why is None else f"pasta: {why}")
            on_ready(None if why is None else f"COMMAND has no way out of its own network: pasta: {why}")

    def _end(self, process: Process) -> None:
        self._gone = True
        self._tell_ready(self._last_words(process))
        self._close()
        if self._on_gone is not None:
            self._on_gone()

    def _last_words(self, process: Process) -> str:
        if isinstance(process.error, SpawnError):
            return str(process.error.strerror)
        text = os.pread(self._words.fileno(), WORDS_SIZE, 0).decode(errors="replace")
        lines = [line for line in text.splitlines() if line and not line.startswith("Failed to send ")]
        return lines[-1] if lines else f"it ended ({process.status})"

    def stop(self, on_gone: Callable[[], object]) -> None:
        """End it; `on_gone()` is called when it is gone, at once if it is."""
        self._on_ready = None
        self._unwatch()
        if self._gone:
            on_gone()
        else:
            self._on_gone = on_gone
            self._process.kill()

    def close(self) -> None:
        """End it at once and wait for it; no callback comes any more."""
        self._on_ready = self._on_gone = None
        if not self._gone:
            self._gone = True
            self._process.close()
        self._close()

    def _unwatch(self) -> None:
        for watch in (self._source, self._timer):
            if watch is not None:
                watch.close()
        self._source = self._timer = None

    def _close(self) -> None:
        self._unwatch()
        for closable in (self._ready, self._words, self._launch):
            closable.close()


def _target(pid: int) -> tuple[tuple[str, ...], OwnedFd]:
    """Return pasta's words for the namespaces of `pid`, and its descriptor 0. Raises OSError."""
    if os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user"):
        namespace = OwnedFd(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        return (*_stay(), "--netns", "/proc/self/fd/0", "--no-netns-quit"), namespace
    return (*_stay(), str(pid)), OwnedFd(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


def _stay() -> tuple[str, ...]:
    """Root's pasta becomes nobody, who has no say in root's namespaces."""
    return ("--runas", "0") if os.geteuid() == 0 else ()


def lookup_fault() -> str | None:
    """Return why names cannot be looked up in the namespace, or None: the resolver is on the machine's loopback."""
    try:
        with open(RESOLVERS) as file:
            servers = re.findall(r"^\s*nameserver\s+(\S+)", file.read(), re.MULTILINE)
    except OSError:
        return None
    if servers and all(server.startswith("127.") or server == "::1" for server in servers):
        return (
            f"COMMAND cannot look up names in its own network: {RESOLVERS} names {servers[0]}, which is the machine's "
            "own loopback; name a server that can be reached from outside"
        )
    return None
