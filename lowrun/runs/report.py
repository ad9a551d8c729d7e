"""Values as plain dictionaries, ready for JSON: the summary, one run.

Pure. The keys and their order are what users rely on; what is not known is
None and never a guess. Paths of artifacts are relative to the directory that
holds them. Words that are no UTF-8 keep their bytes as lone surrogates, which
`to_json` escapes, so any reader gets valid UTF-8.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from lowrun.values import Result, Summary

__all__ = ["result_dict", "summary_dict", "to_json"]


def summary_dict(summary: Summary, version: str) -> dict[str, object]:
    """Return the whole of `summary`, made by lowrun `version`. Times are seconds."""
    return {
        "lowrun": version,
        "command": list(summary.command.argv),
        "started": _stamp(summary.started),
        "wall_s": _seconds(summary.wall_s),
        "exit_code": summary.exit_code,
        "interrupted": summary.interrupted,
        "output": None if summary.output is None else str(summary.output),
        "codes": {str(code): runs for code, runs in summary.codes.items()},
        "runs": [result_dict(result, summary.output) for result in sorted(summary.results, key=_index)],
    }


def result_dict(result: Result, output: Path | None) -> dict[str, object]:
    """Return one run; its artifacts' paths are relative to `output`."""
    usage = result.usage
    return {
        "index": result.index,
        "code": result.status.code,
        "signal": result.status.signal,
        "ok": result.ok,
        "timed_out": result.timed_out,
        "interrupted": result.interrupted,
        "pid": result.pid,
        "started": _stamp(result.started),
        "wall_s": _seconds(result.wall_s),
        "user_s": _seconds(usage.user_s),
        "sys_s": _seconds(usage.sys_s),
        "max_rss_kib": usage.max_rss_kib,
        "processes": usage.processes,
        "artifacts": {name: _relative(path, output) for name, path in result.artifacts.items()},
        "faults": list(result.faults),
    }


def to_json(value: dict[str, object]) -> str:
    """Return `value` as JSON text with a newline at its end; ASCII only."""
    import json

    return json.dumps(value, indent=2) + "\n"


def _index(result: Result) -> int:
    return result.index


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _seconds(value: float | None) -> float | None:
    """Nanoseconds are as fine as the kernel counts; the float's noise below is left out."""
    return None if value is None else round(value, 9)


def _relative(path: Path, output: Path | None) -> str:
    return str(path) if output is None else os.path.relpath(path, output)
