"""How many of the lines that strace writes does lowrun write too?

    python tests/compare_strace.py [--threshold SHARE] [--missing N] -- COMMAND...
    python tests/compare_strace.py --logs REFERENCE REFERENCE OURS

Two recordings of strace differ where a program itself does (timing, scheduling,
random bytes), so only what two recordings agree on is asked for: per thread the
longest common subsequence of their lines. Those lines must be in ours, equal
and in the same order. Lines of ours that neither recording has at that place
are counted as extra; so a line that was altered is one missing and one extra.

What is compared is a whole line after its time: a call with its arguments,
result and its having a duration, a signal, an end. Three things are taken away first:

- strace.mask, beside this file, replaces addresses, times, process numbers and
  inode numbers. It is the only mask; nothing else is forgiven.
- A call that another thread's line has cut (`<unfinished ...>`, `<... resumed>`)
  is joined, for where that happens is timing. One that was never resumed keeps its mark.
- The spaces before `= ` reach to column 40 of a line whose width depends on what
  is masked. So they are checked in the line as it is: in a line where they are wrong the column is told.

Threads are matched by their place in the process tree, not by number: the n-th
task that a thread made. Those that nobody in the log has made are roots.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lowrun.comparison import align
from lowrun.trace import read_log

#: Place of a thread in the tree: (0,) is the first one, (0, 2) the third task that it made, (1,) another root;
#: () has the lines that name no thread.
Place = tuple[int, ...]
#: Masked lines of each thread.
Log = dict[Place, list[str]]

MASK = Path(__file__).with_name("strace.mask")
STRACE = "strace -f -tt -T -y -yy -s 2048 -o".split()
LINE = re.compile(r"(\d+) +\d\d:\d\d:\d\d\.\d{6} (.*)", re.DOTALL)
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
SUPERSEDED = re.compile(r"\+\+\+ superseded by execve in pid (\d+) \+\+\+")
ENDED = re.compile(r"\+\+\+ (?:exited with|killed by|superseded by) .* \+\+\+")
MADE = re.compile(r"(?:clone|clone3|fork|vfork)\(.*\) = (\d+)")
NAME = re.compile(r"(?:--- |\+\+\+ )?(\w+)")
PADDED = re.compile(r"\)( +)= ")
RESULT_COLUMN = 40
NOBODY = -1
UNFINISHED = " <unfinished ...>"


# -- one log


class Mask:
    """What differs from run to run, and what stands for it."""

    def __init__(self, path: Path = MASK) -> None:
        self._rules: list[tuple[re.Pattern[str], str]] = []
        for line in path.read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                pattern, arrow, replacement = line.partition(" --> ")
                if not arrow:
                    raise ValueError(f"{path}: no arrow in {line!r}")
                self._rules.append((re.compile(pattern), replacement))

    def __call__(self, line: str) -> str:
        """Return the line masked."""
        for pattern, replacement in self._rules:
            line = pattern.sub(replacement, line)
        return line


@dataclass(eq=False)
class Thread:
    """A thread's lines in their order, calls joined."""

    lines: list[str] = field(default_factory=list)
    #: Index of the call that was cut and not yet resumed.
    cut: int | None = None

    def add(self, text: str) -> None:
        """Take the next line: a whole one, the begin of a call or the rest of one."""
        resumed = RESUMED.fullmatch(text)
        if resumed is not None and self.cut is not None:
            begin = self.lines[self.cut].removesuffix(UNFINISHED)
            if begin.startswith(resumed[1] + "("):
                self.lines[self.cut] = begin + resumed[2]
                if not resumed[2].endswith(UNFINISHED):
                    self.cut = None
                return
        if text.endswith(UNFINISHED):
            self.cut = len(self.lines)
        self.lines.append(text)


def unpadded(line: str) -> str:
    """Return the line with one space before its result; the column is added if it is not where strace puts it."""
    found = list(PADDED.finditer(line))
    if not found:
        return line
    last = found[-1]
    text = f"{line[: last.start(1)]} {line[last.end(1) :]}"
    right = last.end(1) == max(RESULT_COLUMN, last.start(1) + 1)
    return text if right else f"{text} (the result is in column {last.end(1)})"


def parse(lines: Iterable[str]) -> list[tuple[int, Thread]]:
    """Return (number, thread) in the order of their first lines; a number can come twice."""
    threads: list[tuple[int, Thread]] = []
    living: dict[int, Thread] = {}
    for line in lines:
        match = LINE.fullmatch(unpadded(line))
        tid, text = (int(match[1]), match[2]) if match is not None else (NOBODY, line)
        if tid not in living:
            living[tid] = Thread()
            threads.append((tid, living[tid]))
        living[tid].add(text)
        superseded = SUPERSEDED.fullmatch(text)
        if superseded is not None and int(superseded[1]) in living:
            # The number's bearer ends here; the thread that called execve goes on under it.
            living[tid] = living.pop(int(superseded[1]))
        elif ENDED.fullmatch(text):
            del living[tid]
    return threads


def by_place(lines: Iterable[str]) -> Log:
    """Return each thread's joined lines, not masked, by its place in the process tree."""
    threads = parse(lines)
    waiting: dict[int, list[Thread]] = defaultdict(list)
    places: Log = {}
    for tid, thread in threads:
        if tid == NOBODY:
            places[()] = thread.lines
        else:
            waiting[tid].append(thread)
    roots = 0
    for tid, thread in threads:
        if thread not in waiting[tid]:
            continue
        waiting[tid].remove(thread)
        todo: list[tuple[Place, Thread]] = [((roots,), thread)]
        roots += 1
        while todo:
            place, parent = todo.pop(0)
            places[place] = parent.lines
            children = (int(made[1]) for line in parent.lines if (made := MADE.match(line)))
            for number, child in enumerate(children):
                if waiting[child]:
                    todo.append(((*place, number), waiting[child].pop(0)))
    return places


def masked(lines: Iterable[str], mask: Mask) -> Log:
    """Return each thread's masked lines by its place."""
    return {place: [mask(line) for line in texts] for place, texts in by_place(lines).items()}


# -- what two have in common


def common(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Return the index pairs of a longest common subsequence; equal heads and tails cost nothing."""
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    middle = align.common(a[head : len(a) - tail], b[head : len(b) - tail])
    return [
        *((index, index) for index in range(head)),
        *((i + head, j + head) for i, j in middle),
        *((len(a) - index, len(b) - index) for index in range(tail, 0, -1)),
    ]


@dataclass
class Verdict:
    """How many of the lines that two references agree on are in our log, in the same order."""

    agreed: int = 0
    total: int = 0
    #: Agreed on by the references and not in ours: (thread's place, line).
    missing: list[tuple[Place, str]] = field(default_factory=list)
    #: Ours, and in neither reference.
    extra: list[tuple[Place, str]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """From 0 to 1; nothing to agree on is 0."""
        return self.agreed / self.total if self.total else 0.0


def compare(
    reference_a: Sequence[str], reference_b: Sequence[str], ours: Sequence[str], mask: Mask | None = None
) -> Verdict:
    """Compare the lines of three logs of the same command."""
    mask = mask or Mask()
    a, b, c = (masked(lines, mask) for lines in (reference_a, reference_b, ours))
    verdict = Verdict()
    for place in sorted(a.keys() | b.keys() | c.keys()):
        left, right, found = (log.get(place, []) for log in (a, b, c))
        expected = [left[i] for i, _ in common(left, right)]
        kept = {i for i, _ in common(expected, found)}
        verdict.total += len(expected)
        verdict.agreed += len(kept)
        verdict.missing += [(place, line) for i, line in enumerate(expected) if i not in kept]
        known = {j for reference in (left, right, expected) for _, j in common(reference, found)}
        verdict.extra += [(place, line) for j, line in enumerate(found) if j not in known]
    return verdict


# -- recordings


def by_strace(command: Sequence[str], log: Path) -> list[str]:
    """Return the command line that records `command` in `log` with strace."""
    return [*STRACE, str(log), "--", *command]


def by_lowrun(command: Sequence[str], log: Path) -> list[str]:
    """Return the command line that records `command` in `log` with lowrun."""
    lowrun = shutil.which("lowrun", path=str(Path(sys.executable).parent)) or "lowrun"
    return [lowrun, "trace", "-o", str(log), "--", *command]


def run_quietly(argv: Sequence[str]) -> None:
    """Run a command line with nothing to read, and what it writes thrown away."""
    quiet = subprocess.DEVNULL
    subprocess.run(argv, stdin=quiet, stdout=quiet, stderr=quiet, check=False)


def record(
    command: Sequence[str], run: Callable[[Sequence[str]], None] = run_quietly, again: bool = False
) -> list[list[str]]:
    """Record `command` twice with strace and once with lowrun; `again`: and once more with strace.

    `run` runs each command line. Returns the logs' lines.
    """
    logs = []
    with tempfile.TemporaryDirectory() as directory:
        for number, recorder in enumerate((by_strace, by_strace, by_lowrun, by_strace)[: 4 if again else 3]):
            log = Path(directory, f"log-{number}")
            run(recorder(command, log))
            assert not unknown_lines(log), f"{recorder.__name__}: {unknown_lines(log)}"
            logs.append(read_lines(log))
    return logs


def unknown_lines(log: Path) -> list[str]:
    """Return the lines, twenty at the most, that lowrun's reader of logs does not understand."""
    with read_log(log) as reader:
        for _ in reader:
            pass
        numbers = reader.unknown_lines
    return [read_lines(log)[number - 1] for number in numbers]


def read_lines(log: Path) -> list[str]:
    """Return a log's lines."""
    return log.read_text("utf-8", "surrogateescape").split("\n")[:-1]


# -- the report


def by_call(verdict: Verdict) -> list[tuple[str, int, int]]:
    """Return (call or signal, missing lines, extra lines), most first."""
    counts: Mapping[str, Counter[str]] = defaultdict(Counter)
    for kind, lines in (("missing", verdict.missing), ("extra", verdict.extra)):
        for _, line in lines:
            match = NAME.match(line)
            counts[match[1] if match else "?"][kind] += 1
    rows = [(name, count["missing"], count["extra"]) for name, count in counts.items()]
    return sorted(rows, key=lambda row: (-row[1], -row[2], row[0]))


def report(verdict: Verdict, examples: int, width: int = 300) -> str:
    """Return what differs, by call, with so many examples of a call, cut to so many characters."""
    out = []
    for name, missing, extra in by_call(verdict):
        out.append(f"  {name}: {missing} missing, {extra} extra")
        for sign, lines in (("-", verdict.missing), ("+", verdict.extra)):
            mine = [(place, line) for place, line in lines if (match := NAME.match(line)) and match[1] == name]
            out += [f"    {sign} {'.'.join(map(str, place))}: {line[:width]}" for place, line in mine[:examples]]
    return "\n".join(out)


def main(words: Sequence[str] | None = None) -> int:
    """Run the comparison; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compare lowrun's call trace with two of strace's.")
    parser.add_argument("--program", help="the name to print (default: the command)")
    parser.add_argument("--threshold", type=float, default=1.0, help="exit 1 below this share (default 1)")
    parser.add_argument("--logs", nargs=3, type=Path, metavar=("REFERENCE", "REFERENCE", "OURS"))
    parser.add_argument("--missing", type=int, default=3, help="print at most so many examples of a call (default 3)")
    parser.add_argument("--width", type=int, default=300, help="of an example, in characters (default 300)")
    parser.add_argument("--save", type=Path, help="copy the three logs into this directory")
    parser.add_argument("command", nargs="*")
    options = parser.parse_args(words)
    if bool(options.logs) == bool(options.command):
        parser.error("give either a command or --logs")
    logs = [read_lines(log) for log in options.logs] if options.logs else record(options.command)
    if options.save:
        save(logs, options.save)
    verdict = compare(*logs)
    name = options.program or " ".join(options.command) or "logs"
    print(f"{name}: {verdict.agreed}/{verdict.total}, {len(verdict.extra)} extra")
    if verdict.missing or verdict.extra:
        print(report(verdict, options.missing, options.width))
    return 0 if verdict.share >= options.threshold else 1


def save(logs: Sequence[Sequence[str]], into: Path) -> None:
    """Write the logs to `into`, for --logs."""
    into.mkdir(parents=True, exist_ok=True)
    for lines, name in zip(logs, ("strace-1", "strace-2", "lowrun", "strace-3"), strict=False):
        (into / name).write_text("".join(line + os.linesep for line in lines), "utf-8", "surrogateescape")


if __name__ == "__main__":
    sys.exit(main())
