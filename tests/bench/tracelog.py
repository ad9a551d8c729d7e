"""Makes a log like a long build's: processes of a pool that come and go, threads, files, errors, interrupted calls."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

__all__ = ["write_log"]

#: Calls of a process, and processes that run at a time.
LIFE, POOL = 2000, 4
FILES = 2000
ENOENT = "-1 ENOENT (No such file or directory)"


def _bodies(rng: random.Random) -> list[str]:
    """Calls without their thread and time; what follows a NUL is how it is resumed."""
    lines = []
    for number in range(FILES):
        path = f"/usr/src/project/{rng.choice(('include', 'lib', 'tools'))}/module{number % 97}/file{number}.h"
        size = rng.randrange(1, 65536)
        define = f"GUARD_{number}"
        micro = rng.randrange(5, 900)
        lines += [
            f'openat(AT_FDCWD</usr/src/project>, "{path}", O_RDONLY|O_CLOEXEC) = 3<{path}> <0.0000{micro % 90 + 10}>',
            f'newfstatat(3<{path}>, "", {{st_mode=S_IFREG|0644, st_size={size}, ...}}, AT_EMPTY_PATH) = 0 <0.000007>',
            f'read(3<{path}>, "#ifndef {define}\\n#define {define}\\n"..., 65536) = {size} <0.000{micro:03}>',
            f"close(3<{path}>) = 0 <0.000006>",
            f'newfstatat(AT_FDCWD</usr/src/project>, "/usr/local{path}", 0x7ffd5a3e3a40, 0) = {ENOENT} <0.000011>',
            f"mmap(NULL, {size}, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f{number:010x} <0.000009>",
        ]
        if number % 10 == 0:
            lines += [
                f'write(4</tmp/cc{number}.o>, "\\177ELF\\2\\1\\1"..., {size}) = {size} <0.000{micro:03}>',
                "futex(0x7f1c2a3b4c50, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>\0"
                "<... futex resumed>) = -1 EAGAIN (Resource temporarily unavailable) <0.000031>",
                'sendto(5<TCP:[10.0.0.1:4000->10.0.0.2:443]>, "GET / HTTP/1.1\\r\\n"..., 78, 0, NULL, 0) = 78'
                " <0.000050>",
                'recvfrom(5<TCP:[10.0.0.1:4000->10.0.0.2:443]>, "HTTP/1.1 200\\r\\n"..., 4096, 0, NULL, NULL) = 4096'
                " <0.000080>",
            ]
    rng.shuffle(lines)
    return lines


def _process(pid: int, bodies: Iterator[str]) -> Iterator[tuple[int, str]]:
    """A process' lines, with the thread of each."""
    make, program = 1000, f"/usr/bin/cc{pid // 2 % 3}"
    yield make, f"clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f8a10) = {pid} <0.000150>"
    yield pid, f'execve("{program}", ["cc", "-c", "file{pid}.c"], 0x55d8a0 /* 30 vars */) = 0 <0.000400>'
    thread = pid + 1
    yield (
        pid,
        f"clone(child_stack=0x7f0, flags=CLONE_VM|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD) = {thread} <0.00009>",
    )
    waiting = ""
    for place, body in enumerate(islice(bodies, LIFE - 6)):
        if waiting:
            yield thread, body if "\0" not in body else "getpid() = 1 <0.000003>"
            yield pid, waiting
            waiting = ""
            continue
        body, _, waiting = body.partition("\0")
        yield thread if place % 3 == 0 and not waiting else pid, body
    if waiting:
        yield pid, waiting
    yield thread, "exit(0) = ?"
    yield thread, "+++ exited with 0 +++"
    yield pid, f"exit_group({pid % 3}) = ?"
    yield pid, f"+++ exited with {pid % 3} +++"
    yield (
        make,
        (
            f"--- SIGCHLD {{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid={pid}, si_uid=0, si_status={pid % 3}, "
            "si_utime=3, si_stime=1} ---"
        ),
    )


def write_log(path: Path, calls: int) -> None:
    """Write about `calls` calls, always the same for the same number."""
    bodies = cycle(_bodies(random.Random(1)))
    pids = iter(range(2000, 1 << 30, 2))
    pool = [_process(next(pids), bodies) for _ in range(POOL)]
    micro, written = 43_200_000_000, 0
    with path.open("w", buffering=1 << 20) as out:
        out.write(
            '1000 12:00:00.000000 execve("/usr/bin/make", ["make", "-j4"], 0x7ffc /* 30 vars */) = 0 <0.000300>\n'
        )
        while written < calls:
            for place in range(POOL):
                lines = list(islice(pool[place], 50))
                if len(lines) < 50:
                    pool[place] = _process(next(pids), bodies)
                if micro % 1_000_000 + 50 * 23 >= 1_000_000:  # all of these are in the same second
                    micro += 1_000_000 - micro % 1_000_000
                second, rest = divmod(micro, 1_000_000)
                stamp = f"{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"
                for tid, text in lines:
                    rest += 23
                    out.write(f"{tid} {stamp}.{rest:06} {text}\n")
                micro += 50 * 23
                written += len(lines)
