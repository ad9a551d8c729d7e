"""What failing runs did that passing ones did not, as text and as a dict for JSON. Pure: both from the same values.

The first three lines are the likeliest causes, the likeliest first; with several causes among the failing runs the
first line of each. What they come from is hostile: on its way to here control characters have become escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from lowrun.comparison.difference import Difference, Figure, Finding
from lowrun.kept.tails import visible
from lowrun.notation import ranges

__all__ = ["difference_dict", "difference_text", "first_lines"]

FIRST_LINES = 3
#: Longer calls are shortened: their strings first.
WIDTH = 180
STRING = 48
#: With the dots that say that it was longer.
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\.\.\.)?')
#: Kind -> the heading of its list.
HEADINGS = {
    "call": "calls", "error": "errors", "signal": "signals", "program": "programs", "file": "files",
}  # fmt: skip


def difference_text(difference: Difference, limit: int = 10) -> str:
    """Return the page for people; of each list at most `limit` lines are shown. Lines end in a newline."""
    lines = [*first_lines(difference)]
    failing, passing = difference.failing, difference.passing
    lines += ["", f"compared: failing {_numbers(failing)}, passing {_numbers(passing)}"]
    lines += difference.notes
    for group in difference.groups:
        several = len(difference.groups) > 1
        whose = f"failing {_numbers(group.runs)}" if several else "the failing runs"
        lines += _section(f"where {whose} part from the passing ones", group.findings, difference, limit)
    for whose, findings in (("failing", difference.only_failing), ("passing", difference.only_passing)):
        for kind, heading in HEADINGS.items():
            chosen = [one for one in findings if one.kind == kind]
            lines += _section(f"{heading} of {whose} runs only", chosen, difference, limit)
    lines += _section("network", difference.hosts, difference, limit)
    if difference.figures:
        lines += ["", f"{'measured':<34} {'failing: least, median, most':<34} passing"]
        lines += [_figure_line(one) for one in difference.figures]
    return "".join(f"{visible(line)}\n" for line in lines)


def first_lines(difference: Difference) -> list[str]:
    """Return the likeliest causes, a line each; what there is to say where there is none."""
    rows = zip_longest(*(group.findings for group in difference.groups))
    findings = [one for row in rows for one in row if one is not None]
    if len(difference.groups) == 1:
        findings = list(difference.groups[0].findings)
    found = findings or [*difference.hosts, *difference.only_failing, *difference.only_passing]
    lines = [f"{number}. {_line(one, difference)}" for number, one in enumerate(found[:FIRST_LINES], 1)]
    lines = [visible(line) for line in lines]
    if lines:
        return lines
    apart = [_figure_line(one) for one in difference.figures if one.apart]
    return apart[:FIRST_LINES] or ["Nothing was found that tells failing runs from passing ones."]


def difference_dict(difference: Difference) -> dict[str, Any]:
    """Return the same for JSON: the fields of Difference by their names."""
    return asdict(difference)


def _section(title: str, findings: Sequence[Finding], difference: Difference, limit: int) -> Iterator[str]:
    if not findings:
        return
    yield ""
    yield title
    for one in findings[:limit]:
        yield f"  {_line(one, difference)}"
    if len(findings) > limit:
        yield f"  ... and {len(findings) - limit} more (--limit)"


def _line(one: Finding, difference: Difference) -> str:
    parts = [f"{_share(one, difference)}: {_what(one)}"]
    if one.instead:
        parts.append(f"passing runs: {_shortened(one.instead)}")
    line = "; ".join(parts)
    where = [one.process] if one.process else []
    if one.where is not None:
        where.append(f"run {one.where[0]} line {one.where[1]}")
    return f"{line} [{', '.join(where)}]" if where else line


def _share(one: Finding, difference: Difference) -> str:
    return (
        f"in {len(one.failing)} of {len(difference.failing)} failing, "
        f"{len(one.passing)} of {len(difference.passing)} passing"
    )


def _what(one: Finding) -> str:
    text, after = _shortened(one.text), _shortened(one.after)
    if one.kind in ("more", "answer") and one.times > 1:
        return f"{text}, {one.times} times"
    if one.kind == "order":
        return f"{text}, after {after}" if after else f"{text}, first of all"
    if one.kind == "missing":
        return f"no {text}" + (f", after {after}" if after else "")
    if one.kind == "end":
        return f"no {text}: it ends after {after}"
    return text


def _shortened(text: str) -> str:
    if len(text) <= WIDTH:
        return text
    text = _STRING.sub(_shortened_string, text)
    if len(text) <= WIDTH:
        return text
    end = text[max(len(text) - WIDTH // 2, min(text.rfind(") = ") % len(text), len(text) - 55)) :]  # the result stays
    return f"{text[: WIDTH - 5 - len(end)]} ... {end}"


def _shortened_string(match: re.Match[str]) -> str:
    """Shorten data at the end, a path at the beginning: its end says more."""
    string = match[1]
    if len(string) <= STRING:
        return match[0]
    return f'"...{string[-STRING:]}"' if string.startswith("/") else f'"{string[:STRING]}"...'


def _numbers(runs: Sequence[int]) -> str:
    """Return `runs 1-4 7`; "none" for none."""
    return f"{'run' if len(runs) == 1 else 'runs'} {ranges(runs, WIDTH)}" if runs else "none"


def _figure_line(one: Figure) -> str:
    name = f"{one.name} ({one.unit})" if one.unit else one.name
    return f"{'* ' if one.apart else '  '}{name:<32} {_range(one.failing):<34} {_range(one.passing)}"


def _range(values: tuple[float, float, float] | None) -> str:
    return (
        "unknown"
        if values is None
        else "  ".join(f"{value:.4g}" if value < 1e4 else f"{value:.0f}" for value in values)
    )
