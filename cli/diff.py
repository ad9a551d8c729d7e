"""The subcommand `analyze diff`, and the same in short at the end of a repetition."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lowrun import Summary, UsageError, comparison, kept, showing, to_json
from lowrun.cli.analyze_options import DiffRequest
from lowrun.cli.bar import Bar
from lowrun.cli.console import STDOUT, say, write
from lowrun.cli.jsonfile import JsonFile

__all__ = ["add_difference", "run"]

#: The artifact.
CALLS = "calls"
#: Rows of each list, where --limit does not say.
LIMIT = 10
#: What a comparison may take at the end of a repetition: seconds, and bytes of logs to be read.
PATIENCE_S = 3.0
MOST_BYTES = 24 << 20
#: So many runs of each side are enough then.
MOST_RUNS = 12


def run(request: DiffRequest) -> int:
    """Compare the runs that are kept in a directory; return the exit code. Raises LowrunError, OSError."""
    target = None if request.html is None else JsonFile(request.html, "--html")
    runs = kept.kept_runs(Path(request.directory))
    if not runs.runs:
        raise UsageError(f"{request.directory}: of no run anything was kept (lowrun -ct --keep all keeps all)")
    bar = Bar("comparing runs")
    try:
        difference = comparison.differences(runs.failing, runs.passing, bar.draw)
    finally:
        bar.erase()
    if target is not None:
        target.write(showing.diff_page(runs, difference))
    if request.format == "json":
        write(STDOUT, to_json(comparison.difference_dict(difference)))
    elif target is None:
        write(STDOUT, comparison.difference_text(difference, LIMIT if request.limit is None else request.limit))
    return 0


class _TooLong(Exception):
    """Comparing takes too long to be done unasked."""


def add_difference(summary: Summary) -> None:
    """Say behind a repetition's summary where its failing runs part from the passing ones, if both were kept.

    Takes PATIENCE_S at most and never fails: without an answer the hint alone is said.
    """
    if summary.output is None or not _has_both(summary):
        return
    lines: list[str] = []
    try:
        lines = _first_lines(summary.output, _deadline(time.monotonic() + PATIENCE_S))
    except Exception:  # whatever it is: the runs are over, and how lowrun ends is theirs to say
        lines = []
    except KeyboardInterrupt:
        return
    if lines:
        say("where failing runs part from passing ones:")
        for line in lines:
            say(f"  {line}")
    what = "  more" if lines else "where failing runs part from passing ones"
    directory = _word(summary.output)
    say(f"{what}: lowrun analyze diff {directory}, lowrun show {directory}")


def _has_both(summary: Summary) -> bool:
    return len({result.ok for result in summary.results if result.completed and CALLS in result.artifacts}) == 2


def _deadline(moment: float) -> Callable[[float], None]:
    def check(part: float) -> None:
        if time.monotonic() > moment:
            raise _TooLong

    return check


def _first_lines(directory: Path, check: Callable[[float], None]) -> list[str]:
    runs = kept.kept_runs(directory)
    failing, passing = ([run for run in side if CALLS in run.artifacts] for side in (runs.failing, runs.passing))
    chosen = failing[:MOST_RUNS], passing[:MOST_RUNS]
    if sum(run.artifacts[CALLS].stat().st_size for side in chosen for run in side) > MOST_BYTES:
        return []
    return comparison.first_lines(comparison.differences(*chosen, progress=check))


def _word(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
