"""The last lines of what a run wrote, fit to be shown: only the end of a file is read, however long it is.

What is no text becomes visible: control characters as in cat -v (`^[`), bytes that are no UTF-8 as `\\xff`, characters
that a terminal acts on or does not show (bidirectional overrides, zero width) as `\\u202e`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Tail", "tail_of", "visible"]

#: Bytes read from the end, for each line that is wanted, and at most.
PER_LINE, MOST_BYTES = 4096, 1 << 20
#: Bytes at a time when lines are counted, and a file that is longer than this is not counted.
BLOCK, COUNTED = 1 << 20, 1 << 28
TAB = 8


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of one stream."""

    #: "stdout" or "stderr".
    name: str
    path: Path
    #: Bytes.
    size: int
    #: The last lines, without line ends, visible.
    lines: tuple[str, ...]
    #: How many lines there are; None: too many to be counted.
    count: int | None
    #: The first of `lines` lacks its beginning.
    cut: bool = False
    #: The last line has its end.
    ended: bool = True


def visible(text: str) -> str:
    """Return `text` (surrogateescape: what was no UTF-8) with nothing in it that a terminal would act on."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _shown(char) for char in text)


def _shown(char: str) -> str:
    code = ord(char)
    if code < 32 or code == 127:
        return f"^{chr(code ^ 64)}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return " " if code == 0xA0 else f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def tail_of(name: str, path: Path, lines: int) -> Tail:
    """Read the last `lines` lines of `path`. Raises OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        begin = max(0, size - min(PER_LINE * lines, MOST_BYTES))
        file.seek(begin)
        data = file.read(size - begin)
        count = None
        if size <= COUNTED:
            file.seek(0)
            count = 0
            while block := file.read(BLOCK):
                count += block.count(b"\n")
            count += size > 0 and not data.endswith(b"\n")
    ended = not data or data.endswith(b"\n")
    split = data.removesuffix(b"\n").split(b"\n") if data else []
    wanted = split[-lines:] if lines else []
    shown = tuple(visible(line.decode("utf-8", "surrogateescape").expandtabs(TAB)) for line in wanted)
    return Tail(name, path, size, shown, count, begin > 0 and len(wanted) == len(split), ended)
