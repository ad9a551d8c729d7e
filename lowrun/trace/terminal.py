"""A trace for a reader's eyes: a line's pid is shown only when several are traced, as strace does on a terminal."""

from __future__ import annotations

from lowrun.trace.records import Detached, Exited, Fork
from lowrun.trace.text import Output, StraceWriter

__all__ = ["TerminalWriter"]


class TerminalWriter(StraceWriter):
    """Like StraceWriter, with `[pid N]` before the lines while more than one thread is traced."""

    __slots__ = ("_alive",)

    def __init__(self, out: Output) -> None:
        super().__init__(out)
        self._alive: set[int] = set()

    def _leader(self, tid: int, time_ns: int) -> str:
        self._alive.add(tid)
        text = super()._leader(tid, time_ns).partition(" ")[2].lstrip()
        return f"[pid {tid:>5}] {text}" if len(self._alive) > 1 else text

    def _fork(self, record: Fork) -> None:
        super()._fork(record)
        self._alive.add(record.child)
        self._note(f"lowrun: Process {record.child} attached")

    def _note(self, text: str) -> None:
        self._break_line()
        self._parts.append(text + "\n")

    def _exited(self, record: Exited) -> None:
        super()._exited(record)
        self._alive.discard(record.tid)

    def _detached(self, record: Detached) -> None:
        super()._detached(record)
        self._alive.discard(record.tid)
        self._note(f"lowrun: Process {record.tid} detached")
