"""A call as it can be compared between runs: what differs from run to run without meaning anything is taken away. Pure.

A call becomes a question (its name and what the caller gave), an outcome (the errno, or in a few words what came of
it) and an answer (what the kernel wrote and returned). Masked are: numbers of processes, descriptors (shown by what
they are; 0, 1 and 2 stay), addresses, times, inode numbers, ports that the kernel chose, random names of temporary
files. What the kernel wrote is no part of the question: a call that fails shows an address there. The marks
`(INJECTED)` and `(DELAYED)` are taken away, too: a comparison is not to see them.

What no rule knows to be random shows by itself: it is another one in each run. For that a question has a second,
coarse form, in which all that has digits is the same (`coarse`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from lowrun.trace.event import CALL, EXIT, KILLED, SIGNAL, UNFINISHED, Event

__all__ = [
    "CHILDREN",
    "MAKING",
    "MARKS",
    "WAITING",
    "WRITING",
    "Call",
    "Normaliser",
    "coarse",
    "is_error",
    "is_telling",
    "masked",
]

#: Longer arguments are cut, and told apart by a checksum of the rest.
LONGEST = 400
#: So many calls of a log are remembered as they were normalised.
REMEMBERED = 20_000
#: Where `0` is the end of a file or of what there is.
READING = frozenset(
    "read pread64 readv preadv preadv2 recvfrom recvmsg recvmmsg recv getdents getdents64 splice sendfile "
    "copy_file_range mq_timedreceive msgrcv process_vm_readv".split()
)
WRITING = {"write": 2, "pwrite64": 2, "sendto": 2}
#: Their results are numbers of new processes and threads.
MAKING = frozenset("clone clone3 fork vfork".split())
#: Where `0` is that the time was over.
WAITING = frozenset("poll ppoll select pselect6 epoll_wait epoll_pwait epoll_pwait2 io_getevents".split())
CHILDREN = frozenset("wait4 waitpid waitid".split())
#: Their answers are times, numbers of processes or random, or place in memory.
NO_ANSWER = frozenset(
    "clock_gettime gettimeofday time times getrusage sysinfo getrandom getpid gettid getppid getpgrp getpgid getsid "
    "setsid set_tid_address clone clone3 fork vfork wait4 waitid waitpid mmap mremap brk shmat getcpu "
    "clock_nanosleep nanosleep rt_sigreturn restart_syscall sched_getaffinity epoll_wait epoll_pwait futex "
    "timerfd_gettime timer_gettime getitimer timerfd_settime prlimit64 getrlimit io_setup".split()
)
#: What these write is printed before the call, too, as the caller gave it.
GIVEN_TOO = frozenset("pollfd fdset clone_args".split())
#: They come of timing more often than of a cause, where a call may have to wait.
TIMING = frozenset("EAGAIN EINTR ETIMEDOUT ECHILD EINPROGRESS EALREADY".split())
TIMED = (
    READING
    | WAITING
    | CHILDREN
    | frozenset(
        "futex connect accept accept4 write writev pwrite64 sendto sendmsg nanosleep clock_nanosleep rt_sigtimedwait "
        "rt_sigsuspend pause flock fcntl".split()
    )
)
MARKS = re.compile(r" \((?:INJECTED|DELAYED)\)")
#: Ends a process that behaves; a program that has ended children gets it at any time.
UNREMARKABLE_SIGNALS = frozenset(("SIGCHLD", "SIGCONT"))

_TEMPORARY = (
    r"tmp[a-z0-9_]{8}(?![a-z0-9_])|(?<=/cc)[A-Za-z0-9]{6}(?=\.|$)"
    r"|(?<=[./_-])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{6}(?=[/.>]|$)"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
#: Arguments are masked word by word: words come again, and their masks are remembered.
_WORDS = re.compile(r'([\s,"(){}]+)')
_MASK = re.compile(
    rf"""
      (?P<address> 0x[0-9a-f]{{6,16}}\b )
    | (?P<cwd> (?<=AT_FDCWD)<(?:->|[^<>])*> )
    | (?P<fd> (?<![\w.:])(?:[3-9]|\d{{2,}})(?=<) )
    | (?P<inode> (?<=:\[)\d+(?:->\d+)?(?=[\],]) | (?<=/\#)\d+ )
    | (?P<port> (?<=[:(])(?:3[3-9]\d{{3}}|[45]\d{{4}}|6[0-5]\d{{3}})(?=->|\]|\)) )
    | (?P<pid> (?<=/proc/)\d+ | (?<=<pid:)\d+ | (?<=NETLINK:\[)\w+:\d+
        | (?:(?<=si_pid=)|(?<=l_pid=)|(?<=nl_pid=)|(?<=nlmsg_pid=)|(?<=parent_tid=\[)|(?<=\{{pid=)|(?<=nlmsg_seq=))\d+ )
    | (?P<time> \d{{4}}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?
        | \b\d\d:\d\d:\d\d(?:[.,]\d+)?
        | \b1[6-9]\d{{8}}(?:\.\d+)?\b
        | (?:(?<=[us]time=)|(?<=tv_nsec=)|(?<=tv_usec=))[1-9]\d* | (?<=tv_sec=)\d{{7,}} )
    | (?P<number> (?:(?<=st_ino=)|(?<=d_ino=)|(?<=stx_ino=)|(?<=d_off=)|(?<=u32=)|(?<=u64=))\d+ )
    | (?P<temporary> {_TEMPORARY} )
    """,
    re.VERBOSE,
)
_STANDS_FOR = {
    "address": "ADDR", "cwd": "", "fd": "", "inode": "INODE", "port": "PORT", "pid": "PID", "time": "TIME",
    "number": "NUMBER", "temporary": "TMPNAME",
}  # fmt: skip
#: Arguments that are numbers of processes and threads: call -> places.
_PIDS = {
    **dict.fromkeys("kill tkill wait4 getpgid getsid prlimit64 pidfd_open ptrace migrate_pages get_robust_list "
                    "sched_setaffinity sched_getaffinity sched_setscheduler sched_getscheduler sched_getparam "
                    "sched_setparam process_vm_readv process_vm_writev rt_sigqueueinfo sched_getattr "
                    "sched_setattr".split(), (0,)),
    **dict.fromkeys(("tgkill", "setpgid", "rt_tgsigqueueinfo"), (0, 1)),
    **dict.fromkeys(("waitid", "ioprio_get", "ioprio_set", "getpriority", "setpriority"), (1,)),
    "futex": (2,),
}  # fmt: skip
_NUMBER_OF_PROCESS = re.compile(r"-?[1-9]\d{1,}")
_IN_STRING = re.compile(r"(?<![\w\\])\d{2,7}(?!\w)")
_PART = re.compile(r'"(?:[^"\\]|\\.)*"|<(?:->|=>|[^<>])*>|[\[\](){},]')
_EXITED = re.compile(r"WEXITSTATUS\(s\) == (\d+)|CLD_EXITED.*?si_status=(\d+)")
_SIGNALLED = re.compile(r"WTERMSIG\(s\) == (\w+)|CLD_(?:KILLED|DUMPED).*?si_status=(\w+)")
_RESULT_FD = re.compile(r"^\d+(?=<)")
_COARSE = re.compile(
    r'(?<=/tmp/)[^/"<>]+|(?<=/dev/shm/)[^/"<>]+|"(?:[^"\\]|\\.)*\\[0-7x](?:[^"\\]|\\.)*(?:"|$)|\w*\d\w*|TMPNAME|TIME|[A-Za-z0-9+/=]{20,}'
)
#: Of a moment, not of a duration: the clock may run since the machine was started.
_SECONDS = re.compile(r"tv_sec=\d+")
_SI_CODE = re.compile(r"si_code=(\w+)")


class Call(NamedTuple):
    """What is compared."""

    question: str
    #: "ok", "some" (data), "0" (the end), "timeout", "ready", "short", "exit 1", "SIGSEGV", "never returned", an errno.
    outcome: str
    #: "" where there is none, or none that could mean something.
    answer: str


def is_telling(name: str, outcome: str) -> bool:
    """Whether what came of a call is by itself a reason to look: an error that is none of timing, a signal, an end."""
    if is_error(outcome):
        return (outcome not in TIMING or name not in TIMED) and not outcome.startswith("ERESTART")
    return outcome in ("timeout", "short", "killed") or outcome.startswith(("SIG", "exit "))


def is_error(outcome: str) -> bool:
    """Whether an outcome is an errno."""
    return outcome.startswith("E") and outcome.isupper()


@lru_cache(maxsize=65536)
def coarse(text: str) -> str:
    """Return `text` with all that has digits, binary data and long words being the same."""
    return _COARSE.sub("#", text)


def _split(arguments: str) -> list[str]:
    """Return the arguments; commas in strings, brackets and names of descriptors separate none."""
    parts, depth, begin = [], 0, 0
    for match in _PART.finditer(arguments):
        sign = match[0]
        if sign == ",":
            if depth == 0:
                parts.append(arguments[begin : match.start()].strip())
                begin = match.end()
        elif sign in "[{(":
            depth += 1
        elif sign in "]})":
            depth -= 1
    parts.append(arguments[begin:].strip())
    return parts


@lru_cache(maxsize=1)
def _written() -> dict[str, tuple[frozenset[int], frozenset[int]]]:
    """Return call -> the arguments that the kernel writes: always, and with some values of another one."""
    from lowrun.trace.table import table_of

    found = {}
    for call in table_of().values():
        always = frozenset(
            place for place, one in enumerate(call.arguments) if one.written and one.kind not in GIVEN_TOO
        )
        at_times = frozenset(
            place for variant in call.variants.values() for place, one in enumerate(variant.arguments) if one.written
        )
        if always or at_times:
            found[call.name] = always, at_times - always
    return found


@lru_cache(maxsize=65536)
def _masked_word(word: str) -> str:
    return _MASK.sub(lambda match: _STANDS_FOR[match.lastgroup or ""], word)


def masked(text: str) -> str:
    """Return `text` with what is of one run only masked: numbers of processes, addresses, times, random names."""
    return "".join(map(_masked_word, _WORDS.split(text)))


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}…{crc32(text[LONGEST:].encode('utf-8', 'replace')):08x}"


class Normaliser:
    """Makes calls of one run's events; it learns the numbers of the run's threads from them."""

    __slots__ = ("_cache", "_tids")

    def __init__(self) -> None:
        self._cache: dict[tuple[str, str, str, str], Call | None] = {}
        self._tids: set[str] = set()

    def call(self, event: Event) -> Call | None:
        """Return what `event` is in a comparison; None: nothing that is compared."""
        self._tids.add(str(event.tid))
        if event.value and event.name in MAKING:
            self._tids.add(str(event.value))
        key = (event.kind, event.name, event.arguments, event.result)
        try:
            return self._cache[key]
        except KeyError:
            pass
        call = self._make(event)
        if len(self._cache) >= REMEMBERED:
            self._cache.clear()
        self._cache[key] = call
        return call

    def _make(self, event: Event) -> Call | None:
        if event.kind in (CALL, UNFINISHED):
            return self._of_call(event)
        if event.kind == SIGNAL:
            if event.name in UNREMARKABLE_SIGNALS:
                return None
            code = _SI_CODE.search(event.arguments)
            return Call(f"signal {event.name}" + (f" ({code[1]})" if code else ""), event.name, "")
        if event.kind == EXIT:
            return Call(f"ends with exit code {event.value}", f"exit {event.value}", "") if event.value else None
        if event.kind == KILLED:
            return Call(f"is killed by {event.name}", "killed", "")
        return None

    def _of_call(self, event: Event) -> Call:
        name, result = event.name, MARKS.sub("", event.result)
        parts = _split(event.arguments)
        outcome = _outcome(event, result, parts)
        for place in _PIDS.get(name, ()):
            if place < len(parts) and _NUMBER_OF_PROCESS.fullmatch(parts[place]) and self._is_pid(name, parts[place]):
                parts[place] = "PID"
        if "_ABSTIME" in event.arguments or "FUTEX_WAIT_BITSET" in event.arguments:
            parts = [_SECONDS.sub("tv_sec=TIME", part) for part in parts]
        given, written = list(parts), []
        always, at_times = _written().get(name, (frozenset(), frozenset()))
        for place in always | at_times:
            if place < len(parts) and (place in always or parts[place][:1] in '0[{"'):
                written.append(parts[place])
                given[place] = "…"
        question = f"{name}({self._text(', '.join(given))})"
        answer = ""
        if name not in NO_ANSWER and not event.error and event.kind == CALL:
            returned = _RESULT_FD.sub("", result)
            if written or returned not in ("0", "?"):
                answer = self._text(" ".join([*written, "=", returned]))
        return Call(question, outcome, answer)

    def _is_pid(self, name: str, word: str) -> bool:
        return name != "futex" or word in self._tids

    def _text(self, text: str) -> str:
        text = masked(_short(text))
        if '"' in text:
            text = _IN_STRING.sub(self._name_pid, text)
        return text

    def _name_pid(self, match: re.Match[str]) -> str:
        return "PID" if match[0] in self._tids else match[0]


def _outcome(event: Event, result: str, parts: list[str]) -> str:
    if event.kind == UNFINISHED or (result.startswith("?") and not event.error):
        return "ok" if event.name in ("exit", "exit_group", "rt_sigreturn") else "never returned"
    if event.error:
        return event.error
    name, value = event.name, event.value
    if name in READING:
        return "0" if value == 0 else "some"
    if name in WAITING:
        return "timeout" if value == 0 else "ready"
    if name in CHILDREN:
        return _child_outcome(value, event.arguments)
    place = WRITING.get(name)
    if place is not None and place < len(parts) and parts[place].isdigit() and value is not None:
        return "short" if value < int(parts[place]) else "ok"
    return "ok"


def _child_outcome(value: int | None, arguments: str) -> str:
    if match := _EXITED.search(arguments):
        code = match[1] or match[2]
        return "ok" if code == "0" else f"exit {code}"
    if match := _SIGNALLED.search(arguments):
        return match[1] or match[2]
    return "0" if value == 0 and "CLD_" not in arguments else "ok"
