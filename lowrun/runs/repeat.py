"""Run a command, once or many times, and wait for it: the `Repeater` for callers without a loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lowrun.core.loop import Loop
from lowrun.errors import LowrunError, UsageError
from lowrun.runs.repeater import Repeater
from lowrun.values import Command, Result, Word

__all__ = ["repeat", "run"]


def repeat(command: Command | Word | Sequence[Word], **options: Any) -> Iterator[Result]:
    """Run `command` again and again; yield each Result as it comes.

    Options: `count` runs (1), `failed_count` give up after so many failures,
    `jobs` at a time (1), `warmup` uncounted runs first, `prepare` a command
    before each run, `record` recorders, `keep` "failed", "failed+1" (and the
    first passing one), "all" or "none",
    `output` the directory of artifacts, `timeout` and `kill_after` seconds,
    `success` exit codes, `stdin` a file, `quiet` show no output.

    Raises UsageError, SpawnError (a step before exec; a command that is not
    found is a Result with code 127) and OSError. Abandoning the iterator ends
    what is under way. The host's signals, children and SIGCHLD are untouched.
    """
    fresh: list[Result] = []
    with Loop() as loop, Repeater(command, on_result=fresh.append, **options) as repeater:
        repeater.start(loop)
        while not repeater.ended:
            loop.dispatch(-1)
            yield from fresh
            fresh.clear()
        if repeater.error is not None:
            raise repeater.error


def run(command: Command | Word | Sequence[Word], **options: Any) -> Result:
    """Run `command` once and return its Result; options and errors as for `repeat`."""
    if options.get("count", 1) != 1:
        raise UsageError("run() runs once; repeat() runs again")
    for result in repeat(command, **options):
        return result
    raise LowrunError("the run gave no result")
