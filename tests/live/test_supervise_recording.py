"""Recorders of a supervised program's lives: what is kept of those that fail, and that all stays bounded."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs import LOWRUN, mock
from tests.supervised import PATIENCE, Verbs, in_order, state

ALL = ("-ct", "-st", "-lt", "-nt", "-i", "lo")
MIB = 1 << 20
NO_PACKETS = ["setpriv", "--bounding-set=-net_raw"]
#: Two threads that write to files which were opened long before.
WRITERS = """
import os, sys, threading
fds = [os.open(f"{sys.argv[1]}/old{i}", os.O_CREAT | os.O_RDWR) for i in range(2)]
os.write(3, b"1\\n")
os.close(3)

def work(fd):
    for i in range(20000):
        os.pwrite(fd, b"x" * 200, 0)

threads = [threading.Thread(target=work, args=(fd,)) for fd in fds]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
os._exit(1)
"""


def failures(verbs: Verbs, name: str) -> list[Path]:
    """The directories of what was kept, the oldest first."""
    return sorted((verbs.directory / name / "failures").glob("run-*"))


def await_failures(verbs: Verbs, name: str, count: int) -> list[Path]:
    """Wait until so many have been said to be kept."""
    verbs.await_line(name, r"kept .*/failures/run-\d+", count)
    return failures(verbs, name)


def facts(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return found


def held_by(pid: int) -> int:
    """Bytes of the files without a name that a process holds open."""
    total = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target, status = os.readlink(link), os.stat(link)
        except FileNotFoundError:
            continue
        if target.endswith(" (deleted)") and "/failures/" in target:
            total += status.st_blocks * 512
    return total


def test_what_a_failed_life_leaves(verbs: Verbs) -> None:
    """All recorders' files, its output byte for byte, its calls from execve to exit; of each failed life its own."""
    script = "echo out $$; echo err >&2; : </dev/tcp/127.0.0.1/9; cat /etc/hostname; exit 3"
    said = verbs("start", "--name", "x", "--respawn", "-n", "1", "-t", "0", *ALL, "bash", "-c", script, code=None)
    verbs("wait", "x", "--until", "stopped", code=None)
    first, second = await_failures(verbs, "x", 2)
    assert "exit 3" in said.stderr
    for number, directory in enumerate((first, second), 1):
        run = facts(directory)
        assert (run["index"], run["code"], run["ok"], run["faults"]) == (number, 3, False, [])
        assert run["processes"] == 2
        for path in run["artifacts"].values():
            assert (directory.parent / path).is_file()
        assert (directory / "stdout.log").read_bytes().startswith(b"out %d\n" % run["pid"])
        assert (directory / "stderr.log").read_bytes().startswith(b"err\n")
        calls = (directory / "calls.strace").read_text().splitlines()
        assert re.match(rf"{run['pid']} .* execve\(", calls[0])
        assert calls[-1].endswith("+++ exited with 3 +++")
        assert any("ECONNREFUSED" in call for call in calls)
        assert (directory / "net.pcapng").stat().st_size > 200
        assert len(list(csv.DictReader((directory / "processes.csv").open()))) >= 2
    assert (verbs.directory / "x" / "output.log").read_text().count("out ") == 2
    assert len({facts(directory)["pid"] for directory in (first, second)}) == 2


def test_what_is_not_kept(verbs: Verbs) -> None:
    """Nothing of a life that ended well, was stopped, or was stopped with SIGKILL in the end."""
    verbs("start", "--name", "x", *ALL, "true")
    verbs("wait", "x", "--until", "stopped")
    verbs.begin("y", "echo >&3; exec sleep 100", *ALL)
    verbs("stop", "y")
    verbs.begin("z", "trap '' TERM; echo >&3; while :; do sleep 1; done", "-lt", "-ct")
    verbs("stop", "--stop-timeout", "0.1", "z")
    assert [failures(verbs, name) for name in "xyz"] == [[], [], []]
    assert not any("kept" in line for name in "xyz" for line in verbs.log(name))


def test_what_lowrun_ends_because_it_has_failed(verbs: Verbs) -> None:
    """A life that is not ready in time is ended by SIGTERM; one whose watchdog is not heard: kept, with the reason."""
    for name, option, reason in (
        ("x", ("--ready", "notify", "--start-timeout", "0.3"), "it was not ready within 0.3 s"),
        ("y", ("--watchdog", "0.3"), "its watchdog has heard nothing for 0.3 s"),
    ):
        verbs("start", "--name", name, "-lt", *option, "sh", "-c", "echo here; exec sleep 100", code=None)
        verbs("wait", name, "--until", "stopped", code=None)
        (directory,) = await_failures(verbs, name, 1)
        assert (directory / "stdout.log").read_text() == "here\n"
        assert facts(directory)["command"] == ["sh", "-c", "echo here; exec sleep 100"]
        assert reason in facts(directory)["reason"]


def test_the_oldest_go(verbs: Verbs) -> None:
    """As many as were asked for stay; numbers go on, also with the next supervisor."""
    words = ("start", "--name", "x", "--respawn", "-n", "3", "-t", "0", "-lt", "--keep-failures", "2", "false")
    for last in (4, 8):
        verbs(*words, code=None)
        verbs("wait", "x", "--until", "stopped", code=None)
        verbs.await_line("x", rf"kept .*/run-000{last}")
        assert [path.name for path in failures(verbs, "x")] == [f"run-000{last - 1}", f"run-000{last}"]


def test_a_daemon_that_crashes(verbs: Verbs, tmp_path: Path) -> None:
    """What its main process did is recorded as what its starter did; the life's end is the main process's."""
    pidfile = tmp_path / "x.pid"
    script = f"(echo main; echo $BASHPID >{pidfile}; while :; do sleep 0.02; done) & exit 0"
    options = ("--respawn", "-t", "0", "-p", pidfile, "-ct", "-lt", "-st")
    verbs("start", "--name", "x", *options, "bash", "-c", script)
    main = verbs.status("x")["pid"]
    os.kill(main, 9)
    (directory,) = await_failures(verbs, "x", 1)
    run = facts(directory)
    assert (run["code"], run["signal"]) == (137, 9)
    assert (directory / "stdout.log").read_bytes() == b"main\n"
    calls = (directory / "calls.strace").read_text().splitlines()
    assert any(line.startswith(f"{main} ") and line.endswith("+++ killed by SIGKILL +++") for line in calls)
    assert {int(row["pid"]) for row in csv.DictReader((directory / "processes.csv").open()) if row["pid"]} >= {main}


def test_the_next_life_does_not_wait(verbs: Verbs, tmp_path: Path) -> None:
    """A respawn comes when it is due, though a long trace is being made into text; then that is kept, whole."""
    again = "if [ -e $0 ]; then echo >&3; exec sleep 100; fi"
    script = f"{again}; i=0; while [ $i -lt 60000 ]; do i=$((i+1)); : >$0; done"
    flag = tmp_path / "flag"
    options = ("--respawn", "-t", "0", "--ready", "fd=3", "--start-timeout", "60", "-ct", "--calls", "openat")
    verbs("start", "--name", "x", *options, "dash", "-c", script + "; exit 1", flag, code=None)
    verbs("wait", "x", "--until", "ready")
    (directory,) = await_failures(verbs, "x", 1)
    lines = verbs.log("x")
    restarted = next(at for at, line in enumerate(lines) if line.startswith("x restarted"))
    assert restarted < next(at for at, line in enumerate(lines) if line.startswith("kept"))
    assert (directory / "calls.strace").read_text().count(f'"{flag}"') >= 60000


def test_a_stop_waits_for_what_is_kept(verbs: Verbs) -> None:
    """When the last life has failed and the limit is reached, its artifacts are there when the supervisor has ended."""
    verbs("start", "--name", "x", "-D", "--respawn", "-n", "1", "-t", "0", *ALL, "false", code=1)
    assert len(failures(verbs, "x")) == 2
    in_order(verbs.log("x"), "given up: .*", "kept .*/run-0002", "stopped")


@pytest.mark.slow
def test_all_stays_bounded(verbs: Verbs) -> None:
    """A program that writes, calls and sends without end: disk and memory grow to a bound and no further."""
    script = f"echo >&3; {mock('datagrams')} 100000000 1000 0 >/dev/null & exec yes"
    verbs.begin(
        "x", script, *ALL, "--last-size", "2M", "--interval", "0.01", "--log-size", "1M", "--calls", "%network,write"
    )
    supervisor = verbs.status("x")["supervisor"]
    until, most, sizes = time.monotonic() + PATIENCE, 0, []
    while time.monotonic() < until and len(sizes) < 40:
        time.sleep(0.1)
        most = max(most, held_by(supervisor))
        status = Path(f"/proc/{supervisor}/status").read_text()
        sizes.append(int(re.search(r"RssAnon:\s+(\d+)", status)[1]))  # type: ignore[index]
    # Five files take turns: twice 2 MiB each, and what one write adds to it.
    assert 8 * MIB < most < 5 * 2 * (2 + 1) * MIB
    assert max(sizes[20:]) < max(sizes[:20]) + 4096
    os.kill(verbs.status("x")["pid"], 9)
    (directory,) = await_failures(verbs, "x", 1)
    for name in ("stdout.log", "calls.strace", "net.pcapng"):
        assert 1 * MIB < (directory / name).stat().st_size <= 2 * MIB
    assert set((directory / "stdout.log").read_bytes()) == set(b"y\n")


@pytest.mark.slow
def test_the_last_seconds(verbs: Verbs) -> None:
    """With --last only what happened in that time before the end is kept, of each recorder."""
    script = "echo >&3; exec 3>&-; i=0; while [ $i -lt 40 ]; do echo line $i; sleep 0.1; i=$((i+1)); done; exit 5"
    verbs.begin("x", script, "-ct", "-st", "-lt", "--last", "1", "--interval", "0.05")
    (directory,) = await_failures(verbs, "x", 1)
    lines = (directory / "stdout.log").read_text().splitlines()
    assert lines[-1] == "line 39"
    assert 30 <= int(lines[0].split()[1]) <= 33
    calls = (directory / "calls.strace").read_text().splitlines()
    assert not any("execve" in line and "sh" in line for line in calls[:5])
    assert any("write(1<pipe:" in line and "line 39" in line for line in calls)
    assert not any('"line 20' in line for line in calls)
    wall = facts(directory)["wall_s"]
    times = [float(row["time_s"]) for row in csv.DictReader((directory / "processes.csv").open())]
    assert wall > 4
    assert min(times) >= times[-1] - 1.1
    assert len(times) > 10


@pytest.mark.slow
def test_descriptors_have_their_names_after_turns(verbs: Verbs, tmp_path: Path) -> None:
    """What was opened long before the part of the trace that is kept has its path there, and in all threads."""
    program = tmp_path / "threads.py"
    program.write_text(WRITERS)
    options = ("--ready", "fd=3", "-ct", "--last-size", "1M")
    verbs("start", "--name", "x", *options, "python3", program, tmp_path)
    (directory,) = await_failures(verbs, "x", 1)
    calls = (directory / "calls.strace").read_text().splitlines()
    writes = [line for line in calls if " pwrite64(" in line]
    assert len(writes) > 1000
    assert not [line for line in writes if not re.search(rf"pwrite64\(\d+<{tmp_path}/old[01]>, ", line)]
    assert {line.split()[0] for line in writes} >= {line.split()[0] for line in writes[:2]}


def test_recorders_and_a_program_that_is_to_outlive_lowrun(verbs: Verbs) -> None:
    """Calls and output cannot go on without lowrun, so that is refused before anything is made; samples can."""
    for option in ("-ct", "-lt"):
        said = verbs("start", "--name", "x", "--on-lost", "keep", option, "sleep", "100", code=2).stderr
        assert "cannot outlive it" in said
    assert verbs.names() == []
    verbs.begin("y", "echo >&3; exec sleep 100", "--on-lost", "keep", "-st", "--respawn", "-t", "0")
    os.kill(verbs.status("y")["pid"], 9)
    (directory,) = await_failures(verbs, "y", 1)
    assert (directory / "processes.csv").is_file()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-ct", "--calls", "nonsense"), "nonsense"),
        (("-nt", "-i", "nonsense0"), "nonsense0"),
        (("-nt", "--net-filter", "tcp prt"), "tcp prt"),
        (("-st", "--interval", "0"), "0.001"),
    ],
)
def test_wrong_recorders_are_told_at_once(verbs: Verbs, options: tuple[str, ...], expected: str) -> None:
    """Exit 2 and one line, before anything is made."""
    said = verbs("start", "--name", "x", *options, "sleep", "100", code=2).stderr
    assert expected in said
    assert len(said.splitlines()) == 1
    assert verbs.names() == []


def test_what_cannot_be_recorded_is_told(verbs: Verbs) -> None:
    """Without the right to capture packets: one line of `start` and of the log, once, and all else is kept."""
    options = ["--name", "x", "-D", "--respawn", "-n", "1", "-t", "0", "-nt", "-lt"]
    words = [*NO_PACKETS, LOWRUN, "start", *options, "sh", "-c", "echo hi; exit 4"]
    done = subprocess.run(words, env=verbs.env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "lowrun: x: not recorded: packets: no packets are captured: root lacks" in done.stderr
    assert len([line for line in verbs.log("x") if line.startswith("not recorded: ")]) == 1
    kept = failures(verbs, "x")[1]
    assert (kept / "stdout.log").read_bytes() == b"hi\n"
    assert len(facts(kept)["faults"]) == 1  # exits are counted though nobody traces


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Verbs]:
    """Verbs whose state is on a disk of 12 MiB: three files in turns, and what is made of them."""
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12M,mode=0700", "tmpfs", str(disk)], check=True)
    try:
        with state(disk) as verbs:
            yield verbs
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(file: Path) -> None:
    """Write to a new file until the disk is full."""
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while out.write(bytes(4096)):
            pass


def test_a_disk_that_was_full_for_a_while(small: Verbs, tmp_path: Path) -> None:
    """What came before and meanwhile may be missing, and that is told at once; the end of the life is kept."""
    go, more, filler = tmp_path / "go", tmp_path / "more", small.directory / "filler"
    os.mkfifo(go)
    os.mkfifo(more)
    script = f"echo >&3; read x <{go}; yes | head -c 3000000; read x <{more}; echo last words; exit 1"
    small.begin("x", script, "-lt", "-ct", "-st", "--last-size", "1M", "--log-size", "64K")
    fill(filler)
    go.write_text("\n")
    small.await_line("x", "not recorded: stdout is recorded with gaps: No space left on device.*")
    filler.unlink()
    more.write_text("\n")
    (directory,) = await_failures(small, "x", 1)
    assert (directory / "stdout.log").read_bytes().endswith(b"y\nlast words\n")
    assert "last words" in (directory / "calls.strace").read_text()
    assert (directory / "processes.csv").read_text().count("\n") > 2


def test_a_disk_that_stays_full(small: Verbs) -> None:
    """Nothing can be kept: that is said, and no directory without its run.json stays."""
    options = ("--respawn", "-t", "0", "-lt", "--keep-failures", "2")
    small("start", "--name", "x", *options, "-n", "3", "false", code=None)
    small("wait", "x", "--until", "stopped", code=None)
    fill(small.directory / "filler")
    small("start", "--name", "x", *options, "-n", "9", "false", code=None)
    small("wait", "x", "--until", "stopped", code=None)
    kept = failures(small, "x")
    assert len(kept) <= 2
    assert all((directory / "run.json").is_file() for directory in kept)
    (small.directory / "filler").unlink()


def test_a_directory_that_is_removed_is_made_again(verbs: Verbs) -> None:
    """Whoever tidies up failures while the program runs does not end their being kept."""
    verbs.begin("x", "echo >&3; exec sleep 100", "--respawn", "-t", "0", "-lt")
    os.kill(verbs.status("x")["pid"], 9)
    await_failures(verbs, "x", 1)
    verbs("wait", "x", "--until", "ready")
    shutil.rmtree(verbs.directory / "x" / "failures")
    os.kill(verbs.status("x")["pid"], 9)  # what it had begun is lost: its files are of a directory that is gone
    verbs.await_line("x", r"x restarted\(2/0\).*")
    verbs("wait", "x", "--until", "ready")
    os.kill(verbs.status("x")["pid"], 9)
    verbs.await_line("x", r"kept .*/run-000[23]")


def test_a_reader_that_is_stalled(verbs: Verbs) -> None:
    """With --pass-output a life whose output nobody takes is not waited for by more than one after it."""
    words = (
        "start",
        "--name",
        "x",
        "-D",
        "--pass-output",
        "--respawn",
        "-t",
        "0",
        "-lt",
        "sh",
        "-c",
        "yes | head -c 200000; exit 1",
    )
    with verbs.here(*words) as here:
        verbs.await_line("x", r"x restarted\(3/0\).*")
        before = len(os.listdir(f"/proc/{here.pid}/fd"))
        verbs.await_line("x", r"x restarted\(12/0\).*")
        # One record or two more than at that moment; not one for each life.
        assert len(os.listdir(f"/proc/{here.pid}/fd")) <= before + 30
        verbs("stop", "--stop-timeout", "0.5", "x")


def test_a_stop_gives_time_to_what_is_being_kept(verbs: Verbs, tmp_path: Path) -> None:
    """A failure whose text is being made when the program is stopped is kept, if that takes no longer than a stop."""
    flag = tmp_path / "flag"
    script = f"[ -e {flag} ] && exec sleep 100; i=0; while [ $i -lt 40000 ]; do i=$((i+1)); : >{flag}; done"
    options = ("--respawn", "-t", "0", "-ct", "--calls", "openat")
    verbs("start", "--name", "x", *options, "dash", "-c", script + "; exit 1", code=None)
    verbs.await_line("x", r"x restarted\(1/0\).*")
    verbs("stop", "--stop-timeout", "20", "x")
    (directory,) = failures(verbs, "x")
    assert (directory / "calls.strace").read_text().count("/flag") >= 40000
