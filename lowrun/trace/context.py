"""What a formatter of one argument sees of its system call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lowrun.trace.records import NO_CHUNKS, Chunk

__all__ = ["Context", "Formatter", "signed"]


@dataclass(slots=True)
class Context:
    """One call of one thread: its arguments, what was copied at entry and at exit, its result."""

    arguments: tuple[int, ...]
    at_entry: Mapping[int, Chunk]
    #: Descriptor of the process -> `<what it is>`; -100 is its working directory.
    descriptors: dict[int, str]
    #: The thread's call before this one (restart_syscall resumes it).
    previous: str = ""
    at_exit: Mapping[int, Chunk] = NO_CHUNKS
    value: int = 0
    failed: bool = False


#: None: the argument is not printed.
Formatter = Callable[[Context], str | None]


def signed(value: int) -> int:
    """Return the C int in the low half of a register."""
    value &= 0xFFFFFFFF
    return value - 0x100000000 if value >= 0x80000000 else value
