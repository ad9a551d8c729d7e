"""A daemon's pidfile, written by real programs: when it is believed, and when never."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lowrun as lr
from lowrun.core.inotify import Watched, watch_entry
from lowrun.core.lineage import children_of, descends, hold, read_stat
from lowrun.core.process import Process
from lowrun.supervise.pidfile import NotOursError, PidFile, check
from tests.trees import House


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


class Told:
    """A pidfile that is awaited, and what it told; a pid is believed when it is of the program."""

    def __init__(self, house: House, path: Path, process: Process | None = None) -> None:
        self.pids: list[int] = []
        self.troubles: list[str] = []
        self.refused: list[str] = []
        self.process = process
        self.file = PidFile(house.loop, str(path), on_pid=self._pid, on_trouble=self.troubles.append)

    def _pid(self, pid: int) -> bool:
        assert self.process is not None
        try:
            check(pid, self.process.keeper_pid).close()
        except (NotOursError, lr.GoneError) as error:
            self.refused.append(str(error))
            return False
        self.pids.append(pid)
        return True


@pytest.fixture
def told(house: House, tmp_path: Path) -> Iterator[Callable[..., Told]]:
    made: list[Told] = []

    def make(path: Path, process: Process | None = None) -> Told:
        made.append(Told(house, path, process))
        return made[-1]

    yield make
    for each in made:
        each.file.close()


WRITE_LATE = "sleep 0.2; echo $$ > $0; exec sleep 60"
CREATE_THEN_FILL = ": > $0; sleep 0.1; printf $$ >> $0; exec sleep 60"
RENAME = "echo $$ > $0.new; mv $0.new $0; exec sleep 60"
MAKE_DIRECTORY = "mkdir -p $(dirname $0); sleep 0.05; echo $$ > $0; exec sleep 60"


@pytest.mark.parametrize("script", [WRITE_LATE, CREATE_THEN_FILL, RENAME, MAKE_DIRECTORY])
@pytest.mark.parametrize("place", ["pid", "a/b/pid"])
def test_is_awaited(house: House, told: Callable[..., Told], tmp_path: Path, script: str, place: str) -> None:
    """Written 200 ms late, created empty, renamed into its place, in a directory that does not exist yet."""
    path = tmp_path / place
    if "mkdir" not in script:
        path.parent.mkdir(parents=True, exist_ok=True)
    seen = told(path)
    process = seen.process = house.spawn("sh", "-c", script, str(path))
    house.wait(lambda: seen.pids and process.pid)  # a quick program's pid can be told before the keeper's word comes
    assert seen.pids == [process.pid]
    assert seen.troubles == []


def test_a_directory_that_vanishes_is_awaited_anew(house: House, told: Callable[..., Told], tmp_path: Path) -> None:
    """Removed or renamed away and made again, as a start script does with /run/NAME."""
    path = tmp_path / "run" / "pid"
    path.parent.mkdir()
    seen = told(path)
    process = house.start("sleep", "60")
    seen.process = process
    path.parent.rename(tmp_path / "gone")
    path.parent.mkdir()
    house.loop.dispatch()
    path.parent.rmdir()
    house.loop.dispatch()
    path.parent.mkdir()
    house.loop.dispatch()
    path.write_text(str(process.pid))
    house.wait(lambda: seen.pids)


def test_a_new_pid_in_a_believed_file_is_told(house: House, told: Callable[..., Told], tmp_path: Path) -> None:
    """A daemon replaces itself: the file is written in place, or removed and written anew."""
    process = house.start("sh", "-c", "sleep 60 & sleep 60 & wait")
    house.wait(lambda: len(children_of(process.pid or 0)) == 2)
    first, second = (pid for pid, _ in children_of(process.pid or 0))
    path = tmp_path / "pid"
    seen = told(path, process)
    path.write_text(f"{first}\n")
    house.wait(lambda: seen.pids == [first])
    path.write_text(f"{second}\n")
    house.wait(lambda: seen.pids == [first, second])
    path.unlink()
    house.loop.dispatch()
    path.write_text(f"{first}\n")
    house.wait(lambda: seen.pids == [first, second, first])


def test_a_believed_file_costs_no_wake_up(house: House, told: Callable[..., Told], tmp_path: Path) -> None:
    """Whatever happens beside it; while it is awaited, files of other names are nobody's either."""
    process = house.start("sleep", "60")
    path = tmp_path / "pid"
    seen = told(path, process)
    path.write_text(str(process.pid))
    house.wait(lambda: seen.pids)
    house.loop.dispatch()
    marks: list[bool] = []
    with house.loop.add_timer(0.05, lambda: marks.append(True)):
        (tmp_path / "other").write_text("x")
        house.loop.dispatch(-1)
        assert marks, "woken by something else than the timer"


def test_what_was_there_before_is_never_believed(house: House, told: Callable[..., Told], tmp_path: Path) -> None:
    """The former life's file is waited out until it is written, even when its pid is one of the tree now."""
    process = house.start("sleep", "60")
    path = tmp_path / "pid"
    path.write_text(f"{process.pid}\n")
    seen = told(path, process)
    path.chmod(0o600)
    house.loop.dispatch()
    assert seen.pids == []
    path.write_text(f"{process.pid}\n")
    house.wait(lambda: seen.pids == [process.pid])


def test_a_symbolic_link_is_not_followed(house: House, told: Callable[..., Told], tmp_path: Path) -> None:
    """Neither one that is there before nor one that is made; a file that takes its place is read."""
    process = house.start("sleep", "60")
    target, path = tmp_path / "target", tmp_path / "pid"
    path.symlink_to(target)
    seen = told(path, process)
    target.write_text(str(process.pid))
    house.wait(lambda: seen.troubles)
    assert seen.troubles == [f"pidfile {path}: it is a symbolic link, which is not followed"] == [seen.file.trouble]
    path.unlink()
    (tmp_path / "new").symlink_to(target)
    (tmp_path / "new").rename(path)
    house.loop.dispatch()
    assert seen.pids == []
    (tmp_path / "new").write_text(str(process.pid))
    (tmp_path / "new").rename(path)
    house.wait(lambda: seen.pids == [process.pid])
    assert seen.file.trouble == ""


@pytest.mark.parametrize("kind", ["fifo", "directory", "large"])
def test_what_is_no_small_plain_file_is_refused(
    house: House, told: Callable[..., Told], tmp_path: Path, kind: str
) -> None:
    """A FIFO does not make lowrun hang, nor a huge file make it read."""
    path = tmp_path / "pid"
    seen = told(path)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_text("1" * 5000)
    house.wait(lambda: seen.troubles)
    assert ("larger than" if kind == "large" else "no regular file") in seen.troubles[0]


def test_garbage_is_told_once_and_waited_out(house: House, told: Callable[..., Told], tmp_path: Path) -> None:
    """A number that comes later counts."""
    process = house.start("sleep", "60")
    path = tmp_path / "pid"
    seen = told(path, process)
    for _ in range(3):
        path.write_text("pid: none\n")
        house.wait(lambda: seen.troubles)
    path.write_text(str(process.pid))
    house.wait(lambda: seen.pids)
    assert len(seen.troubles) == 1 and "holds no pid" in seen.troubles[0]


@pytest.mark.parametrize("pid", [0, 1, 1073741824, 4194305, "self", "keeper", "foreign", "reaped"])
def test_strangers_are_refused(house: House, told: Callable[..., Told], tmp_path: Path, pid: int | str) -> None:
    """Not one of them is held, signalled or watched."""
    process = house.start("sleep", "60")
    with subprocess.Popen(["sleep", "60"]) as foreign:
        names = {"self": os.getpid(), "keeper": process.keeper_pid, "foreign": foreign.pid}
        if pid == "reaped":
            names["reaped"] = int(subprocess.run(["sh", "-c", "echo $$"], capture_output=True, check=True).stdout)
        number = names.get(pid, pid) if isinstance(pid, str) else pid
        path = tmp_path / "pid"
        seen = told(path, process)
        path.write_text(f"{number}\n")
        house.wait(lambda: seen.refused)
        assert seen.pids == []
        assert foreign.poll() is None
        path.write_text(f"{process.pid}\n")
        house.wait(lambda: seen.pids == [process.pid])
        foreign.kill()


def test_a_thread_is_no_process(house: House) -> None:
    """The id of a program's second thread names no process."""
    script = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
    process = house.start(sys.executable, "-S", "-c", script)
    tasks = Path(f"/proc/{process.pid}/task")
    house.wait(lambda: len(os.listdir(tasks)) == 2)
    thread = max(int(name) for name in os.listdir(tasks) if int(name) != process.pid)
    with pytest.raises(lr.GoneError):
        check(thread, process.keeper_pid)


def test_a_pid_that_is_used_again_is_a_strangers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pidfd is opened first: what ends and comes again while /proc is read is not taken for it.

    The kernel is told the next pid (ns_last_pid), so the very number comes back as another's.
    """
    if os.getuid() != 0:
        pytest.skip("only root may choose the next pid")
    process = house.start("sh", "-c", "sleep 60 & wait; exec sleep 60")
    house.wait(lambda: children_of(process.pid or 0))
    ((pid, _),) = children_of(process.pid or 0)
    strangers: list[subprocess.Popen[bytes]] = []

    def reuse(number: int) -> object:
        """Read /proc as ever, but after the process has been replaced by a stranger of the same pid."""
        if not strangers:
            os.kill(pid, signal.SIGKILL)
            while read_stat(pid) is not None:
                house.loop.dispatch(1)
            for _ in range(1000):
                Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
                strangers.append(subprocess.Popen(["sleep", "60"]))
                if strangers[-1].pid == pid:
                    break
        return read_stat(number)

    monkeypatch.setattr("lowrun.core.lineage.read_stat", reuse)
    try:
        with pytest.raises((lr.GoneError, NotOursError)):
            check(pid, process.keeper_pid)
        assert strangers[-1].pid == pid, "the pid did not come back"
        monkeypatch.undo()
        with pytest.raises(NotOursError):
            check(pid, process.keeper_pid)
        assert strangers[-1].poll() is None
    finally:
        for stranger in strangers:
            stranger.kill()
            stranger.wait()


def test_a_hold_outlives_its_pid(house: House) -> None:
    """A signal to a process that was reaped reaches nobody."""
    with subprocess.Popen(["sleep", "60"]) as child, hold(child.pid) as held:
        assert descends(child.pid, os.getpid())
        child.kill()
        child.wait()
        with pytest.raises(lr.GoneError):
            held.send_signal(signal.SIGTERM)


def test_many_pidfiles_share_one_inotify_instance(house: House, told: Callable[..., Told], tmp_path: Path) -> None:
    """A user has 128 of them; a thousand programs take one, and each is told of its own file only."""
    process = house.start("sleep", "60")
    before = len(os.listdir("/proc/self/fd"))
    many = [told(tmp_path / f"{number}.pid", process) for number in range(1000)]
    assert len(os.listdir("/proc/self/fd")) == before + 1
    (tmp_path / "500.pid").write_text(str(process.pid))
    house.wait(lambda: many[500].pids)
    assert not any(each.pids for each in (*many[:500], *many[501:]))


def test_too_many_instances_name_the_remedy(house: House, tmp_path: Path) -> None:
    """The limit of inotify instances (or of descriptors) is told with the setting to raise."""
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    loops: list[lr.Loop] = []
    watched: list[Watched] = []

    def use_up() -> None:
        while len(loops) <= limit:
            loops.append(lr.Loop())
            watched.append(watch_entry(loops[-1], str(tmp_path), "x", lambda: None))

    try:
        with pytest.raises(lr.DeniedError, match="max_user_instances"):
            use_up()
    finally:
        for each in (*watched, *loops):
            each.close()


def test_held_says_who_its_parent_is() -> None:
    """`parent` and `start` are those of /proc/PID/stat."""
    with subprocess.Popen(["sleep", "60"]) as child:
        held = hold(child.pid)
        stat = read_stat(child.pid)
        assert stat is not None and (held.parent, held.start) == (os.getpid(), stat.start)
        held.close()
        child.kill()
