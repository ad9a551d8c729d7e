"""The table of lines in tests/data/log-cases.txt: what a log's lines are understood as, in each of the three forms.

=== what the case is about
the log's lines (a backslash ends the last one, that has no end)
--- events
LINE KIND TID/PID EXECUTABLE NAME(ARGUMENTS) = RESULT; then such fields as are not empty, times in seconds
--- fixed
rows of CSV
--- stracepy
rows of CSV
--- unknown
numbers of the lines that are not understood: as events, and of the form stracepy
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lowrun.trace import Event, events, scanner

__all__ = ["Case", "cases", "rows", "shown", "understood"]

FILE = Path(__file__).parent / "data" / "log-cases.txt"
#: In a case's lines it stands for more than a segment of stracepy's pattern.
LONG = "x" * 300


@dataclass(frozen=True)
class Case:
    """One case of the table."""

    title: str
    log: bytes
    #: What understood() should be.
    expected: list[str]


def _seconds(value: int | None) -> str:
    if value is None:
        return "-"
    whole, rest = divmod(value, 1_000_000_000)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def shown(event: Event) -> str:
    """Return the event in one line."""
    text = f"{event.line} {event.kind} {event.tid}/{event.pid} {event.executable or '-'}"
    text += f" {event.name}({event.arguments}) = {event.result}; {event.time or '-'}"
    text += f" {_seconds(event.start_ns)}..{_seconds(event.end_ns)}"
    text += "" if event.duration_ns is None else f" took {_seconds(event.duration_ns)}"
    text += "" if event.value is None else f" value {event.value}"
    text += f" error {event.error}" if event.error else ""
    text += f" target {event.target}" if event.target else ""
    assert event.path == (event.paths[0] if event.paths else "")
    return text + (f" paths {list(event.paths)}" if event.paths else "")


def rows(form: str, log: bytes, extra: int = 0) -> tuple[bytes, list[int]]:
    """Return the rows of a form, and the numbers of the lines that were not understood."""
    using = scanner(form, extra)
    return using.feed(log) + using.finish(), using.unknown_lines


def understood(log: bytes) -> list[str]:
    """Return what the three forms make of `log`, as the table has it."""
    using = scanner("events")
    lines = ["--- events", *map(shown, events([log], using))]
    unknown = {"events": using.unknown_lines}
    for form in ("fixed", "stracepy"):
        made, unknown[form] = rows(form, log)
        lines += [f"--- {form}", *made.decode().replace(LONG, "LONG").splitlines()]
    assert unknown["fixed"] == unknown["events"]
    text = [" ".join(map(str, unknown[form])) or "none" for form in ("events", "stracepy")]
    return [line.replace(LONG, "LONG") for line in [*lines, "--- unknown", ", ".join(text)]]


def cases() -> Iterator[Case]:
    """Yield the cases of the table."""
    for part in FILE.read_text().split("=== ")[1:]:
        title, _, rest = part.partition("\n")
        text, _, expected = rest.partition("--- events\n")
        log = text.replace("LONG", LONG).removesuffix("\\\n").encode()
        yield Case(title, log, ["--- events", *expected.splitlines()])
