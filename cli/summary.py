"""The summary that a person reads: how many runs failed, how, how long they took, where their artifacts are.

Pure: a `Summary` in, text out; at most one screen. A single run gets one
line, many get a table. Times are written in the unit that fits them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from math import sqrt

from lowrun import Result, Summary, notation

__all__ = ["duration", "memory", "plain", "ranges", "render", "warnings"]

Paint = Callable[[str, str], str]

#: How times and lists of runs are written.
duration, ranges = notation.duration, notation.ranges

#: The longest list of run numbers in the table; the JSON has all of them.
LONGEST_RANGES = 60


def plain(text: str, color: str) -> str:
    """The `Paint` of what is no terminal."""
    return text


def render(summary: Summary, planned: int, paint: Paint = plain) -> str:
    """Return the lines about `summary`, of which `planned` runs had been asked for."""
    completed = [result for result in summary.results if result.completed]
    if planned == 1 and len(completed) == 1:
        lines = [_head(summary, completed, planned, paint) + _single(completed[0])]
    else:
        lines = [_head(summary, completed, planned, paint)]
        if completed:
            lines += _codes(summary, completed, paint)
            lines += _figures(completed)
    lines += _rest(summary)
    return "\n".join(lines)


def _head(summary: Summary, completed: Sequence[Result], planned: int, paint: Paint) -> str:
    ok = sum(result.ok for result in completed)
    failed = len(completed) - ok
    runs = f"{len(completed)}" if len(completed) == planned else f"{len(completed)} of {planned}"
    parts = [
        f"{runs} {'run' if planned == 1 else 'runs'}" + (f" in {duration(summary.wall_s)}" if planned > 1 else ""),
        paint(f"{ok} ok", "green") if ok else "0 ok",
        paint(f"{failed} failed", "red") if failed else "0 failed",
    ]
    unfinished = [result.index for result in summary.results if not result.completed]
    if summary.interrupted:
        by = f" by {_signal_name(summary.signal)}" if summary.signal is not None else ""
        which = f" in run {ranges(unfinished)}" if unfinished else ""
        parts.append(paint(f"interrupted{by}{which}", "yellow"))
    return paint("lowrun:", "bold") + " " + ", ".join(parts)


def _single(result: Result) -> str:
    usage = result.usage
    code = f"code {result.status.code} ({meaning(result)})"
    if result.pid is None:
        return f": {code}"
    figures = [code, f"wall {duration(result.wall_s)}"]
    if usage.user_s is not None and usage.sys_s is not None:
        figures.append(f"CPU {duration(usage.user_s + usage.sys_s)}")
    if usage.max_rss_kib is not None:
        figures.append(f"peak {memory(usage.max_rss_kib)}")
    return ": " + ", ".join(figures)


def _codes(summary: Summary, completed: Iterable[Result], paint: Paint) -> list[str]:
    by_index = {result.index: result for result in completed}
    rows = []
    for code, runs in summary.codes.items():
        meanings = list(dict.fromkeys(meaning(by_index[index]) for index in runs))
        rows.append((str(code), ", ".join(meanings), str(len(runs)), ranges(runs, LONGEST_RANGES)))
    header = ("code", "meaning", "count", "runs")
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(3)]
    return [
        paint(line, "bold") if row is header else line
        for row in (header, *rows)
        for line in [f"  {row[0]:>{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}"]
    ]


def _figures(completed: Sequence[Result]) -> list[str]:
    """Return what the runs took; those whose command could not be executed took nothing."""
    completed = [result for result in completed if result.pid is not None]
    if not completed:
        return []
    walls = [result.wall_s for result in completed]
    lines = ["  wall time    " + _spread(walls)]
    user = [result.usage.user_s for result in completed if result.usage.user_s is not None]
    system = [result.usage.sys_s for result in completed if result.usage.sys_s is not None]
    if user and system:
        means = f"user {duration(mean(user))}, system {duration(mean(system))} per run"
        lines.append("  CPU time     " + means + _known(min(len(user), len(system)), len(completed)))
    peaks = [result.usage.max_rss_kib for result in completed if result.usage.max_rss_kib is not None]
    if peaks:
        lines.append("  peak memory  " + memory(max(peaks)) + _known(len(peaks), len(completed)))
    return lines


def _known(number: int, of: int) -> str:
    return "" if number == of else f" (known of {number} of {of} runs)"


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return duration(values[0])
    center = mean(values)
    sigma = sqrt(sum((value - center) ** 2 for value in values) / (len(values) - 1))
    return f"{duration(center)} ± {duration(sigma)}, {duration(min(values))} … {duration(max(values))}"


def _rest(summary: Summary) -> list[str]:
    lines = []
    warned = sum(bool(warnings(result)) for result in summary.results)
    if warned > 1:
        lines.append(f"  warnings     named above, in {warned} runs")
    if summary.output is not None:
        lines.append(f"  artifacts    {summary.output}")
    return lines


def warnings(result: Result) -> list[str]:
    """Return the faults that a user is warned of: not those about figures that cannot be known here."""
    return [fault for fault in result.faults if not fault.startswith("usage:")]


def meaning(result: Result) -> str:
    """Return what a run's exit code says, in two or three words."""
    status = result.status
    if result.timed_out:
        return "timed out"
    if status.reason is not None:
        return status.reason
    if status.signal is not None:
        return f"killed by {_signal_name(status.signal)}"
    if result.ok:
        return "ok"
    if status.code > 128 and (name := _signal_name(status.code - 128)).startswith("SIG"):
        return f"failed (128+{name})"
    return "failed"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean of at least one value."""
    return sum(values) / len(values)


def memory(kib: int) -> str:
    """Return a size in the unit that fits it: `812 KiB`, `3.4 MiB`, `1.20 GiB`."""
    if kib < 1000:
        return f"{kib} KiB"
    if kib < 1000 * 1024:
        return f"{kib / 1024:.1f} MiB"
    return f"{kib / 1024 / 1024:.2f} GiB"
