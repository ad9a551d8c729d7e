"""The grammar of the table's rows, and what a row says: a call and its arguments.

    NAME[:VALUE,VALUE]  ARGUMENT...  [-> RESULT]

An argument is a kind (`int`, `fd`, `path`, `open_flags`, ...). A sign before
it says which way the memory that it points to goes, and so when it is copied
(a system call returns only after the kernel has read and written it all):

    >kind    the kernel reads it: copied at entry
    <kind    the kernel writes it: copied at exit
    +kind    both: at entry and at exit

`[K]` after it counts elements (bytes, where the kind is a struct that has
grown and whose size is told): argument K's value, `[r]` the result, `[*K]`
the 32-bit number that argument K points to. `path`, `str`, `argv` and `envp`
are read by the kernel and need no sign. `?` at the end: the argument is
printed only where the others call for it (open's mode without O_CREAT), or
its comma is printed late.

VALUEs make the row a variant: it holds where an argument of the call (SELECTORS
says which) has one of these values; `A/B` where two arguments select. Numbers
and the names of constants.py are values.

RESULT is `fd`, `hex`, `oct`, `uint`, `none` or a name of results.py; without
one it is decimal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from lowrun.trace.layouts import unwrapped

__all__ = ["CAPTURED_AS", "RESULT", "SELECTORS", "Argument", "Call", "Row", "parsed"]

#: The `of` that means the call's result.
RESULT = 7
#: Kinds that the kernel reads without a sign.
READ = frozenset(("path", "str", "argv", "envp"))
#: Kinds that are copied in a way of their own: their `[K]` is no number of elements of a size.
CAPTURED_AS = READ | {"msghdr", "mmsghdr", "iovec", "mount_type", "mount_data"}

#: Call -> the arguments that select its variant: (index, how many of its low bits count).
SELECTORS: dict[str, tuple[tuple[int, int], ...]] = {
    "fcntl": ((1, 32),), "ioctl": ((1, 32),), "futex": ((1, 7),), "prctl": ((0, 32),), "arch_prctl": ((0, 32),),
    "setsockopt": ((1, 32), (2, 32)), "getsockopt": ((1, 32), (2, 32)), "keyctl": ((0, 32),), "bpf": ((0, 32),),
    "fsconfig": ((1, 32),), "ptrace": ((0, 32),), "seccomp": ((0, 32),), "shmctl": ((1, 32),), "semctl": ((2, 32),),
    "msgctl": ((1, 32),), "quotactl": ((0, 32),), "io_uring_register": ((1, 32),),
    "landlock_add_rule": ((1, 32),), "kcmp": ((2, 32),), "syslog": ((0, 32),), "reboot": ((2, 32),),
    "membarrier": ((0, 32),),
    "fcntl64": ((1, 32),),
}  # fmt: skip

_TOKEN = re.compile(r"([<>+]?)(\w+)(?:\[(\*?)(\w)\])?(\?)?")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: its kind and, when it points to memory, which way that goes."""

    kind: str
    read: bool = False
    written: bool = False
    #: Index of the argument that counts elements (RESULT: the call's result); -1: one element.
    of: int = -1
    #: The argument `of` points to the number.
    indirect: bool = False
    #: Printed only where the other arguments call for it.
    optional: bool = False

    @property
    def direction(self) -> str:
        """The sign of the grammar."""
        return ("+" if self.read else "<") if self.written else ">" if self.read else ""


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: a row of the table, with its variants."""

    number: int
    name: str
    arguments: tuple[Argument, ...]
    #: Kind of the result: `int`, `fd`, `pid`, `hex`, `oct`, `none`, ...
    result: str = "int"
    #: The arguments' names, where python-ptrace knows the call; else their kinds.
    names: tuple[str, ...] = ()
    #: Arguments that select a variant: (index, low bits).
    select: tuple[tuple[int, int], ...] = ()
    #: Key -> what the call takes then.
    variants: Mapping[int, Call] = field(default_factory=dict, hash=False)

    def key(self, arguments: tuple[int, ...]) -> int:
        """Return the key of the variant that `arguments` select."""
        key = 0
        for shift, (index, bits) in enumerate(self.select):
            key |= (arguments[index] & ((1 << bits) - 1)) << (32 * shift)
        return key


@dataclass(frozen=True, slots=True)
class Row:
    """A parsed row; `values` (one tuple per selecting argument) are empty where it is no variant."""

    name: str
    values: tuple[tuple[str, ...], ...]
    arguments: tuple[Argument, ...]
    result: str


@lru_cache(maxsize=2048)
def _argument(token: str) -> Argument:
    match = _TOKEN.fullmatch(token)
    assert match is not None, token
    sign, kind, star, of, optional = match.groups()
    count = -1 if of is None else RESULT if of == "r" else int(of)
    return Argument(kind, sign in (">", "+") if sign else kind in READ, sign in ("<", "+") if sign else False,
                    count, bool(star), bool(optional))  # fmt: skip


def parsed(text: str) -> Iterator[Row]:
    """Yield the rows of `text`, one a line; an indented line goes on with the row before it."""
    for line in unwrapped(text):
        words, _, result = line.partition("->")
        head, *tokens = words.split() or [""]
        if not head:
            continue
        name, _, values = head.partition(":")
        keys = tuple(tuple(value.split("/")) for value in values.split(",") if value)
        yield Row(name, keys, tuple(map(_argument, tokens)), result.strip() or "int")


def keys_of(row: Row, valued: Callable[[int, str], int]) -> Iterator[int]:
    """Yield the keys of a variant's row; `valued` gives the number of the name at a selector's place."""
    for words in row.values:
        yield sum(valued(place, word) << (32 * place) for place, word in enumerate(words))
