"""Trace sets and decoding, held against the strace that is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lowrun.trace.sets import CLASSES
from lowrun.trace.table import call_of, numbers_of
from tests.programs import LOWRUN, mock

#: Calls that strace 6.1 knows end here.
STRACE_LAST = 450
#: Its name of a call that it does not know, and calls that this strace decodes with fewer flags or in less detail.
NEWER = re.compile(r"syscall_0x|name_to_handle_at|pidfd_send_signal|landlock_|statx")

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")


def recorded(path: Path, *command: str, options: tuple[str, ...] = ()) -> list[str]:
    """Return the lines of strace, from the first made call on."""
    subprocess.run(
        ["strace", *options, "-o", path, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return path.read_text().splitlines()


@pytest.mark.parametrize("name", sorted({*CLASSES, "file", "desc"}))
def test_a_class_is_what_strace_traces_for_it(name: str, tmp_path: Path) -> None:
    """`-e trace=%X` of the installed strace shows the calls that the set has, as far as it knows them."""
    lines = recorded(tmp_path / "log", mock("every_call"), "0", str(STRACE_LAST), options=("-e", f"trace=%{name}"))
    shown = {line.partition("(")[0] for line in lines if "ENOSYS" in line and not line.startswith("syscall_0x")}
    ours = {call_of(number).name for number in numbers_of(f"%{name}") if number <= STRACE_LAST}
    assert shown == ours - {"exit_group", "uretprobe", "uprobe"}


def decoded(lines: list[str]) -> list[str]:
    """Return the calls that the seccomp filter has answered, without times and the column of the result."""
    plain = (re.sub(r"^\d+ +[\d:.]+ ", "", re.sub(r" <[\d.]+>$", "", line)) for line in lines)
    return [re.sub(r"\) +=", ") =", line) for line in plain if "ENOSYS" in line]


@pytest.mark.parametrize("values", ["0 0 0 0 0 0", "1 2 3 4 5 6", "0x7f 9 1 1 1 1"])
def test_every_call_prints_as_in_strace(values: str, tmp_path: Path) -> None:
    """With arguments that mean little or nothing: kinds, flags, widths and signs are strace's."""
    command = [mock("every_call"), "0", str(STRACE_LAST), *values.split()]
    theirs = decoded(recorded(tmp_path / "log", *command, options=("-f", "-tt", "-T", "-y", "-yy", "-s", "2048")))
    subprocess.run(
        [LOWRUN, "-q", "-ct", "--keep", "all", "-o", tmp_path / "out", *command],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ours = decoded((tmp_path / "out" / "run-0001" / "calls.strace").read_text().splitlines())
    pairs = [pair for pair in zip(theirs, ours, strict=True) if not NEWER.match(pair[0])]
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    assert len(pairs) > 330 and len(differing) <= 0.03 * len(pairs), "\n".join(map(str, differing))
