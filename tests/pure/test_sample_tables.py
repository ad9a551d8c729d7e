"""Samples: records, the tables and the series made of them."""

from __future__ import annotations

import csv
import io
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun.samples.records import (
    HEADER_SIZE,
    PROCESS,
    RECORD,
    TICK,
    Card,
    Disk,
    Memory,
    ProcessSample,
    Record,
    Tick,
    boot_ns,
    card_record,
    disk_record,
    file_header,
    memory_record,
    read,
)
from lowrun.samples.series import series_of
from lowrun.samples.tables import HEADERS, Tables

SECOND = 10**9
u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
names = st.binary(max_size=16).filter(lambda name: b"\0" not in name)
padded = names.map(lambda name: name.ljust(16, b"\0"))
some_record: st.SearchStrategy[Record] = st.one_of(
    st.builds(Memory, i64, u64, u64),
    st.builds(Disk, i64, names, *[u64] * 5),
    st.builds(Card, i64, names, *[u64] * 8),
    st.builds(
        ProcessSample, *[st.integers(1, 2**22)] * 3, st.sampled_from([b"R", b"S", b"Z"]), i64, *[u64] * 4, padded
    ),
)


def tick(time_s: float, cpu_s: float = 0.0, **fields: object) -> Tick:
    values: dict[str, object] = {"late_ns": 0, "missed": 0, "processes": 1, "threads": 1, "rss_kib": 0, "peak_kib": 0}
    values |= {"swap_kib": 0, "pss_kib": None, "io": (0,) * 7, "user_ns": 0, "sys_ns": 0, **fields}
    return Tick(time_ns=round(time_s * SECOND), cpu_ns=round(cpu_s * SECOND), **values)  # type: ignore[arg-type]


def encode(record: Record) -> bytes:
    """What the sampler, or Python, would have written."""
    if isinstance(record, Memory):
        return memory_record(record)
    if isinstance(record, Disk):
        return disk_record(record.time_ns, record.name, *record[2:])
    if isinstance(record, Card):
        return card_record(record.time_ns, record.name, *record[2:])
    assert isinstance(record, ProcessSample)
    body = PROCESS.pack(*record)
    return RECORD.pack(RECORD.size + len(body), 2, 0) + body


def rows(tables: Tables, name: str) -> list[dict[str, str]]:
    text = tables.take()[name].decode("latin-1")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def made(records: list[Record]) -> Tables:
    tables = Tables(0)
    tables.add(records)
    tables.end()
    return tables


@given(st.lists(some_record, max_size=20), st.integers(0, 200))
def test_records_come_back(records: list[Record], cut: int) -> None:
    """What was written is read, and of a file that was cut short all that is whole."""
    parts = [encode(record) for record in records]
    assert all(len(part) % 8 == 0 for part in parts)
    data = b"".join(parts)
    assert list(read(memoryview(data))) == records
    short = data[: max(0, len(data) - cut)]
    ends = itertools.accumulate(map(len, parts))
    assert list(read(memoryview(short))) == records[: sum(end <= len(short) for end in ends)]


def test_a_tick_of_c() -> None:
    """Less than 0 is "not known", and bytes without their flag are, too."""
    body = TICK.pack(5, 1, 2, 3, 4, 0, 10, 6, 4, 100, 200, -1, -1, *range(7))
    [found] = read(memoryview(RECORD.pack(RECORD.size + len(body), 1, 0) + body))
    assert found == Tick(5, 1, 2, 3, 4, 10, 6, 4, 100, 200, None, None, None)


def test_the_header_says_when_the_run_began() -> None:
    """On CLOCK_BOOTTIME."""
    header = file_header(12345)
    assert len(header) == HEADER_SIZE
    assert boot_ns(memoryview(header)) == 12345


@given(names)
def test_any_name_is_a_cell(name: bytes) -> None:
    """A CSV reader gets back every byte of a name, and the rows stay rows."""
    sample = ProcessSample(7, 1, 1, b"S", 0, 0, 0, 0, 0, name)
    tables = made([tick(0), sample, tick(1), sample])
    found = [row for row in rows(tables, "processes") if row["row"] == "process"]
    assert [row["name"].encode("latin-1") for row in found] == [name, name]
    assert [row["pid"] for row in found] == ["7", "7"]


def test_every_row_has_every_column() -> None:
    """Also where nothing is known: the cells are empty, and as many."""
    nothing = Tick(SECOND, 0, 0, 0, 0, None, None, None, 0, None, None, None, None)
    records = [tick(0), Memory(0, 2048, 4096), Disk(0, b"sda", 1, 2, 3, 4, 5), Card(0, b"lo", *range(8)), nothing]
    for name, text in made([*records, ProcessSample(1, 2, 3, b"R", 4, 5, 6, 7, 8, b"n")]).take().items():
        lines = list(csv.reader(io.StringIO(text.decode()), strict=True))
        assert ",".join(lines[0]) == HEADERS[name]
        assert {len(line) for line in lines} == {len(lines[0])}
        assert lines[0][0] == "time_s"


@given(st.lists(st.tuples(st.floats(0.001, 10), st.floats(0, 10)), min_size=1, max_size=30))
def test_percentages_add_up_to_the_time_used(steps: list[tuple[float, float]]) -> None:
    """The sum of cpu_percent times its interval is cpu_s."""
    times = list(itertools.accumulate(passed for passed, _ in steps))
    used = list(itertools.accumulate(cpu for _, cpu in steps))
    found = rows(made([tick(0), *map(tick, times, used)]), "processes")
    percents = [float(row["cpu_percent"]) for row in found]
    shown = [float(row["time_s"]) for row in found]
    total = sum(percent / 100 * (b - a) for percent, a, b in zip(percents[1:], shown, shown[1:], strict=False))
    assert total == pytest.approx(
        float(found[-1]["cpu_s"]), abs=0.001 * times[-1] + 1e-3 * len(steps) + 2e-3 * used[-1]
    )


def test_a_process_that_gets_the_pid_of_another() -> None:
    """It is told by its start, and its time does not count from the other's."""
    first = ProcessSample(7, 1, 1, b"S", SECOND, SECOND // 2, 0, 0, 0, b"a")
    second = first._replace(start_ns=2 * SECOND, cpu_ns=SECOND // 4)
    found = [row for row in rows(made([tick(0), tick(1), first, tick(2), second]), "processes") if row["pid"]]
    assert [row["cpu_percent"] for row in found] == ["50.0", "25.0"]


def test_devices_count_from_the_start_of_the_run() -> None:
    """A device begins with 0, one that comes up later counts from its own 0, and a reset takes nothing away."""
    records = [
        tick(0), Card(0, b"lo", 100, *[0] * 7), tick(1), Card(SECOND, b"lo", 150, *[0] * 7),
        Card(SECOND, b"veth", 30, *[0] * 7), tick(2), Card(2 * SECOND, b"lo", 10, *[0] * 7),
    ]  # fmt: skip
    found = [(row["card"], row["received_bytes"]) for row in rows(made(records), "network")]
    assert found == [("lo", "0"), ("lo", "50"), ("veth", "30"), ("lo", "60")]


def test_memory_of_the_machine_is_not_always_read() -> None:
    """A tick without it has empty cells; one with it has them in the same row, also when text is taken between."""
    tables = Tables(0)
    tables.add([tick(0), Memory(0, 2048, 4096), tick(1)])
    text = tables.take()["memory"]
    tables.add([Memory(SECOND, 1024, 4096), tick(2)])
    tables.end()
    text += tables.take()["memory"]
    assert [line.split(b",")[-2:] for line in text.splitlines()[1:]] == [[b"2", b"4"], [b"1", b"4"], [b"", b""]]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=300), st.integers(4, 50))
def test_a_chart_loses_nothing_that_was_used(used: list[int], points: int) -> None:
    """However few points are kept: rates times intervals are the totals, and the largest size is there."""
    totals = list(itertools.accumulate(used))
    ticks = [tick(0), *(tick(i + 1, cpu, rss_kib=part) for i, (cpu, part) in enumerate(zip(totals, used, strict=True)))]
    series = series_of(ticks, points)
    assert len(series.times) <= points + 1
    assert series.times[-1] == len(used)
    assert max(series.rss_kib) == max(used)
    steps = [b - a for a, b in itertools.pairwise(series.times)]
    assert sum(p / 100 * step for p, step in zip(series.cpu_percent[1:], steps, strict=True)) == pytest.approx(
        totals[-1]
    )


def test_a_device_that_was_idle_for_long() -> None:
    """It is recorded from its first traffic on; the burst is not smeared over the time before."""
    records: list[Record] = [Memory(0, 1, 1), Card(0, b"lo", *[0] * 8)]
    records += [Memory(second * SECOND, 1, 1) for second in range(1, 10)]
    records += [Memory(10 * SECOND, 1, 1), Card(10 * SECOND, b"lo", 500, *[0] * 7)]
    flow = series_of(records).cards["lo"]
    assert flow.times == [0, 9, 10]
    assert flow.read == [0, 0, 500]


def test_what_is_not_known_is_a_gap() -> None:
    """Bytes that may not be read are no number in a chart, either."""
    series = series_of([tick(0), tick(1, io=None), tick(2)])
    assert all(math.isnan(value) for value in series.calls.read[1:])


def test_the_last_tick_has_no_rate() -> None:
    """Its sums have in them what was hidden until then, so their growth is no rate."""
    found = rows(made([tick(0), tick(1, 0.5), tick(2, 9.0, last=True, processes_total=7)]), "processes")
    assert [(row["cpu_percent"], row["processes_total"]) for row in found] == [("0.0", ""), ("50.0", ""), ("", "7")]
