"""The program as typed by hand: exit codes, what is said and where, files, signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

LOWRUN = [sys.executable, "-m", "lowrun.cli.main"]
#: Exits 0, 3, 3, 0, 3 in turn; the file `turn` counts.
IN_TURN = 'n=$(cat turn); echo $((n + 1)) >turn; echo "out $n"; case $n in 0 | 3) exit 0 ;; *) exit 3 ;; esac'

Lowrun = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lowrun(tmp_path: Path) -> Lowrun:
    (tmp_path / "turn").write_text("0\n")

    def call(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*LOWRUN, *words], cwd=tmp_path, text=True, capture_output=True, timeout=30, check=False, **more
        )  # type: ignore[call-overload,no-any-return]

    return call


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["true"], 0, "1 run, 1 ok, 0 failed: code 0 (ok)"),
        (["sh", "-c", "exit 3"], 3, "0 ok, 1 failed: code 3 (failed)"),
        (["-e", "0,3", "sh", "-c", "exit 3"], 3, "1 ok, 0 failed: code 3 (ok)"),
        (["sh", "-c", "kill -9 $$"], 137, "code 137 (killed by SIGKILL)"),
        (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137, "code 137 (failed (128+SIGKILL))"),
        (["-t", "0.2", "sleep", "30"], 124, "code 124 (timed out)"),
        (["/nonexistent/program"], 127, "lowrun: /nonexistent/program: "),
        (["/"], 126, "lowrun: /: is a directory\n"),
        (["run", "-q", "true"], 0, "1 ok"),
        (["-c", "3", "sh -c 'exit 4'"], 4, "3 runs in "),
    ],
)
def test_exit_codes_and_their_words(lowrun: Lowrun, words: list[str], code: int, said: str) -> None:
    """lowrun exits with the code of its runs and names it on standard error."""
    done = lowrun(*words)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""


def test_the_most_frequent_code_speaks(lowrun: Lowrun, tmp_path: Path) -> None:
    """Codes 0,3,3,0,3 in turn give exit 3; COMMAND's output passes through; the table has ranges."""
    done = lowrun("-c", "5", "--json", "out.json", "sh", "-c", IN_TURN)
    assert done.returncode == 3
    assert done.stdout == "".join(f"out {i}\n" for i in range(5))
    assert "     3  failed       3  2-3 5\n" in done.stderr
    assert json.loads((tmp_path / "out.json").read_text())["codes"] == {"0": [1, 4], "3": [2, 3, 5]}


def test_failed_count_ends_it(lowrun: Lowrun) -> None:
    """-fc 2 stops after the second failure: three runs."""
    assert "lowrun: 3 of 5 runs in " in lowrun("-c", "5", "-fc", "2", "sh", "-c", IN_TURN).stderr


def test_artifacts_of_failing_runs_are_named(lowrun: Lowrun, tmp_path: Path) -> None:
    """-lt keeps the output of failing runs only, and the summary says where."""
    done = lowrun("-q", "-c", "5", "-lt", "-o", "kept", "sh", "-c", IN_TURN)
    assert done.stdout == ""
    assert f"  artifacts    {tmp_path / 'kept'}\n" in done.stderr
    assert sorted(path.parent.name for path in tmp_path.glob("kept/run-*/stdout.log")) == [
        "run-0002",
        "run-0003",
        "run-0005",
    ]
    assert (tmp_path / "kept/run-0003/stdout.log").read_bytes() == b"out 2\n"


def test_json_on_standard_output_is_alone(lowrun: Lowrun) -> None:
    """--json - implies -q: standard output is one JSON object."""
    assert json.loads(lowrun("--json", "-", "echo", "x").stdout)["runs"][0]["code"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "no/such/file"],
        ["--json", "."],
        ["-o", "full"],
        ["--input", "nonexistent"],
        ["--calls", "open"],
        ["--interval", "1"],
        ["-st", "--interval", "0"],
        ["-i", "lo"],
        ["--net", "rootless"],
        ["-nt", "-i", "nosuch"],
        ["-nt", "--net-filter", "tcp prt"],
    ],
)
def test_wrong_usage_runs_nothing(lowrun: Lowrun, tmp_path: Path, words: list[str]) -> None:
    """What cannot work is refused with exit 2 and one line before the first run."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = lowrun(*words, "touch", "ran")
    assert done.returncode == 2
    assert done.stderr.startswith("lowrun: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "ran").exists()


def test_json_replaces_a_file_whole(lowrun: Lowrun, tmp_path: Path) -> None:
    """The former FILE is there until the new one is, through a symbolic link too; nothing else is left."""
    (tmp_path / "real.json").write_text("former")
    (tmp_path / "link.json").symlink_to("real.json")
    assert lowrun("--json", "link.json", "cat", "real.json").stdout == "former"
    assert json.loads((tmp_path / "real.json").read_text())["exit_code"] == 0
    assert (tmp_path / "link.json").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link.json", "real.json", "turn"]


def test_a_full_disk_is_our_failure(lowrun: Lowrun) -> None:
    """JSON that cannot be written is exit 125 and one line, after the summary."""
    done = lowrun("--json", "/dev/full", "true")
    assert done.returncode == 125
    assert done.stderr.splitlines()[1:] == ["lowrun: --json /dev/full: No space left on device"]


@pytest.mark.parametrize("words", [["-c", "2", "true"], ["--json", "-", "true"], ["--version"], ["--help"]])
def test_readers_that_left_are_no_failure(lowrun: Lowrun, words: list[str]) -> None:
    """A pipe that nobody reads changes no exit code and shows no traceback."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([*LOWRUN, *words], stdout=write, stderr=subprocess.PIPE, check=False, timeout=30)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
        assert subprocess.run([*LOWRUN, *words], stderr=write, stdout=write, check=False).returncode == 0
    finally:
        os.close(write)


def test_bytes_survive(lowrun: Lowrun) -> None:
    """Arguments that are no UTF-8 reach COMMAND and the JSON as they are."""
    done = lowrun("--json", "out.json", "printf", "%s", os.fsdecode(b"\xff\xfe"), errors="surrogateescape")
    assert os.fsencode(done.stdout) == b"\xff\xfe"


@pytest.mark.parametrize(("word", "verb"), [("strat", "start"), ("stauts", "status"), ("reset-foo", None)])
def test_a_word_that_is_nearly_a_verb(lowrun: Lowrun, word: str, verb: str | None) -> None:
    """A COMMAND that does not exist and is like a verb: the verb is named; behind -- it is a COMMAND for sure."""
    hint = "" if verb is None else f"lowrun: hint: there is no command {word}; did you mean lowrun {verb}?\n"
    done = lowrun("-q", word, "sleep", "1")
    assert done.returncode == 127
    assert done.stderr.startswith(f"{hint}lowrun: {word}: command not found")
    assert "hint" not in lowrun("-q", "--", word, "sleep", "1").stderr


def test_one_word_is_split_with_a_hint(lowrun: Lowrun) -> None:
    """A COMMAND in one word is split; a pipe in it is pointed out, once, and not acted on."""
    done = lowrun("-c", "2", "echo a | cat")
    assert done.stdout == "a | cat\n" * 2
    assert done.stderr.count("lowrun: hint: ") == 1
    assert "sh -c 'echo a | cat'" in done.stderr


def test_closed_descriptors_stay_closed(tmp_path: Path) -> None:
    """With 0 to 2 closed no file of lowrun's takes their place: the JSON holds JSON alone, COMMAND has them closed."""
    script = (
        'exec "$@" --json out.json -e 7 sh -c "for fd in 0 1 2; do [ -e /proc/self/fd/\\$fd ] && exit 1; done; exit 7"'
    )
    words = ["sh", "-c", f"{script} <&- >&- 2>&-", "sh", *LOWRUN]
    assert subprocess.run(words, cwd=tmp_path, check=False, timeout=30).returncode == 7
    assert json.loads((tmp_path / "out.json").read_text())["exit_code"] == 7


def test_the_same_thing_is_said_once(lowrun: Lowrun) -> None:
    """A command that is not found is named once, whatever the number of runs."""
    done = lowrun("-c", "20", "nonexistent-program")
    assert done.returncode == 127
    assert done.stderr.count("lowrun: nonexistent-program: command not found\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_is_summed_up(tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends the run under way; the summary and the JSON are there; with no completed run it is 128+signal."""
    words = ["--json", "out.json", "-c", "3", "sh", "-c", "echo ready; exec sleep 100"]
    with subprocess.Popen([*LOWRUN, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert f"interrupted by {number.name} in run 1\n".encode() in err
    value = json.loads((tmp_path / "out.json").read_text())
    assert (value["interrupted"], value["codes"], value["exit_code"]) == (True, {}, 128 + number)


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """A signal that lowrun inherited as ignored ends nothing, and COMMAND inherits it as ignored."""
    script = 'trap "" HUP; exec "$@" sh -c \'kill -HUP $PPID $$; grep SigIgn /proc/$$/status\''
    done = subprocess.run(
        ["sh", "-c", script, "sh", *LOWRUN], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=30
    )
    assert done.returncode == 0
    assert int(done.stdout.split()[1], 16) & 1


def test_command_inherits_the_mask(tmp_path: Path) -> None:
    """lowrun blocks signals to read them from a descriptor; COMMAND has the mask that lowrun was given."""
    done = subprocess.run(
        [*LOWRUN, "grep", "SigBlk", "/proc/self/status"], capture_output=True, text=True, check=False, timeout=30
    )
    own = Path("/proc/self/status").read_text().split("SigBlk:\t")[1].split()[0]
    assert done.stdout.split()[1] == own


def on_terminal(words: list[str], cwd: Path, typed: bytes = b"") -> tuple[bytes, int]:
    """Run lowrun at a terminal of its own, type when it is `ready`; return what it shows and its exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.environ.pop("NO_COLOR", None)
        os.environ["TERM"] = "xterm"
        os.execv(LOWRUN[0], [*LOWRUN, *words])
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
            if typed and b"ready" in shown:
                os.write(terminal, typed)
                typed = b""
    except OSError:  # EIO: the other end is closed
        pass
    os.close(terminal)
    return shown, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_progress_shows_at_a_terminal(tmp_path: Path) -> None:
    """From the second run on a terminal shows how far it is; the line is gone before the summary."""
    shown, _ = on_terminal(["-q", "-c", "3", "sleep", "0.15"], tmp_path)
    assert b"\r\x1b[Klowrun: 1 of 3 runs, 1 ok, 0 failed" in shown
    assert b"\r\x1b[K\x1b[1mlowrun:\x1b[0m 3 runs" in shown
    assert b" of 1 runs" not in on_terminal(["true"], tmp_path)[0]


def test_headings_stand_above_output_at_a_terminal(tmp_path: Path) -> None:
    """Where COMMAND writes to the terminal, too, progress is a line of its own: nothing is torn or erased."""
    shown, _ = on_terminal(["-c", "2", "echo", "hello"], tmp_path)
    lines = shown.decode().splitlines()
    assert lines[0] == lines[2] == "hello"
    assert lines[1].startswith("lowrun: 1 of 2 runs, ")


def test_typed_interrupt_reaches_command_first(tmp_path: Path) -> None:
    """^C at the terminal is COMMAND's: it may clean up; then the summary comes."""
    command = "trap 'echo cleaned up; exit 7' INT; echo ready; while :; do sleep 0.1; done"
    shown, code = on_terminal(["-c", "3", "sh", "-c", command], tmp_path, b"\x03")
    assert b"cleaned up\r\n" in shown
    assert b"interrupted by SIGINT in run 1" in shown
    assert code == 130


def test_debug_logs_steps(lowrun: Lowrun) -> None:
    """-d says each step with a time."""
    lines = lowrun("-d", "true").stderr.splitlines()
    assert len(lines) > 2
    assert float(lines[0].split()[0]) > 0
    assert lines[0].split()[1].startswith("lowrun.")


def test_starting_imports_little() -> None:
    """Nothing that is only sometimes used is imported for a plain run."""
    code = "import sys; from lowrun.cli.main import main; main(['true']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    for name in ("argparse", "json", "shlex", "difflib", "rich", "asyncio", "ptrace", "subprocess", "lowrun.cli.help"):
        assert name not in done.stdout.split()


def test_many_runs_at_a_time_need_more_descriptors_than_one() -> None:
    """-j 60 -lt with 256 descriptors: lowrun takes what it may have, and COMMAND has the limit it would have had."""
    words = (
        f"ulimit -S -n 256; exec {' '.join(LOWRUN)} -q -j 60 -c 60 -lt sh -c 'test $(ulimit -S -n) = 256 && sleep 0.3'"
    )
    assert subprocess.run(["bash", "-c", words], capture_output=True).returncode == 0
