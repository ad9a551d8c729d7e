"""Writes SIZE bytes that depend on their place to standard error, then as many others to standard output.

    floods.py SIZE [CODE]

Exits with CODE. Prints nothing else: `pattern` is the truth that a test compares with.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

BLOCK = 1 << 20


def pattern(seed: int, index: int) -> bytes:
    """Return block `index` of the stream that descriptor `seed` gets: any byte values, no block like another."""
    head = b"%d:%d\n\0\xff\xfe" % (seed, index)
    return head + bytes((seed + index + i) & 0xFF for i in range(256)) * ((BLOCK - len(head)) // 256 + 1)


def blocks(seed: int, size: int) -> Iterator[bytes]:
    """Yield the stream of `size` bytes that descriptor `seed` gets."""
    for index in range(-(-size // BLOCK)):
        yield pattern(seed, index)[: min(BLOCK, size - index * BLOCK)]


def main(size: int, code: int = 0) -> int:
    for fd in (2, 1):
        for block in blocks(fd, size):
            view = memoryview(block)
            while view:
                view = view[os.write(fd, view) :]
    return code


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
