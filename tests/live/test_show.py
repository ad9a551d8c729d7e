"""`lowrun show` on what lowrun itself has kept of real programs, and on what is missing or broken."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.programs import LOWRUN
from tests.readings import keep_run, keep_summary
from tests.supervised import state

PYTHON = ("python3", "-S", "-E")


def lowrun(*words: str, code: int | None = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([LOWRUN, *words], capture_output=True, text=True, timeout=60, cwd=cwd)
    assert code is None or done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "defect" not in done.stderr
    return done


def kept(tmp_path: Path, *words: str) -> Path:
    """Run a command and keep what it did; return where."""
    directory = tmp_path / "out"
    lowrun("-q", "-o", str(directory), *words, code=None)
    return directory


def shown(directory: Path, *words: str) -> dict[str, Any]:
    """What `show --json` says."""
    found: dict[str, Any] = json.loads(lowrun("show", "--json", str(directory), *words).stdout)
    return found


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    """The whole screen of a shell whose command fails: why, calls, output, peaks; it fits 80 columns and 40 lines."""
    script = "echo begun; sleep 0.1; cat /nonexistent/input; exit $?"
    directory = kept(tmp_path, "-c", "2", "-ct", "-lt", "-st", "--interval", "0.01", "sh", "-c", script)
    text = lowrun("show", str(directory)).stdout
    lines = text.splitlines()
    assert lines[0] == "run 1 of 2 failed: exit 1"
    assert re.search(r"why      cat \(\d+\) ended with exit 1\n           sh \(\d+\) passed it on\n", text)
    assert re.search(r'-\d+(\.\d+)? [mµ]s  openat\(AT_FDCWD, "/nonexistent/input", O_RDONLY\) = -1 ENOENT', text)
    assert "ld.so.preload" not in text
    assert "stderr, 1 line\n  cat: /nonexistent/input: No such file or directory\nstdout, 1 line\n  begun\n" in text
    assert "peaks    memory" in text and "command  sh -c 'echo begun" in text and "3 processes" in text
    assert len(lines) <= 40 and max(map(len, lines)) <= 80 and "\x1b" not in text


def test_a_timeout_names_the_call(tmp_path: Path) -> None:
    """The process that a shell waited for, the call that it hung in, for how long."""
    directory = kept(tmp_path, "-t", "0.4", "-ct", "sh", "-c", "sleep 60; true")
    found = shown(directory)
    assert found["state"] == "timed out" and found["ending"] == "timed out (exit 124)"
    assert [link["program"] for link in found["processes_to_blame"]] == ["sh", "sleep"]
    assert found["hang"]["call"]["name"] == "clock_nanosleep" and 0.1 < found["hang"]["seconds"] < 0.5
    assert "was in clock_nanosleep(" in found["why"][0] and "waited for it" in found["why"][1]


def test_a_reader_that_hangs(tmp_path: Path) -> None:
    """A read of a pipe that nobody writes to, killed by SIGKILL since SIGTERM is ignored."""
    script = "trap '' TERM; read x < fifo; true"
    os.mkfifo(tmp_path / "fifo")
    done = subprocess.run(
        [LOWRUN, "-q", "-o", "out", "-t", "0.3", "--kill-after", "0.2", "-ct", "sh", "-c", script], cwd=tmp_path,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 124
    found = shown(tmp_path / "out")
    assert found["hang"]["call"]["name"] in ("open", "openat") and found["hang"]["in_call"]
    assert "fifo" in found["why"][0]


def test_a_busy_loop(tmp_path: Path) -> None:
    """No call is under way: it is said to compute."""
    directory = kept(tmp_path, "-t", "0.6", "-ct", "sh", "-c", "while :; do :; done")
    [why] = shown(directory)["why"]
    assert re.match(r"sh \(\d+\) was computing, without a call for \d+\.\d ms, when it got SIGTERM", why)


def test_a_segmentation_fault(tmp_path: Path) -> None:
    """The signal by name, and the address."""
    program = "import ctypes; ctypes.string_at(16)"
    directory = kept(tmp_path, "-ct", sys.executable, "-S", "-c", program)
    found = shown(directory)
    assert found["ending"] == "killed by SIGSEGV" and "at address 0x10" in found["why"][0]
    assert found["last_calls"]


def test_a_refused_connection(tmp_path: Path) -> None:
    """Hosts are named with what became of the connection."""
    program = "import socket; socket.create_connection(('127.0.0.1', 1))"
    directory = kept(tmp_path, "-ct", sys.executable, "-c", program)
    found = shown(directory)
    assert [(host["address"], host["port"], host["errors"]) for host in found["hosts"]] == [
        ("127.0.0.1", 1, {"ECONNREFUSED": 1})
    ]
    assert "ECONNREFUSED" in lowrun("show", str(directory)).stdout


def test_packets_alone(tmp_path: Path) -> None:
    """Without calls the hosts are those of the capture."""
    program = "import socket; socket.create_connection(('127.0.0.1', 1))"
    directory = kept(tmp_path, "-nt", "-i", "lo", sys.executable, "-c", program)
    found = shown(directory)
    assert found["hosts_from"] == "packets"
    assert {"reset": 1} in [host["errors"] for host in found["hosts"] if host["port"] == 1]


def test_what_differs_from_passing_runs(tmp_path: Path) -> None:
    """With passing runs kept, the first lines of the difference; the page has them, too."""
    (tmp_path / "count").write_text("0\n")
    script = "read n <count; n=$((n + 1)); echo $n >count; [ $n != 2 ] || : <missing"
    lowrun("-q", "-o", "out", "-c", "3", "-ct", "--keep", "all", "sh", "-c", script, code=None, cwd=tmp_path)
    text = lowrun("show", "--html", "page.html", "out", cwd=tmp_path).stdout
    assert text == ""
    text = lowrun("show", "out", cwd=tmp_path).stdout
    assert "run 2 of 3 failed: exit 2" in text and "what differs from 2 passing runs" in text
    first = " ".join(text.partition("passing runs\n")[2].split("  2. ")[0].split())
    assert first.startswith("1. in 1 of 1 failing, 0 of 2 passing: open") and '"missing"' in first
    page = (tmp_path / "page.html").read_text()
    assert "What differs from 2 passing runs" in page and "missing" in page


def test_a_passing_run_is_not_kept(tmp_path: Path) -> None:
    """The hint says how to keep one."""
    script = "echo >>count; [ $(wc -l <count) != 2 ]"
    lowrun("-q", "-o", "out", "-c", "3", "-ct", "sh", "-c", script, code=None, cwd=tmp_path)
    assert "--keep failed+1" in lowrun("show", "out", cwd=tmp_path).stdout
    done = lowrun("show", "out", "3", code=2, cwd=tmp_path)
    assert done.stderr == "lowrun: run 3: was not kept; kept: 2 (lowrun --keep all keeps every run)\n"
    done = lowrun("show", "out", "9", code=2, cwd=tmp_path)
    assert done.stderr == "lowrun: run 9: there were 3 runs; kept: 2\n"


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    """It was never executed."""
    directory = kept(tmp_path, "-lt", "nosuchcommand")
    assert lowrun("show", str(directory)).stdout.startswith("run 1 failed: exit 127: the command was not found\n")


def test_a_run_that_passed(tmp_path: Path) -> None:
    """It is shown, and that it has not failed is said."""
    directory = kept(tmp_path, "--keep", "all", "-lt", "-ct", "true")
    done = lowrun("show", str(directory))
    assert done.stdout.startswith("run 1 ok: exit 0\n")
    assert done.stderr == "lowrun: no run that was kept has failed; this is the last, run 1\n"


def test_one_runs_directory(tmp_path: Path) -> None:
    """DIR/run-0002 is that run, of so many; a RUN beside it is too much."""
    directory = kept(tmp_path, "-c", "2", "-lt", "sh", "-c", "echo x; exit 3")
    assert lowrun("show", str(directory / "run-0002")).stdout.startswith("run 2 of 2 failed: exit 3\n")
    assert lowrun("show", "run-0002", cwd=directory).stdout.startswith("run 2 of 2 failed: exit 3\n")
    assert "is one run's directory" in lowrun("show", str(directory / "run-0002"), "1", code=2).stderr


def test_a_supervised_programs_failures(tmp_path: Path) -> None:
    """By its name, its state's directory or that of its failures: the last one; lowrun's reason is told."""
    with state(tmp_path / "state") as verbs:
        verbs(
            "start", "--name", "bad", "-lt", "--respawn", "-n", "1", "-t", "0", "sh", "-c", "echo no; exit 3", code=None
        )
        verbs("wait", "--until", "stopped", "bad", code=None)
        by_name = verbs("show", "bad").stdout
        assert re.match(r"run \d+ failed: exit 3\n", by_name) and "  no\n" in by_name
        where = tmp_path / "state" / "bad"
        assert verbs("show", str(where)).stdout.splitlines()[0] == by_name.splitlines()[0]
        assert verbs("show", str(where / "failures")).stdout.splitlines()[0] == by_name.splitlines()[0]
        assert "no program of that name" in verbs("show", "other", code=2).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "DIR is needed"),
        (("nowhere",), "nowhere: there is no such directory, and no program of that name was started"),
        (("no/where",), "no/where: no such directory"),
        ((".",), ".: holds no runs that lowrun kept"),
        ((".", "x"), "RUN 'x': the number of a run is needed"),
        ((".", "1", "2"), "2: one RUN is shown at a time"),
        (("-n", "0", "."), "-n '0'"),
        (("-n", "3", "--all", "."), "--all and -n exclude each other"),
        (("--htm", "x", "."), "did you mean --html?"),
    ],
)
def test_bad_words(words: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """One line, exit 2."""
    done = lowrun("show", *words, code=2, cwd=tmp_path)
    assert says in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"index": "x"}',
        '{"artifacts": [1]}',
        '{"command": [3]}',
        '{"faults": [{}]}',
        '{"codes": {"x": 1}}',
        '{"codes": {"\u00b2": [1]}}',
        '{"codes": {"--3": [1]}}',
        '{"wall_s": NaN}',
        '{"wall_s": -Infinity}',
        '{"wall_s": 1e999}',
        f'{{"max_rss_kib": 1{"0" * 400}}}',
        "[" * 200_000,
    ],
)
def test_a_broken_run_json(text: str, tmp_path: Path) -> None:
    """The file is named, exit 125."""
    (keep_run(tmp_path, 1) / "run.json").write_text(text)
    done = lowrun("show", str(tmp_path), code=125)
    assert "run.json: is no JSON of lowrun's" in done.stderr and done.stderr.count("\n") == 1


def test_artifacts_that_are_gone_or_broken(tmp_path: Path) -> None:
    """What is left is shown: the log is garbage, a table and a capture are cut off, a file is missing."""
    files = {"calls": b"\xff\0garbage\n" * 9,
             "stdout": b"", "stderr": b"\xff\x1b]0;x\x07\n", "packets": b"\n\r\r\n\x1c",
             "memory": b"time_s", "samples": b"<svg"}  # fmt: skip
    place = keep_run(tmp_path, 1, files)
    (place / "stdout.log").unlink()
    text = lowrun("show", str(tmp_path)).stdout
    assert "note     calls: 9 lines of the log were not understood" in text
    assert "stderr, 1 line\n  \\xff^[]0;x^G\n" in text
    lowrun("show", "--html", str(tmp_path / "page.html"), str(tmp_path))


def test_nothing_but_run_json(tmp_path: Path) -> None:
    """How it ended is told, and what to do to know more."""
    keep_run(tmp_path, 3, code=9)
    text = lowrun("show", str(tmp_path)).stdout
    assert (
        text.startswith("run 3 failed: exit 9\n") and "hint     lowrun -ct" in text and "nothing but run.json" in text
    )


def test_an_output_larger_than_memory(tmp_path: Path) -> None:
    """Only its end is read."""
    place = keep_run(tmp_path, 1, {"stdout": b""})
    os.truncate(place / "stdout.log", 1 << 42)
    with (place / "stdout.log").open("ab") as file:
        file.write(b"\nlast words\n")
    assert "last words" in lowrun("show", str(tmp_path)).stdout


def test_a_summary_without_runs(tmp_path: Path) -> None:
    """All passed and nothing was kept."""
    keep_summary(tmp_path, {0: [1, 2]})
    assert "of no run anything was kept" in lowrun("show", str(tmp_path), code=2).stderr


def test_lines(tmp_path: Path) -> None:
    """-n gives so many of each kind, --all all and no line cut."""
    output = b"".join(b"line %d %s\n" % (i, b"x" * 200) for i in range(3000))
    keep_run(tmp_path, 1, {"stdout": output})
    assert lowrun("show", "-n", "50", str(tmp_path)).stdout.count("  line ") == 50
    every = lowrun("show", "--all", str(tmp_path)).stdout
    assert every.count("  line ") == 3000 and "x" * 200 in every
    assert lowrun("show", str(tmp_path)).stdout.count("  line ") <= 10


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    """A page replaces the former one; where there is no room one line says so and the former one stays."""
    keep_run(tmp_path / "d", 1)
    page = tmp_path / "page.html"
    page.write_text("former")
    lowrun("show", "--html", str(page), str(tmp_path / "d"))
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "No such file" in lowrun("show", "--html", str(tmp_path / "no" / "x"), str(tmp_path / "d"), code=2).stderr
    done = lowrun("show", "--html", "/dev/full", str(tmp_path / "d"), code=125)
    assert done.stderr == "lowrun: --html /dev/full: No space left on device\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "page.html"]
    assert lowrun("show", "--html", "-", str(tmp_path / "d")).stdout.startswith("<!DOCTYPE html>")


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """`lowrun show | head` ends quietly."""
    keep_run(tmp_path, 1, {"stdout": b"x\n" * 100_000})
    command = f"{LOWRUN} show --all {tmp_path} | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("run 1 failed: exit 1\n", "")


def on_terminal(words: list[str], columns: int, **variables: str) -> str:
    """What a terminal of so many columns gets."""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
        os.execve(words[0], words, {**env, "TERM": "xterm", **variables})
    text = b""
    with os.fdopen(fd, "rb", buffering=0) as terminal:
        while True:
            try:
                data = terminal.read(65536)
            except OSError:
                break
            if not data:
                break
            text += data
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return text.decode().replace("\r\n", "\n")


def test_a_terminal(tmp_path: Path) -> None:
    """Colours, its own width and height; NO_COLOR; what a run wrote never reaches it raw."""
    keep_run(tmp_path, 1, {"stdout": b"\x1b[2J\x9b31m" + "漢".encode() * 100 + b"\n" + b"y\n" * 100})
    words = [LOWRUN, "show", str(tmp_path)]
    text = on_terminal(words, 60)
    assert text.startswith("\x1b[31mrun 1 failed: exit 1\x1b[0m\n")
    plain = on_terminal(words, 60, NO_COLOR="1")
    assert "\x1b" not in plain and len(plain.splitlines()) <= 30
    wide = on_terminal([*words[:2], "-n", "101", words[2]], 60, NO_COLOR="1")
    line = next(line for line in wide.splitlines() if "漢" in line)
    assert line.startswith("  ^[[2J\\x9b31m漢") and sum(2 if ord(char) > 255 else 1 for char in line) <= 60


def test_help_and_the_page() -> None:
    """--help names every option; so does the manual."""
    from lowrun.cli.show_options import SHOW_OPTIONS

    text = lowrun("show", "--help").stderr
    manual = (Path(__file__).parents[2] / "docs" / "lowrun-show.1.md").read_text()
    for option in SHOW_OPTIONS:
        assert all(name in text and f"**{name}**" in manual for name in option.names)
