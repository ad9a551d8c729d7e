"""How a program is to tell that it serves, as `--ready` has it: what the words mean. Pure.

    notify   fd=N   pidfile   tcp=HOST:PORT   log=REGEX

What comes of them is readiness.py's, notify.py's and pidfile.py's.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from lowrun import notation
from lowrun.errors import UsageError

__all__ = ["FIRST_FD", "Ready", "check_descriptors", "parse_ready"]

WAYS = "notify, fd=N, pidfile, tcp=HOST:PORT or log=REGEX"
#: Of the numbers that a program's descriptors can have (fs.nr_open, proc_sys_fs(5)); 0 to 2 are taken.
LEAST_FD, MAX_FD = 3, (1 << 20) - 1
MAX_PORT = 65535
#: SD_LISTEN_FDS_START: that of the first socket.
FIRST_FD = 3
#: Of those that go to a program together (LR_KEEPER_MAX_FDS), less 0 to 2 and that of `fd=N`.
MAX_SOCKETS = 60


class Ready(NamedTuple):
    """What `--ready` asks for: the way, and what it needs."""

    way: str
    fd: int = -1
    host: str = ""
    port: int = 0
    pattern: re.Pattern[bytes] | None = None


def parse_ready(spec: str) -> Ready:
    """Return what `--ready SPEC` means. Raises UsageError."""
    way, equals, value = spec.partition("=")
    if way in ("notify", "pidfile") and not equals:
        return Ready(way)
    if way == "fd":
        number = _number(value, LEAST_FD, MAX_FD)
        if number is None:
            raise UsageError(f"--ready fd=N takes a descriptor from {LEAST_FD} on, not {value!r:.40}")
        return Ready(way, fd=number)
    if way == "tcp":
        host, colon, port = value.rpartition(":")
        number = _number(port, 1, MAX_PORT)
        if not colon or number is None:
            raise UsageError(
                f"--ready tcp=HOST:PORT takes an address as in 127.0.0.1:8080 or [::1]:8080, not {value!r:.80}"
            )
        return Ready(way, host=host.removeprefix("[").removesuffix("]"), port=number)
    if way == "log" and value:
        try:
            return Ready(way, pattern=re.compile(os.fsencode(value)))
        except re.error as error:
            raise UsageError(f"--ready log={value}: no regular expression: {error}") from error
    raise UsageError(f"--ready takes {WAYS}, not {spec!r}")


def _number(text: str, least: int, most: int) -> int | None:
    try:
        return notation.between(least, most)(text)
    except ValueError:
        return None


def check_descriptors(ready: Ready | None, sockets: int) -> None:
    """Raise UsageError when the descriptor of `fd=N` is one of as many `sockets`, or there are too many of these."""
    if sockets > MAX_SOCKETS:
        raise UsageError(f"--socket: at most {MAX_SOCKETS} sockets can be handed to a program, not {sockets}")
    after = FIRST_FD + sockets
    if ready is not None and FIRST_FD <= ready.fd < after:
        taken = f"{FIRST_FD}" if sockets == 1 else f"{FIRST_FD} to {after - 1}"
        raise UsageError(f"--ready fd={ready.fd} is a socket's: --socket takes {taken}; as fd={after} it is free")
