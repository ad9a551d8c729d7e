"""What the machine's counters say: memory that is available, block devices, network cards, by psutil.

A reading costs some 100 µs, more where there are many devices. So it is made at every tick as long as all readings
together take no more than a 400th of a core, and else as often as that; the first and the last always. A device
is recorded at the first reading, from the first change of its counters on, and at the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from lowrun.samples.records import Memory, card_record, disk_record, memory_record

__all__ = ["Machine"]

#: One reading in so many times what it costs.
SHARE = 400


class Machine:
    """Reads the machine's counters. What cannot be read is left out, and `faults` says why."""

    def __init__(self) -> None:
        import psutil

        self.faults: list[str] = []
        #: When it is time for the next reading; since the run began.
        self.due_ns = 0
        self._disks: dict[str, Any] = {}
        self._cards: dict[str, Any] = {}
        self._readers: dict[str, Callable[[], Any]] = {
            "memory": psutil.virtual_memory,
            "disks": lambda: psutil.disk_io_counters(perdisk=True, nowrap=False),
            "cards": lambda: psutil.net_io_counters(pernic=True, nowrap=False),
        }

    def read(self, time_ns: int, whole: bool = False) -> bytes:
        """Return records of a reading; with those of devices that stand still, too, if it is to be `whole`."""
        began = time.thread_time_ns()
        records = b"".join(self._records(time_ns, whole))
        self.due_ns = time_ns + SHARE * (time.thread_time_ns() - began)
        return records

    def _read(self, what: str) -> Any:
        reader = self._readers.get(what)
        try:
            return None if reader is None else reader()
        except Exception as error:  # psutil's own, OSError, NotImplementedError
            del self._readers[what]
            self.faults.append(f"the machine's {what} are not sampled: {error}; see that /proc is mounted and readable")

    def _records(self, time_ns: int, whole: bool) -> Iterator[bytes]:
        if (memory := self._read("memory")) is not None:
            yield memory_record(Memory(time_ns, memory.available, memory.total))
        for name, now in (self._read("disks") or {}).items():
            if self._moved(self._disks, name, now) or whole:
                counters = now.read_bytes, now.write_bytes, now.read_count, now.write_count
                yield disk_record(
                    time_ns, name.encode(errors="surrogateescape"), *counters, getattr(now, "busy_time", 0)
                )
        for name, now in (self._read("cards") or {}).items():
            if self._moved(self._cards, name, now) or whole:
                received = now.bytes_recv, now.packets_recv, now.errin, now.dropin
                sent = now.bytes_sent, now.packets_sent, now.errout, now.dropout
                yield card_record(time_ns, name.encode(errors="surrogateescape"), *received, *sent)

    @staticmethod
    def _moved(first: dict[str, Any], name: str, now: Any) -> bool:
        return bool(first.setdefault(name, now) != now)
