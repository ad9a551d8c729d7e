"""What a supervisor may be asked: read from messages that anybody of the same user can send."""

from __future__ import annotations

from typing import Any

import pytest

from lowrun.errors import LowrunError, ProtocolError, UsageError
from lowrun.supervise.requests import Asked, read_request


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        ({"do": "stop", "name": "x", "timeout": 0.5}, Asked("stop", timeout=0.5)),
        ({"do": "stop", "timeout": None}, Asked("stop")),
        ({"do": "stop", "timeout": 0}, Asked("stop", timeout=0.0)),
        ({"do": "wait", "until": "stopped", "later": [1]}, Asked("wait", "stopped")),
        ({"do": "reload"}, Asked("reload")),
    ],
)
def test_what_is_asked(message: dict[str, Any], asked: Asked) -> None:
    """Known keys count, those of later versions do not."""
    assert read_request(message) == asked


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({}, UsageError),
        ({"do": ["x"]}, UsageError),
        ({"do": "x" * 60000}, UsageError),
        ({"do": "wait", "until": []}, UsageError),
        ({"do": "wait", "until": {}}, UsageError),
        ({"do": "stop", "timeout": "5"}, ProtocolError),
        ({"do": "stop", "timeout": True}, ProtocolError),
        ({"do": "stop", "timeout": -1}, ProtocolError),
        ({"do": "stop", "timeout": 1e18}, ProtocolError),
        ({"do": "stop", "timeout": float("nan")}, ProtocolError),
        ({"do": "stop", "timeout": 10**400}, ProtocolError),
    ],
)
def test_what_makes_no_sense(message: dict[str, Any], error: type[LowrunError]) -> None:
    """It is refused in a short line, whatever its types."""
    with pytest.raises(error) as raised:
        read_request(message)
    assert len(str(raised.value)) < 200
