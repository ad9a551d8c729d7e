"""What happens to a program, a line for each event: in STATE/NAME/log always, in the system's log where there is one.

    2026-11-21T15:31:45.123 lowrun[4242]: proc 4250 exited, status 1

A supervisor in a host that gave it no place on disk has them logged by the host: `logging.getLogger`.

The file is opened for each line: a thousand programs take no descriptor for it. It is renamed to log.1 before it grows
over 1 MiB. Nothing here fails or waits: on a full disk lines are lost, and whole ones; syslog(3) would wait for a
daemon that hangs, so lines go to its socket as they would from there (RFC 3164, facility daemon), by a send that never
waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lowrun.supervise.state import ProgramState
from lowrun.values import ExitStatus

if TYPE_CHECKING:
    import logging
    import socket

__all__ = ["LOG", "LOG_NAMES", "FileJournal", "Journal", "LoggerJournal", "Syslog"]

LOG, OLDER = "log", "log.1"
#: Newest first.
LOG_NAMES = (LOG, OLDER)
LIMIT = 1 << 20
#: LOG_DAEMON | LOG_INFO (syslog.h).
PRIORITY = 3 << 3 | 6
#: Bytes of a line to the system's log, at most; rsyslog and journald take as much.
LONGEST = 8 << 10
#: What a line may not hold: control characters, shown as Python's escapes.
CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {ord("\n"): "\\n", ord("\t"): "\t"}


class Syslog:
    """The system's log, if there is one; one of these serves all programs of a process."""

    def __init__(self, path: str = "/dev/log") -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def send(self, ident: str, pid: int, text: str) -> bool:
        """Send a line; False when it is lost: nobody listens, or is too busy to take it."""
        if self._socket is None and not self._connect():
            return False
        stamp = time.strftime("%b %e %H:%M:%S")
        data = f"<{PRIORITY}>{stamp} {ident}[{pid}]: {text}".encode(errors="backslashreplace")[:LONGEST]
        return self._send(data) or (self._socket is None and self._connect() and self._send(data))

    @property
    def fault(self) -> str:
        """Why lines are lost at present; "" when somebody listens."""
        if self._socket is not None or self._connect():
            return ""
        return f"nobody listens at {self._path}, the system's log"

    def _send(self, data: bytes) -> bool:
        assert self._socket is not None
        try:
            self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError:  # its daemon was started anew
            self.close()
            return False
        return True

    def _connect(self) -> bool:
        if not os.path.exists(self._path):
            return False
        import socket

        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            end.connect(self._path)
        except OSError:
            end.close()
            return False
        self._socket = end
        return True

    def close(self) -> None:
        """Close the socket; the next line opens another one."""
        end, self._socket = self._socket, None
        if end is not None:
            end.close()


class Journal:
    """The lines of the program `name`, wherever they go."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def say(self, text: str) -> None:
        """Write a line."""
        self._write(text.translate(CONTROL))

    def warn(self, text: str) -> None:
        """Write a line about what somebody should see to."""
        self.say(text)

    def _write(self, text: str) -> None:
        raise NotImplementedError

    # -- the lines that users and their scripts know

    def started(self, pid: int) -> None:
        """Say that the supervisor, `pid`, begins."""
        self.say(f"started (pid {pid}), command: start {self.name}")

    def program_started(self, pid: int) -> None:
        """Say that the program's first life has begun."""
        self.say(f"{self.name} started, pid {pid}")

    def ended(self, pid: int, status: ExitStatus | None) -> None:
        """Say how the program has ended; None: nobody knows."""
        if status is None:
            self.say(f"proc {pid} has ended; its status is not known")
        elif status.signal is None:
            self.say(f"proc {pid} exited, status {status.code}")
        else:
            self.say(f"proc {pid} killed by signo {status.signal}")

    def restarted(self, count: int, limit: int, pid: int) -> None:
        """Say that the program was respawned, for the `count`th time in a row of at most `limit` (0: no limit)."""
        self.say(f"{self.name} restarted({count}/{limit}), pid {pid}")

    def traced(self, pid: int) -> None:
        """Say that the daemon `pid` is watched from now on."""
        self.say(f"start trace {self.name} daemon pid {pid}")

    def told_to_stop(self, pid: int) -> None:
        """Say that the program was sent its stop signal."""
        self.say(f"kill(child pid {pid})")

    def gave_up(self, reason: str) -> None:
        """Say that there will be no further life."""
        self.warn(f"given up: {reason}")

    def left_out(self, reason: str) -> None:
        """Say that the program is not started."""
        self.warn(f"not started: {reason}")

    def stopped(self) -> None:
        """Say that the supervisor ends."""
        self.say("stopped")


class FileJournal(Journal):
    """Lines in the program's own log and the system's; who writes holds its lock.

    `on_line(text)` gets those that the system's log has not taken.
    """

    __slots__ = ("_on_line", "_state", "_syslog")

    def __init__(
        self, state: ProgramState, syslog: Syslog | None = None, on_line: Callable[[str], object] | None = None
    ) -> None:
        super().__init__(state.name)
        self._state = state
        self._syslog = syslog
        self._on_line = on_line

    def _write(self, text: str) -> None:
        seconds = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))
        line = f"{stamp}.{int(seconds % 1 * 1000):03} lowrun[{os.getpid()}]: {text}\n"
        try:
            self._append(line.encode(errors="backslashreplace"))
        except OSError:
            pass
        sent = self._syslog is not None and self._syslog.send("lowrun", os.getpid(), text)
        if not sent and self._on_line is not None:
            self._on_line(text)

    def _append(self, line: bytes) -> None:
        with self._state.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
            size = os.fstat(file.fileno()).st_size
            if size + len(line) <= LIMIT or size == 0:
                _write_line(file.fileno(), size, line)
                return
        directory = self._state.fileno()
        os.rename(LOG, OLDER, src_dir_fd=directory, dst_dir_fd=directory)
        with self._state.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
            _write_line(file.fileno(), 0, line)


class LoggerJournal(Journal):
    """Lines that the host logs: level INFO, and WARNING for a program that is given up or left out."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        import logging

        super().__init__(name)
        self._logger: logging.Logger = logging.getLogger(f"lowrun.supervise.{name}")

    def _write(self, text: str) -> None:
        self._logger.info("%s", text)

    def warn(self, text: str) -> None:
        """See Journal; with the name, for hosts that have set up no logging, whose standard error it comes to."""
        self._logger.warning("%s: %s", self.name, text.translate(CONTROL))


def _write_line(fd: int, size: int, line: bytes) -> None:
    """Append a line to a file of `size` bytes, whole or not at all."""
    if os.write(fd, line) < len(line):
        os.ftruncate(fd, size)
