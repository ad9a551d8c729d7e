"""What the end of a life means for the policy."""

from __future__ import annotations

import pytest

from lowrun.supervise.meaning import meaning_of
from lowrun.supervise.policy import Event
from lowrun.supervise.settings import Restart
from lowrun.values import ExitStatus

RULES = Restart(success=frozenset({0, 3, 143}), prevent=frozenset({9}))


@pytest.mark.parametrize(
    ("status", "executed", "sent", "expected"),
    [
        (ExitStatus(0), True, set(), Event.ENDED_WELL),
        (ExitStatus(3), True, set(), Event.ENDED_WELL),
        (ExitStatus(1), True, set(), Event.FAILED),
        (ExitStatus(9), True, set(), Event.BROKEN),
        (ExitStatus(126), True, set(), Event.BROKEN),
        (ExitStatus(127), False, set(), Event.BROKEN),
        (ExitStatus(3), False, set(), Event.FAILED),
        (ExitStatus(137, 9), True, {9}, Event.FAILED),
        (ExitStatus(143, 15), True, set(), Event.ENDED_WELL),
        (ExitStatus(130, 2), True, set(), Event.FAILED),
        (ExitStatus(130, 2), True, {2}, Event.ENDED_WELL),
        (ExitStatus(129, 1), True, {1, 15}, Event.ENDED_WELL),
        (None, True, {15}, Event.FAILED),
    ],
)
def test_what_it_means(status: ExitStatus | None, executed: bool, sent: set[int], expected: Event) -> None:
    """Codes of success and deaths that lowrun brought about are normal; 126, 127 and prevented codes are final."""
    assert meaning_of(status, executed, sent, RULES) is expected
