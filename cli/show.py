"""The verb `show`: which run is meant, and what of it goes where."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lowrun import ProtocolError, UsageError, kept, notation, showing, supervise, to_json
from lowrun.cli.bar import Bar
from lowrun.cli.console import STDOUT, complain, has_colors, is_terminal, paint, warn, write
from lowrun.cli.jsonfile import JsonFile
from lowrun.cli.show_options import ShowRequest

__all__ = ["run"]

#: What `--all` shows of each kind: more than anybody reads.
ALL = 100_000
#: Of a screen's height, what the prompt and the command take.
PROMPT = 2
LEAST_WIDTH, LEAST_HEIGHT = 40, 20
WIDTH, HEIGHT = 80, 40
MOST_RUNS = 200


def run(request: ShowRequest) -> int:
    """Show it; return the exit code."""
    chosen, runs = _chosen(request)
    target = None if request.html is None else JsonFile(request.html, "--html")
    lines = ALL if request.all else request.lines or showing.LINES
    bar = Bar("reading what was kept")
    try:
        story = showing.story(chosen, runs, max(lines, showing.PAGE_LINES) if target is not None else lines, bar.draw)
    finally:
        bar.erase()
    if target is not None:
        target.write(showing.show_page(story))
    if request.json:
        write(STDOUT, to_json(showing.story_dict(story)))
    elif target is None:
        write(STDOUT, _text(story, request))
    return 0


def _text(story: showing.Story, request: ShowRequest) -> str:
    color = paint if has_colors(STDOUT) else showing.plain
    if request.all:
        return showing.story_text(story, None, None, color)
    size = shutil.get_terminal_size((WIDTH, HEIGHT)) if is_terminal(STDOUT) else os.terminal_size((WIDTH, HEIGHT))
    height = None if request.lines is not None else max(LEAST_HEIGHT, size.lines - PROMPT)
    return showing.story_text(story, max(LEAST_WIDTH, size.columns), height, color)


def _chosen(request: ShowRequest) -> tuple[kept.KeptRun, kept.KeptRuns | None]:
    """Return the run that is meant, and all it is one of. Raises UsageError."""
    directory = Path(request.directory)
    if (directory / "run.json").exists():
        if request.run is not None:
            raise UsageError(f"{directory}: is one run's directory, so RUN is not needed")
        return _one(directory)
    supervised = not directory.is_dir() and "/" not in request.directory
    if supervised:
        directory = _failures_of(request.directory)
    elif (directory / "failures").is_dir() and not (directory / "summary.json").exists():
        directory, supervised = directory / "failures", True
    runs = kept.kept_runs(directory)
    if request.run is not None:
        return _numbered(runs, request.run), runs
    if not runs.runs:
        raise UsageError(f"{directory}: of no run anything was kept; lowrun --keep all keeps every run")
    failing = runs.failing
    if not failing:
        complain(f"no run that was kept has failed; this is the last, run {runs.runs[-1].index}")
        return runs.runs[-1], runs
    return failing[-1 if supervised or directory.name == "failures" else 0], runs


def _one(directory: Path) -> tuple[kept.KeptRun, kept.KeptRuns | None]:
    """Read one run, and its neighbours where they can be read."""
    try:
        runs = kept.kept_runs(directory.resolve().parent)
    except (UsageError, ProtocolError, OSError) as error:
        if not isinstance(error, UsageError):
            warn(f"the runs beside it: {error}")
        runs = None
    return kept.kept_run(directory, runs.command if runs is not None else ()), runs


def _numbered(runs: kept.KeptRuns, number: int) -> kept.KeptRun:
    for each in runs.runs:
        if each.index == number:
            return each
    there = notation.ranges([each.index for each in runs.runs], MOST_RUNS) or "none"
    if runs.count is not None and not 1 <= number <= runs.count:
        raise UsageError(f"run {number}: there were {runs.count} runs; kept: {there}")
    raise UsageError(f"run {number}: was not kept; kept: {there} (lowrun --keep all keeps every run)")


def _failures_of(name: str) -> Path:
    """Return where a supervised program's failures are kept. Raises UsageError: nothing has that name."""
    with supervise.StateDirectory.open() as directory:
        state = directory.find(name) if name in directory.names() else None
        if state is None:
            raise UsageError(f"{name}: there is no such directory, and no program of that name was started")
        with state:
            path = supervise.failures_path(state)
    if not path.is_dir():
        raise UsageError(f"{name}: no failure was kept")
    return path
