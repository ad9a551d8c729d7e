"""The most that a run used at any moment, out of the tables that the samples' recorder kept (docs/samples.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lowrun.kept.sampletable import number, tree_rows

__all__ = ["Peak", "Peaks", "peaks_of"]


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest value, and when it was seen first: seconds since the run began."""

    value: float
    time_s: float


@dataclass(frozen=True, slots=True)
class Peaks:
    """None: not known."""

    #: Resident memory, summed over the tree, KiB.
    rss_kib: Peak | None = None
    #: Percent of one core.
    cpu_percent: Peak | None = None
    processes: Peak | None = None
    threads: Peak | None = None
    #: Bytes that the tree's calls read and wrote in all, and those of storage.
    read_bytes: int | None = None
    written_bytes: int | None = None
    storage_read_bytes: int | None = None
    storage_written_bytes: int | None = None
    #: The least memory that the machine had left, KiB.
    machine_available_kib: int | None = None

    @property
    def known(self) -> bool:
        """Something is."""
        return any(getattr(self, name) is not None for name in self.__dataclass_fields__)


class _Most:
    """The largest value of each column."""

    def __init__(self) -> None:
        self.peaks: dict[str, Peak] = {}

    def add(self, row: Mapping[str, str], *columns: str) -> None:
        time_s = number(row.get("time_s")) or 0.0
        for column in columns:
            value = number(row.get(column))
            if value is not None and (column not in self.peaks or value > self.peaks[column].value):
                self.peaks[column] = Peak(value, time_s)


def peaks_of(artifacts: Mapping[str, Path]) -> Peaks:
    """Read the tables among a run's `artifacts` ("memory", "processes", "disk"). Raises OSError."""
    most = _Most()
    least: float | None = None
    for row in tree_rows(artifacts.get("memory")):
        most.add(row, "rss_kib")
        available = number(row.get("machine_available_kib"))
        if available is not None and (least is None or available < least):
            least = available
    for row in tree_rows(artifacts.get("processes")):
        most.add(row, "cpu_percent", "processes", "threads")
    for row in tree_rows(artifacts.get("disk")):
        most.add(row, "call_read_bytes", "call_written_bytes", "storage_read_bytes", "storage_written_bytes")
    peaks = most.peaks

    def total(name: str) -> int | None:
        return int(peaks[name].value) if name in peaks else None

    return Peaks(
        rss_kib=peaks.get("rss_kib"),
        cpu_percent=peaks.get("cpu_percent"),
        processes=peaks.get("processes"),
        threads=peaks.get("threads"),
        read_bytes=total("call_read_bytes"),
        written_bytes=total("call_written_bytes"),
        storage_read_bytes=total("storage_read_bytes"),
        storage_written_bytes=total("storage_written_bytes"),
        machine_available_kib=None if least is None else int(least),
    )
