"""A story as plain dictionaries, ready for JSON: what is known, None for what is not. Pure."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lowrun.comparison.report import difference_dict
from lowrun.kept.calltext import call_text
from lowrun.showing.screen import hint_of
from lowrun.showing.stories import Step, Story
from lowrun.showing.words import ending, state_of
from lowrun.trace.event import Event

__all__ = ["story_dict"]


def story_dict(story: Story) -> dict[str, Any]:
    """Return all of a story but its picture's marks; times are seconds, sizes bytes if their key says nothing else."""
    run, followed = story.run, story.followed
    return {
        "run": {**asdict(run), "directory": str(run.directory), "artifacts": _paths(run.artifacts)},
        "runs": None if story.runs is None else story.runs.count,
        "state": state_of(run),
        "ending": ending(run),
        "why": list(followed.why),
        "processes_to_blame": [asdict(link) for link in followed.chain],
        "hang": _hang(story),
        "failing_calls": [_step(step) for step in followed.failing],
        "failing_calls_are_common": followed.only_noise,
        "last_calls": [_step(step) for step in followed.calls],
        "differs": None if story.difference is None else difference_dict(story.difference),
        "output": {
            tail.name: {"path": str(tail.path), "bytes": tail.size, "lines": tail.count, "last_lines": list(tail.lines)}
            for tail in story.tails
        },
        "peaks": asdict(story.peaks) if story.peaks.known else None,
        "hosts": [asdict(host) for host in story.hosts],
        "names": [asdict(lookup) for lookup in story.lookups],
        "hosts_from": story.hosts_from or None,
        "notes": list(story.notes),
        "hint": hint_of(story),
    }


def _paths(artifacts: Any) -> dict[str, str]:
    return {name: str(path) for name, path in dict[str, Path](artifacts).items()}


def _hang(story: Story) -> dict[str, Any] | None:
    hang = story.followed.hang
    if hang is None:
        return None
    return {
        "signal": hang.signal,
        "in_call": hang.inside,
        "seconds": None if hang.for_ns is None else hang.for_ns / 1e9,
        "call": None if hang.call is None else _call(hang.call),
        "other_threads": [_call(call) for call in hang.others],
    }


def _step(step: Step) -> dict[str, Any]:
    before = None if step.before_end_ns is None else step.before_end_ns / 1e9
    return {**_call(step.event), "before_end_s": before}


def _call(event: Event) -> dict[str, Any]:
    return {
        "line": event.line,
        "tid": event.tid,
        "pid": event.pid,
        "time": event.time,
        "name": event.name,
        "text": call_text(event),
        "error": event.error or None,
        "path": event.path or None,
        "seconds": None if event.duration_ns is None else event.duration_ns / 1e9,
    }
