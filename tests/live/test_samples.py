"""The sampler: what its tables say of trees whose truth is known."""

from __future__ import annotations

import csv
import io
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core.sampling import ASKED, NativeSampler, record_sizes
from lowrun.samples.records import LAYOUT, Tick, read
from tests.programs import LOWRUN

TABLES = ("disk", "memory", "network", "processes")
#: Python that has nothing of its own to do at its start.
PYTHON = (os.path.realpath(sys.executable), "-I", "-S", "-c")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
Rows = list[dict[str, str]]


def rows_of(path: Path) -> Rows:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("latin-1"), newline="")))


def sampled(command: list[str], tmp_path: Path, interval: float = 0.01, **options: object) -> lr.Result:
    return lr.run(
        command,
        record=[lr.Samples(interval)],
        keep="all",
        output=tmp_path / "out",
        quiet=True,
        **options,  # type: ignore[arg-type]
    )


def table(result: lr.Result, name: str, row: str | None = None) -> Rows:
    return [line for line in rows_of(result.artifacts[name]) if row is None or line["row"] == row]


def python(code: str) -> list[str]:
    return [*PYTHON, code]


def test_the_layouts_are_those_of_c() -> None:
    """What Python unpacks is as large as what C writes."""
    assert record_sizes() == {name: layout.size for name, layout in LAYOUT.items()}


def test_a_run_of_a_millisecond(tmp_path: Path) -> None:
    """There is a sample at the start and one at the end, in every table."""
    result = sampled(["true"], tmp_path, interval=60)
    assert set(result.artifacts) == {*TABLES, "samples"}
    assert result.faults == ()
    for name in TABLES:
        times = [line["time_s"] for line in table(result, name)]
        assert times[0] == "0.000000"
        assert len(set(times)) == 2
    first, last = table(result, "processes", "tree")
    assert (first["processes"], first["cpu_s"], first["processes_total"]) == ("0", "0.000000", "")
    assert last["processes_total"] == "1"
    assert float(last["user_s"]) + float(last["sys_s"]) == pytest.approx(
        (result.usage.user_s or 0) + (result.usage.sys_s or 0), abs=2e-6
    )
    first, last = table(result, "memory")
    assert last["peak_kib"] == str(result.usage.max_rss_kib)
    assert 0 < int(first["machine_available_kib"]) < int(first["machine_total_kib"])


def test_a_burst_and_a_rest(tmp_path: Path) -> None:
    """A second of work and two of sleep: CPU time grows to a second, then stands still for two."""
    code = "import time\nwhile time.process_time() < 1: pass\ntime.sleep(2)"
    result = sampled(python(code), tmp_path, interval=0.1)
    rows = table(result, "processes", "tree")
    after = [row for row in rows if float(row["cpu_s"]) >= 1.0][1:-1]
    assert float(after[-1]["time_s"]) - float(after[0]["time_s"]) > 1.5
    assert all(float(row["cpu_percent"]) < 5 for row in after)
    assert 1.0 <= float(rows[-1]["cpu_s"]) < 1.2
    before = [row for row in rows if 0 < float(row["cpu_s"]) < 1.0]
    seen = sum(float(row["cpu_percent"]) for row in before) / 100 * 0.1
    assert seen == pytest.approx(float(before[-1]["cpu_s"]), abs=0.15)
    [pid] = {row["pid"] for row in table(result, "processes", "process")}
    assert pid == str(result.pid)


def test_threads(tmp_path: Path) -> None:
    """A process of five threads is one row that says so, and the time of all of them is its."""
    code = (
        "import threading, time\n"
        "def work():\n"
        "    while time.thread_time() < 0.05: pass\n"
        "    time.sleep(0.3)\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
    )
    result = sampled(python(code), tmp_path)
    rows = table(result, "processes", "process")
    assert max(int(row["threads"]) for row in rows) == 5
    assert {row["name"] for row in rows} == {Path(PYTHON[0]).name[:15]}
    assert float(rows[-1]["cpu_s"]) >= 0.2


def test_children_of_every_thread(tmp_path: Path) -> None:
    """A child that another thread than the first has started is found."""
    code = (
        "import subprocess, threading\n"
        "thread = threading.Thread(target=subprocess.run, args=(['sleep', '0.3'],))\n"
        "thread.start(); thread.join()\n"
    )
    result = sampled(python(code), tmp_path)
    assert "sleep" in {row["name"] for row in table(result, "processes", "process")}


def test_orphans_belong_to_the_tree(tmp_path: Path) -> None:
    """What has a session of its own, or lost its parent, is counted; its parent is then the keeper."""
    result = sampled(["sh", "-c", "(setsid sleep 0.5 &); (sleep 0.5 &); exec sleep 0.6"], tmp_path)
    rows = [row for row in table(result, "processes", "process") if row["name"] == "sleep"]
    assert len({row["pid"] for row in rows}) == 3
    [keeper] = {row["ppid"] for row in rows if row["pid"] == str(result.pid)}
    assert {row["ppid"] for row in rows[-3:]} == {keeper}
    assert max(int(row["processes"]) for row in table(result, "processes", "tree")) >= 3


def test_a_hundred_processes(tmp_path: Path) -> None:
    """Each of a hundred has its row, and the tree's row has their sums."""
    script = "for i in $(seq 100); do sleep 0.6 & done; wait"
    result = sampled(["sh", "-c", script], tmp_path, interval=0.05)
    rows = table(result, "processes")
    trees = [row for row in rows if row["row"] == "tree"]
    fullest = max(trees, key=lambda row: int(row["processes"]))
    assert int(fullest["processes"]) == 101
    members = [row for row in rows if row["row"] == "process" and row["time_s"] == fullest["time_s"]]
    assert len({row["pid"] for row in members}) == 101
    assert sum(int(row["rss_kib"]) for row in members) == int(fullest["rss_kib"])
    assert sum(int(row["threads"]) for row in members) == int(fullest["threads"])


def test_more_processes_than_descriptors(tmp_path: Path) -> None:
    """Beyond a fourth of the descriptors that lowrun may have files are opened for each look: nothing is missed."""
    script = "for i in $(seq 200); do sleep 1.5 & done; wait"
    argv = [LOWRUN, "-q", "-st", "--keep", "all", "-o", str(tmp_path / "out"), "sh", "-c", script]
    limit = (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    done = subprocess.run(
        argv, capture_output=True, text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    )
    assert done.returncode == 0, done.stderr
    rows = [row for row in rows_of(tmp_path / "out/run-0001/processes.csv") if row["row"] == "tree"]
    assert max(int(row["processes"]) for row in rows) == 201


def test_many_new_processes_are_read_by_and_by(tmp_path: Path) -> None:
    """A look at 1,500 new processes ends before it has read them all; going on reads the others, each once."""
    code = (
        "import os, time\n"
        "for _ in range(1500):\n"
        "    if os.fork() == 0: time.sleep(60); os._exit(0)\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    with (
        (tmp_path / "records").open("w+b") as file,
        subprocess.Popen(python(code), stdout=subprocess.PIPE, start_new_session=True) as tree,
    ):
        assert tree.stdout is not None and tree.stdout.readline() == b"ready\n"
        sampler = NativeSampler(file.fileno())
        news: list[int] = []
        try:
            sampler.watch(tree.pid)
            with lr.Loop() as loop, sampler.start(loop, 2_000_000_000, news.append):
                while sampler.go_on():
                    pass
                sampler.ask(0)
                loop.dispatch(-1)
            assert news == [ASKED]
            sampler.flush()
        finally:
            sampler.close()
            os.killpg(tree.pid, signal.SIGKILL)
        file.seek(0)
        first, second = [record for record in read(memoryview(file.read())) if isinstance(record, Tick)]
    assert 0 < first.processes < 1500
    assert second.processes == second.threads == 1500


@pytest.mark.parametrize("name", [b"a,b", b'say "hi"', b"two\nlines", b"\xff\xfe) R 1", b"cr\r"])
def test_names_are_what_they_are(name: bytes, tmp_path: Path) -> None:
    """A process's name is kept byte for byte, whatever is in it."""
    code = f"import time; open('/proc/self/comm', 'wb').write({name!r}); time.sleep(0.2)"
    result = sampled(python(code), tmp_path)
    assert name.decode("latin-1") in {row["name"] for row in table(result, "processes", "process")}


def test_bytes_by_calls_at_every_tick(tmp_path: Path) -> None:
    """What a program and the child it has waited for have written is exact while it goes on, and at the end."""
    code = (
        "import os, sys, time\n"
        "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
        "for _ in range(10): os.write(fd, bytes(8192))\n"
        "if os.fork() == 0:\n"
        "    os.write(fd, bytes(1000))\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "time.sleep(0.4)\n"
    )
    result = sampled([*python(code), str(tmp_path / "file")], tmp_path)
    rows = table(result, "disk", "tree")
    resting = [row for row in rows if row["call_written_bytes"] == str(81920 + 1000)]
    assert len(resting) >= 10
    assert {row["call_writes"] for row in resting} == {"11"}
    assert max(int(row["call_written_bytes"] or 0) for row in rows) == 81920 + 1000
    storage = int(resting[-1]["storage_written_bytes"])
    assert storage == 0 or storage >= 21 * 4096  # none where the file is in memory


def test_totals_have_the_dead_in_them(tmp_path: Path) -> None:
    """Time and bytes of children that have ended stay in the sums, which never fall."""
    code = (
        "import os, time\n"
        "null = os.open('/dev/null', os.O_WRONLY)\n"
        "for _ in range(8):\n"
        "    if os.fork() == 0:\n"
        "        while time.process_time() < 0.05: pass\n"
        "        os.write(null, bytes(500))\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "time.sleep(0.2)\n"
    )
    result = sampled(python(code), tmp_path)
    rows = table(result, "processes", "tree")[:-1]
    times = [float(row["cpu_s"]) for row in rows]
    assert times == sorted(times)
    assert 0.38 <= times[-1] < 0.6
    written = [int(row["call_written_bytes"]) for row in table(result, "disk", "tree")[:-1]]
    assert written == sorted(written)
    assert written[-1] == 8 * 500


def test_children_that_nobody_waits_for(tmp_path: Path) -> None:
    """Where SIGCHLD is ignored, what was seen of a child stays in the sums when it has ended."""
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "null = os.open('/dev/null', os.O_WRONLY)\n"
        "time.sleep(0.15)\n"
        "if os.fork() == 0:\n"
        "    os.write(null, bytes(700))\n"
        "    while time.process_time() < 0.3: pass\n"
        "    os._exit(0)\n"
        "try: os.wait()\n"
        "except ChildProcessError: pass\n"
        "while time.process_time() < 0.1: pass\n"
        "time.sleep(0.2)\n"
    )
    result = sampled(python(code), tmp_path)
    rows = table(result, "processes", "tree")[:-1]
    assert float(rows[-1]["cpu_s"]) > 0.2  # the parent alone used half of that
    assert table(result, "disk", "tree")[-2]["call_written_bytes"] == "700"


def test_a_keeper_is_used_again(tmp_path: Path) -> None:
    """What a run used is not counted in the next one, which has the same keeper."""
    code = "import time\nwhile time.process_time() < 0.15: pass\ntime.sleep(0.1)"
    results = list(
        lr.repeat(python(code), count=3, record=[lr.Samples(0.01)], keep="all", output=tmp_path / "o", quiet=True)
    )
    for result in results:
        rows = table(result, "processes", "tree")
        assert 0.15 <= float(rows[-2]["cpu_s"]) < 0.25
        assert {row["pid"] for row in table(result, "processes", "process")} == {str(result.pid)}


class HoldsUp:
    """A recorder that keeps the loop busy for a while, once."""

    name = "holds-up"

    def start(self, run: lr.RunInfo, loop: lr.Loop) -> None:
        self.timer = loop.add_timer(0.12, lambda: time.sleep(0.33))

    def stop(self) -> None:
        self.timer.close()

    def keep(self, into: Path) -> list[lr.Artifact]:
        return []

    def discard(self) -> None:
        pass


def test_lateness_is_told_and_not_added_up(tmp_path: Path) -> None:
    """A tick that comes late says so, the ones meanwhile are left out, and the next are on time again."""
    result = lr.run(
        ["sleep", "0.9"], record=[lr.Samples(0.05), HoldsUp()], keep="all", output=tmp_path / "out", quiet=True
    )
    rows = table(result, "processes", "tree")[1:-1]
    late = max(rows, key=lambda row: float(row["late_s"]))
    assert float(late["late_s"]) >= 0.25
    assert int(late["missed_ticks"]) >= 5
    for row in rows:
        due = (float(row["time_s"]) - float(row["late_s"])) / 0.05
        assert due == pytest.approx(round(due), abs=1e-3)
    dues = [round((float(row["time_s"]) - float(row["late_s"])) / 0.05) for row in rows]
    assert len(set(dues)) == len(dues)
    ticks = sum(1 + int(row["missed_ticks"]) for row in rows)
    assert ticks == round(float(rows[-1]["time_s"]) // 0.05)


def test_a_full_disk(tmp_path: Path) -> None:
    """When records cannot be written any more a fault says so, and COMMAND's exit code stays."""
    argv = [LOWRUN, "-q", "-st", "--interval", "0.001", "-o", str(tmp_path / "out"), "sh", "-c", "sleep 1; exit 3"]
    limit = (100_000, 100_000)
    done = subprocess.run(
        argv, capture_output=True, text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    assert done.returncode == 3
    assert "samples: recorded only in part: File too large" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_passing_run_leaves_nothing(tmp_path: Path) -> None:
    """Nothing failed: nothing is kept."""
    done = subprocess.run([LOWRUN, "-st", "--interval", "0.001", "sleep", "0.1"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_command_that_is_not_found(tmp_path: Path) -> None:
    """There is nothing to sample: code 127, no tables, no fault."""
    result = sampled(["nonexistent-command"], tmp_path)
    assert result.status.code == 127
    assert (result.artifacts, result.faults) == ({}, ())


def test_runs_at_a_time(tmp_path: Path) -> None:
    """Four sampled runs at a time: each has its own process."""
    results = lr.repeat(
        ["sleep", "0.5"], count=8, jobs=4, record=[lr.Samples(0.02)], keep="all", quiet=True, output=tmp_path / "o"
    )
    for result in results:
        assert {row["pid"] for row in table(result, "processes", "process")} == {str(result.pid)}


def test_a_run_that_times_out(tmp_path: Path) -> None:
    """Its tables are kept, to its end."""
    result = sampled(["sleep", "60"], tmp_path, timeout=0.2)
    assert result.timed_out
    assert float(table(result, "memory")[-1]["time_s"]) >= 0.2


def test_an_interrupted_run_that_is_kept(tmp_path: Path) -> None:
    """`--keep all` keeps the tables of a run that ^C has ended."""
    argv = [LOWRUN, "-st", "--interval", "0.01", "--keep", "all", "-o", str(tmp_path / "out"), "sh", "-c"]
    subprocess.run(
        [*argv, "sleep 0.2; kill -INT $PPID; kill -INT $(ps -o ppid= -p $PPID); sleep 9"], capture_output=True
    )
    kept = list((tmp_path / "out").glob("run-0001/*.csv"))
    assert {path.stem for path in kept} == set(TABLES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_as_another_user(tmp_path: Path) -> None:
    """An ordinary user has the same tables, with reads and writes."""
    tmp_path.chmod(0o777)
    for directory in tmp_path.parents:
        if directory.stat().st_mode & 0o077 == 0:
            directory.chmod(0o755)
    argv = [
        *NOBODY,
        LOWRUN,
        "-q",
        "-st",
        "--interval",
        "0.01",
        "--keep",
        "all",
        "-o",
        str(tmp_path / "out"),
        "sh",
        "-c",
    ]
    done = subprocess.run([*argv, "echo hello; sleep 0.2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr or "samples" not in done.stderr, done.stderr
    rows = [row for row in rows_of(tmp_path / "out/run-0001/disk.csv") if row["row"] == "tree"]
    assert rows[-2]["call_written_bytes"] == "6"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a pid namespace of its own")
@pytest.mark.parametrize("proc", [True, False], ids=["own /proc", "the first one's /proc"])
def test_in_another_pid_namespace(proc: bool, tmp_path: Path) -> None:
    """With a /proc of its own all is as ever; with one that shows other pids nobody else's processes are sampled."""
    words = ["unshare", "--pid", "--fork", *(["--mount-proc"] if proc else [])]
    argv = [*words, LOWRUN, "-q", "-st", "--interval", "0.01", "--keep", "all", "-o", str(tmp_path / "out")]
    done = subprocess.run([*argv, "sleep", "0.3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "out/run-0001/processes.csv")
    names = {row["name"] for row in rows if row["row"] == "process"}
    if proc:
        assert "sleep" in names
    else:
        assert {row["row"] for row in rows} == {"tree"}  # a slow start can have a tick before its exec
        assert float(rows[-1]["cpu_s"]) > 0
        assert "shows another pid namespace" in (tmp_path / "out/run-0001/run.json").read_text()


@pytest.mark.parametrize("interval", [0, 0.0009, -1, float("nan"), 1e9])
def test_an_interval_that_makes_no_sense(interval: float) -> None:
    """It is the caller's fault, before any run."""
    with pytest.raises(lr.UsageError):
        lr.Samples(interval)


def test_an_interval_needs_samples() -> None:
    """`--interval` without `-st` is wrong usage: one line, exit 2."""
    done = subprocess.run([LOWRUN, "--interval", "1", "true"], capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "-st" in done.stderr
