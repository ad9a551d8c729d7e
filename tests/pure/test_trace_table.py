"""The system call table: trace sets, the capture plan, what it knows."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lowrun.errors import UsageError
from lowrun.trace import arch
from lowrun.trace.decode import format_of
from lowrun.trace.rows import ROWS
from lowrun.trace.table import call_of, capture_plan, numbers_of

HEADER = Path(__file__).parents[2] / "_native" / "records.h"


def names(text: str) -> set[str]:
    """Return the names of a set."""
    return {call_of(number).name for number in numbers_of(text)}


def test_a_set_is_names_and_classes() -> None:
    """Names and classes add up; the percent sign may be missing."""
    assert names("open,close") == {"open", "close"}
    assert names("%file") == names("file") >= {"openat", "execve", "stat", "getcwd", "renameat2"}
    assert names("%process,read") >= {"read", "clone3", "execve", "wait4"}
    assert "read" in names("%desc") and "openat" in names("%desc") and "getpid" not in names("%desc")
    assert names("%signal") >= {"kill", "rt_sigaction"} and names("%memory") >= {"mmap", "brk"}
    assert names("%network") == names("%net") >= {"socket", "connect"}


def test_a_leading_exclamation_mark_negates_the_whole_set() -> None:
    """All but the named ones, as in strace."""
    assert numbers_of("!read,%network") == numbers_of("all") - numbers_of("read,%network")


@pytest.mark.parametrize(("text", "near"), [("opn", "'open'"), ("%fil", "'%file'"), ("opeanat", "'openat'")])
def test_an_unknown_name_is_told_with_the_nearest_right_one(text: str, near: str) -> None:
    """A slip of the keyboard is named and mended."""
    with pytest.raises(UsageError, match=near):
        numbers_of(text)


def test_an_empty_set_is_refused() -> None:
    """A set of nothing is a mistake."""
    with pytest.raises(UsageError):
        numbers_of(" , ")


def test_new_calls_are_known_and_unknown_ones_have_a_name() -> None:
    """Numbers up to 470 have names; beyond, the number is the name."""
    assert [call_of(number).name for number in (0, 59, 334, 424, 435, 451, 462, 470)] == [
        "read", "execve", "rseq", "pidfd_send_signal", "clone3", "cachestat", "mseal", "listns",
    ]  # fmt: skip
    assert call_of(0x1F0).name == "syscall_0x1f0" and len(call_of(0x1F0).arguments) == 6


def test_names_of_arguments_come_from_the_prototypes() -> None:
    """The table knows what each argument is called."""
    assert call_of(0).names == ("fd", "buf", "count")


def test_every_row_has_a_number_and_every_argument_a_text() -> None:
    """No row is for a call that does not exist; every call's format can be compiled."""
    known = set(arch.machine_calls().values())
    assert {line.split()[0] for line in ROWS.strip().splitlines()} <= known
    for number in arch.machine_calls():
        assert format_of(number).name == call_of(number).name


def test_what_points_to_memory_has_a_size() -> None:
    """Every kind that is copied has a size or a way of its own to be copied."""
    own = set(table.CAPTURES) | {"msghdr", "iovec"}
    for number in arch.machine_calls():
        for argument in call_of(number).arguments:
            if argument.read or argument.written:
                assert argument.kind in SIZES or argument.kind in own, call_of(number)


def test_the_plan_says_what_to_copy_and_when() -> None:
    """execve: path, argv and envp at entry; read: a descriptor, and bytes by the result, at exit; wait4."""
    plan = capture_plan()
    assert len(plan) == 512 * 48

    def cells(number: int) -> list[tuple[int, int, int]]:
        values = struct.unpack_from("<" + "BBH" * 12, plan, number * 48)
        return [(values[i], values[i + 1], values[i + 2]) for i in range(0, 36, 3)]

    nothing = (table.NONE, 0, 0)
    assert cells(59)[:6] == [(table.PATH, 0, 0), (table.ARGV, 0, 0), (table.ENVP, 0, 0)] + [nothing] * 3
    assert cells(0) == [(table.FD, 0, 0)] + [nothing] * 6 + [(table.BUFFER, 7, 0)] + [nothing] * 4
    assert cells(61)[6:] == [nothing, (table.FIXED, 0, 4), nothing, (table.FIXED, 0, 144)] + [nothing] * 2
    assert cells(39) == [nothing] * 12


def compiled(tmp_path: Path, text: str) -> None:
    """Let the compiler check `text`."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = tmp_path / "check.c"
    source.write_text(text)
    subprocess.run([compiler, "-fsyntax-only", source], check=True)


def test_captures_and_cells_are_those_of_the_header(tmp_path: Path) -> None:
    """enum lr_capture and struct lr_capture_row are as the plan has them."""
    words = "NONE STRING PATH ARGV ENVP BUFFER FIXED PTRLEN COUNTED IOVEC MSGHDR FD"
    checks = [f"_Static_assert(LR_CAP_{word} == {getattr(table, word)}, {word!r});" for word in words.split()]
    checks.append("_Static_assert(sizeof(struct lr_capture_row) == 48 && sizeof(struct lr_capture_cell) == 4, 'x');")
    compiled(tmp_path, f'#include "{HEADER}"\n' + "\n".join(checks).replace("'", '"'))


def test_sizes_are_those_of_the_kernel_s_structs(tmp_path: Path) -> None:
    """The compiler agrees with the size of every struct that C programs can name."""
    structs = "stat statfs timespec timeval itimerval itimerspec rlimit rusage pollfd epoll_event utsname sysinfo tms"
    structs += " timezone sched_param utimbuf statx clone_args open_how"
    includes = "sys/stat.h sys/statfs.h time.h sys/time.h sys/resource.h poll.h sys/epoll.h sys/utsname.h"
    includes += " sys/sysinfo.h sys/times.h fcntl.h sched.h utime.h linux/sched.h linux/openat2.h"
    text = "#define _GNU_SOURCE\n" + "".join(f"#include <{name}>\n" for name in includes.split())
    named = {name: SIZES[name] for name in structs.split()} | {"flock": SIZES["fcntl_arg"]}
    compiled(
        tmp_path,
        text + "\n".join(f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");' for name, size in named.items()),
    )
