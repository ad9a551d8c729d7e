"""Records as strace's text: each expected line is one that strace prints for that call."""

from __future__ import annotations

import io
import os
import struct
import time
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trace_records import some_record

from lowrun.trace.records import Chunk, Enter, Exec, Exit, Exited, Fork, Lost, Path, Record, Signal, Stopped, encode
from lowrun.trace.table import numbers_of
from lowrun.trace.text import write_strace

AT = 1_700_000_000_123456789
LEADER = "7     22:13:20.123456 "


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    """Times are local; here that is UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


def text_of(*records: Record) -> str:
    """Return the text of some records."""
    out = io.BytesIO()
    write_strace(b"".join(map(encode, records)), out)
    return out.getvalue().decode()


def number(name: str) -> int:
    """Return a call's number."""
    return min(numbers_of(name))


def entry(name: str, *arguments: int, tid: int = 7, chunks: Mapping[int, Chunk] | None = None) -> Enter:
    """Return the entry into a call."""
    six = (*(value & (1 << 64) - 1 for value in arguments), 0, 0, 0, 0, 0, 0)[:6]
    return Enter(tid, 7, AT, number(name), six, chunks=chunks or {})


def leave(value: int, chunks: Mapping[int, Chunk] | None = None, tid: int = 7) -> Exit:
    """Return the exit from a call after 12 microseconds."""
    return Exit(tid, 7, AT, value, 12_345, value < 0, chunks or {})


def line(
    name: str,
    *arguments: int,
    value: int = 0,
    at_entry: Mapping[int, bytes] | None = None,
    at_exit: Mapping[int, bytes] | None = None,
) -> str:
    """Return one call's line without what stands before its name and after its result."""
    before = {index: Chunk(0, data) for index, data in (at_entry or {}).items()}
    after = {index: Chunk(0, data) for index, data in (at_exit or {}).items()}
    text = text_of(entry(name, *arguments, chunks=before), leave(value, after))
    assert text.startswith(LEADER) and text.endswith(" <0.000012>\n"), text
    return " ".join(text[len(LEADER) : -len(" <0.000012>\n")].split())


def vector(*strings: bytes) -> bytes:
    """Return a vector of strings as it is captured."""
    parts = [struct.pack("<II", len(word), 0) + word + bytes(-len(word) % 8) for word in strings]
    return struct.pack("<Q", len(strings)) + b"".join(parts)


def test_the_result_stands_in_column_40() -> None:
    """Short calls are padded, the pid to five places: `6231  03:08:06.957323 brk(NULL)         = 0x...`."""
    text = text_of(entry("brk", 0), leave(0x5597ABA6D000))
    assert text == LEADER + "brk(NULL)         = 0x5597aba6d000 <0.000012>\n"


def test_files() -> None:
    """Paths, open flags, modes and stat as strace prints them."""
    path = {1: b"/etc/hosts"}
    assert line("openat", -100, 1, 0o2000000, value=3, at_entry=path) == (
        'openat(AT_FDCWD, "/etc/hosts", O_RDONLY|O_CLOEXEC) = 3'
    )
    assert line("openat", -100, 1, 0o101, 0o644, value=-13, at_entry=path) == (
        'openat(AT_FDCWD, "/etc/hosts", O_WRONLY|O_CREAT, 0644) = -1 EACCES (Permission denied)'
    )
    stat = bytearray(144)
    struct.pack_into("<I", stat, 24, 0o100644)
    struct.pack_into("<Q", stat, 48, 34547)
    assert line("newfstatat", 3, 1, 2, 0x1000, at_entry={1: b""}, at_exit={2: bytes(stat)}) == (
        'newfstatat(3, "", {st_mode=S_IFREG|0644, st_size=34547, ...}, AT_EMPTY_PATH) = 0'
    )
    assert line("newfstatat", -100, 1, 0x7FFD00, 0, value=-2, at_entry={1: b"/x"}) == (
        'newfstatat(AT_FDCWD, "/x", 0x7ffd00, 0) = -1 ENOENT (No such file or directory)'
    )
    assert line("access", 1, 4, at_entry={0: b"/x"}) == 'access("/x", R_OK) = 0'
    assert line("umask", 0o22, value=0o22) == "umask(022) = 022"
    assert line("fcntl", 3, 3, value=0o100002) == "fcntl(3, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)"
    assert line("fcntl", 3, 2, 1) == "fcntl(3, F_SETFD, FD_CLOEXEC) = 0"
    assert line("getcwd", 1, 4096, value=5, at_exit={0: b"/tmp\0"}) == 'getcwd("/tmp", 4096) = 5'
    assert line("lseek", 3, -1, 2, value=7) == "lseek(3, -1, SEEK_END) = 7"


def test_bytes() -> None:
    """What is not printable is octal, as short as the next character allows; what was cut says so."""
    assert line("read", 3, 1, 9, value=5, at_exit={1: b'a"\n\0001'}) == 'read(3, "a\\"\\n\\0001", 9) = 5'
    assert line("write", 1, 1, 3, value=3, at_entry={1: b"\0\xff9"}) == 'write(1, "\\0\\3779", 3) = 3'
    assert line("read", 3, 0x10, 9) == 'read(3, "", 9) = 0'
    assert line("getrandom", 1, 2, 1, value=2, at_exit={0: b"\x63\x9f"}) == (
        'getrandom("\\x63\\x9f", 2, GRND_NONBLOCK) = 2'
    )
    cut = text_of(entry("write", 1, 1, 9, chunks={1: Chunk(5, b"ab", cut=True)}), leave(9))
    assert 'write(1, "ab"..., 9)' in cut
    assert line("write", 1, 0x10, 3, value=-14) == "write(1, 0x10, 3) = -1 EFAULT (Bad address)"


def test_processes() -> None:
    """execve, clone, wait4 and exit as strace prints them."""
    chunks = {0: b"/bin/ls", 1: vector(b"ls", b"-l"), 2: struct.pack("<Q", 23)}
    assert line("execve", 1, 2, 0x7FFD10, at_entry=chunks) == (
        'execve("/bin/ls", ["ls", "-l"], 0x7ffd10 /* 23 vars */) = 0'
    )
    assert line("clone", 0x1200011, 0, 0, 0x7F6363, 0, value=8) == (
        "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f6363) = 8"
    )
    assert line("wait4", -1, 1, 0, 0, value=8, at_exit={1: struct.pack("<i", 3 << 8)}) == (
        "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 8"
    )
    assert line("wait4", -1, 0x10, 1, 0, at_exit={1: bytes(4)}) == "wait4(-1, 0x10, WNOHANG, NULL) = 0"
    assert text_of(entry("exit_group", 0), Exited(7, 7, AT, 0)) == (
        LEADER + "exit_group(0)     = ?\n" + LEADER + "+++ exited with 0 +++\n"
    )


def test_memory() -> None:
    """mmap, mprotect and brk as strace prints them."""
    assert line("mmap", 0, 8192, 3, 0x22, -1, 0, value=0x7F26) == (
        "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f26"
    )
    assert line("mmap", 0x7F89, 1, 5, 0x812, 3, 0x7000, value=0x7F89) == (
        "mmap(0x7f89, 1, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0x7000) = 0x7f89"
    )
    assert line("munmap", 0x7F89, 4096) == "munmap(0x7f89, 4096) = 0"


def test_signals_and_time() -> None:
    """rt_sigaction, rt_sigprocmask, prlimit64, futex and nanosleep as strace prints them."""
    action = struct.pack("<QQQQ", 0x55, 0x4000000, 0x7F, 1 << 16)
    assert line("rt_sigaction", 17, 1, 0, 8, at_entry={1: action}) == (
        "rt_sigaction(SIGCHLD, {sa_handler=0x55, sa_mask=[CHLD], sa_flags=SA_RESTORER, sa_restorer=0x7f}, NULL, 8) = 0"
    )
    full = struct.pack("<Q", ~(3 << 31) & (1 << 64) - 1)
    assert line("rt_sigprocmask", 2, 1, 0, 8, at_entry={1: full}) == (
        "rt_sigprocmask(SIG_SETMASK, ~[RTMIN RT_1], NULL, 8) = 0"
    )
    limit = struct.pack("<QQ", 8192 * 1024, (1 << 64) - 1)
    assert line("prlimit64", 0, 3, 0, 1, at_exit={3: limit}) == (
        "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0"
    )
    assert line("futex", 0x7F4C, 129, 2147483647) == "futex(0x7f4c, FUTEX_WAKE_PRIVATE, 2147483647) = 0"
    assert line("futex", 0x7F4C, 393, 0, 0, 0, 0xFFFFFFFF, value=-11) == (
        "futex(0x7f4c, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 0, NULL, FUTEX_BITSET_MATCH_ANY)"
        " = -1 EAGAIN (Resource temporarily unavailable)"
    )
    second = struct.pack("<qq", 1, 5)
    assert line("nanosleep", 1, 0x10, at_entry={0: second}) == "nanosleep({tv_sec=1, tv_nsec=5}, 0x10) = 0"
    assert line("pause", value=-514) == "pause() = ? ERESTARTNOHAND (To be restarted if no handler)"


def test_sockets() -> None:
    """socket, connect, accept and socketpair as strace prints them."""
    assert line("socket", 2, 0x80001, 0, value=3) == "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3"
    unix = struct.pack("<H", 1) + b"/run/x\0"
    assert line("connect", 3, 1, 110, value=-2, at_entry={1: unix}) == (
        'connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = -1 ENOENT (No such file or directory)'
    )
    inet = struct.pack("<H", 2) + struct.pack(">H", 80) + bytes((127, 0, 0, 1)) + bytes(8)
    size = struct.pack("<i", 16)
    assert line("accept", 3, 1, 2, value=4, at_entry={2: size}, at_exit={1: inet, 2: size}) == (
        'accept(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, [16]) = 4'
    )
    assert line("socketpair", 1, 1, 0, 9, at_exit={3: struct.pack("<ii", 3, 4)}) == (
        "socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0"
    )


def test_unknown_calls_have_six_arguments_in_hexadecimal() -> None:
    """A number that the table lacks prints as a name."""
    assert (
        text_of(Enter(7, 7, AT, 0x1F0, (1, 2, 3, 4, 5, 6)), leave(-38))
        == LEADER + "syscall_0x1f0(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS (Function not implemented) <0.000012>\n"
    )


def test_another_threads_line_leaves_a_call_unfinished() -> None:
    """What was known at entry stands before `<unfinished ...>`, the rest after `resumed>`."""
    text = text_of(
        entry("wait4", -1, 0x10, 0, 0), entry("close", 3, tid=8), leave(0, tid=8), leave(-10), entry("getpid"), leave(7)
    )
    assert [row[22:] for row in text.splitlines()] == [
        "wait4(-1,  <unfinished ...>",
        "close(3)          = 0 <0.000012>",
        "<... wait4 resumed>0x10, 0, NULL) = -1 ECHILD (No child processes) <0.000012>",
        "getpid()          = 7 <0.000012>",
    ]


def test_a_signal_death_cuts_the_call() -> None:
    """A call that never returns ends with ` <unfinished ...>) = ?`."""
    info = struct.pack("<iii4xiI", 15, 0, 0, 99, 1000).ljust(128, b"\0")
    text = text_of(entry("read", 0, 0x10, 9), Signal(7, 7, AT, info), Stopped(7, 7, AT, 19), Exited(7, 7, AT, 9))
    assert [row[22:] for row in text.splitlines()] == [
        "read(0,  <unfinished ...>",
        "--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=99, si_uid=1000} ---",
        "--- stopped by SIGSTOP ---",
        "<... read resumed> <unfinished ...>) = ?",
        "+++ killed by SIGKILL +++",
    ]
    assert "+++ killed by SIGSEGV (core dumped) +++" in text_of(Exited(7, 7, AT, 0x8B))


def test_sigchld_tells_of_the_child() -> None:
    """The line that every shell's trace is full of."""
    info = struct.pack("<iii4xiIi4xqq", 17, 0, 1, 8, 0, 3, 0, 0).ljust(128, b"\0")
    assert text_of(Signal(7, 7, AT, info))[22:] == (
        "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=8, si_uid=0, si_status=3, si_utime=0, si_stime=0}"
        " ---\n"
    )


def test_a_threads_exec_takes_the_leaders_place() -> None:
    """The leader is superseded, and the execve that thread 9 began returns as 7's."""
    chunks = {0: Chunk(2, b"/bin/true"), 1: Chunk(3, vector(b"true")), 2: Chunk(4, struct.pack("<Q", 1))}
    text = text_of(entry("execve", 1, 2, 3, tid=9, chunks=chunks), Exec(7, 7, AT, 9), leave(0))
    assert text.splitlines() == [
        '9     22:13:20.123456 execve("/bin/true", ["true"], 0x3 /* 1 var */ <pid changed to 7 ...>',
        LEADER + "+++ superseded by execve in pid 9 +++",
        LEADER + "<... execve resumed>) = 0 <0.000012>",
    ]
    text = text_of(entry("pause"), entry("execve", 1, 2, 3, tid=9, chunks=chunks), Exec(7, 7, AT, 9), leave(0))
    assert [row[22:] for row in text.splitlines()][1:] == [
        'execve("/bin/true", ["true"], 0x3 /* 1 var */ <unfinished ...>',
        "<... pause resumed>) = ?",
        "+++ superseded by execve in pid 9 +++",
        "<... execve resumed>) = 0 <0.000012>",
    ]


def test_descriptors_are_named_for_their_life() -> None:
    """A PATH record names a descriptor until it is closed; a forked child has its own copy."""
    text = text_of(
        Path(7, 7, AT, -100, b"/tmp"),
        entry("openat", -100, 1, 0, chunks={1: Chunk(2, b"x")}),
        Path(7, 7, AT, 3, b"/tmp/x"),
        leave(3),
        Fork(7, 7, AT, 8, 1),
        entry("close", 3),
        leave(0),
        entry("close", 3),
        leave(-9),
        Enter(8, 8, AT, number("close"), (3, 0, 0, 0, 0, 0)),
    )
    assert [" ".join(row[22:].split()) for row in text.splitlines()] == [
        'openat(AT_FDCWD</tmp>, "x", O_RDONLY) = 3</tmp/x> <0.000012>',
        "close(3</tmp/x>) = 0 <0.000012>",
        "close(3) = -1 EBADF (Bad file descriptor) <0.000012>",
        "close(3</tmp/x> <unfinished ...>",
    ]


def test_lost_records_are_told() -> None:
    """A gap in the trace shows."""
    assert text_of(Lost(7, 7, AT, 28))[22:] == "+++ the rest was not recorded: No space left on device +++\n"


@settings(max_examples=300)
@given(st.lists(some_record, max_size=12))
def test_no_sequence_of_records_makes_the_writer_fail(records: list[Record]) -> None:
    """Whatever was recorded, there is a text of it."""
    text_of(*records)


@settings(max_examples=300)
@given(st.data())
def test_no_call_makes_the_writer_fail(data: st.DataObject) -> None:
    """Every call with any arguments and any captured bytes has a line."""
    number = data.draw(st.integers(0, 470))
    small = st.sampled_from((0, 1, 2, 3, 16, 0x5413, 2**32 - 100, 2**64 - 1)) | st.integers(0, 2**64 - 1)
    chunk = st.builds(Chunk, st.just(0), st.binary(max_size=160), st.booleans(), st.booleans())
    chunks = st.dictionaries(st.integers(0, 5), chunk)
    value = data.draw(st.integers(-600, 5000) | st.integers(-(2**63), 2**63 - 1))
    text = text_of(
        Enter(7, 7, AT, number, data.draw(st.tuples(*[small] * 6)), chunks=data.draw(chunks)),
        Exit(7, 7, AT, value, 5, value < 0, data.draw(chunks)),
    )
    assert text.count("\n") == 1 and text.isascii()
