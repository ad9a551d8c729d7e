"""Sets of system calls as strace's `-e trace=` takes them: names, classes, numbers, regular expressions.

A class is either a list here (strace's own choice, which no rule yields) or
follows from the table: what names a path is about files, what takes or gives
a descriptor about descriptors. A test compares each with the installed strace.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping

from lowrun.errors import UsageError
from lowrun.trace.grammar import Call

__all__ = ["CLASSES", "numbers_in"]

CLASSES = {
    "process": "clone fork vfork execve exit wait4 kill rt_sigqueueinfo tkill tgkill exit_group waitid"
    " rt_tgsigqueueinfo execveat pidfd_send_signal clone3 waitpid",
    "network": "sendfile socket connect accept sendto recvfrom sendmsg recvmsg shutdown bind listen getsockname"
    " getpeername socketpair setsockopt getsockopt getpmsg putpmsg accept4 recvmmsg sendmmsg sendfile64 socketcall",
    "signal": "rt_sigaction rt_sigprocmask rt_sigreturn pause kill rt_sigpending rt_sigtimedwait rt_sigqueueinfo"
    " rt_sigsuspend sigaltstack tkill tgkill signalfd signalfd4 rt_tgsigqueueinfo pidfd_send_signal io_uring_enter"
    " signal sigaction siggetmask sgetmask ssetmask sigsuspend sigpending sigreturn sigprocmask",
    "memory": "mmap mprotect munmap brk mremap msync mincore madvise shmat shmdt mlock munlock mlockall munlockall"
    " io_setup io_destroy remap_file_pages mbind set_mempolicy get_mempolicy migrate_pages move_pages mlock2"
    " pkey_mprotect io_uring_register set_mempolicy_home_node map_shadow_stack mseal mmap2",
    "ipc": "shmget shmat shmctl semget semop semctl shmdt msgget msgsnd msgrcv msgctl semtimedop ipc",
    "creds": "getuid getgid setuid setgid geteuid getegid setreuid setregid getgroups setgroups setresuid getresuid"
    " setresgid getresgid setfsuid setfsgid capget capset prctl getuid32 getgid32 geteuid32 getegid32 setreuid32"
    " setregid32 getgroups32 setgroups32 setresuid32 getresuid32 setresgid32 getresgid32 setuid32 setgid32 setfsuid32"
    " setfsgid32",
    "clock": "gettimeofday adjtimex settimeofday time clock_settime clock_gettime clock_getres clock_adjtime stime",
    "pure": "getpid getuid getgid geteuid getegid getppid getpgrp gettid getuid32 getgid32 geteuid32 getegid32",
    "stat": "stat stat64 oldstat",
    "lstat": "lstat lstat64 oldlstat",
    "fstat": "fstat fstat64 oldfstat newfstatat fstatat64 statx",
    "%stat": "stat stat64 oldstat fstat fstat64 oldfstat lstat lstat64 oldlstat newfstatat fstatat64 statx",
    "statfs": "statfs statfs64",
    "fstatfs": "fstatfs fstatfs64",
    "%statfs": "ustat statfs statfs64 fstatfs fstatfs64",
}
CLASSES["net"] = CLASSES["network"]
#: Classes that strace takes without their percent sign too.
BARE = frozenset(("file", "process", "network", "signal", "ipc", "desc", "memory"))
#: Calls about files or descriptors that name none as an argument or result, and ones that do and are not counted.
FILE_TOO = frozenset(("getcwd", "fsconfig", "quotactl"))
DESC_TOO = frozenset(
    ("select", "poll", "pselect6", "ppoll", "pipe", "pipe2", "io_uring_setup", "bpf", "landlock_create_ruleset")
)
NOT_DESC = frozenset(CLASSES["network"].split()) - {"sendfile", "sendfile64"}


def _in_class(call: Call, name: str) -> bool:
    if name == "file":
        return any(argument.kind == "path" for argument in call.arguments) or call.name in FILE_TOO
    kinds = {argument.kind for argument in call.arguments} | {call.result}
    return call.name in DESC_TOO or (bool(kinds & {"fd", "dirfd"}) and call.name not in NOT_DESC)


def _class(name: str, table: Mapping[int, Call]) -> set[int] | None:
    if name in CLASSES:
        members = CLASSES[name].split()
        return {number for number, call in table.items() if call.name in members}
    if name in ("file", "desc"):
        return {number for number, call in table.items() if _in_class(call, name)}
    return None


def _by_expression(text: str, table: Mapping[int, Call]) -> set[int]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(f"{text!r} is no regular expression: {error}") from error
    return {number for number, call in table.items() if pattern.search(call.name)}


def _of_word(word: str, table: Mapping[int, Call]) -> set[int]:
    """Return what `word` names; raises UsageError when that is nothing."""
    numbers: set[int] | None = None
    if word == "all":
        return set(table)
    if word == "none":
        return set()
    if word.startswith("/"):
        numbers = _by_expression(word[1:], table)
    elif word.startswith("%"):
        numbers = _class(word[1:], table)
    elif word.isdigit():
        numbers = {int(word)} & set(table)
    else:
        numbers = {number for number, call in table.items() if call.name == word}
        if not numbers and word in BARE:
            numbers = _class(word, table)
    if numbers:
        return numbers
    known = ["%" + name for name in (*CLASSES, "file", "desc")]
    if not word.startswith("%"):
        known = [call.name for call in table.values()]
    near = difflib.get_close_matches(word, known, 1, 0.5)
    raise UsageError(f"there is no system call {word!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def numbers_in(text: str, table: Mapping[int, Call], elsewhere: Collection[str] = ()) -> frozenset[int]:
    """Return the numbers of the calls of `table` that the set `text` has.

    A name of `elsewhere` is another architecture's: no mistake, and no number.

    Words separated by commas: a name, a number, `%class` (some also without
    the percent sign), `/regular expression`, `all`, `none`; `!` before all
    negates the whole set, `?` before a word lets it name nothing. Raises
    UsageError.
    """
    text, negated = (text[1:], True) if text.startswith("!") else (text, False)
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError("the set of system calls is empty")
    numbers: set[int] = set()
    for word in words:
        try:
            numbers |= _of_word(word.lstrip("?"), table)
        except UsageError:
            if not word.startswith("?") and word not in elsewhere:
                raise
    if not (numbers or negated or "none" in words or any(word in elsewhere for word in words)):
        raise UsageError(f"the set {text!r} names no system call")
    return frozenset(set(table) - numbers if negated else numbers)
