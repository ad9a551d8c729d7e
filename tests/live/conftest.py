"""Fixtures of tests that run programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervised import Verbs, state
from tests.trees import House


@pytest.fixture
def verbs(tmp_path: Path) -> Iterator[Verbs]:
    """The verbs, with a state directory of their own."""
    with state(tmp_path / "state") as found:
        yield found


@pytest.fixture
def house() -> Iterator[House]:
    """A loop with programs, which end when it is closed."""
    house = House()
    yield house
    house.close()
