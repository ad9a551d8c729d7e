"""How much of what strace records does a call trace of lowrun's have?

    python tests/compare_strace.py [--arguments] [--threshold SHARE] -- COMMAND...
    python tests/compare_strace.py --logs REFERENCE REFERENCE OURS

Two recordings of strace differ where a program itself does (addresses, timing,
scheduling), so only what two recordings agree on is asked for: per thread the
longest common subsequence of their calls, without the calls that were not made
equally often (how often a lock is waited for is chance, and two long rows of
waits have much in common that a third need not have). Threads are matched by their place
in the process tree: the n-th task that a thread made, not by number.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Place of a thread in the tree: () is the command, (0, 2) its first child's third one.
Place = tuple[int, ...]

LINE = re.compile(r"(\d+) +\d\d:\d\d:\d\d\.\d+ (.*)")
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
CALL = re.compile(r"(\w+)\((.*)")
RESULT = re.compile(r"\) += (-?\d+|0x[0-9a-f]+|\?)")
UNFINISHED = " <unfinished ...>"
MAKES_TASKS = frozenset(("clone", "clone3", "fork", "vfork"))
MASKS = (
    (re.compile(r" <\d+\.\d+>$"), ""),
    (re.compile(r"0x[0-9a-f]{6,}"), "ADDRESS"),
    (re.compile(r":\[\d+\]"), ":[INODE]"),
    (re.compile(r'"(\\x[0-9a-f]{2})+"'), '"RANDOM"'),
    (re.compile(r"\) +="), ") ="),
)


@dataclass
class Call:
    """One system call of a log: its name and all that stands after it."""

    name: str
    rest: str


@dataclass
class Thread:
    """The calls of one thread in their order."""

    calls: list[Call] = field(default_factory=list)
    open: Call | None = None


def parse(lines: Iterable[str]) -> tuple[int, list[tuple[int, Thread]]]:
    """Return the first thread's number, and (number, thread) in the order of their first lines."""
    threads: list[tuple[int, Thread]] = []
    living: dict[int, Thread] = {}
    first = -1
    for line in lines:
        match = LINE.match(line)
        if match is None:
            continue
        tid, text = int(match[1]), match[2]
        if tid not in living:
            living[tid] = Thread()
            threads.append((tid, living[tid]))
            first = tid if first < 0 else first
        thread = living[tid]
        if text.startswith("+++"):
            superseded = re.match(r"\+\+\+ superseded by execve in pid (\d+)", text)
            former = living.pop(tid if superseded is None else int(superseded[1]), None)
            if superseded is not None and former is not None:
                thread.calls += former.calls
                thread.open = former.open
            continue
        resumed = RESUMED.match(text)
        if resumed is not None and thread.open is not None:
            thread.open.rest += resumed[2].removesuffix(UNFINISHED)
            continue
        call = CALL.match(text)
        if call is not None and not text.startswith("---"):
            thread.open = Call(call[1], call[2].removesuffix(UNFINISHED))
            thread.calls.append(thread.open)
    return first, threads


def by_place(lines: Iterable[str]) -> dict[Place, list[Call]]:
    """Return each thread's calls by its place in the process tree; those that no call made are left out."""
    first, threads = parse(lines)
    waiting: dict[int, list[Thread]] = defaultdict(list)
    for tid, thread in threads:
        waiting[tid].append(thread)
    if not threads:
        return {}
    places: dict[Place, list[Call]] = {}
    todo: list[tuple[Place, Thread]] = [((), waiting[first].pop(0))]
    while todo:
        place, thread = todo.pop(0)
        places[place] = thread.calls
        made = 0
        for call in thread.calls:
            result = RESULT.search(call.rest) if call.name in MAKES_TASKS else None
            child = int(result[1], 0) if result is not None and result[1] != "?" else -1
            if child > 0:
                if waiting[child]:
                    todo.append(((*place, made), waiting[child].pop(0)))
                made += 1
    return places


def masked(call: Call, tids: frozenset[str]) -> str:
    """Return the call with what differs from run to run replaced."""
    text = f"{call.name}({call.rest}"
    for pattern, replacement in MASKS:
        text = pattern.sub(replacement, text)
    return re.sub(r"\b\d+\b", lambda match: "TID" if match[0] in tids else match[0], text)


def common(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """Return a longest common subsequence (Myers, "An O(ND) difference algorithm", 1986)."""
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    return [*a[:head], *_middle(a[head : len(a) - tail], b[head : len(b) - tail]), *a[len(a) - tail :]]


def _middle(a: Sequence[str], b: Sequence[str]) -> list[str]:
    furthest, history = {1: 0}, []
    for edits in range(len(a) + len(b) + 1):
        history.append(dict(furthest))
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
            x = furthest[diagonal + 1] if down else furthest[diagonal - 1] + 1
            while x < len(a) and x - diagonal < len(b) and a[x] == b[x - diagonal]:
                x += 1
            furthest[diagonal] = x
            if x >= len(a) and x - diagonal >= len(b):
                return _walk_back(a, b, history)
    return []


def _walk_back(a: Sequence[str], b: Sequence[str], history: list[dict[int, int]]) -> list[str]:
    x, y, kept = len(a), len(b), []
    for edits in range(len(history) - 1, -1, -1):
        furthest, diagonal = history[edits], x - y
        down = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
        before = diagonal + 1 if down else diagonal - 1
        start = furthest[before]
        while x > start and y > start - before and x > 0 and y > 0 and a[x - 1] == b[y - 1]:
            x, y = x - 1, y - 1
            kept.append(a[x])
        x, y = start, start - before
    return kept[::-1]


@dataclass
class Verdict:
    """How many of the calls that two references agree on are in our log, in the same order."""

    agreed: int = 0
    total: int = 0
    #: (thread's place, call) that is missing in ours.
    missing: list[tuple[Place, str]] = field(default_factory=list)

    #: Names of calls that were left out: the references do not agree on their number.
    by_chance: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """From 0 to 1; nothing to agree on is 0."""
        return self.agreed / self.total if self.total else 0.0


def _tids(lines: Sequence[str]) -> frozenset[str]:
    return frozenset(match[1] for line in lines if (match := LINE.match(line)))


def _by_chance(a: dict[Place, list[Call]], b: dict[Place, list[Call]]) -> frozenset[tuple[Place, str]]:
    """Return the (thread, name) of calls that a thread did not make equally often."""
    differing: set[tuple[Place, str]] = set()
    for place in a.keys() & b.keys():
        left, right = (Counter(call.name for call in calls[place]) for calls in (a, b))
        differing |= {(place, name) for name in left.keys() | right.keys() if left[name] != right[name]}
    return frozenset(differing)


def compare(
    reference_a: Sequence[str], reference_b: Sequence[str], ours: Sequence[str], arguments: bool = False
) -> Verdict:
    """Compare the lines of three logs of the same command; with `arguments` whole calls instead of names."""
    logs = (reference_a, reference_b, ours)
    calls = [by_place(lines) for lines in logs]
    chance = _by_chance(calls[0], calls[1])

    def texts(index: int, place: Place) -> list[str]:
        tids = numbers[index]
        kept = [call for call in calls[index].get(place, []) if (place, call.name) not in chance]
        return [masked(call, tids) if arguments else call.name for call in kept]

    numbers = [_tids(lines) for lines in logs]
    verdict = Verdict(by_chance=sorted({name for _, name in chance}))
    for place in sorted(calls[0].keys() & calls[1].keys()):
        expected = common(texts(0, place), texts(1, place))
        found = common(expected, texts(2, place))
        verdict.total += len(expected)
        verdict.agreed += len(found)
        at = 0
        for call in expected:
            if at < len(found) and found[at] == call:
                at += 1
            else:
                verdict.missing.append((place, call))
    return verdict


def record(command: Sequence[str]) -> list[list[str]]:
    """Record `command` twice with strace and once with lowrun; returns the three logs' lines."""
    logs = []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(2):
            log = Path(directory, f"strace-{number}")
            options = ["-f", "-tt", "-T", "-y", "-yy", "-s", "2048", "-o", str(log)]
            subprocess.run(["strace", *options, "--", *command], stdout=subprocess.DEVNULL, check=False)
            logs.append(log)
        kept = Path(directory, "lowrun")
        lowrun = shutil.which("lowrun", path=str(Path(sys.executable).parent)) or "lowrun"
        arguments = [lowrun, "-q", "-ct", "--keep", "all", "-o", str(kept), "--", *command]
        subprocess.run(arguments, stdout=subprocess.DEVNULL, check=False)
        logs.append(next(kept.glob("run-*/calls.strace")))
        return [read_lines(log) for log in logs]


def read_lines(log: Path) -> list[str]:
    """Return a log's lines."""
    return log.read_text("utf-8", "surrogateescape").splitlines()


def main(words: Sequence[str] | None = None) -> int:
    """Run the comparison; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compare lowrun's call trace with two of strace's.")
    parser.add_argument("--program", help="the name to print (default: the command)")
    parser.add_argument("--arguments", action="store_true", help="compare whole calls, not only names")
    parser.add_argument("--threshold", type=float, default=1.0, help="exit 1 below this share (default 1)")
    parser.add_argument("--logs", nargs=3, type=Path, metavar=("REFERENCE", "REFERENCE", "OURS"))
    parser.add_argument("--missing", type=int, default=10, help="print at most so many missing calls")
    parser.add_argument("command", nargs="*")
    options = parser.parse_args(words)
    if bool(options.logs) == bool(options.command):
        parser.error("give either a command or --logs")
    logs = [read_lines(log) for log in options.logs] if options.logs else record(options.command)
    verdict = compare(*logs, arguments=options.arguments)
    left_out = f" (left out: {', '.join(verdict.by_chance)})" if verdict.by_chance else ""
    print(f"{options.program or ' '.join(options.command) or 'logs'}: {verdict.agreed}/{verdict.total}{left_out}")
    for place, call in verdict.missing[: options.missing]:
        print(f"  missing in thread {place}: {call[:200]}")
    return 0 if verdict.share >= options.threshold else 1


if __name__ == "__main__":
    sys.exit(main())
