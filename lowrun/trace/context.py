"""What a formatter of one argument sees of its system call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lowrun.trace.records import NO_CHUNKS, Chunk

__all__ = ["Context", "Formatter", "signed"]


class Context:
    """One call of one thread: its arguments, what was copied at entry and at exit, its result."""

    __slots__ = ("arguments", "at_entry", "at_exit", "descriptors", "failed", "previous", "value")

    def __init__(
        self, arguments: tuple[int, ...], at_entry: Mapping[int, Chunk], descriptors: dict[int, str], previous: str
    ) -> None:
        self.arguments = arguments
        self.at_entry = at_entry
        #: Descriptor of the process -> `<what it is>`; -100 is its working directory.
        self.descriptors = descriptors
        #: The thread's call before this one (restart_syscall resumes it).
        self.previous = previous
        self.at_exit: Mapping[int, Chunk] = NO_CHUNKS
        self.value = 0
        self.failed = False


#: None: the argument is not printed.
Formatter = Callable[[Context], str | None]


def signed(value: int) -> int:
    """Return the C int in the low half of a register."""
    value &= 0xFFFFFFFF
    return value - 0x100000000 if value >= 0x80000000 else value
