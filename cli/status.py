"""The verb `status`: whether programs run, from what was written down and what can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lowrun import DeniedError, supervise, to_json
from lowrun.cli.console import STDOUT, complain, write
from lowrun.cli.control import EXIT_UNKNOWN, NOT_RUNNING, known
from lowrun.cli.control_options import StatusRequest

__all__ = ["run"]

HEADER = ("NAME", "STATE", "PID", "UPTIME", "RESTARTS", "LAST EXIT", "CPU", "MEMORY")


def run(request: StatusRequest) -> int:
    """Tell it; return the exit code."""
    if not request.names:
        return _all(request.json)
    return _some(request.names, request.json)


def _some(names: Sequence[str], json: bool) -> int:
    """Tell of those that are named: as JSON one object for one name, a list for several."""
    found = []
    for name in names:
        with known(name) as state:
            if state is not None:
                found.append(_facts(state))
                if not json:
                    write(STDOUT, _text(found[-1]))
    if json and len(names) > 1:
        write(STDOUT, to_json({"programs": found}))
    elif json and found:
        write(STDOUT, to_json(found[0]))
    if len(found) < len(names):
        return EXIT_UNKNOWN
    return 0 if all(facts["running"] for facts in found) else NOT_RUNNING


def _all(json: bool) -> int:
    with supervise.StateDirectory.open() as directory:
        found = []
        for name in directory.names():
            facts = _facts_or_error(directory, name)
            if facts is not None:
                found.append(facts)
        where = directory.path
    if json:
        write(STDOUT, to_json({"programs": found}))
    elif found:
        write(STDOUT, _table(found))
    else:
        complain(f"no program is known in {where}; lowrun start begins one")
    return 0


def _facts_or_error(directory: supervise.StateDirectory, name: str) -> dict[str, Any] | None:
    """Return what is known of one among others; of one whose state is refused why it is; None of one that is gone."""
    try:
        state = directory.find(name)
        if state is None:
            return None
        with state:
            return _facts(state)
    except DeniedError as error:
        return {"name": name, "error": str(error)}


def _facts(state: supervise.ProgramState) -> dict[str, Any]:
    truth = state.truth()
    record = truth.record
    last = truth.last_exit
    facts: dict[str, Any] = {
        "name": truth.name,
        "running": truth.running,
        "state": truth.phase,
        "ready": truth.ready,
        "pid": truth.pid,
        "supervisor": truth.supervisor,
        "uptime_s": None if truth.uptime is None else round(truth.uptime, 3),
        "restarts": truth.restarts,
        "last_exit": None if last is None else {"code": last.code, "signal": last.signal, "at": last.at},
        "reason": None if record is None else record.reason or None,
        "failures": [str(path) for path in supervise.kept_failures(supervise.failures_path(state)).values()],
        "command": None if record is None else list(record.command),
        "processes": None,
        "cpu_s": None,
        "memory_bytes": None,
    }
    if truth.running and record is not None and record.keeper is not None:
        figures = supervise.figures_of_tree([record.keeper.pid], without=record.keeper.pid)
        facts |= {"processes": figures.processes, "cpu_s": figures.cpu_s, "memory_bytes": figures.memory}
    return facts


def _text(facts: dict[str, Any]) -> str:
    is_it = "is" if facts["running"] else "is not"
    lines = [f'"{facts["name"]}" process {is_it} running']
    state = facts["state"] + (", ready" if facts["ready"] else "")
    rows = [("state", state if not facts["reason"] else f"{state}: {facts['reason']}")]
    if facts["running"]:
        rows.append(("pid", str(facts["pid"] or "not known yet")))
        rows.append(("uptime", _duration(facts["uptime_s"])))
    rows.append(("restarts", str(facts["restarts"])))
    if facts["last_exit"] is not None:
        rows.append(("last exit", _exit(facts["last_exit"])))
    if facts["failures"]:
        rows.append(("failures", f"{len(facts['failures'])} kept, the last in {facts['failures'][-1]}"))
    if facts["processes"] is not None:
        rows.append(("processes", str(facts["processes"])))
        rows.append(("CPU", f"{facts['cpu_s']:.2f} s"))
        rows.append(("memory", _size(facts["memory_bytes"])))
    if facts["supervisor"] is not None:
        rows.append(("supervisor", f"pid {facts['supervisor']}"))
    return "\n".join([*lines, *(f"  {title:<10} {value}" for title, value in rows)]) + "\n"


def _table(found: list[dict[str, Any]]) -> str:
    rows = [HEADER, *(_row(facts) for facts in found)]
    full = [row for row in rows if len(row) == len(HEADER)]
    widths = [max(len(row[0]) for row in rows), *(max(len(row[i]) for row in full) for i in range(1, len(HEADER)))]
    return "".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=False)).rstrip() + "\n" for row in rows)


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    if "error" in facts:
        return facts["name"], f"refused: {facts['error']}"
    running = facts["running"]
    return (
        facts["name"],
        facts["state"],
        str(facts["pid"] or "-") if running else "-",
        _duration(facts["uptime_s"]) if running else "-",
        str(facts["restarts"]),
        "-" if facts["last_exit"] is None else _exit(facts["last_exit"]),
        "-" if facts["cpu_s"] is None else f"{facts['cpu_s']:.2f} s",
        "-" if facts["memory_bytes"] is None else _size(facts["memory_bytes"]),
    )


def _exit(last: dict[str, Any]) -> str:
    import signal

    if last["signal"] is None:
        return f"exit {last['code']}"
    try:
        return signal.Signals(last["signal"]).name
    except ValueError:
        return f"signal {last['signal']}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{seconds:.1f} s"


def _size(size: int) -> str:
    if size < 1 << 20:
        return f"{size / 1024:.1f} KiB"
    return f"{size / (1 << 20):.1f} MiB" if size < 1 << 30 else f"{size / (1 << 30):.1f} GiB"
