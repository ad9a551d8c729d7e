"""Logs of system calls: what their lines are understood as, by a table of lines and by rules that hold for all."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trace_records import some_record

from lowrun.trace import Event, StraceWriter, csv_header, events, scanner
from lowrun.trace.calls import calls_of
from lowrun.trace.event import NOTE, UNFINISHED
from lowrun.trace.loglines import lines_of
from lowrun.trace.parse import LogScanner
from lowrun.trace.pathrows import path_rows
from lowrun.trace.records import Record, encode
from lowrun.trace.table import table_of
from tests.logcases import Case, cases, rows, understood

DATA = Path(__file__).parent.parent / "data" / "stracepy"
CASES = list(cases())
FORMS = ("events", "fixed", "stracepy")
YEAR_NS = 365 * 86_400 * 1_000_000_000


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_a_case_of_the_table(case: Case) -> None:
    """Its events, and its rows in both forms of CSV."""
    assert understood(case.log) == case.expected


def test_the_table_is_long_enough() -> None:
    """At least sixty."""
    assert len(CASES) >= 60


def test_the_csv_of_stracepy_is_made_byte_for_byte() -> None:
    """On that project's own data."""
    made, unknown = rows("stracepy", (DATA / "strace_firefox_startup.log").read_bytes())
    assert csv_header() + made == (DATA / "strace_firefox_startup.csv").read_bytes()
    assert not unknown


def test_columns_that_are_asked_for() -> None:
    """args and found_by; then strace_line, which is the line as it stands."""
    lines = [
        "7 12:00:00 read(0, <unfinished ...>",
        '7 12:00:01 <... read resumed>"x", 1) = 1 <0.1>',
        '7 12:00:02 a("\\"")   = 0 <0.1>',
    ]
    log = "\n".join(lines).encode()
    for form in ("fixed", "stracepy"):
        made, _ = rows(form, log, 2)
        table = list(csv.DictReader(io.StringIO((csv_header(2) + made).decode())))
        assert [(row["args"], row["found_by"]) for row in table] == [('0,"x", 1', "resumed"), ('"\\""', "complete")]
        assert [row["strace_line"] for row in table] == lines[1:]
        fewer, _ = rows(form, log, 1)
        assert [list(row.values()) for row in csv.DictReader(io.StringIO((csv_header(1) + fewer).decode()))] == [
            list(row.values())[:-1] for row in table
        ]


def test_all_calls_with_paths_are_in_the_compact_table() -> None:
    """It says what the table of system calls says."""
    compact = {row.name: row.paths for row in path_rows()}
    for machine in ("x86_64", "i386"):
        for call in table_of(machine).values():
            paths = [index for index, argument in enumerate(call.arguments) if argument.kind == "path"]
            assert sorted(index for index, _ in compact.get(call.name, ())) == paths[:2], call.name
            for index, directory in compact.get(call.name, ()):
                assert directory == (index - 1 if index and call.arguments[index - 1].kind == "dirfd" else -1)


# -- what holds for all logs

#: Pieces of lines, so that rules are nearly or wholly kept.
WORDS = (
    '0 1 7 42 -1 ? 0x7f ( ) [ ] { } < > << >> " "" \\" \\ \\303\\244 , ; = ) = <unfinished ...> <... resumed> --- +++ '
    "exited with killed by SIGKILL superseded by execve in pid 7 stopped /etc/hosts a/b ../x ./y . .. read openat "
    "execve clone vfork AT_FDCWD</cwd> 3</etc/hosts> 4<TCP:[1.2.3.4:5->6.7.8.9:80]> 5</dev/null<char 1:3>> 12:00:00 "
    "12:00:00.000001 1700000000.5 0.25 <0.000021> [pid strace: attached Process : | ' * \t é \u2028 \xa0"
)
PIECES = st.sampled_from(WORDS.split(" "))
TEXTS = st.lists(PIECES | st.just(" "), max_size=14).map("".join)
LINES = st.one_of(
    TEXTS.map(str.encode),
    st.tuples(TEXTS, TEXTS, TEXTS).map(lambda t: f"7 12:00:00.1 read({t[0]}) = {t[1]} <{t[2]}".encode()),
    st.tuples(TEXTS, TEXTS).map(lambda t: f"7 12:00:00.1 openat({t[0]}) = 3{t[1]} <0.000021>".encode()),
    TEXTS.map(lambda text: f"7 12:00:00.1 read({text} <unfinished ...>".encode()),
    st.tuples(TEXTS, TEXTS).map(lambda t: f"7 12:00:00.2 <... read resumed>{t[0]}) = {t[1]} <0.1>".encode()),
    st.sampled_from([b"7 12:00:00.3 +++ exited with 0 +++", b"7 12:00:00.3 clone() = 8 <0.1>", b""]),
    st.binary(max_size=60),
)
LOGS = st.lists(LINES, max_size=8).map(b"\n".join) | st.binary(max_size=300)


def fed(form: str, chunks: Sequence[bytes]) -> tuple[bytes, LogScanner]:
    """Return the rows of a log in chunks, and what read it."""
    using = scanner(form)
    return b"".join([*map(using.feed, chunks), using.finish()]), using


@given(LOGS)
@settings(max_examples=500)
def test_any_bytes_are_read_and_every_line_is_accounted_for(log: bytes) -> None:
    """A line that is not empty completes an event, begins one, or is not understood; rows are UTF-8 and whole."""
    lines = [line for line in log.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n") if line]
    using = scanner("events")
    found = list(events([log], using))
    seen = {event.line for event in found} | set(using.unknown_lines)
    assert using.unknown == len(using.unknown_lines) or using.unknown > 20
    assert using.rows == len(found)
    merely_begun = sum(b"unfinished" in line or b"pid changed to" in line for line in lines)
    if using.unknown <= 20:
        assert len(seen) + merely_begun + joined(lines) >= len(lines)
    for form in ("fixed", "stracepy"):
        made, counts = fed(form, [log])
        table = list(csv.reader(io.StringIO(made.decode(), newline="")))
        assert len(table) == counts.rows and all(len(row) == 9 for row in table)


def joined(lines: Sequence[bytes]) -> int:
    """How many lines may only add to another: the notice of a new process in the middle, the last one, cut short."""
    return 2 * sum(line.endswith(b"attached") for line in lines) + 1


@given(LOGS, st.lists(st.integers(0, 300), max_size=6))
@settings(max_examples=200)
def test_where_chunks_end_makes_no_difference(log: bytes, cuts: list[int]) -> None:
    """Rows and counts are those of the log in one piece, also byte by byte."""
    places = [0, *sorted(min(cut, len(log)) for cut in cuts), len(log)]
    pieces = [log[begin:end] for begin, end in itertools.pairwise(places)]
    for form in FORMS:
        whole, counts = fed(form, [log])
        for chunks in (pieces, [log[at : at + 1] for at in range(len(log))]):
            made, other = fed(form, chunks)
            assert made == whole
            assert (other.lines, other.unknown_lines, other.led) == (counts.lines, counts.unknown_lines, counts.led)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_as_in_pythons_text_files(end: bytes) -> None:
    """Whichever it is."""
    log = b"7 12:00:00.1 getpid() = 7 <0.1>\n7 12:00:00.2 getuid() = 0 <0.1>\n"
    for form in FORMS:
        assert fed(form, [log.replace(b"\n", end)])[0] == fed(form, [log])[0]


def test_a_line_that_is_too_long_is_not_understood_and_the_next_one_is() -> None:
    """More than 16 MiB; one of as much is read."""
    line = b'7 12:00:00.1 write(1, "' + b"x" * (16 << 20) + b'", 5) = 5 <0.1>\n'
    log = b"7 12:00:00.0 getpid() = 7 <0.1>\n" + line + b"7 12:00:00.2 getuid() = 0 <0.1>\n"
    fits = line.replace(b"x" * 64, b"", 1)
    for chunks in ([log], [log[at : at + (1 << 20)] for at in range(0, len(log), 1 << 20)]):
        made, counts = fed("fixed", chunks)
        assert counts.unknown_lines == [2] and made.count(b"\n") == 2
    assert fed("fixed", [fits])[1].unknown == 0


def test_a_line_that_notices_tear_is_no_longer_than_another() -> None:
    """What is kept of it for the next line is bounded, however often it is torn."""
    torn = b'write(1, "' + b"x" * (1 << 20) + b"strace: Process 50 attached\n"
    _, counts = fed("events", [torn] * 40)
    assert counts.unknown >= 1


@pytest.mark.parametrize("times", [["99999999.9"], ["00:00:00", "08:00:00", "16:00:00"]], ids=["since", "of a day"])
def test_times_of_a_damaged_log_do_not_overflow(times: list[str]) -> None:
    """They grow up to a century and a half, and no further: centuries have passed here."""
    lines = "".join(f"1 {time} getpid() = 1 <2147483647.9>\n" for time in times)
    made = fed("events", [lines.encode() * (180_000 // len(times))])[0]
    found = [row.split(b"\x1f", 5)[3:5] for row in made.split(b"\n")[:-1]]
    starts, ends = [int(start) for start, _ in found], [int(end) for _, end in found]
    assert starts[: len(starts) // 10] == sorted(starts[: len(starts) // 10])
    assert 100 * YEAR_NS < starts[-1] <= max(starts) < 150 * YEAR_NS and min(ends) > 0


HOSTILE = ["<", "a<", "1<", "3</", "3</a<", "(", '"', '\\"', ")", ") =", ",", "1<a:[", "<0.1", "["]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_line_takes_no_longer_than_another(text: str) -> None:
    """Four million characters that might begin something are read in linear time, or the test's time is over."""
    log = f"7 12:00:00.1 read({text * (4_000_000 // len(text))}) = 3 <0.1>\n".encode()
    for form in FORMS:
        fed(form, [log])


# -- there and back

NAMES = st.sampled_from(["read", "openat", "execve", "clone3", "getpid", "write", "ioctl", "exit_group"])
ARGUMENTS = st.sampled_from(
    ["", "3</etc/hosts>", 'AT_FDCWD</a>, "b/c", O_RDONLY', '1<pipe:[7]>, "x) = 3 <0.1>", 9', "NULL", '[1, 2], {a="}"}',
     '"/bin/x", ["x"], 0x7f /* 3 vars */', "{flags=CLONE_THREAD} => {parent_tid=[4]}, 88", "0x7f, 1<<3"]
)  # fmt: skip
RESULTS = st.sampled_from(
    [("0", 0, ""), ("3</etc/hosts>", 3, ""), ("-1 ENOENT (No such file or directory)", -1, "ENOENT"), ("?", None, ""),
     ("0x7f0000000000", 0x7F0000000000, ""), ("? ERESTARTSYS (To be restarted)", None, "ERESTARTSYS"), ("-1", -1, ""),
     ("1 ([{fd=3, revents=POLLIN}])", 1, ""), ("-1 (errno 599)", -1, "599"), ("022", 18, "")]
)  # fmt: skip
SIGNALS = st.sampled_from(["SIGCHLD", "SIGRT_3", "SIGTSTP"])
SECOND = 1_000_000_000


@st.composite
def some_events(draw: st.DrawFn) -> list[Event]:
    """Events of some threads, in the order in which they are complete; times go on, calls overlap.

    What follows from other events (processes, programs) or from the arguments (paths) is left empty.
    """
    base = draw(st.sampled_from([0, 12 * 3600, 86_390, 1_700_000_000])) * SECOND
    clock, gone = base, set[int]()
    busy: dict[int, int] = {}
    made = []
    for number in range(draw(st.integers(0, 12))):
        clock += draw(st.integers(1, 10)) * 1000
        tid = draw(st.sampled_from(sorted({100, 101, 102, 103} - gone)))
        kind = draw(st.sampled_from(["call", "call", "call", "signal", "stopped", "exit", "killed", "note"]))
        start = clock
        name, arguments, result, value, error, duration = "", "", "", None, "", None
        if kind == "call":
            if draw(st.booleans()):  # in two lines: it began when the thread was free
                start = draw(st.integers(busy.get(tid, base - 1) // 1000 + 1, clock // 1000)) * 1000
            name, arguments = draw(NAMES), draw(ARGUMENTS)
            result, value, error = draw(RESULTS)
            duration = draw(st.none() | st.integers(0, 10**7).map(lambda n: n * 1000))
        elif kind in ("signal", "stopped", "killed"):
            name, arguments = draw(SIGNALS), draw(st.sampled_from(["", "{si_signo=SIGCHLD, si_pid=7}", "(core)"]))
        elif kind == "exit":
            value = draw(st.integers(0, 255))
        else:
            result = "the rest was not recorded: No space left on device"
        busy[tid] = clock
        gone |= {tid} if kind in ("exit", "killed") and len(gone) < 3 else set()
        end = clock if duration is None else start + duration
        made.append(Event(number + 1, kind, clock_text(clock), start, end, tid, tid, "", name, arguments, "", (), "",
                          value, result, error, duration))  # fmt: skip
    return made


def clock_text(ns: int) -> str:
    """Return a time as strace writes it: of a day, or since 1970."""
    seconds, rest = divmod(ns, SECOND)
    if seconds > 1_000_000_000:
        return f"{seconds}.{rest // 1000:06d}"
    return f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest // 1000:06d}"


def told(event: Event) -> tuple[object, ...]:
    """What of an event stands in its own lines."""
    return (event.kind, event.time, event.start_ns, event.end_ns, event.tid, event.name, event.arguments, event.result,
            event.value, event.error, event.duration_ns)  # fmt: skip


def text_of(some: Sequence[Event]) -> bytes:
    """Return events as a log."""
    return "".join(line + "\n" for line in lines_of(some)).encode()


@given(some_events())
@settings(max_examples=300)
def test_events_written_as_a_log_are_read_again(some: list[Event]) -> None:
    """Calls that overlap, signals, ends: all that stands in their lines."""
    using = scanner("events")
    again = list(events([text_of(some)], using))
    assert [told(event) for event in again] == [told(event) for event in some]
    assert using.unknown == 0


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_the_tables_events_written_as_a_log_are_read_again(case: Case) -> None:
    """All their fields but the line's number: programs, processes and files follow as they did."""
    some = [replace(event, line=0) for event in events([case.log])]
    assert [replace(event, line=0) for event in events([text_of(some)])] == some


@given(LOGS)
@settings(max_examples=300)
def test_what_is_read_of_any_log_is_read_again(log: bytes) -> None:
    """The events of anything, written as a log of their own: so again and again, nothing changes."""
    some = [event for event in events([log]) if event.kind not in (NOTE, UNFINISHED) and event.tid]
    once = list(events([text_of(some)]))
    again = list(events([text_of(once)]))
    assert [told(event) for event in again] == [told(event) for event in once]


class Sink:
    """Gathers what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes, /) -> None:
        """Keep it."""
        self.data += data


@given(st.lists(some_record, max_size=20))
@settings(max_examples=150, deadline=None)
def test_the_text_of_any_records_is_read_as_their_calls(records: list[Record]) -> None:
    """lowrun's own text has no line that is not understood; names, results and errors are those of the calls."""
    sink = Sink()
    writer = StraceWriter(sink)
    writer.feed(b"".join(map(encode, records)))
    writer.close()
    using = scanner("events")
    found = [event for event in events([sink.data], using) if event.kind == "call"]
    assert using.unknown == 0
    left = [call for call in calls_of(records) if call.result is not None]
    back = [(event.name, event.arguments, event.result, event.error) for event in found if event.result != "?"]
    assert back == [(call.name, ", ".join(call.arguments), call.result_text, call.error or "") for call in left]
