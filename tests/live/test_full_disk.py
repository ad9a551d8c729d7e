"""A disk that becomes full while a run goes on: of each record what fitted is kept, whole, and faults say the rest."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from captures import Seen, capinfos
from programs import mock

import lowrun as lr

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root to mount a small disk")

NO_SPACE = f"{os.strerror(errno.ENOSPC)}: "
REMEDY = "; free some space or choose another directory"

Disk = Callable[[int], Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mounts a file system with that many KiB left."""
    mounted = tmp_path / "small"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "lowrun-test", mounted], check=True)

    def with_room(kib: int) -> Path:
        (mounted / "filler").write_bytes(bytes(1024 - kib << 10))
        return mounted

    try:
        yield with_room
    finally:
        subprocess.run(["umount", mounted], check=True)


@pytest.mark.parametrize("kib", [1024, 200, 24, 8])
def test_packets_that_fitted_are_kept(disk: Disk, kib: int) -> None:
    """Whole blocks of the file, as many as a fault says, in more than half of the room; the file ends as others do."""
    room = disk(kib)
    sent = lr.Packets("lo", filter="udp and udp[4:2] = 1008")
    result = lr.run([mock("datagrams"), "3000", "1000", "1"], record=[sent], output=room / "out", quiet=True)
    (fault,) = [fault for fault in result.faults if fault.startswith("packets: ")]
    told = re.fullmatch(r"packets: the first (\d+) of 3000 are kept: (.*)", fault)
    assert told and told[2] == f"{NO_SPACE}{room}{REMEDY}"
    path = result.artifacts["packets"]
    seen = Seen(path)
    assert len(seen.packets) == int(told[1])
    assert path.stat().st_size > (kib << 10) * 5 // 8
    assert capinfos(path)["Strict time order"] == "True"
    assert seen.count(0, "isb_filteraccept") == 3000


def test_room_is_left_for_the_rest_of_the_run(disk: Disk) -> None:
    """Packets fill the disk, then the command says something, and ends: that is kept, and the run's summary."""
    room = disk(512)
    script = f"{mock('datagrams')} 3000 1000 0 >&2; echo said; exit 1"
    result = lr.run(["sh", "-c", script], record=[lr.Packets("lo"), lr.Output()], output=room / "out", quiet=True)
    assert [fault for fault in result.faults if NO_SPACE in fault and not fault.startswith("packets: ")] == []
    assert result.artifacts["stdout"].read_text() == "said\n"
    assert (room / "out" / "run-0001" / "run.json").stat().st_size > 0


def test_a_disk_that_is_full_from_the_start(disk: Disk) -> None:
    """Nothing fits: each recorder says so, and the command ends as it would."""
    room = disk(0)
    recorders = [lr.Packets("lo"), lr.Output()]
    result = lr.run(["sh", "-c", "echo said; exit 3"], record=recorders, output=room / "out", quiet=True)
    assert result.status.code == 3
    assert [fault for fault in result.faults if fault.startswith("packets: ")]
    assert f"stdout is not recorded: {NO_SPACE}{room}{REMEDY}" in result.faults


def test_output_that_fitted_is_kept(disk: Disk) -> None:
    """The first bytes of the output, as many as a fault says; the command writes on and ends as it would."""
    room = disk(200)
    result = lr.run(["sh", "-c", "seq 100000; exit 1"], record=[lr.Output()], output=room / "out", quiet=True)
    kept = result.artifacts["stdout"].read_bytes()
    assert result.status.code == 1
    assert len(kept) == 200 << 10
    assert "".join(f"{number}\n" for number in range(1, 100001)).encode().startswith(kept)
    assert f"of stdout the first {len(kept)} bytes are recorded: {NO_SPACE}{room}{REMEDY}" in result.faults
