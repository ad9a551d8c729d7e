"""Captures as independent readers see them: python-pcapng, tshark, capinfos."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceDescription, InterfaceStatistics, SectionHeader


class Seen:
    """All blocks of a file, by python-pcapng."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            blocks: list[Any] = list(FileScanner(file))
        self.section: Any = next(block for block in blocks if isinstance(block, SectionHeader))
        self.interfaces: list[Any] = [block for block in blocks if isinstance(block, InterfaceDescription)]
        self.packets: list[Any] = [block for block in blocks if isinstance(block, EnhancedPacket)]
        self.statistics: list[Any] = [block for block in blocks if isinstance(block, InterfaceStatistics)]

    def count(self, interface: int, option: str) -> int:
        """A count of an interface's statistics block."""
        return int(self.statistics[interface].options[option])


def fields(path: Path, names: str, only: str = "") -> list[list[str]]:
    """Fields of each packet by tshark, of those that the display filter `only` lets through."""
    words = ["tshark", "-r", str(path), "-T", "fields", *(word for name in names.split() for word in ("-e", name))]
    if only:
        words += ["-Y", only]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def capinfos(path: Path) -> dict[str, str]:
    """What capinfos says of the file, of its first interface; it must have nothing to complain of."""
    done = subprocess.run(["capinfos", "-M", str(path)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    pairs = (re.split("[:=]", line, maxsplit=1) for line in done.stdout.splitlines())
    found: dict[str, str] = {}
    for pair in pairs:
        if len(pair) == 2:
            found.setdefault(pair[0].strip(), pair[1].strip())
    return found


def covered(ranges: Iterable[tuple[int, int]]) -> int:
    """How many bytes are in (first, size) ranges, those sent again counted once; from 0 without a gap."""
    end = 0
    for start, size in sorted(ranges):
        assert start <= end
        end = max(end, start + size)
    return end
