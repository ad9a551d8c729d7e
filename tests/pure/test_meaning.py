"""What the end of a life means for the policy."""

from __future__ import annotations

import pytest

from lowrun.supervise.meaning import HEEDED, meaning_of
from lowrun.supervise.policy import Event
from lowrun.supervise.settings import Restart
from lowrun.values import ExitStatus

RULES = Restart(success=frozenset({0, 3, 143}), prevent=frozenset({9}))


@pytest.mark.parametrize(
    ("status", "executed", "sent", "expected"),
    [
        (ExitStatus(0), True, {}, Event.ENDED_WELL),
        (ExitStatus(3), True, {}, Event.ENDED_WELL),
        (ExitStatus(1), True, {}, Event.FAILED),
        (ExitStatus(9), True, {}, Event.BROKEN),
        (ExitStatus(126), True, {}, Event.BROKEN),
        (ExitStatus(127), False, {}, Event.BROKEN),
        (ExitStatus(3), False, {}, Event.FAILED),
        (ExitStatus(137, 9), True, {9: 0.1}, Event.FAILED),
        (ExitStatus(143, 15), True, {}, Event.ENDED_WELL),
        (ExitStatus(130, 2), True, {}, Event.FAILED),
        (ExitStatus(130, 2), True, {2: 0.0}, Event.ENDED_WELL),
        (ExitStatus(129, 1), True, {1: HEEDED, 15: 3.0}, Event.ENDED_WELL),
        (ExitStatus(129, 1), True, {1: HEEDED + 1, 15: 0.0}, Event.FAILED),
        (None, True, {15: 1.0}, Event.FAILED),
    ],
)
def test_what_it_means(status: ExitStatus | None, executed: bool, sent: dict[int, float], expected: Event) -> None:
    """Codes of success and deaths that lowrun brought about are normal; 126, 127 and prevented codes are final."""
    assert meaning_of(status, executed, True, sent, RULES) is expected


def test_what_ends_before_it_serves_has_failed() -> None:
    """Whatever good code it has; a final code stays final, and what lowrun has ended is no failure."""
    for code in (0, 3):
        assert meaning_of(ExitStatus(code), True, False, {}, RULES) is Event.FAILED
    assert meaning_of(ExitStatus(9), True, False, {}, RULES) is Event.BROKEN
    assert meaning_of(ExitStatus(130, 2), True, False, {2: 0.0}, RULES) is Event.ENDED_WELL
