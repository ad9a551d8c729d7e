"""One call as one short line: what matters of it goes in first. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from lowrun.kept.tails import visible
from lowrun.trace.event import UNFINISHED, Event

__all__ = ["call_text", "clipped", "entry_text"]

#: The working directory, which an absolute path behind it makes no use of.
UNUSED = re.compile(r'AT_FDCWD<(?:[^<>\\]|\\.)*>(, "/)')
#: A socket's address, and the lengths behind one.
IPV4 = re.compile(r'\{sa_family=AF_INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\("([\d.]+)"\)\}')
IPV6 = re.compile(r'\{sa_family=AF_INET6, sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([^"]+)"[^}]*\}')
POINTER = re.compile(r"(?<=, )0x[0-9a-f]{6,}(?=,|$)")
EXPLANATION = re.compile(r" \([^()]*\)$")
DOTS = "..."


def clipped(text: str, width: int | None) -> str:
    """Return `text`, cut to `width` characters with `...` at its end; None: as it is."""
    if width is None or len(text) <= width:
        return text
    return text[: max(0, width - len(DOTS))] + DOTS


def entry_text(event: Event, width: int) -> str:
    """Return `name(arguments)` without what it returned."""
    return call_text(replace(event, kind=UNFINISHED), width)


def call_text(event: Event, width: int | None = None) -> str:
    """Return `name(arguments) = result` of at most `width` characters, with nothing in it that a terminal acts on.

    What goes first is the explanation of the error, then all arguments but the one that the call is about, then the
    middle of that one: the result always stays.
    """
    arguments = visible(UNUSED.sub(r"AT_FDCWD\1", event.arguments))
    result = "" if event.kind == UNFINISHED else f" = {visible(event.result)}"
    text = f"{event.name}({arguments}){result}"
    if width is None or len(text) <= width:
        return text
    result = EXPLANATION.sub("", result)
    room = width - len(event.name) - 2 - min(len(result), max(16, width // 2))
    return clipped(f"{event.name}({_shortened(arguments, visible(event.path), room)}){result}", width)


def _shortened(arguments: str, path: str, room: int) -> str:
    if len(arguments) <= room:
        return arguments
    for family in (IPV4, IPV6):
        arguments = family.sub(r"\2:\1", arguments)
    arguments = POINTER.sub(DOTS, arguments)
    if len(arguments) <= room:
        return arguments
    if path and f'"{path}"' in arguments:
        arguments = _around(arguments, f'"{path}"', room)
    if len(arguments) <= room or room <= 2 * len(DOTS):
        return arguments
    tail = room // 2 if path else min(room // 3, 24)
    return arguments[: room - tail - len(DOTS)] + DOTS + arguments[-tail:]


def _around(arguments: str, kept: str, room: int) -> str:
    """Leave out what stands behind `kept`, then what stands before it, as far as there is no room for it."""
    before, _, behind = arguments.partition(kept)
    spare = room - len(kept) - len(before)
    if spare > len(DOTS) + 2:
        return f"{before}{kept}{clipped(behind, spare)}"
    return f"{DOTS}{kept}{DOTS}" if len(kept) + 2 * len(DOTS) <= room else kept
