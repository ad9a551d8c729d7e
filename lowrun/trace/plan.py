"""The tracer's capture plan: what to copy of each argument, at entry and at exit (records.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from lowrun.trace.arch import CALLS_MAX
from lowrun.trace.grammar import RESULT, Argument, Call
from lowrun.trace.layouts import layout_names, layout_size
from lowrun.trace.sizes import DEEP, LIMITS, SIZED, SIZES, UPTO

__all__ = ["CELLS", "ROW", "element_size", "plan_of"]

# enum lr_capture
NONE, STRING, PATH, ARGV, ENVP, BUFFER, FIXED, PTRLEN, COUNTED, IOVEC, MSGHDR, FD = range(12)
UPTO_SIZE, DEEP_STRUCT, POINTEES, MMSGHDR = range(16, 20)
_ALONE = {"path": PATH, "str": STRING, "argv": ARGV, "envp": ENVP, "mount_type": STRING, "mount_data": STRING}

#: Kinds of arguments that are descriptors themselves.
DESCRIPTORS = frozenset(("fd", "dirfd"))

#: Two cells an argument, then key, first variant, variants, selectors, their bits.
CELLS = "BBH" * 12
ROW = struct.Struct("<" + CELLS + "QHH2B2B")

Cell = tuple[int, int, int]


def element_size(kind: str) -> int:
    """Return the bytes of one element of `kind`; 0 when it is copied in a way of its own."""
    return SIZES.get(kind) or (layout_size(kind) if kind in layout_names() else 0)


def _cell(argument: Argument, entry: bool) -> Cell:
    if argument.kind in DESCRIPTORS:
        return (FD if entry else NONE, 0, 0)
    if not (argument.read if entry else argument.written):
        return (NONE, 0, 0)
    kind = argument.kind
    size = element_size(kind)
    of = 0 if entry and argument.of == RESULT else argument.of
    if kind in _ALONE:
        return (_ALONE[kind], 0, 0)
    if kind == "msghdr":
        return (FIXED, 0, 16) if entry and argument.written else (MSGHDR, 0, 0)
    if kind == "mmsghdr":
        return (COUNTED, of, 64) if entry and argument.written else (MMSGHDR, of, 0)
    if kind == "iovec":
        return (COUNTED, of, size) if entry and argument.written else (IOVEC, of, 0)
    if kind in UPTO:
        return (UPTO_SIZE, 0, UPTO[kind])
    if kind in DEEP:
        return (DEEP_STRUCT, *DEEP[kind])
    if kind == "iocb":
        return (POINTEES, of, size)
    if argument.indirect:
        return (PTRLEN, of, 0)
    if kind in SIZED and argument.of >= 0:
        return (BUFFER, of, SIZED[kind])
    if argument.of < 0:
        return (FIXED, 0, size)
    if kind == "fdset":
        return (FIXED, 0, 128)
    return (COUNTED, of, size) if size > 1 else (BUFFER, of, LIMITS.get(kind, 0))


def _packed(call: Call, key: int = 0, first: int = 0, variants: int = 0) -> bytes:
    cells: list[int] = []
    for entry in (True, False):
        for argument in call.arguments:
            cells += _cell(argument, entry)
        cells += (0, 0, 0) * (6 - len(call.arguments))
    select = [*call.select, (0, 0), (0, 0)][:2]
    return ROW.pack(*cells, key, first, variants, select[0][0], select[1][0], select[0][1], select[1][1])


def _copies(call: Call) -> bool:
    return any(argument.read or argument.written or argument.kind in DESCRIPTORS for argument in call.arguments)


def plan_of(tables: Iterable[Mapping[int, Call]]) -> bytes:
    """Return the plan of several architectures' tables, the native one first: `struct lr_capture_row` in a row."""
    parts = list(tables)
    heads = bytearray(ROW.size * CALLS_MAX * len(parts))
    tail: list[bytes] = []
    for part, table in enumerate(parts):
        for number, call in table.items():
            if not (call.variants or _copies(call)):
                continue
            first = CALLS_MAX * len(parts) + len(tail)
            tail += [_packed(variant, key) for key, variant in sorted(call.variants.items())]
            at = ROW.size * (part * CALLS_MAX + number)
            heads[at : at + ROW.size] = _packed(call, 0, first, len(call.variants))
    return bytes(heads) + b"".join(tail)
