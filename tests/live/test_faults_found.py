"""Faults drawn at random into real programs: the call that was made to fail is in the first three lines."""

from __future__ import annotations

import itertools
import os
import random
import re
from pathlib import Path

import pytest

from lowrun import comparison
from tests.faults import Faults

#: LOWRUN_FAULTS_SEED repeats a failure.
SEED = int(os.environ.get("LOWRUN_FAULTS_SEED") or random.randrange(1 << 32))
COUNT, FOUND = 30, 27


@pytest.mark.slow
def test_the_injected_call_is_among_the_first(tmp_path: Path) -> None:
    """Of 30 faults that make their program fail at least 27 are named in the first three lines."""
    missed = []
    for fault, failing, passing in itertools.islice(Faults(SEED, tmp_path, good=5, bad=3), COUNT):
        lines = comparison.first_lines(comparison.differences(failing, passing))
        wanted = re.compile(rf"{fault.call}\(.*\) = -1 {fault.error}\b")
        if not any(wanted.search(line) for line in lines):
            missed.append("\n".join((str(fault), *lines)))
    assert len(missed) <= COUNT - FOUND, f"LOWRUN_FAULTS_SEED={SEED}\n" + "\n".join(missed)
