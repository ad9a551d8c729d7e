"""What was measured of runs on both sides: times, memory, processes, bytes. From run.json and the tables of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from lowrun.comparison.difference import Figure
from lowrun.kept.directory import KeptRun
from lowrun.kept.sampletable import number, tree_rows

__all__ = ["figures"]

#: Name, unit, attribute of a run.
OF_RUN = (
    ("wall time", "s", "wall_s"),
    ("user CPU time", "s", "user_s"),
    ("system CPU time", "s", "sys_s"),
    ("peak memory", "KiB", "max_rss_kib"),
    ("processes", "", "processes"),
)
#: Name, unit, table, column: the largest value counts.
OF_TABLES = (
    ("resident memory of all processes", "KiB", "memory", "rss_kib"),
    ("swapped out", "KiB", "memory", "swap_kib"),
    ("threads at a time", "", "processes", "threads"),
    ("bytes read", "bytes", "disk", "call_read_bytes"),
    ("bytes written", "bytes", "disk", "call_written_bytes"),
)


def figures(failing: Sequence[KeptRun], passing: Sequence[KeptRun]) -> tuple[Figure, ...]:
    """Return what can be compared, what is apart first. Raises OSError."""
    sides = [[dict(_of_run(run)) for run in runs] for runs in (failing, passing)]
    found = []
    for name, unit in dict.fromkeys((name, unit) for name, unit, *_ in (*OF_RUN, *OF_TABLES)):
        ranges = [_range([values[name] for values in side if name in values]) for side in sides]
        bad, good = ranges
        if bad is not None or good is not None:
            apart = bad is not None and good is not None and (bad[0] > good[2] or bad[2] < good[0])
            found.append(Figure(name, unit, bad, good, apart))
    return tuple(sorted(found, key=lambda one: not one.apart))


def _range(values: Sequence[float]) -> tuple[float, float, float] | None:
    return (min(values), float(median(values)), max(values)) if values else None


def _of_run(run: KeptRun) -> Iterator[tuple[str, float]]:
    for name, _, attribute in OF_RUN:
        value = getattr(run, attribute)
        if value is not None:
            yield name, float(value)
    for table in dict.fromkeys(row[2] for row in OF_TABLES):
        path = run.artifacts.get(table)
        if path is not None:
            yield from _of_table(path, [row for row in OF_TABLES if row[2] == table])


def _of_table(path: Path, rows: Sequence[tuple[str, str, str, str]]) -> Iterator[tuple[str, float]]:
    most: dict[str, float] = {}
    for line in tree_rows(path):
        for name, _, _, column in rows:
            value = number(line.get(column))
            if value is not None:
                most[name] = max(most.get(name, 0.0), value)
    yield from most.items()
