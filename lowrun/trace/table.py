"""The system call table: what each call's arguments are, and what to copy of them.

One row a call (rows.py; python-ptrace's prototypes where there is none) is
used three times: the tracer gets its capture plan from it, decoding its
formats, documentation its lists. A pointer is copied at entry when the kernel
reads what it points to and at exit when the kernel has written it (syscall(2)
returns only then).
"""

from __future__ import annotations

import difflib
import re
import struct
from dataclasses import dataclass
from functools import lru_cache

from lowrun.errors import UsageError
from lowrun.trace.arch import CALLS_MAX, machine_calls, prototypes
from lowrun.trace.rows import ROWS, SIZES

__all__ = ["RESULT", "Argument", "Call", "call_of", "capture_plan", "numbers_of"]

#: The `of` that means the call's result.
RESULT = 7

# enum lr_capture
NONE, STRING, PATH, ARGV, ENVP, BUFFER, FIXED, PTRLEN, COUNTED, IOVEC, MSGHDR, FD = range(12)
CAPTURES = {"path": PATH, "str": STRING, "argv": ARGV, "envp": ENVP}

#: Bytes copied of a buffer that is counted, not quoted: the limit of strings does not fit it.
LIMITS = {"dirents": 0xFFF8}

#: Kinds of arguments that are descriptors themselves.
DESCRIPTORS = frozenset(("fd", "dirfd"))

CLASSES = {
    "process": "clone fork vfork execve execveat exit exit_group wait4 waitid kill tkill tgkill rt_sigqueueinfo"
    " rt_tgsigqueueinfo pidfd_send_signal clone3",
    "network": "sendfile socket connect accept accept4 sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown bind"
    " listen getsockname getpeername socketpair setsockopt getsockopt getpmsg putpmsg",
    "signal": "rt_sigaction rt_sigprocmask rt_sigreturn pause kill rt_sigpending rt_sigtimedwait rt_sigqueueinfo"
    " rt_sigsuspend sigaltstack tkill tgkill signalfd signalfd4 rt_tgsigqueueinfo pidfd_send_signal io_uring_enter",
    "memory": "mmap mprotect munmap brk mremap msync mincore madvise shmat shmdt mlock mlock2 munlock mlockall"
    " munlockall io_setup io_destroy remap_file_pages mbind set_mempolicy get_mempolicy migrate_pages move_pages"
    " pkey_mprotect io_uring_register set_mempolicy_home_node map_shadow_stack mseal",
}
#: Calls about files or descriptors that name none as an argument or result.
FILE_TOO = frozenset(("getcwd", "fsconfig", "quotactl"))
DESC_TOO = frozenset(("select", "poll", "pselect6", "ppoll", "pipe", "pipe2", "io_uring_setup"))
#: Calls of the network class of which strace does not say that they are about descriptors.
NOT_DESC = frozenset(CLASSES["network"].split()) - {"sendfile"}
CLASSES["net"] = CLASSES["network"]

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
    def size(self) -> int:
        """Bytes of one element."""
        return SIZES.get(self.kind, 0)


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: a row of the table."""

    number: int
    name: str
    arguments: tuple[Argument, ...]
    #: Kind of the result: `int`, `fd`, `pid`, `hex`, `oct`, `none`, `fcntl`.
    result: str = "int"

    @property
    def names(self) -> tuple[str, ...]:
        """The arguments' names, where python-ptrace knows the call; else their kinds."""
        known = prototypes().get(self.name, ("", ()))[1]
        if len(known) == len(self.arguments):
            return tuple(name for _, name in known)
        return tuple(argument.kind for argument in self.arguments)


def _argument(token: str) -> Argument:
    match = _TOKEN.fullmatch(token)
    assert match is not None, token
    sign, kind, star, of, optional = match.groups()
    count = -1 if of is None else RESULT if of == "r" else int(of)
    return Argument(kind, sign in (">", "+") if sign else kind in CAPTURES, sign in ("<", "+") if sign else False,
                    count, bool(star), bool(optional))  # fmt: skip


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
    return Argument("addr" if "*" in ctype else "hex")


@lru_cache(maxsize=1)
def _rows() -> dict[str, tuple[tuple[Argument, ...], str]]:
    rows = {}
    cached = lru_cache(maxsize=None)(_argument)
    for line in ROWS.strip().splitlines():
        words, _, result = line.partition("->")
        name, *tokens = words.split()
        rows[name] = (tuple(map(cached, tokens)), result.strip() or "int")
    return rows


@lru_cache(maxsize=1)
def _table() -> dict[int, Call]:
    rows, known, table = _rows(), prototypes(), {}
    for number, name in machine_calls().items():
        if name in rows:
            table[number] = Call(number, name, *rows[name])
        elif name in known:
            table[number] = Call(number, name, tuple(_prototype_argument(*pair) for pair in known[name][1]))
        else:
            table[number] = Call(number, name, (Argument("hex"),) * 6)
    return table


_UNKNOWN = (Argument("hex"),) * 6


#: Added to the numbers of another machine's calls, which are kept apart from ours.
FOREIGN = 1 << 40


def call_of(number: int) -> Call:
    """Return the call `number` of this machine; one that the table lacks is named `syscall_0x1c8`.

    With FOREIGN added it is another machine's (32-bit code on a 64-bit kernel), whose names are not known.
    """
    return _table().get(number) or Call(number, f"syscall_{number & ~FOREIGN:#x}", _UNKNOWN)


def _cell(argument: Argument, entry: bool) -> tuple[int, int, int]:
    if argument.kind in DESCRIPTORS:
        return (FD if entry else NONE, 0, 0)
    if not (argument.read if entry else argument.written):
        return (NONE, 0, 0)
    kind, size = argument.kind, argument.size
    if kind in CAPTURES:
        return (CAPTURES[kind], 0, 0)
    if kind == "msghdr":
        return (FIXED, 0, 16) if entry and argument.written else (MSGHDR, 0, 0)
    if kind == "iovec":
        return (COUNTED, argument.of, size) if entry and argument.written else (IOVEC, argument.of, 0)
    if argument.indirect:
        return (PTRLEN, argument.of, 0)
    if argument.of < 0:
        return (FIXED, 0, size)
    if kind == "fdset":
        return (FIXED, 0, 128)
    of = 0 if entry and argument.of == RESULT else argument.of
    return (COUNTED, of, size) if size > 1 else (BUFFER, of, LIMITS.get(kind, 0))


def capture_plan() -> bytes:
    """Return the tracer's plan: 512 `struct lr_capture_row` (records.h), indexed by call number."""
    row = struct.Struct("<" + "BBH" * 12)
    plan = bytearray(row.size * CALLS_MAX)
    for number, call in _table().items():
        if any(argument.read or argument.written or argument.kind in DESCRIPTORS for argument in call.arguments):
            cells: list[int] = []
            for entry in (True, False):
                for argument in call.arguments:
                    cells += _cell(argument, entry)
                cells += (0, 0, 0) * (6 - len(call.arguments))
            row.pack_into(plan, number * row.size, *cells)
    return bytes(plan)


def _in_class(call: Call, name: str) -> bool:
    if name == "file":
        return any(argument.kind == "path" for argument in call.arguments) or call.name in FILE_TOO
    kinds = {argument.kind for argument in call.arguments} | {call.result}
    return call.name in DESC_TOO or (bool(kinds & {"fd", "dirfd"}) and call.name not in NOT_DESC)


def _numbers_of_word(word: str) -> set[int]:
    table = _table()
    name = word.removeprefix("%")
    if name in CLASSES:
        members = CLASSES[name].split()
        return {number for number, call in table.items() if call.name in members}
    if name in ("file", "desc"):
        return {number for number, call in table.items() if _in_class(call, name)}
    if name == "all":
        return set(table)
    if name == "none":
        return set()
    numbers = {number for number, call in table.items() if call.name == word}
    if numbers:
        return numbers
    classes = ["%" + kind for kind in (*CLASSES, "file", "desc")]
    known = classes if word.startswith("%") else [call.name for call in table.values()]
    near = difflib.get_close_matches(word, known, 1, 0.5)
    raise UsageError(f"there is no system call {word!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def numbers_of(text: str) -> frozenset[int]:
    """Return the call numbers of a trace set as strace takes it.

    Names and classes (`%file`, `%process`, `%network`, `%desc`, `%signal`,
    `%memory`; the `%` may be missing), separated by commas; `!` before all
    negates the whole set. Raises UsageError for a name that no call has.
    """
    text, negated = (text[1:], True) if text.startswith("!") else (text, False)
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError("the set of system calls is empty")
    numbers = set().union(*map(_numbers_of_word, words))
    return frozenset(set(_table()) - numbers if negated else numbers)
