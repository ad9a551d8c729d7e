"""Faults drawn at random into real programs of the tracer's corpus: one call of one trace fails with some errno.

A fault is a call, an errno and which occurrence in a thread, drawn from the calls that a first trace shows. Of each
program there are runs without a fault, and of each fault that makes it fail some runs with it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import lowrun as lr
from lowrun.kept import KeptRun, kept_run
from tests.corpus import PROGRAMS, environment, missing_tool, prepare

__all__ = ["FAULTY", "Fault", "Faults"]

#: Fast, need no server, succeed without a fault, and read nothing but what was prepared.
FAULTY = (
    "ls -l", "find", "cat", "tar -c", "tar -x", "git log", "git commit", "gcc -c", "make -j2", "bash", "python threads",
    "python asyncio", "sqlite3", "openssl", "ssh-keygen", "perl", "sort", "xargs -P2", "gzip", "xz", "cp -a", "busybox",
    "dd", "getent", "awk", "dpkg -l", "setfacl", "rsync", "git clone", "ps", "ip addr", "ss", "fallocate", "prlimit",
    "ipcs", "su", "setpriv", "script", "vi", "ping", "unshare",
)  # fmt: skip
#: Codes that are theirs when nothing goes wrong.
SUCCESS = {"python threads": (3,)}
ERRORS = (
    "EPERM ENOENT EIO EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST ENODEV ENOTDIR EINVAL EMFILE ENOSPC EROFS ENOSYS "
    "EINTR EOVERFLOW ETIMEDOUT"
).split()
#: These put a context back: an error of theirs does not come to the program.
NEVER = frozenset("rt_sigreturn restart_syscall".split())
CALL = re.compile(r"(\d+) +[\d:.]+ (\w+)\(")
#: A program that a fault makes hang has failed; one without a fault is only slow. s
TIMEOUT, PATIENCE = 1.5, 30


@dataclass(frozen=True)
class Fault:
    """One call that fails: the `when`-th of that name in each thread."""

    program: str
    call: str
    error: str
    when: int

    def __str__(self) -> str:
        return f"{self.program}: {self.call}:error={self.error}:when={self.when}"


class Faults:
    """Draws faults; runs are kept below `directory`."""

    def __init__(self, seed: int, directory: Path, good: int = 6, bad: int = 4, programs: tuple[str, ...] = FAULTY):
        self._random = random.Random(seed)
        self._directory = directory
        self._good, self._bad = good, bad
        self._programs = [name for name in programs if not missing_tool(name)]
        self._passing: dict[str, list[KeptRun]] = {}
        self._seen: set[Fault] = set()
        self._count = 0

    def __iter__(self) -> Iterator[tuple[Fault, list[KeptRun], list[KeptRun]]]:
        """Yield faults that make their program fail each time, with the failing runs and the passing ones."""
        while True:
            name = self._random.choice(self._programs)
            passing = self._runs_without(name)
            fault = self._draw(name, passing[0])
            if fault in self._seen:
                continue
            self._seen.add(fault)
            failing = []
            for _ in range(self._bad):
                failing.append(self._run(name, fault))
                if failing[-1].ok:
                    break
            else:
                yield fault, failing, passing

    def _runs_without(self, name: str) -> list[KeptRun]:
        if name not in self._passing:
            runs = [self._run(name, None) for _ in range(self._good)]
            assert all(run.ok for run in runs), f"{name} fails by itself"
            self._passing[name] = runs
        return self._passing[name]

    def _draw(self, name: str, run: KeptRun) -> Fault:
        """Draw one of the calls of a run, by its place in its thread, and an error."""
        counts: dict[tuple[str, str], int] = {}
        found = []
        for line in run.artifacts["calls"].read_text(errors="surrogateescape").splitlines():
            match = CALL.match(line)
            if match is not None and match[2] not in NEVER:
                when = counts[match[1], match[2]] = counts.get((match[1], match[2]), 0) + 1
                found.append((match[2], when))
        call, when = self._random.choice(found)
        return Fault(name, call, self._random.choice(ERRORS), when)

    def _run(self, name: str, fault: Fault | None) -> KeptRun:
        program, work = PROGRAMS[name], self._directory / "w"
        prepare(program, work, 1)
        inject = [] if fault is None else [lr.Inject(fault.call, error=fault.error, when=fault.when)]
        self._count += 1
        output = self._directory / f"out-{self._count}"
        lr.run(
            lr.Command(tuple(program.words), cwd=work, env=environment(work)),
            record=[lr.Calls(inject=inject)],
            keep="all",
            output=output,
            timeout=PATIENCE if fault is None else TIMEOUT,
            success=SUCCESS.get(name, (0,)),
            quiet=True,
            stdin="/dev/null",
        )
        return replace(kept_run(output / "run-0001"), index=self._count)
