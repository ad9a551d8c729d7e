"""lowrun's own words: one place that writes them, and writes them whole.

They go straight to the descriptor. Python's buffered streams would try to
write again when the interpreter ends, and complain about a pipe that broke.
A reader that has gone away is no reason to stop: the runs and the exit code
matter more (EPIPE; EBADF when standard error was closed from the start).
A terminal shared with a program that set O_NONBLOCK answers EAGAIN: wait.
"""

from __future__ import annotations

import os

__all__ = ["STDERR", "STDOUT", "complain", "is_terminal", "paint", "say", "warn", "write"]

STDOUT = 1
STDERR = 2

COLORS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def write(fd: int, text: str) -> bool:
    """Write all of `text`; return False when nobody can read it."""
    view = memoryview(text.encode("utf-8", "surrogateescape"))
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            import select

            select.select([], [fd], [])
        except OSError:
            return False
    return True


def say(text: str) -> None:
    """Write `text` and a newline to standard error."""
    write(STDERR, text + "\n")


def complain(text: str) -> None:
    """Say what went wrong, in one line, with the program's name before it."""
    say("lowrun: " + " ".join(text.split("\n")))


def warn(text: str) -> None:
    """Say what does not work as asked for while the rest goes on."""
    complain(f"warning: {text}")


def is_terminal(fd: int) -> bool:
    """Tell whether `fd` is a terminal."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def has_colors() -> bool:
    """Tell whether standard error shows colours: a terminal, and the user did not say NO_COLOR."""
    return is_terminal(STDERR) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, color: str) -> str:
    """Return `text` in one of COLORS."""
    return f"\x1b[{COLORS[color]}m{text}\x1b[0m"
