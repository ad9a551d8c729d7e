"""`lowrun strace2csv` as typed by hand, and on logs that strace and lowrun have just written."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lowrun.errors import ProtocolError, UsageError
from lowrun.trace import csv_header, events, open_log, read_log, scanner
from tests.programs import LOWRUN, mock

DATA = Path(__file__).parent.parent / "data" / "stracepy"
LOG = DATA / "strace_firefox_startup.log"
CSV = DATA / "strace_firefox_startup.csv"
FULL = ["-f", "-tt", "-T", "-y", "-yy", "-s", "2048"]


def strace2csv(*words: object, where: Path, **more: object) -> subprocess.CompletedProcess[str]:
    """Run the verb in the directory `where`."""
    command = [LOWRUN, "strace2csv", *map(str, words)]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=60, **more)  # type: ignore[call-overload,no-any-return]


# -- the verb


def test_the_table_is_strace_csv_unless_another_is_named(tmp_path: Path) -> None:
    """Byte for byte that project's; what was done is said on standard error."""
    done = strace2csv(LOG, where=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"lowrun: Parsing strace log: {LOG}\nlowrun: Wrote: strace.csv\n"
    assert (tmp_path / "strace.csv").read_bytes() == CSV.read_bytes()
    assert strace2csv("--out", "other.csv", "--verbose", "0", LOG, where=tmp_path).stderr == ""
    assert (tmp_path / "other.csv").read_bytes() == CSV.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["other.csv", "strace.csv"]


def test_standard_output_and_standard_input(tmp_path: Path) -> None:
    """Both are `-`."""
    with LOG.open() as log:
        done = strace2csv("-", "--out", "-", where=tmp_path, stdin=log)
    assert done.stdout == CSV.read_text()
    assert done.stderr == "lowrun: Parsing strace log: standard input\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_higher_levels_add_columns(level: int, tmp_path: Path) -> None:
    """args and found_by at 2, strace_line at 3."""
    for form in ([], ["--fixed"]):
        done = strace2csv(LOG, "--out", "-", "--verbose", level, *form, where=tmp_path)
        table = list(csv.reader(io.StringIO(done.stdout)))
        assert table[0][9:] == ["args", "found_by", "strace_line"][: (0, 0, 2, 3)[level]]
        assert {len(row) for row in table} == {len(table[0])}
    assert strace2csv(LOG, "--verbose", "4", where=tmp_path).returncode == 2


def test_a_log_without_pids_and_times_is_refused_with_a_hint(tmp_path: Path) -> None:
    """Exit 1, and no file."""
    for words in ([], ["--out", "-"]):
        done = strace2csv(DATA / "strace_missing_options.log", *words, where=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith("lowrun: Hint: run strace with options: '-f -tt -T -y -yy -s 2048'\n")
    assert os.listdir(tmp_path) == []
    done = strace2csv(DATA / "strace_missing_options.log", "--fixed", "--out", "-", where=tmp_path)
    assert done.stdout.splitlines()[1] == '"","0","/usr/bin/firefox","execve","/usr/bin/firefox",' + (
        '"[\'/usr/bin/firefox\']","0","",""'
    )


def test_lines_that_are_not_understood_are_told(tmp_path: Path) -> None:
    """With their numbers; the first twenty, when there are more."""
    lines = LOG.read_text().splitlines()
    log = tmp_path / "log"
    log.write_text("\n".join([*lines[:4], "what?", *lines[4:], "7 12:00:00 that", ""]))
    done = strace2csv(log, where=tmp_path)
    assert f"lowrun: warning: 2 lines were not understood (lines 5, {len(lines) + 2})\n" in done.stderr
    assert (tmp_path / "strace.csv").read_bytes() == CSV.read_bytes()
    log.write_text("\n".join(["one", *lines, ""]))
    assert "warning: 1 line was not understood (line 1)\n" in strace2csv(log, where=tmp_path).stderr
    log.write_text("\n".join([*lines, *["x"] * 21, ""]))
    numbers = ", ".join(str(len(lines) + 1 + number) for number in range(20))
    assert f"21 lines were not understood (lines {numbers}, ...)\n" in strace2csv(log, where=tmp_path).stderr


def test_an_empty_log_is_a_table_without_rows(tmp_path: Path) -> None:
    """Nothing is wrong with it."""
    (tmp_path / "log").write_bytes(b"")
    assert strace2csv("log", where=tmp_path).returncode == 0
    assert (tmp_path / "strace.csv").read_bytes() == csv_header()


def test_a_file_that_was_there_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    """Also behind a symbolic link; a log that is damaged changes nothing."""
    (tmp_path / "table.csv").write_text("old")
    os.symlink("table.csv", tmp_path / "link.csv")
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress(LOG.read_bytes())[:-200])
    done = strace2csv(damaged, "--out", "link.csv", where=tmp_path)
    assert done.returncode == 125
    assert "damaged.gz: is damaged: " in done.stderr and done.stderr.count("\n") == 2
    assert (tmp_path / "table.csv").read_text() == "old"
    assert strace2csv(LOG, "--out", "link.csv", where=tmp_path).returncode == 0
    assert (tmp_path / "table.csv").read_bytes() == CSV.read_bytes() and (tmp_path / "link.csv").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["damaged.gz", "link.csv", "table.csv"]


def test_what_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """Neither a part of the table nor another file."""
    command = [LOWRUN, "strace2csv", "-", "--out", "table.csv"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stderr is not None
        assert process.stderr.readline().startswith(b"lowrun: Parsing")
        process.stdin.write(LOG.read_bytes() * 100)
        process.stdin.flush()
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["none"], "none: No such file or directory"),
        (["."], ".: is a directory"),
        ([], "no LOG given; see lowrun strace2csv --help"),
        (["a", "b"], "one LOG is needed, not 2; see lowrun strace2csv --help"),
        ([str(LOG), "--out", "no/where"], "--out no/where: No such file or directory"),
        (["log", "--out", "./log"], "--out ./log: is the LOG itself"),
    ],
)
def test_what_cannot_be_read_or_written_is_said_before(words: list[str], why: str, tmp_path: Path) -> None:
    """One line, exit 2."""
    (tmp_path / "log").write_text("7 12:00:00 x\n")
    done = strace2csv(*words, where=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"lowrun: {why}\n")
    assert os.listdir(tmp_path) == ["log"] and (tmp_path / "log").read_text() == "7 12:00:00 x\n"


def test_standard_input_is_not_replaced_either(tmp_path: Path) -> None:
    """Nor by another name of it."""
    (tmp_path / "log").write_bytes(LOG.read_bytes())
    os.link(tmp_path / "log", tmp_path / "other")
    with (tmp_path / "log").open("rb") as log:
        done = subprocess.run([LOWRUN, "strace2csv", "-", "--out", tmp_path / "other"], stdin=log, capture_output=True)
    assert (done.returncode, done.stderr.count(b"is the LOG itself")) == (2, 1)
    assert (tmp_path / "other").read_bytes() == LOG.read_bytes()


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """A device is written as it is."""
    done = strace2csv(LOG, "--out", "/dev/full", "--verbose", "0", where=tmp_path)
    assert (done.returncode, done.stderr) == (125, "lowrun: --out /dev/full: No space left on device\n")


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    """As `| head` does."""
    (tmp_path / "log").write_bytes(LOG.read_bytes() * 200)
    line = f"{LOWRUN} strace2csv log --out - | head -n 1"
    done = subprocess.run(["bash", "-c", f"{line}; echo ${{PIPESTATUS[0]}}"], cwd=tmp_path, capture_output=True)
    assert done.stdout == csv_header() + b"0\n"
    assert done.stderr == b"lowrun: Parsing strace log: log\n"


# -- what a log may be


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_a_log_may_be_compressed(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Its first bytes tell; from a pipe as from a file, also in many small pieces."""
    path = tmp_path / "log"
    path.write_bytes(compress(LOG.read_bytes()))
    with open_log(path) as log:
        assert b"".join(log) == LOG.read_bytes()
        assert log.position == log.size == path.stat().st_size
    os.mkfifo(tmp_path / "pipe")
    data = path.read_bytes()

    def write() -> None:
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            for at in range(0, len(data), 777):
                pipe.write(data[at : at + 777])

    writer = threading.Thread(target=write)
    writer.start()
    with open_log(tmp_path / "pipe") as log:
        assert b"".join(log) == LOG.read_bytes()
        assert log.size is None
    writer.join()


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress])
def test_a_damaged_log_is_refused_when_that_is_seen(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Cut short, or with other bytes in the middle."""
    whole = compress(LOG.read_bytes() * 20)
    middle = len(whole) // 2
    for data in (whole[:middle], whole[:middle] + b"other bytes" + whole[middle + 11 :]):
        (tmp_path / "log").write_bytes(data)
        with open_log(tmp_path / "log") as log, pytest.raises(ProtocolError, match="log: is damaged: "):
            list(log)


def test_records_are_read_as_their_text(tmp_path: Path) -> None:
    """What --keep-binary keeps has the events of the text beside it, compressed or not; cut short, its beginning."""
    text = tmp_path / "calls.strace"
    subprocess.run([LOWRUN, "trace", "-o", text, "--keep-binary", "sh", "-c", "true & wait; ls /"], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    records = Path(f"{text}.records")
    with read_log(text) as log:
        expected = list(log)
    for data in (records.read_bytes(), gzip.compress(records.read_bytes())):
        (tmp_path / "copy").write_bytes(data)
        with read_log(tmp_path / "copy") as log:
            assert list(log) == expected
            assert log.unknown == 0 and log.lines == expected[-1].line
    (tmp_path / "copy").write_bytes(records.read_bytes()[:-5000])
    with read_log(tmp_path / "copy") as log:
        some = list(log)
    assert 20 < len(some) < len(expected)
    whole = [event for event in some if event.kind != "unfinished"]
    assert whole == expected[: len(whole)]
    (tmp_path / "copy").write_bytes(records.read_bytes()[:20])
    with open_log(tmp_path / "copy") as text_of, pytest.raises(ProtocolError, match="copy: this is no file of lowrun"):
        list(text_of)


def test_a_log_that_is_not_there_is_told_when_it_is_opened(tmp_path: Path) -> None:
    """Not when it is read."""
    with pytest.raises(UsageError, match="No such file"):
        open_log(tmp_path / "none")


# -- what strace and lowrun write

SCRIPT = "ls /; /bin/true; test -e /; exec /bin/true"
#: Prints nothing: strace would write between.
SILENT = "/bin/true; (/bin/true; exit 3) & /bin/true & wait; trap : USR1; kill -USR1 $$; exec /bin/true"


OPTIONS = [
    FULL, ["-f", "-tt"], ["-f", "-t", "-T"], ["-f", "-ttt", "-y"], ["-f", "-r"], ["-f", "-r", "-t"], ["-f"], [],
    ["-tt", "-T"], ["-r"], ["-ttt", "-T"], ["-f", "-tt", "-x"], ["-f", "-tt", "-xx", "-y"], ["-f", "-v", "-y"],
    ["-f", "-tt", "--decode-pids=comm"], ["-f", "-tt", "-T", "-yy", "--decode-pids=pidns"], ["-f", "-n", "-i"],
    ["-f", "--absolute-timestamps=precision:ns", "--syscall-times=ns"], ["-f", "-tt", "-X", "raw"],
    ["-f", "-tt", "-X", "verbose"], ["-f", "-tt", "-e", "raw=all"], ["-f", "-q"], ["-f", "-tt", "-qqq"],
    ["-f", "-tt", "-e", "inject=close:delay_exit=10"], ["-f", "-tt", "-e", "inject=unlink:error=ENOSPC"],
    ["-f", "-tt", "-z"], ["-f", "-tt", "-Z"], ["-f", "-tt", "-a", "1"],
]  # fmt: skip
#: Lines of the stack would be torn on standard error by those of new processes.
WAYS = [*((options, to) for options in OPTIONS for to in ("file", "terminal")), (["-f", "-tt", "-k"], "file")]


@pytest.mark.parametrize(
    ("options", "to"), WAYS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_every_line_of_strace_is_understood(options: list[str], to: str, tmp_path: Path) -> None:
    """Whatever its options, in a file or on standard error; the calls and the exit codes are there."""
    log = tmp_path / "log"
    command = ["strace", *options, *(["-o", str(log)] if to == "file" else []), "sh", "-c", SILENT]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if to == "terminal":
        log.write_bytes(done.stderr)
    lines = log.read_bytes().decode(errors="replace").splitlines()
    with read_log(log) as reader:
        found = list(reader)
    assert [lines[number - 1] for number in reader.unknown_lines] == []
    names = [event.name for event in found if event.kind == "call"]
    if "raw=all" not in options and "-Z" not in options:
        assert names.count("execve") >= (2 if "-f" not in options else 5)
    assert len(names) >= 10
    if "-f" in options and "-qqq" not in options:
        assert sorted(event.value for event in found if event.kind == "exit" and event.value is not None) == [
            0,
            0,
            0,
            0,
            3,
        ]
    timed = any(option.startswith(("-t", "-r", "--abs")) for option in options)
    assert all((event.start_ns is not None) == timed for event in found if event.kind == "call")


#: Programs that do the same each time.
SAME = {
    "true": ["/bin/true"],
    "sh": ["/bin/sh", "-c", SCRIPT],
    "ls": ["/bin/ls", "-l", "/etc/"],
    "odd_values": ["odd_values"],
    "messages": ["messages"],
    "corners": ["corners", "vfork"],
    "python": [sys.executable, "-I", "-S", "-c", "import os; os.listdir('/'); open('/etc/hosts').read()"],
}


def table_of(log: Path, form: str) -> list[list[str]]:
    """Return the rows of a log but their times, with pids in the order of their appearance, by pid."""
    using = scanner(form)
    made = (using.feed(log.read_bytes()) + using.finish()).decode()
    assert using.unknown == 0
    table = [row[1:8] for row in csv.reader(io.StringIO(made))]
    pids = list(dict.fromkeys(row[0] for row in table))
    names = {pid: f"P{index}" for index, pid in enumerate(pids)}
    pattern = re.compile(r"\b(" + "|".join(pids) + r")\b|(?<=:\[)\d+")  # the latter: sockets and pipes
    table = [[pattern.sub(lambda match: names.get(match[0], "N"), field) for field in row] for row in table]
    table = [row for row in table if row[2] != "getppid"]  # which is strace, or lowrun
    return sorted(table, key=lambda row: row[0])


@pytest.mark.skipif(shutil.which("setarch") is None, reason="setarch is not installed")
@pytest.mark.parametrize("name", SAME)
def test_lowruns_trace_has_the_csv_of_straces(name: str, tmp_path: Path) -> None:
    """Times and pids aside, in both forms: addresses too, since they are not random here."""
    words: Sequence[str] = SAME[name]
    command = [words[0] if words[0].startswith("/") else mock(words[0]), *words[1:]]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONHASHSEED": "0"}
    for recorder, log in (["strace", *FULL], "strace.log"), ([LOWRUN, "trace"], "lowrun.log"):
        whole = ["setarch", "-R", *recorder, "-o", str(tmp_path / log), *command]
        quiet = subprocess.DEVNULL
        subprocess.run(whole, env=environment, cwd="/", stdin=quiet, stdout=quiet, stderr=quiet)
    for form in ("stracepy", "fixed"):
        ours, theirs = (table_of(tmp_path / log, form) for log in ("lowrun.log", "strace.log"))
        assert len(theirs) > 15
        assert ours == theirs


def test_a_repetitions_trace_is_read(tmp_path: Path) -> None:
    """calls.strace, of a run that was kept."""
    subprocess.run([LOWRUN, "-q", "-ct", "--keep", "all", "-o", tmp_path / "out", "sh", "-c", SILENT], check=False)
    with read_log(tmp_path / "out" / "run-0001" / "calls.strace") as log:
        found = list(log)
    assert log.unknown == 0
    assert found[0].name == "execve" and found[-1].kind == "exit"
    assert {event.executable for event in found} == {found[0].path, "/bin/true"}


def test_the_program_of_a_second_thread_that_executes(tmp_path: Path) -> None:
    """The process's number stays, its program is the new one; strace and lowrun are read alike."""
    code = (
        "import os, threading, time\n"
        "threading.Thread(target=lambda: os.execv('/bin/true', ['true'])).start()\n"
        "time.sleep(60)\n"
    )
    for recorder in (["strace", *FULL], [LOWRUN, "trace"]):
        log = tmp_path / "log"
        subprocess.run([*recorder, "-o", log, "python3", "-I", "-S", "-c", code], check=True)
        with read_log(log) as reader:
            found = list(reader)
        assert reader.unknown == 0
        (superseded,) = (event for event in found if event.kind == "superseded")
        leader = found[0].tid
        assert superseded.tid == leader and superseded.value not in (None, leader)
        (execve,) = (event for event in found if event.name == "execve" and event.path == "/bin/true")
        assert (execve.tid, execve.pid, execve.value, execve.executable) == (leader, leader, 0, "/bin/true")
        assert {event.executable for event in found if event.line > execve.line} == {"/bin/true"}
        threads = [event for event in found if event.tid == superseded.value]
        assert threads and {event.pid for event in threads} == {leader}


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A log of 200 MB is read in less than 40 MB, whatever the form."""
    line = LOG.read_bytes()
    with (tmp_path / "log").open("wb") as log:
        for _ in range(200_000_000 // len(line) // 50 + 1):
            log.write(line * 50)
    for form in ([], ["--fixed"]):
        command = [LOWRUN, "strace2csv", "--verbose", "0", "log", "--out", "/dev/null", *form]
        done = subprocess.run([LOWRUN, "--json", "-", *command], cwd=tmp_path, capture_output=True, check=True)
        assert json.loads(done.stdout)["runs"][0]["max_rss_kib"] < 40 << 10


def test_events_of_a_log_while_it_is_written() -> None:
    """A row is there as soon as its line is whole."""
    using = scanner("events")
    chunks = iter([b"7 12:00:00 getp", b"id() = 7\n7 12:00:01 get", b"uid() = 0\n"])
    found = events(chunks, using)
    assert next(found).name == "getpid" and using.lines == 1
    assert next(found).name == "getuid" and next(found, None) is None
