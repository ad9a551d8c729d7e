"""The system call table: trace sets, the capture plan, what it knows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lowrun.errors import UsageError
from lowrun.trace import arch, plan
from lowrun.trace.constants import ENUMS, FLAGS, names_of
from lowrun.trace.context import Context
from lowrun.trace.decode import format_of
from lowrun.trace.grammar import CAPTURED_AS
from lowrun.trace.plan import element_size
from lowrun.trace.rows import ROWS
from lowrun.trace.sizes import DEEP, SIZED, UPTO
from lowrun.trace.table import FOREIGN, Call, call_of, capture_plan, numbers_of, table_of

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


def test_a_word_may_be_an_expression_a_number_or_unknown() -> None:
    """`/^read` is a regular expression, 59 is execve, `?foo` may name nothing; `!none` is all."""
    assert names("/^readlink") == {"readlink", "readlinkat"} and names("59") == {"execve"}
    assert names("?no_such_call,read") == {"read"} and numbers_of("!none") == numbers_of("all")
    assert names("stat64,_llseek,read") == {"read"}  # names of 32-bit code's calls
    assert names("%%stat") >= {"stat", "statx"} and names("?%no_such_class,close") == {"close"}
    with pytest.raises(UsageError, match="regular expression"):
        numbers_of("/(")
    with pytest.raises(UsageError):
        numbers_of("creds")


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


def selecting(call: Call, key: int) -> tuple[int, ...]:
    """Return arguments that select the variant `key`."""
    arguments = [0] * 6
    for place, (index, _) in enumerate(call.select):
        arguments[index] = key >> (32 * place) & 0xFFFFFFFF
    return tuple(arguments)


def test_every_row_has_a_number_and_every_argument_a_text() -> None:
    """No row is for a call that does not exist; every call's format can be compiled."""
    known = set(arch.machine_calls().values())
    assert {line.split()[0] for line in ROWS.strip().splitlines()} <= known
    for number in arch.machine_calls():
        assert format_of(number).name == call_of(number).name
        for key, variant in call_of(number).variants.items():
            assert format_of(number).of(selecting(call_of(number), key)).call == variant


def test_what_points_to_memory_has_a_size() -> None:
    """Every kind that is copied has a size or a way of its own to be copied."""
    own = CAPTURED_AS | set(SIZED) | set(UPTO) | set(DEEP)
    for machine in ("x86_64", "i386"):
        for call in table_of(machine).values():
            for argument in (a for one in (call, *call.variants.values()) for a in one.arguments):
                if argument.read or argument.written:
                    assert element_size(argument.kind) or argument.kind in own, (call.name, argument)


def test_the_plan_says_what_to_copy_and_when() -> None:
    """execve: path, argv and envp at entry; read: a descriptor, and bytes by the result, at exit; wait4."""
    data = capture_plan()
    rows = [(row[:36], row[36:]) for row in plan.ROW.iter_unpack(data)]

    def cells(number: int) -> list[tuple[int, int, int]]:
        values = rows[number][0]
        return [(values[i], values[i + 1], values[i + 2]) for i in range(0, 36, 3)]

    nothing, descriptor = (plan.NONE, 0, 0), (plan.FD, 0, 0)
    assert cells(59)[:6] == [(plan.PATH, 0, 0), (plan.ARGV, 0, 0), (plan.ENVP, 0, 0)] + [nothing] * 3
    assert cells(0) == [descriptor] + [nothing] * 6 + [(plan.BUFFER, 7, 0)] + [nothing] * 4
    assert cells(61)[6:] == [nothing, (plan.FIXED, 0, 4), nothing, (plan.FIXED, 0, 144)] + [nothing] * 2
    assert cells(39) == [nothing] * 12


def test_the_plan_has_a_row_for_each_variant_sorted_by_key() -> None:
    """The tracer finds a variant by its key: fcntl's F_SETLK copies a struct, F_GETFL nothing."""
    rows = list(plan.ROW.iter_unpack(capture_plan()))
    _, first, count, select, _, bits, _ = rows[72][36:]
    keys = [row[36] for row in rows[first : first + count]]
    assert keys == sorted(call_of(72).variants) and (select, bits) == (1, 32)
    assert rows[first + keys.index(6)][6:9] == (plan.FIXED, 0, 32)
    assert rows[first + keys.index(3)][:36] == (plan.FD, *([0] * 35))


def headers_calls(path: str, pattern: str = r"#define __NR_(\w+)\s+(\d+)") -> dict[int, str]:
    """Return number -> name of a header of the kernel's; skips where it is not there."""
    file = Path(path)
    if not file.exists():
        pytest.skip(f"no {path}")
    return {int(number): name for name, number in re.findall(pattern, file.read_text())}


def test_every_call_of_the_headers_has_a_row() -> None:
    """x86_64, i386 and x32: the names are those of the kernel's headers, and the native ones have a row each."""
    asm = "/usr/include/x86_64-linux-gnu/asm/"
    native = headers_calls(asm + "unistd_64.h")
    known = {line.split()[0] for line in ROWS.strip().splitlines()}
    assert {number: call_of(number).name for number in native} == native
    assert set(native.values()) <= known
    compat = headers_calls(asm + "unistd_32.h")
    assert {number: call_of(number | FOREIGN).name for number in compat} == compat
    x32 = headers_calls(asm + "unistd_x32.h", r"#define __NR_(\w+)\s+\(__X32_SYSCALL_BIT \+ (\d+)\)")
    assert {number: call_of(number | arch.X32_BIT).name for number in x32} == x32


def test_aarch64_has_the_generic_numbers() -> None:
    """asm-generic/unistd.h is aarch64's table; where it names a call for 32 and 64 bits, it is the latter."""
    generic = headers_calls("/usr/include/asm-generic/unistd.h")
    only_32_bits = {number for number, name in generic.items() if 402 < number < 424}
    calls = arch.machine_calls("aarch64")
    expected = {number: name for number, name in generic.items() if number not in only_32_bits | {244, 451}}
    assert {number: calls[number] for number in expected} == expected


def test_an_unknown_call_prints_as_its_number() -> None:
    """As strace has it: the number in hexadecimal, six arguments."""
    form = format_of(0x1F0)
    assert (
        f"{form.name}({form.enter(Context((1, 2, 0, 4, 5, 6), {}, {}, ''))})"
        == "syscall_0x1f0(0x1, 0x2, 0, 0x4, 0x5, 0x6)"
    )


def test_the_document_is_what_the_table_says() -> None:
    """docs/syscalls.md is up to date."""
    done = subprocess.run([sys.executable, Path(__file__).parents[2] / "tools" / "syscalls.py", "--check"])
    assert done.returncode == 0, "run python tools/syscalls.py"


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
    checks = [f"_Static_assert(LR_CAP_{word} == {getattr(plan, word)}, {word!r});" for word in words.split()]
    checks.append(f"_Static_assert(LR_CAP_UPTO == {plan.UPTO_SIZE} && LR_CAP_DEEP == {plan.DEEP_STRUCT}, 'x');")
    checks.append("_Static_assert(sizeof(struct lr_capture_row) == 64 && sizeof(struct lr_capture_cell) == 4, 'x');")
    compiled(tmp_path, f'#include "{HEADER}"\n' + "\n".join(checks).replace("'", '"'))


def test_sizes_are_those_of_the_kernel_s_structs(tmp_path: Path) -> None:
    """The compiler agrees with the size of every struct that C programs can name."""
    structs = "stat statfs timespec timeval itimerval itimerspec rlimit rusage pollfd epoll_event utsname sysinfo tms"
    structs += " timezone sched_param utimbuf statx clone_args open_how sigevent iocb io_event io_uring_params termios2"
    structs += (
        " ifreq flock mq_attr sembuf seminfo msginfo shminfo64 shm_info mount_attr timex rtc_time rtc_wkalrm winsize"
    )
    structs += " fsxattr linger ucred ip_mreq tpacket_req tpacket_stats loop_info64 sock_fprog"
    includes = "sys/stat.h sys/statfs.h time.h sys/time.h sys/resource.h poll.h sys/epoll.h sys/utsname.h"
    includes += (
        " sys/sysinfo.h sys/times.h fcntl.h sched.h utime.h linux/sched.h linux/openat2.h signal.h linux/aio_abi.h"
    )
    includes += " linux/io_uring.h asm/termbits.h sys/socket.h net/if.h netinet/in.h mqueue.h linux/sem.h linux/msg.h"
    includes += (
        " linux/shm.h sys/timex.h linux/rtc.h asm/termios.h linux/fs.h linux/if_packet.h linux/loop.h linux/filter.h"
    )
    text = "#define _GNU_SOURCE\n"
    text += "".join(f"#include <{name}>\n" for name in includes.split())
    sizes = {name: element_size(name) or SIZED.get(name, 0) for name in structs.split()}
    compiled(
        tmp_path,
        text + "\n".join(f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");' for name, size in sizes.items()),
    )


#: Headers whose constants the sets of constants.py are checked against, where they are installed.
HEADERS = (
    "linux/prctl.h linux/capability.h linux/seccomp.h linux/ptrace.h linux/keyctl.h linux/futex.h linux/bpf.h "
    "linux/perf_event.h linux/landlock.h linux/io_uring.h linux/mount.h linux/fanotify.h linux/fs.h linux/fiemap.h "
    "linux/loop.h linux/mempolicy.h linux/membarrier.h linux/quota.h linux/reboot.h linux/personality.h linux/kexec.h "
    "linux/securebits.h linux/ipc.h linux/sem.h linux/shm.h linux/msg.h linux/fcntl.h linux/stat.h linux/mman.h "
    "linux/sched.h linux/timex.h linux/input.h linux/tcp.h linux/in6.h linux/udp.h linux/netlink.h linux/if_packet.h "
    "linux/socket.h asm/socket.h linux/if_arp.h linux/ioprio.h linux/kcmp.h linux/aio_abi.h linux/openat2.h "
    "linux/eventpoll.h linux/inotify.h linux/memfd.h linux/random.h asm/prctl.h linux/wait.h linux/resource.h"
).split()


def test_constants_have_the_value_that_the_headers_give_them(tmp_path: Path) -> None:
    """Each name of a set that an installed header defines has there the same number."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    wrong, seen = [], set()
    for header in HEADERS:
        dump = subprocess.run(
            [compiler, "-E", "-dM", "-"], input=f"#include <{header}>\n", capture_output=True, text=True
        )
        macros = set(re.findall(r"^#define (\w+) \S", dump.stdout, re.M))
        named = [(n, v) for kind in (*FLAGS, *ENUMS) for v, n in names_of(kind) if n in macros and n not in GLIBC]
        lines = [f"_Static_assert((unsigned) ({name}) == {value & 0xFFFFFFFF}u, {name!r});" for name, value in named]
        source = tmp_path / "check.c"
        source.write_text(f"#include <{header}>\n" + "\n".join(lines).replace("'", '"'))
        done = subprocess.run([compiler, "-fsyntax-only", "-fmax-errors=0", source], capture_output=True, text=True)
        wrong += re.findall(r'static assertion failed: "(\w+)"', done.stderr)
        seen |= {name for name, _ in named}
    assert wrong == [] and len(seen) > 800


#: Names that mean another thing in the header at hand than in the set.
GLIBC = frozenset(("MSG_EXCEPT", "SEM_STAT", "SEM_INFO"))
