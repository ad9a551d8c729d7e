"""What `lowrun analyze` is given: any bytes, any names; what it leaves: nothing."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lowrun import ProtocolError, UsageError, analysis, trace
from tests.programs import LOWRUN

DATA = Path(__file__).parent.parent / "data" / "stracepy"
LOG, CSV = DATA / "strace_firefox_startup.log", DATA / "strace_firefox_startup.csv"


def lowrun(*words: object, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LOWRUN, "analyze", *map(str, words)], capture_output=True, text=True, timeout=60, **more)  # type: ignore[call-overload,no-any-return]


def spilled() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("lowrun-analyze-*"))


# -- what FILE may be


@pytest.mark.parametrize("path", [LOG, CSV], ids=["log", "csv"])
def test_standard_input_is_a_file_or_a_pipe(path: Path) -> None:
    """`-` reads either, from its beginning."""
    named = lowrun(path, "count_errors").stdout
    with path.open("rb") as file:
        assert lowrun("-", "count_errors", stdin=file).stdout == named
    piped = f"cat {shlex.quote(str(path))} | {shlex.quote(LOWRUN)} analyze - count_errors"
    assert subprocess.run(["sh", "-c", piped], capture_output=True, text=True, timeout=60).stdout == named != ""


def test_a_runs_directory_is_its_calls(tmp_path: Path) -> None:
    """calls.strace in it; without it a line says what is missing."""
    (tmp_path / "run-0001").mkdir()
    shutil.copy(LOG, tmp_path / "run-0001" / "calls.strace")
    assert lowrun(tmp_path / "run-0001", "calls").stdout == lowrun(LOG, "calls").stdout
    done = lowrun(tmp_path, "calls")
    assert done.returncode == 2
    assert done.stderr == f"lowrun: {tmp_path}: is a directory of runs; one is needed, such as {tmp_path}/run-0001\n"
    (tmp_path / "empty").mkdir()
    done = lowrun(tmp_path / "empty", "calls")
    assert done.returncode == 2 and "is a directory without calls.strace" in done.stderr


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"\x7fELF\2\1\1" + bytes(range(256)) * 50, 125, "is no log of system calls"),
        (b"root:x:0:0:root:/root:/bin/bash\n", 125, "is no log of system calls"),
        (b'"a","b"\n"1","2"\n', 125, "is no log of system calls"),
        (b"PAR1 and no more", 125, ""),
        (b"", 0, "calls: there is nothing to show"),
        (b"\x1f\x8b\x08 no gzip", 125, "is damaged"),
        (b"lowrun\0\1\xff\xff\xff\xff", 125, ""),
    ],
)
def test_what_is_no_log_is_told(content: bytes, code: int, message: str, tmp_path: Path) -> None:
    """One line, no traceback."""
    path = tmp_path / "file"
    path.write_bytes(content)
    done = lowrun(path, "calls")
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr and done.stderr.count("\n") == 1 and "defect" not in done.stderr


def test_a_missing_file_is_told() -> None:
    """With its name."""
    done = lowrun("/nonexistent/file", "calls")
    assert (done.returncode, done.stderr) == (2, "lowrun: /nonexistent/file: No such file or directory\n")


def test_names_are_no_sql(tmp_path: Path) -> None:
    """A file, a program and a call may be called anything: quotes, statements, patterns, bytes that are no UTF-8."""
    name = b"x'); DROP VIEW calls; --\"*[a].csv?\xff"
    path = os.path.join(os.fsencode(tmp_path), name)
    shutil.copy(LOG, path)
    with analysis.Analysis(os.fsdecode(path)) as log:
        assert len(list(log.query("calls"))) > 0
        log.export("parquet", os.fsdecode(path) + ".out")
    for glob in ("'", "');--", "[", "\\", "a{0}b", "\udcff"):
        with analysis.Analysis(os.fsdecode(path), programs=[glob]) as log:
            assert list(log.query("calls")) == []


def test_hostile_paths_stay_what_they_are(tmp_path: Path) -> None:
    """Quotes, commas, newlines and bytes that are no UTF-8 in paths reach tables, CSV and JSON, none of them raw."""
    names = [
        'a "quoted", one',
        "two\nlines",
        "tab\tand \x1b[31mred",
        os.fsdecode(b"no utf-8 \xff\xfe"),
        "back\\slash",
        "ü'",
    ]
    for name in names:
        (tmp_path / name).touch()
    log = tmp_path / "log"
    words = [LOWRUN, "trace", "-o", log, "cat", *(tmp_path / name for name in names)]
    with tempfile.TemporaryFile() as out:  # cat asks for copy_file_range then
        subprocess.run(words, stdout=out, check=True)
    shown = lowrun(log, "files", "--program", "cat")
    assert not {letter for letter in shown.stdout if letter < " "} - {"\n"}
    assert "two\\nlines" in shown.stdout and "\\377\\376" in shown.stdout
    rows = {row["path"]: row for row in json.loads(lowrun(log, "files", "-f", "json").stdout)}
    assert f"{tmp_path}/ü'" in rows and f'{tmp_path}/a "quoted", one' in rows
    touched = [row for path, row in rows.items() if path.startswith(f"{tmp_path}/")]
    assert len(touched) == len(names)
    assert all(row["opens"] == 1 and row["reads"] >= 1 for row in touched)


@pytest.mark.parametrize(
    "words",
    [
        ["sh", "-c", "echo \"it's\" '$HOME'"],
        ["two\nlines", "tab\t\x1b[31m", "b\\s", "it's\n", "ü"],
        ["", "plain", "a'b", "x" * 300],
    ],
)
def test_a_command_is_as_a_shell_takes_it(words: list[str], tmp_path: Path) -> None:
    """The words of a program in `processes`, whole and quoted so that a shell has them back; a table cuts them."""
    log = tmp_path / "log"
    subprocess.run([LOWRUN, "trace", "-o", log, "true", *words], check=True)
    (row,) = json.loads(lowrun(log, "processes", "-f", "json").stdout)
    parsed = subprocess.run(["bash", "-c", f"printf '%s\\0' {row['program']}"], capture_output=True, check=True).stdout
    assert os.fsdecode(parsed).split("\0")[1:-1] == words
    table = lowrun(log, "processes").stdout
    assert all(len(line.split("|")[2]) <= 102 for line in table.splitlines() if "|" in line)


def test_a_slow_call_is_whole_in_json(tmp_path: Path) -> None:
    """A table cuts it to 100 characters, and says so by dots."""
    log = tmp_path / "log"
    path = "/x" * 200
    log.write_text(f'1 01:00:00.000000 open("{path}", O_RDONLY) = 3<{path}> <0.000001>\n')
    (row,) = json.loads(lowrun(log, "slow", "-f", "json").stdout)
    assert (row["call"], row["result"]) == (f'open("{path}", O_RDONLY)', f"3<{path}>")
    cells = [cell.strip() for cell in lowrun(log, "slow").stdout.splitlines()[-2].split("|")]
    assert [len(cell) for cell in cells[-2:]] == [100, 100] and cells[-1].endswith("...") and cells[-2].endswith("...")


def test_a_file_has_one_row_whatever_its_name(tmp_path: Path) -> None:
    """What is opened, and what bytes are moved between, is the file that is read: escapes are undone in all."""
    (tmp_path / "log").write_text(
        r"""7 10:00:00.1 openat(AT_FDCWD</>, "/\303\251", O_RDONLY) = 3</\303\251> <0.1>
7 10:00:00.2 openat(AT_FDCWD</>, "/link", O_RDWR) = 4</q\"> <0.1>
7 10:00:00.3 openat(AT_FDCWD</>, "/a>b", O_RDWR) = 5</a\76b> <0.1>
7 10:00:00.4 sendfile(4</q\">, 3</\303\251>, NULL, 100) = 20 <0.1>
7 10:00:00.5 copy_file_range(3</\303\251>, NULL, 5</a\76b>, NULL, 100, 0) = 30 <0.1>
7 10:00:00.6 splice(6<pipe:[1]>, NULL, 5</a\76b>, [7], 100, 0) = 4 <0.1>
7 10:00:00.7 copy_file_range(5</a\76b>, [0], 5</a\76b>, NULL, 100, 0) = 500 <0.1>
"""
    )
    with analysis.Analysis(tmp_path / "log", queries=["files"]) as log:
        found = [row[:6] for row in log.query("files")]
    assert found == [("/a>b", 1, 1, 500, 3, 534), ("/é", 1, 2, 50, 0, 0), ('/q"', 1, 0, 0, 1, 20)]


def test_control_characters_of_a_csv_do_not_reach_a_terminal(tmp_path: Path) -> None:
    """strace2csv writes none, but others may."""
    path = tmp_path / "csv"
    row = ["1:00:00", "1", "/bin/\x1b[2J", "open", "/a\nb\x9b", "[]", "3", "", "0.1"]
    path.write_text(trace.csv_header().decode() + ",".join(f'"{cell}"' for cell in row) + "\n")
    done = lowrun(path, "file_access")
    assert "/bin/?[2J" in done.stdout and "/a\\nb?" in done.stdout


def test_huge_fields_are_cut(tmp_path: Path) -> None:
    """A line of many megabytes is one row."""
    path = tmp_path / "log"
    path.write_text(f'1 01:00:00.000000 write(1, "{"x" * 9_000_000}", 9000000) = 9000000 <0.000001>\n')
    with analysis.Analysis(path) as log:
        assert [row[1] for row in log.query("calls")] == [1]
        (length,) = next(log.sql("SELECT length(arguments) FROM calls"))
    assert 100_000 < length < 9_000_000


def test_lines_that_are_not_understood_are_told(tmp_path: Path) -> None:
    """With their numbers."""
    path = tmp_path / "log"
    path.write_text(LOG.read_text() + "what is this\n" * 30)
    done = lowrun(path, "count_errors")
    assert done.returncode == 0 and done.stdout == lowrun(LOG, "count_errors").stdout
    lines = len(LOG.read_text().splitlines())
    assert done.stderr.startswith(f"lowrun: warning: 30 lines were not understood (lines {lines + 1}, {lines + 2},")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=2000) | st.text("0123456789(), =<>\"'[]{}\\\n.:-+?xabcE", max_size=2000).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes, tmp_path: Path) -> None:
    """Nothing but an answer or one of our errors comes of them."""
    path = tmp_path / "bytes"
    path.write_bytes(data)
    try:
        with analysis.Analysis(path, since="+0", failed=True) as log:
            list(log.query("summary"))
    except (ProtocolError, UsageError):
        pass


# -- what comes out


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    """`| head`: no word, and no waiting for the rest."""
    path = tmp_path / "log"
    path.write_bytes(b'1 01:00:00.000000 open("/a", O_RDONLY) = 3 <0.000001>\n' * 200_000)
    command = f"{shlex.quote(LOWRUN)} analyze {path} file_access | head -3"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """/dev/full as standard output."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([LOWRUN, "analyze", CSV, "summary"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (125, b"lowrun: standard output: No space left on device\n")


def test_standard_output_is_for_answers() -> None:
    """DuckDB would draw its progress there when a question takes more than two seconds."""
    with analysis.Analysis(CSV) as log:
        assert list(log.sql("SELECT value FROM duckdb_settings() WHERE name = 'enable_progress_bar'")) == [("false",)]


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_an_export_does_not_replace_what_it_is_of(kind: str, tmp_path: Path) -> None:
    """By its own name, another, or in the directory of a run."""
    run = tmp_path / "run-0001"
    run.mkdir()
    log = run / "calls.strace"
    shutil.copy(LOG, log)
    (tmp_path / "link").symlink_to(log)
    for file, target in ((log, log), (log, tmp_path / "link"), (run, log)):
        done = lowrun(file, "export", "--to", kind, target)
        assert (done.returncode, done.stderr) == (2, f"lowrun: {target}: is FILE itself\n")
    with pytest.raises(UsageError, match="is the log itself"), analysis.Analysis(log) as session:
        session.export(kind, tmp_path / "link")
    assert log.read_bytes() == LOG.read_bytes()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "chrome"])
def test_a_reader_that_goes_away_ends_an_export(kind: str, tmp_path: Path) -> None:
    """`| head`: no word."""
    path = tmp_path / "log"
    path.write_bytes(b'1 01:00:00.000000 open("/a", O_RDONLY) = 3 <0.000001>\n' * 20_000)
    command = f"{shlex.quote(LOWRUN)} analyze {path} export --to {kind} - | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, "", 10)


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "perfetto"])
def test_a_full_disk_names_the_export(kind: str) -> None:
    """Not the place for what is too large for memory."""
    done = lowrun(LOG, "export", "--to", kind, "/dev/full")
    assert (done.returncode, done.stderr) == (125, "lowrun: /dev/full: No space left on device\n")


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_an_export_is_whole_or_not_there(kind: str, tmp_path: Path) -> None:
    """A file that is there is replaced, and kept when the log turns out to be none."""
    target = tmp_path / "out"
    target.write_text("before")
    (tmp_path / "bad").write_text("no log\n")
    assert lowrun(tmp_path / "bad", "export", "--to", kind, target).returncode == 125
    assert target.read_text() == "before"
    assert lowrun(LOG, "export", "--to", kind, target).returncode == 0
    assert target.read_bytes() != b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "out"]
    missing = lowrun(LOG, "export", "--to", kind, tmp_path / "no" / "out")
    assert (missing.returncode, missing.stderr) == (2, f"lowrun: {tmp_path}/no/out: No such file or directory\n")


def test_without_duckdb_the_remedy_is_named(tmp_path: Path) -> None:
    """One line, exit 125."""
    for name in ("_duckdb", "duckdb"):
        (tmp_path / f"{name}.py").write_text("raise ImportError")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = lowrun(CSV, "summary", env=environment)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == "lowrun: analyze needs DuckDB: pip install 'lowrun[analyze]'\n"


def test_nothing_is_left_to_spill(tmp_path: Path) -> None:
    """A session's directory in TMPDIR goes with it; that of one that was killed goes with the next."""
    before = spilled()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen([LOWRUN, "analyze", fifo, "calls"], stderr=subprocess.DEVNULL)
    with fifo.open("wb") as writer:  # opened when it is being read
        writer.write(LOG.read_bytes())
        writer.flush()
        until = time.monotonic() + 30
        while not spilled() - before and time.monotonic() < until:
            time.sleep(0.01)
        assert spilled() - before
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert lowrun(CSV, "calls").returncode == 0
    assert not spilled() - before


def test_an_interrupted_session_leaves_nothing(tmp_path: Path) -> None:
    """SIGINT while a log is read: exit 130, no directory, no file."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([LOWRUN, "analyze", fifo, "calls"], stderr=subprocess.PIPE, env=environment)
    with fifo.open("wb") as writer:
        writer.write(LOG.read_bytes())
        writer.flush()
        while not list(tmp_path.glob("lowrun-analyze-*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        code = process.wait(20)  # while the log's writer is still there
    assert process.stderr is not None
    assert code == 130, process.stderr.read()
    process.stderr.close()
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]
