"""lowrun's own words: one place that writes them, and writes them whole.

They go straight to the descriptor. Python's buffered streams would try to
write again when the interpreter ends, and complain about a pipe that broke.
A reader that has gone away is no reason to stop: the runs and the exit code
matter more (EPIPE; EBADF when standard error was closed from the start).
A terminal shared with a program that set O_NONBLOCK answers EAGAIN: wait.
"""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = [
    "STDERR",
    "STDOUT",
    "Stream",
    "complain",
    "has_colors",
    "is_terminal",
    "paint",
    "say",
    "show",
    "takes_more",
    "warn",
    "write",
]

STDOUT = 1
STDERR = 2

COLORS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class Stream:
    """Writes bytes to a descriptor, whole and at once; the descriptor stays its owner's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all of `data`. Raises OSError (EPIPE, ENOSPC, EBADF...); of standard output it is named."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                import select

                select.select([], [self._fd], [])
            except OSError as error:
                if self._fd != STDOUT:
                    raise
                raise OSError(error.errno, error.strerror, "standard output") from error
        return len(data)


def write(fd: int, text: str) -> None:
    """Write all of `text`; a reader that went away is no error. Raises OSError (ENOSPC, EBADF...)."""
    with suppress(BrokenPipeError):
        Stream(fd).write(text.encode("utf-8", "surrogateescape"))


def say(text: str) -> None:
    """Write `text` and a newline to standard error, if there is one."""
    show(text + "\n")


def show(text: str) -> None:
    """Write `text` as it is to standard error, if there is one."""
    with suppress(OSError):
        write(STDERR, text)


def complain(text: str) -> None:
    """Say what went wrong, in one line, with the program's name before it."""
    say("lowrun: " + " ".join(text.split("\n")))


def warn(text: str) -> None:
    """Say what does not work as asked for while the rest goes on."""
    complain(f"warning: {text}")


def takes_more(fd: int) -> bool:
    """Tell whether a line can be written to `fd` without waiting for its reader; True for what cannot be asked."""
    import select

    try:
        return bool(select.select([], [fd], [], 0)[1])
    except (OSError, ValueError):
        return True


def is_terminal(fd: int) -> bool:
    """Tell whether `fd` is a terminal."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def has_colors(fd: int = STDERR) -> bool:
    """Tell whether `fd` shows colours: a terminal, and the user did not say NO_COLOR."""
    return is_terminal(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, color: str) -> str:
    """Return `text` in one of COLORS."""
    return f"\x1b[{COLORS[color]}m{text}\x1b[0m"
