"""The system call table: what each call's arguments are, and what to copy of them.

One row a call (rows.py, rows_variants.py; python-ptrace's prototypes where
there is none) is used three times: the tracer gets its capture plan from it,
decoding its formats, docs/syscalls.md its lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from lowrun.trace.arch import X32_BIT, machine_calls, prototypes
from lowrun.trace.constants import number_of
from lowrun.trace.grammar import SELECTORS, Argument, Call, Row, keys_of, parsed
from lowrun.trace.plan import plan_of
from lowrun.trace.rows import ROWS
from lowrun.trace.rows_i386 import ALIKE, I386_ROWS
from lowrun.trace.rows_ioctl import IOCTL_ROWS
from lowrun.trace.rows_variants import VARIANT_ROWS
from lowrun.trace.sets import numbers_in

__all__ = ["FOREIGN", "Argument", "Call", "call_of", "capture_plan", "numbers_of", "table_of"]

#: Added to the numbers of another architecture's calls (32-bit code on a 64-bit kernel): kept apart from ours.
FOREIGN = 1 << 40
_UNKNOWN = (Argument("hexlong"),) * 6


def _prototype_argument(ctype: str, name: str) -> Argument:
    if name in ("fd", "fildes"):
        return Argument("fd")
    if name in ("dfd", "dirfd"):
        return Argument("dirfd")
    if ctype == "const char *":
        return Argument("path" if name in ("filename", "pathname", "path") else "str", read=True)
    if ctype in ("int", "pid_t", "key_t", "key_serial_t", "clockid_t", "timer_t", "mqd_t", "__s32"):
        return Argument("int")
    if ctype in ("long", "loff_t", "off_t", "time_t"):
        return Argument("long")
    if (ctype.startswith("unsigned") and "*" not in ctype) or ctype in ("size_t", "u32", "u64"):
        return Argument("uint")
    return Argument("addr" if "*" in ctype else "hexlong")


Rows = dict[str, tuple[Row, list[Row]]]


@lru_cache(maxsize=1)
def _rows() -> Rows:
    """Return name -> (its own row, the rows of its variants)."""
    rows: Rows = {row.name: (row, []) for row in parsed(ROWS)}
    for text in (VARIANT_ROWS, IOCTL_ROWS):
        for row in parsed(text):
            rows[row.name][1].append(row)
    return rows


@lru_cache(maxsize=1)
def _i386_rows() -> Rows:
    """Return the rows of i386: its own, and those of ours whose arguments do not depend on the word's size."""
    rows: Rows = {}
    for name, (row, variants) in _rows().items():
        plain = tuple(map(_portable, row.arguments))
        kept = [Row(name, one.values, tuple(map(_portable, one.arguments)), one.result) for one in variants]
        rows[name] = (Row(name, (), plain, row.result), kept)
    for row in parsed(I386_ROWS):
        rows[row.name] = (row, rows[row.name][1] if row.name in rows else [])
    rows["fcntl64"] = (rows["fcntl64"][0], rows["fcntl"][1])
    return rows


def _is_portable(argument: Argument) -> bool:
    return argument.kind in ALIKE or not (argument.read or argument.written)


def _portable(argument: Argument) -> Argument:
    if _is_portable(argument):
        return Argument("int") if argument.kind == "long" else argument
    return Argument("addr", optional=argument.optional)


def _call(number: int, name: str, rows: Rows) -> Call:
    names = tuple(argument for _, argument in prototypes().get(name, ("", ()))[1])
    if name not in rows:
        pairs = prototypes().get(name, ("", ()))[1]
        arguments = tuple(_prototype_argument(*pair) for pair in pairs) if pairs else _UNKNOWN
        return Call(number, name, arguments, "int", names or ("",) * 6)
    row, variant_rows = rows[name]
    if len(names) != len(row.arguments):
        names = tuple(argument.kind for argument in row.arguments)
    select = SELECTORS.get(name, ()) if variant_rows else ()
    variants = {}
    for one in variant_rows:
        call = Call(number, name, one.arguments, one.result, tuple(argument.kind for argument in one.arguments))
        # A name has its number in the set that its own argument is of; an option's set depends on its level.
        kinds = tuple(row.arguments[index].kind for index, _ in select)
        for key in keys_of(one, lambda place, word, kinds=kinds: number_of(kinds[place], word)):  # type: ignore[misc]
            variants[key] = call
    return Call(number, name, row.arguments, row.result, names, select, variants)


@lru_cache(maxsize=4)
def table_of(machine: str = "x86_64") -> Mapping[int, Call]:
    """Return number -> call of `machine` (arch.py)."""
    rows = _i386_rows() if machine == "i386" else _rows()
    return {number: _call(number, name, rows) for number, name in machine_calls(machine).items()}


def call_of(number: int) -> Call:
    """Return the call `number` of this machine; one that the table lacks is named `syscall_0x1c8`.

    With FOREIGN added it is an i386 call, with X32_BIT an x32 one.
    """
    machine = "i386" if number & FOREIGN else "x32" if number & X32_BIT else "x86_64"
    number &= ~FOREIGN
    return table_of(machine).get(number) or Call(number, f"syscall_{number:#x}", _UNKNOWN)


@lru_cache(maxsize=1)
def capture_plan() -> bytes:
    """Return the tracer's plan (plan.py), for native calls and those of i386."""
    return plan_of((table_of(), table_of("i386")))


def numbers_of(text: str) -> frozenset[int]:
    """Return the numbers of the calls in a set as strace's `-e trace=` takes it (sets.py); may raise UsageError."""
    return numbers_in(text, table_of(), frozenset(machine_calls("i386").values()))
