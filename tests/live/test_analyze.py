"""Questions to a real trace: right answers, the same whatever the trace is kept as."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lowrun import UsageError, analysis, trace
from tests.programs import LOWRUN, MOCK

DATA = Path(__file__).parent.parent / "data" / "stracepy"
CSV, LOG = DATA / "strace_firefox_startup.csv", DATA / "strace_firefox_startup.log"
STRACEPY = sorted(path.stem for path in (DATA / "tables").glob("*.txt"))
STRACE = "strace -f -tt -T -y -yy -s 2048 -o".split()


class Kept(NamedTuple):
    """One run of mock/talker.py: its directory, what it says of itself, its trace in several forms."""

    directory: Path
    truth: dict[str, Any]
    log: Path
    records: Path


def run(tracer: list[str], directory: Path) -> dict[str, Any]:
    done = subprocess.run([*tracer, sys.executable, MOCK / "talker.py", directory], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """By lowrun."""
    directory = tmp_path_factory.mktemp("kept")
    log = directory / "calls.strace"
    truth = run([LOWRUN, "trace", "--keep-binary", "-o", str(log)], directory)
    return Kept(directory, truth, log, directory / "calls.strace.records")


@pytest.fixture(scope="module")
def straced(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """By strace."""
    directory = tmp_path_factory.mktemp("straced")
    log = directory / "strace.log"
    return Kept(directory, run([*STRACE, str(log)], directory), log, log)


@pytest.fixture(params=["kept", "straced"])
def either(request: pytest.FixtureRequest) -> Kept:
    """A trace by lowrun, and one by strace."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def ask(path: Path, name: str, **options: Any) -> list[dict[str, Any]]:
    with analysis.Analysis(path, **options) as log:
        assert log.unknown == 0
        answer = log.query(name)
        return [dict(zip(answer.names, row, strict=True)) for row in answer]


def lowrun(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LOWRUN, "analyze", *map(str, words)], capture_output=True, text=True, timeout=60)


# -- what is right


@pytest.mark.parametrize("name", STRACEPY)
def test_tables_are_stracepys(name: str) -> None:
    """On a CSV of its own the tables are those that strace_analyzer prints; what has equal counts is in our order."""
    expected = (DATA / "tables" / f"{name}.txt").read_text()
    done = lowrun(CSV, name)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(expected.splitlines())
    if not name.startswith("count_"):
        assert done.stdout == expected
    counts = [int(line.split("|")[0]) for line in done.stdout.splitlines() if line.split("|")[0].strip().isdigit()]
    if name.startswith("count_"):
        assert counts == sorted(counts, reverse=True)


def test_processes_are_a_tree(either: Kept) -> None:
    """Who started whom, with what words, how each ended; the CPU time is that of SIGCHLD's ticks."""
    rows = {row["pid"]: row for row in ask(either.log, "processes")}
    truth = either.truth
    main, child, killed = rows[truth["pid"]], rows[truth["child"]], rows[truth["killed"]]
    assert (main["parent"], main["depth"], main["exit"], main["threads"]) == (None, 0, "0", 2)
    assert (child["parent"], child["depth"], child["exit"]) == (truth["pid"], 1, "3")
    assert child["program"].endswith("sh -c '/bin/true; exit 3'")
    assert (killed["parent"], killed["exit"]) == (truth["pid"], "SIGKILL")
    (grandchild,) = (row for row in rows.values() if row["parent"] == truth["child"])
    assert (grandchild["program"], grandchild["depth"], grandchild["exit"]) == ("/bin/true", 2, "0")
    assert list(rows)[:3] == [truth["pid"], truth["child"], grandchild["pid"]]
    assert child["cpu_s"] is not None and 0 <= child["cpu_s"] < 5 and main["cpu_s"] is None
    assert main["wall_s"] > child["wall_s"] > grandchild["wall_s"] > 0


def test_files_have_their_bytes(either: Kept) -> None:
    """Opens, reads, writes and bytes, those of sendfile too, and errors."""
    rows = {row["path"]: row for row in ask(either.log, "files")}
    data, copy = rows[f"{either.directory}/data.txt"], rows[f"{either.directory}/copy.txt"]
    missing = rows[f"{either.directory}/missing"]
    assert (data["opens"], data["writes"], data["bytes_written"]) == (2, 3, 300)
    assert (data["reads"], data["bytes_read"]) == (3, 550)
    assert (copy["opens"], copy["writes"], copy["bytes_written"], copy["bytes_read"]) == (1, 1, 250, 0)
    assert (missing["opens"], missing["errors"], missing["calls"]) == (0, 2, 2)
    assert missing["time_s"] > 0


def test_network_has_peers(either: Kept) -> None:
    """Both ends of a connection, its bytes and its connect; a datagram's address; a socket that is not there."""
    rows = {(row["protocol"], row["local"], row["remote"]): row for row in ask(either.log, "network")}
    client, server = either.truth["client"], either.truth["server"]
    out, back = rows["TCP", client, server], rows["TCP", server, client]
    assert (out["connects"], out["bytes_sent"], out["bytes_received"], out["accepts"]) == (1, 5, 15, 0)
    assert (back["connects"], back["bytes_sent"], back["bytes_received"], back["accepts"]) == (0, 15, 5, 1)
    assert rows["UDP", "", "127.0.0.1:9"]["bytes_sent"] == 10
    nobody = rows["UNIX-STREAM", "", f"{either.directory}/nobody"]
    assert nobody["connects"] == 1 and nobody["errors"] >= 1


def test_calls_are_counted_as_they_stand(either: Kept) -> None:
    """Counts, errors, sums and percentiles are those of the events, reckoned in Python."""
    times: dict[str, list[int]] = {}
    errors: dict[str, int] = {}
    with trace.read_log(either.log) as log:
        for event in log:
            if event.kind == "call":
                times.setdefault(event.name, []).extend(() if event.duration_ns is None else (event.duration_ns,))
                errors[event.name] = errors.get(event.name, 0) + bool(event.error)
    rows = ask(either.log, "calls")
    assert {row["name"]: row["errors"] for row in rows} == errors
    total = sum(map(sum, times.values()))
    for row in rows:
        durations = sorted(times[row["name"]])
        if not durations:
            assert row["total_s"] is None and row["p50_us"] is None
            continue
        assert row["total_s"] == Decimal(sum(durations)) / 10**9
        for column, percent in (("p50_us", 50), ("p99_us", 99), ("max_us", 100)):
            nearest = durations[-(-len(durations) * percent // 100) - 1]
            assert row[column] == Decimal(nearest) / 1000
        assert abs(float(row["percent"]) - 100 * sum(durations) / total) < 0.01
    assert [row["total_s"] or 0 for row in rows] == sorted((row["total_s"] or 0 for row in rows), reverse=True)


def test_slow_are_the_slowest(kept: Kept) -> None:
    """Twenty if nothing else is said, and the longest first."""
    rows = ask(kept.log, "slow")
    assert len(rows) == 20
    with trace.read_log(kept.log) as log:
        longest = sorted((event.duration_ns or 0 for event in log), reverse=True)[:20]
    assert [row["duration_s"] for row in rows] == [Decimal(ns) / 10**9 for ns in longest]
    assert all(row["call"].endswith(")") and row["result"] for row in rows)


# -- the same, whatever it is kept as


@pytest.fixture(scope="module")
def forms(kept: Kept) -> dict[str, Path]:
    """The same trace as several kinds of files, whose names say nothing."""
    directory = kept.directory / "forms"
    directory.mkdir()
    found = {"records": directory / "a", "gzip": directory / "b", "nine": directory / "c.log"}
    shutil.copy(kept.records, found["records"])
    found["gzip"].write_bytes(gzip.compress(kept.log.read_bytes()))
    scanner = trace.scanner("fixed")
    found["nine"].write_bytes(trace.csv_header() + scanner.feed(kept.log.read_bytes()) + scanner.finish())
    with analysis.Analysis(kept.log) as log:
        for kind in ("parquet", "csv"):
            found[kind] = directory / f"exported {kind}.strace"
            log.export(kind, found[kind])
    found["nine, gzip"] = directory / "d"
    found["nine, gzip"].write_bytes(gzip.compress(found["nine"].read_bytes()))
    import pyarrow.csv
    import pyarrow.parquet

    texts = dict.fromkeys(trace.csv_header().decode().replace('"', "").strip().split(","), pyarrow.string())
    table = pyarrow.csv.read_csv(found["nine"], convert_options=pyarrow.csv.ConvertOptions(column_types=texts))
    found["nine, parquet"] = directory / "e"
    pyarrow.parquet.write_table(table, found["nine, parquet"])
    typed = table.set_column(8, "syscall_time", pyarrow.array([float(x) if x else None for x in table[8].to_pylist()]))
    typed = typed.set_column(1, "pid", typed[1].cast(pyarrow.int64()))
    found["nine, typed parquet"] = directory / "f"
    pyarrow.parquet.write_table(typed, found["nine, typed parquet"])
    return found


def answers(path: Path, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """All from one session."""
    with analysis.Analysis(path) as log:
        found = {}
        for name in names:
            answer = log.query(name)
            found[name] = [dict(zip(answer.names, row, strict=True)) for row in answer]
    return found


@pytest.fixture(scope="module")
def whole(kept: Kept) -> dict[str, list[dict[str, Any]]]:
    """What the text tells."""
    found = answers(kept.log, list(analysis.QUERIES))
    assert all(found[name] for name in found if "device" not in name)
    return found


@pytest.mark.parametrize("form", ["records", "gzip", "parquet", "csv"])
def test_answers_do_not_depend_on_the_form(forms: dict[str, Path], form: str, whole: dict[str, Any]) -> None:
    """Records, compressed text, Parquet and CSV of events give what the text gives."""
    assert answers(forms[form], list(whole)) == whole


#: Query -> columns that nine columns tell, too.
TOLD = {
    "slow": ("duration_s", "time", "tid", "executable", "result"),
    "processes": ("pid", "parent"),
    "files": ("path", "opens", "errors"),
}


@pytest.mark.parametrize("form", ["nine", "nine, gzip", "nine, parquet", "nine, typed parquet"])
def test_nine_columns_tell_as_far_as_they_do(forms: dict[str, Path], form: str, whole: dict[str, Any]) -> None:
    """What follows from strace2csv's columns is the same; arguments and ends are not in them."""
    found = answers(forms[form], [*STRACEPY, "calls", *TOLD])
    for name in (*STRACEPY, "calls"):
        assert found[name] == whole[name], name
    for name, columns in TOLD.items():
        some, all_ = ({tuple(row[column] for column in columns) for row in rows[name]} for rows in (found, whole))
        assert all_ <= some, (name, all_ - some)


def test_what_nine_columns_do_not_tell_is_said(forms: dict[str, Path]) -> None:
    """network counts calls about sockets, and a line says that the peers are not known."""
    done = lowrun(forms["nine"], "network", "-f", "json")
    (row, *_) = json.loads(done.stdout)
    assert row["connects"] + row["accepts"] > 0 and row["protocol"] == ""
    assert done.stderr.startswith("lowrun: warning: the nine columns have no arguments")


# -- filters


def test_filters_leave_what_they_say(kept: Kept) -> None:
    """A program by path or base name, a thread, failed calls, a time; all together."""
    pid, child = kept.truth["pid"], kept.truth["child"]
    with trace.read_log(kept.log) as log:
        calls = [event for event in log if event.kind == "call"]

    def count(**options: Any) -> int:
        return sum(row["calls"] for row in ask(kept.log, "calls", **options))

    def named(glob: str) -> int:
        return sum(event.executable.endswith(glob) for event in calls)

    assert count() == len(calls)
    assert count(programs=["cat"]) == named("/cat") > 0
    assert count(programs=["*bin/[sc]*"]) == named("/cat") + named("/sh")
    assert count(programs=["cat", "/bin/sh"]) >= named("/cat")
    assert count(programs=["nosuch"]) == 0
    assert count(pids=[child]) == sum(event.pid == child for event in calls)
    (thread,) = {event.tid for event in calls if event.pid == pid} - {pid}
    assert count(pids=[thread]) == sum(event.tid == thread for event in calls)
    assert count(pids=[pid], failed=True) == sum(event.pid == pid and bool(event.error) for event in calls)
    middle = calls[len(calls) // 2]
    first = calls[0].start_ns
    assert first is not None and middle.start_ns is not None
    since = f"+{(middle.start_ns - first) // 1000 / 1e6:.6f}"
    early = sum((event.start_ns or 0) < middle.start_ns for event in calls)
    assert count(until=since) == early and count(since=since) == len(calls) - early
    assert {row["pid"] for row in ask(kept.log, "processes", failed=True)} == {child, kept.truth["killed"]}


def test_limits_and_columns(kept: Kept) -> None:
    """A limit is one of rows; summary's two tables are one with the columns of both."""
    with analysis.Analysis(kept.log, queries=["summary", "calls"]) as log:
        assert len(list(log.query("calls", 3))) == 3
        answer = log.query("summary", 2)
        rows = [dict(zip(answer.names, row, strict=True)) for row in answer]
        assert [row["part"] for row in rows] == ["programs_executed"] * 2 + ["count_errors"] * 2
        assert rows[0]["syscall"] == "execve" and rows[0]["count"] is None and rows[2]["count"] > 0
        with pytest.raises(UsageError, match="opened for summary, calls only"):
            log.query("files")
        with pytest.raises(UsageError, match="opened for summary, calls only"):
            log.sql("SELECT 1")


# -- formats


def test_formats_have_the_same_rows(kept: Kept) -> None:
    """The table, CSV and JSON say the same."""
    words = (kept.log, "files", "--limit", "30")
    rows = list(csv.DictReader(lowrun(*words, "--format", "csv").stdout.splitlines()))
    objects = json.loads(lowrun(*words, "--format", "json").stdout)
    table = lowrun(*words).stdout
    assert len(rows) == len(objects) == 30
    for row, value in zip(rows, objects, strict=True):
        assert row == {key: row[key] if key == "time_s" else str(item) for key, item in value.items()}
        assert abs(float(row["time_s"]) - value["time_s"]) < 1e-9
        assert f" {row['path']} " in table
    assert lowrun(*words, "-f", "csv").stdout.count('"') == 2 * 31 * 9


def test_what_json_does_not_have() -> None:
    """Numbers that are none, infinity and bytes: null, and escapes."""
    values = "'nan'::DOUBLE AS a, ['-inf'::DOUBLE, 1.5] AS b, {'x': 'inf'::DOUBLE} AS c, '\\x41\\xFF'::BLOB AS d"

    def refused(constant: str) -> None:
        raise AssertionError(constant)

    (row,) = json.loads(lowrun(CSV, "sql", f"SELECT {values}", "-f", "json").stdout, parse_constant=refused)
    assert row == {"a": None, "b": [None, 1.5], "c": {"x": None}, "d": "A\\xff"}


def test_sql_has_five_tables(kept: Kept) -> None:
    """events, calls, processes, files, network; any one statement."""
    done = lowrun(kept.log, "sql", "SELECT path, bytes_written FROM files WHERE path LIKE '%data.txt' -- here")
    assert done.stdout.splitlines()[-2].split() == [f"{kept.directory}/data.txt", "|", "300"]
    union = " UNION ALL ".join(
        f"SELECT count(*) AS n FROM {name}" for name in ("events", "calls", "processes", "network")
    )
    counts = [row["n"] for row in json.loads(lowrun(kept.log, "sql", union, "-f", "json").stdout)]
    assert counts[0] > counts[1] > counts[2] == 4 and counts[3] > 0
    assert "duration_ns" in lowrun(kept.log, "sql", "DESCRIBE calls").stdout
    two = lowrun(kept.log, "sql", "SELECT pid AS a, tid AS a FROM calls;", "--limit", "2").stdout
    assert len(two.splitlines()) == 5


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELEC 1", 'lowrun: sql: syntax error at or near "SELEC"\n'),
        ("SELECT nosuch FROM calls", 'lowrun: sql: Referenced column "nosuch" not found in FROM clause!\n'),
        ("SELECT * FROM nosuch", "lowrun: sql: Table with name nosuch does not exist!\n"),
        ("SELECT 1; SELECT 2", "lowrun: sql takes one statement, not 2\n"),
        ("SELECT 'x'::BIGINT", "lowrun: sql: Could not convert string 'x' to INT64"),
        ("SELECT * FROM log", "lowrun: sql: Table with name log does not exist!\n"),
    ],
)
def test_wrong_sql_is_one_line(kept: Kept, statement: str, message: str) -> None:
    """It is wrong usage; Python's variables are no tables."""
    done = lowrun(kept.log, "sql", statement)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1


# -- exports


def test_parquet_has_types(kept: Kept, forms: dict[str, Path]) -> None:
    """Another reader finds numbers, lists and NULL; groups of rows; zstd."""
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(forms["parquet"])
    kinds = {field.name: str(field.type) for field in file.schema_arrow}
    assert {kinds[name] for name in ("line", "start_ns", "end_ns", "tid", "pid", "value", "duration_ns")} == {"int64"}
    assert kinds["paths"].startswith("list<") and kinds["path"] == "string" and "start_time" not in kinds
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    rows = file.read().to_pylist()
    with trace.read_log(kept.log) as log:
        for event, row in zip(log, rows, strict=True):
            assert row["line"] == event.line and row["arguments"] == (event.arguments or None)
            assert row["value"] == event.value and tuple(row["paths"] or ()) == event.paths


def test_a_log_with_dates_has_times(tmp_path: Path) -> None:
    """strace -ttt: Parquet has instants, which others read as such."""
    import pyarrow.parquet

    log = tmp_path / "log"
    log.write_text("7 1700000000.500000 getpid() = 7 <0.000001>\n7 1700000001.500000 getppid() = 1 <0.000001>\n")
    done = lowrun(log, "export", "--to", "parquet", tmp_path / "out", "--since", "1700000001")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (row,) = pyarrow.parquet.read_table(tmp_path / "out").to_pylist()
    assert (
        row["start_time"].isoformat() == "2023-11-14T22:13:21.500000+00:00" and row["start_ns"] == 1700000001500000000
    )


def test_lines_of_json_are_events(kept: Kept) -> None:
    """jsonl: an object a line with the fields of Event; standard output is `-`."""
    lines = lowrun(kept.log, "export", "--to", "jsonl", "-", "--failed").stdout.splitlines()
    with trace.read_log(kept.log) as log:
        failed = [event for event in log if event.error]
    assert [json.loads(line)["line"] for line in lines] == [event.line for event in failed]
    assert json.loads(lines[0])["error"] == failed[0].error


def test_events_come_back_as_they_were(kept: Kept, forms: dict[str, Path]) -> None:
    """Analysis.events() yields what read_log does, from Parquet, too."""
    with trace.read_log(kept.log) as log:
        events = list(log)
    for path in (kept.log, forms["parquet"], forms["csv"]):
        with analysis.Analysis(path) as found:
            assert list(found.events()) == events


# -- what its page shows

PAGE = (Path(__file__).parents[2] / "docs" / "lowrun-analyze.1.md").read_text()
EXAMPLES = PAGE.partition("## EXAMPLES\n")[2].partition("##")[0].split("\n    ")[1:]


def test_the_examples_of_the_page_work(kept: Kept, tmp_path: Path) -> None:
    """Those of the manual, one after the other, and those of --help that are of one file."""
    shutil.copy(kept.log, tmp_path / "calls.strace")
    assert len(EXAMPLES) == 9
    for example in EXAMPLES:
        program, *words = shlex.split(example)
        assert program == "lowrun"
        done = subprocess.run([LOWRUN, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), example
        assert done.stdout or "export" in example


def test_the_python_of_the_page_works(kept: Kept, tmp_path: Path) -> None:
    """Its block runs as it stands."""
    shutil.copy(kept.log, tmp_path / "calls.strace")
    code = textwrap.dedent(PAGE.partition("## IN PYTHON\n")[2].partition("\n`query`")[0])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "openat " in done.stdout and (tmp_path / "calls.parquet").exists()


def test_the_page_has_the_tables_as_they_are(kept: Kept) -> None:
    """Names of columns, and the types of events."""
    with analysis.Analysis(kept.log) as log:
        for table in ("processes", "files", "network"):
            names = [row[0] for row in log.sql(f"DESCRIBE {table}")]
            (told,) = re.findall(rf"^\*\*{table}\*\*: ([^.]*)\.", PAGE, re.MULTILINE)
            assert [word.split()[0] for word in told.replace("\n", " ").split(", ")] == names
        found = {row[0]: row[1] for row in log.sql("DESCRIBE events")}
    rows = re.findall(r"^\| ([a-z_, ]+) \| ([A-Z\[\]]+) \|", PAGE, re.MULTILINE)
    assert {name: kind for names, kind in rows for name in names.split(", ")} == found
