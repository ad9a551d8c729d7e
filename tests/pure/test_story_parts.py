"""The smaller parts of a story: tails of output, short calls, peaks, words, the picture's bounds."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from lowrun.comparison.figures import figures
from lowrun.kept.calltext import call_text
from lowrun.kept.directory import KeptRun, KeptRuns, kept_runs
from lowrun.kept.family import Family
from lowrun.kept.peaks import peaks_of
from lowrun.kept.tails import tail_of, visible
from lowrun.kept.timeline import LANES, PICTURE_MARKS, Timelines
from lowrun.notation import ranges
from lowrun.showing.stories import story
from lowrun.showing.words import amount, ending
from tests.readings import call, end, failed_open, fork, keep_run, run_of, signal


def tail(tmp_path: Path, data: bytes, lines: int = 3) -> tuple[tuple[str, ...], int | None]:
    path = tmp_path / "stdout.log"
    path.write_bytes(data)
    found = tail_of("stdout", path, lines)
    return found.lines, found.count


@pytest.mark.parametrize(
    ("data", "expected", "count"),
    [
        (b"", (), 0),
        (b"\n", ("",), 1),
        (b"a\nb", ("a", "b"), 2),
        (b"1\n2\n3\n4\n", ("2", "3", "4"), 4),
        (b"\x1b[31mred\x07\x7f\r\n", ("^[[31mred^G^?^M",), 1),
        (b"a\tb\xff\xc3\xa4\n", ("a       b\\xffä",), 1),
        ("\u202eevil\u200b\u2028\U000e0001\n".encode(), ("\\u202eevil\\u200b\\u2028\\U000e0001",), 1),
    ],
)
def test_tails(tmp_path: Path, data: bytes, expected: tuple[str, ...], count: int) -> None:
    """Lines without their ends; control characters, bytes that are no UTF-8 and hidden characters are visible."""
    assert tail(tmp_path, data) == (expected, count)


def test_only_the_end_of_a_huge_file_is_read(tmp_path: Path) -> None:
    """A file of a terabyte takes no memory and no time; its lines are not counted."""
    path = tmp_path / "stdout.log"
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)
    with path.open("ab") as file:
        file.write(b"\nthe end\n")
    tracemalloc.start()
    found = tail_of("stdout", path, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.lines[-1] == "the end" and found.count is None and found.cut
    assert peak < 1 << 20


@pytest.mark.parametrize("text", ["plain äöü 漢字", "", "tab not"])
def test_text_stays(text: str) -> None:
    """What can be printed is not changed."""
    assert visible(text) == text


def test_a_call_is_shortened_from_what_matters_least() -> None:
    """The explanation goes first, then other arguments; path and error stay."""
    event = call(
        1, "openat", error="ENOENT", path="/srv/data/input.json",
        arguments='AT_FDCWD</home/user/project>, "/srv/data/input.json", O_RDONLY|O_CLOEXEC|O_NOFOLLOW',
    )  # fmt: skip
    assert call_text(event) == 'openat(AT_FDCWD, "/srv/data/input.json", O_RDONLY|O_CLOEXEC|O_NOFOLLOW) = -1 ENOENT'
    for width in range(20, 100):
        text = call_text(event, width)
        assert len(text) <= width
        if width >= 50:
            assert "/srv/data/input.json" in text and text.endswith("ENOENT")


def test_a_sockets_address_is_shortened() -> None:
    """Of a connect the address and the error are left."""
    arguments = '3<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(5432), sin_addr=inet_addr("10.1.2.3")}, 16'
    text = call_text(call(1, "connect", error="ECONNREFUSED", arguments=arguments), 64)
    assert text == "connect(3<TCP:[1]>, 10.1.2.3:5432, 16) = -1 ECONNREFUSED"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (run_of(0), "exit 0"),
        (run_of(3), "exit 3"),
        (run_of(139), "exit 139 (128 + SIGSEGV)"),
        (run_of(137, signal=9), "killed by SIGKILL"),
        (run_of(200), "exit 200"),
        (run_of(168, signal=40), "killed by signal 40"),
        (run_of(127), "exit 127 (of a shell: command not found)"),
        (run_of(127, pid=None), "exit 127: the command was not found"),
        (run_of(126, pid=None), "exit 126: the command was not executable"),
        (run_of(124, timed_out=True), "timed out (exit 124)"),
        (run_of(None), "how it ended is not known"),
        (run_of(143, signal=15, reason="watchdog \x1b[2J"), "watchdog ^[[2J"),
    ],
)
def test_endings(run: object, words: str) -> None:
    """Codes with their meaning, signals by name, lowrun's own reason."""
    assert ending(run) == words  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1 << 40, "1.0 TiB")])
def test_amounts(size: int, text: str) -> None:
    """Bytes in the unit that fits."""
    assert amount(size) == text


def test_peaks(tmp_path: Path) -> None:
    """The most of each column of the tree's rows, with its time; cells that are empty or no number are unknown."""
    memory, processes, disk = (tmp_path / f"{name}.csv" for name in ("memory", "processes", "disk"))
    memory.write_text("time_s,rss_kib,machine_available_kib\n0,0,900\n0.1,500,\n0.2,400,700\n0.3,abc,\n")
    processes.write_bytes(
        b"time_s,row,pid,name,processes,threads,cpu_percent\n0.1,tree,,,2,5,80.5\n0.1,process,7,\xff\n0.2,tree,,,3,4,\n"
    )
    disk.write_text("time_s,row,call_read_bytes,call_written_bytes\n0,tree,0,0\n1,device,99,99\n1,tree,10,")
    found = peaks_of({"memory": memory, "processes": processes, "disk": disk})
    assert found.rss_kib is not None and (found.rss_kib.value, found.rss_kib.time_s) == (500, 0.1)
    assert found.cpu_percent is not None and found.cpu_percent.value == 80.5
    assert found.processes is not None and found.threads is not None
    assert (found.processes.value, found.threads.value, found.read_bytes, found.written_bytes) == (3, 5, 10, 0)
    assert found.machine_available_kib == 700


@pytest.mark.parametrize("data", [b"", b"\n", b"time_s\n", b"\0\xff\n1,2,3,4\n", b'"time_s,row\n'])
def test_broken_tables_have_no_peaks(tmp_path: Path, data: bytes) -> None:
    """Empty, without the columns, no CSV at all."""
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    assert not peaks_of({"memory": path, "processes": path, "disk": path}).known


def test_a_picture_is_bounded() -> None:
    """A million failing calls of a thousand processes: some lanes, some marks, and what they stand for is counted."""
    family = Family()
    timelines = Timelines(family)
    events = [fork(0, pid) for pid in range(10, 1010)]
    events += [failed_open(i / 100, f"/x/{i % 7}", pid=10 + i % 1000) for i in range(200_000)]
    events += [signal(2500, "SIGUSR1", pid=10), end(3000, 1)]
    for event in events:
        timelines.add(event, family.add(event))
    picture = timelines.picture()
    marks = [mark for lane in picture.lanes for mark in lane.marks]
    assert len(picture.lanes) == LANES
    assert picture.left_out == 1001 - LANES
    assert len(marks) <= PICTURE_MARKS
    assert sum(mark.count for mark in marks) == 200 * (LANES - 1) + 1
    assert any(mark.kind == "signal" for mark in marks)


@pytest.mark.parametrize("cell", ["inf", "nan", "\u00b2", "1e999", "-", "x", "", "9" * 200_000])
def test_a_cell_that_is_no_measurement(cell: str, tmp_path: Path) -> None:
    """It is not known, for what is shown of one run as for what is compared."""
    for name, columns in (("memory", "rss_kib"), ("processes", "threads,processes"), ("disk", "call_read_bytes")):
        row = ",".join([cell] * (columns.count(",") + 1))
        (tmp_path / f"{name}.csv").write_text(f"row,{columns}\ntree,{row}\n")
    tables = {name: tmp_path / f"{name}.csv" for name in ("memory", "processes", "disk")}
    assert not peaks_of(tables).known
    run = KeptRun(1, tmp_path, ok=False, artifacts=tables)
    assert figures([run], [run]) == ()


def test_ranges_of_numbers_too_long_for_a_line() -> None:
    """What goes beyond the room is left out, were it the first one."""
    assert ranges([1, 2, 3, 5, 1000, 2000], 12) == "1-3 5 ..."
    assert ranges([10**30, 10**31], 12) == "..."


def kept_logs(tmp_path: Path, sizes: dict[int, int], **facts: object) -> KeptRuns:
    """Runs with logs of so many calls; the even ones passed."""
    for number, calls in sizes.items():
        code = number % 2
        line = b'1 10:00:00.000000 read(3</x>, "a", 1) = 1 <0.000010>\n'
        log = line * calls + b"1 10:00:01.000000 +++ exited with %d +++\n" % code
        keep_run(tmp_path, number, {"calls": log}, code=code, ok=not code, **(facts if number == 1 else {}))
    return kept_runs(tmp_path)


def test_both_sides_are_compared_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is no time for all logs, as many of either side are read; of passing runs one in any case."""
    monkeypatch.setattr("lowrun.showing.stories.COMPARED_BYTES", 25_000)
    runs = kept_logs(tmp_path, dict.fromkeys(range(1, 13), 100))
    told = story(runs.failing[0], runs)
    assert told.difference is not None
    assert (told.difference.failing, told.difference.passing) == ((1, 3), (2, 4))
    assert told.notes[0] == "compared: 2 failing and 2 passing runs; lowrun analyze diff takes all"
    monkeypatch.setattr("lowrun.showing.stories.COMPARED_BYTES", 1)
    told = story(runs.failing[0], runs)
    assert told.difference is not None and told.difference.passing == (2,)


def test_an_interrupted_run_is_on_no_side(tmp_path: Path) -> None:
    """Whoever is interrupted has not failed: it is not compared with those that passed."""
    runs = kept_logs(tmp_path, {1: 3, 2: 3}, interrupted=True)
    assert story(runs.runs[0], runs).difference is None
