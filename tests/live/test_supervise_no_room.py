"""The disk that state lies on is full, from the start or later: nothing is begun that could not be told of."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lowrun.supervise.record import Record
from lowrun.supervise.state import ProgramState, StateDirectory
from lowrun.supervise.truth import Seen
from tests.supervised import Verbs, numbers, state

NO_SPACE = os.strerror(errno.ENOSPC)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if os.getuid() != 0:
        pytest.skip("needs root to mount a small disk")
    mounted = tmp_path / "small"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "lowrun-test", mounted], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on it; return the file that takes it."""
    filler = disk / "filler"
    left = os.statvfs(disk)
    filler.write_bytes(bytes(left.f_bavail * left.f_frsize))
    return filler


@pytest.mark.parametrize("pages", [0, 1])
def test_no_record_can_be_written(disk: Path, tmp_path: Path, pages: int) -> None:
    """Nothing is executed, and one line says why and what to do: without room for the lock, and for it alone."""
    filler = fill(disk)
    os.truncate(filler, filler.stat().st_size - pages * os.sysconf("SC_PAGE_SIZE"))
    verbs = Verbs(disk / "state")
    done = verbs("start", "--name", "x", "touch", tmp_path / "touched", code=125)
    (line,) = done.stderr.splitlines()
    assert line == (
        f"lowrun: {disk}/state/x: its state cannot be written: {NO_SPACE}; free some space or set LOWRUN_STATE_DIR to "
        "another directory"
    )
    assert not (tmp_path / "touched").exists()
    assert verbs.status("x")["state"] == "idle"


def test_the_truth_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    """What happens while the disk is full is in the record all the same, the last exit included."""
    with state(disk / "state") as verbs:
        script = f"echo $$ >>{tmp_path}/pids; echo >&3; exec sleep 100"
        verbs.begin("x", script, "--respawn", "-t", "0")
        (first,) = numbers(tmp_path / "pids", 1)
        fill(disk)
        os.kill(first, 9)
        second = numbers(tmp_path / "pids", 2)[1]
        verbs("wait", "x", "--until", "ready", "--timeout", "10")
        facts = verbs.status("x")
        assert (facts["state"], facts["pid"], facts["restarts"]) == ("running", second, 1)
        assert facts["last_exit"]["signal"] == 9
        verbs("stop", "x")
        assert verbs.status("x")["state"] == "done"


def test_started_on_a_full_disk_that_has_its_file(disk: Path, tmp_path: Path) -> None:
    """A program whose state has room from an earlier time is started, and told of."""
    with state(disk / "state") as verbs:
        verbs("start", "--name", "x", "true")
        fill(disk)
        verbs.begin("x", "echo >&3; exec sleep 100")
        assert verbs.status("x")["pid"] is not None


def test_a_record_in_the_place_of_the_last_one(disk: Path) -> None:
    """A shorter one leaves nothing of it; one for which the file has no room leaves it as it is; status reads on."""
    with ExitStack() as undo:
        directory = undo.enter_context(StateDirectory.open(create=True, path=disk / "state"))
        one = undo.enter_context(directory.program("x"))
        one.write(Record(command=("x" * 3000,)))
        fill(disk)
        one.write(Record(command=("short",)))
        assert one.read().command == ("short",)
        size = os.stat("state.json", dir_fd=one.fileno()).st_size
        assert size % 1024 == 0 and size > 3000
        with pytest.raises(OSError, match=NO_SPACE):
            one.write(Record(command=("y" * 9000,)))
        assert one.read().command == ("short",)
        assert os.listdir(one.fileno()) == ["state.json"]


def test_a_half_record_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that comes while a record is overwritten tells of the whole one."""
    with ExitStack() as undo:
        directory = undo.enter_context(StateDirectory.open(create=True, path=tmp_path / "state"))
        one = undo.enter_context(directory.program("x"))
        one.write(Record(phase="done"))
        path = Path(one.path, "state.json")
        whole = path.read_bytes()
        path.write_bytes(whole[:100].ljust(len(whole)))
        looked: list[Record | None] = []
        see = ProgramState._see

        def seen(self: ProgramState, record: Record | None) -> Seen:
            looked.append(record)
            if len(looked) == 3:
                path.write_bytes(whole)
            return see(self, record)

        monkeypatch.setattr(ProgramState, "_see", seen)
        assert one.truth().phase == "done"
        assert looked[:3] == [None] * 3
