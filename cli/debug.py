"""-d: each step that lowrun itself takes, on standard error, with the time on CLOCK_MONOTONIC."""

from __future__ import annotations

import logging
import time

from lowrun.cli.console import say

__all__ = ["switch_on"]


class StepHandler(logging.Handler):
    """Writes one line per record: seconds since boot, the part of lowrun, what it does."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`."""
        say(f"{time.monotonic():.6f} {record.name}: {self.format(record)}")


def switch_on() -> None:
    """Show what the loggers below "lowrun" say, from now on."""
    logger = logging.getLogger("lowrun")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(StepHandler())
    logger.propagate = False
