"""A command whose calls have pointers to nothing, or to memory that goes while it is read, and impossible lengths."""

from __future__ import annotations

from pathlib import Path

import pytest

import lowrun as lr
from tests.programs import mock

CALLS = 4000


@pytest.mark.parametrize("seed", range(3))
def test_every_call_has_its_line(seed: int, tmp_path: Path) -> None:
    """The trace goes to the end, no recorder fails, and each call is told, whatever could be read of it."""
    result = lr.run(
        [mock("hostile"), str(seed), str(CALLS)], record=[lr.Calls()], keep="all", output=tmp_path / "out",
        quiet=True, timeout=60,
    )  # fmt: skip
    assert result.faults == ()
    assert result.status.code == 0
    text = result.artifacts["calls"].read_text(errors="surrogateescape")
    assert text.endswith("+++ exited with 0 +++\n")
    assert text.count("\n") > CALLS / 4
