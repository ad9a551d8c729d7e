"""One self-contained HTML page: of a run that failed, or of what failing runs did differently.

It needs no network and may load nothing: the policy in its head lets in only its own style and script (by their hash)
and images that are in the page. All that a run wrote goes in as text (markup.py). Without JavaScript the timeline is a
table. Its size is bounded: so many lanes and marks, so many lines, no matter how long the run was.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from lowrun.comparison.difference import Difference, Figure, Finding
from lowrun.kept.calltext import call_text, clipped
from lowrun.kept.directory import KeptRuns
from lowrun.kept.timeline import Lane, Timeline
from lowrun.notation import duration, ranges
from lowrun.showing.markup import Html, embedded_json, joined, tag
from lowrun.showing.screen import hint_of, host_line, lookup_line, peaks_line, title_of, usage_of
from lowrun.showing.stories import Step, Story, story
from lowrun.showing.words import amount, command_line, state_of

__all__ = ["PAGE_LINES", "diff_page", "show_page"]

HERE = Path(__file__).parent
#: Lines of output and failing calls on a page.
PAGE_LINES = 200
#: Rows of a table; characters of a call, of one beside a finding, and of a line of output; bytes of a picture.
ROWS, CALL, BESIDE, LINE, PICTURE = 200, 600, 160, 4000, 2 << 20
#: Findings that are seen at once; others are behind a click.
FIRST = 8
LEGEND = (
    ("ok", "ended with exit 0"),
    ("failed", "ended with another code"),
    ("killed", "killed by a signal"),
    ("running", "its end is not in the log"),
    ("thread", "thread"),
    ("error", "failing call"),
    ("signal", "signal"),
)

#: What a finding's kind says of its call.
KINDS = {
    "missing": "missing:",
    "end": "it ends without",
    "order": "at another place:",
    "more": "more often:",
    "answer": "with another answer:",
    "slow": "slow:",
    "error": "error",
    "file": "file",
    "host": "host",
    "program": "program",
    "signal": "signal",
}


def show_page(told: Story) -> str:
    """Return the page about one run."""
    return _page(title_of(told), _header(told), _differs(told), *_sections(told))


def diff_page(runs: KeptRuns, difference: Difference) -> str:
    """Return the page about what the failing ones of `runs` did differently; the first of them is shown as a whole.

    Raises LowrunError or OSError when that run cannot be read.
    """
    title = f"{_count(difference.failing, 'failing')} against {_count(difference.passing, 'passing')}"
    head = joined(
        tag("h1", title), tag("dl", _facts([("command", tag("code", clipped(command_line(runs.command), LINE)))]))
    )
    parts = [_groups(difference), _only(difference), _figures(difference.figures), _notes(difference.notes)]
    chosen = next((run for run in runs.runs if run.index in difference.failing), None)
    if chosen is not None:
        told = story(chosen, lines=PAGE_LINES)
        parts += [tag("h2", title_of(told)), _why(told), *_sections(told)]
    return _page(title, head, *parts)


def _count(numbers: Sequence[int], side: str) -> str:
    return f"{len(numbers)} {side} run" + ("" if len(numbers) == 1 else "s")


def _page(title: str, *parts: str) -> str:
    style, script = (HERE.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    allowed = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = joined(
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{allowed}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content="lowrun"),
        tag("title", f"lowrun: {title}"),
        Html(f"<style>{style}</style>"),
    )
    body = joined(tag("main", *parts), Html(f"<script>{script}</script>"))
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _hash(text: str) -> str:
    """Return the source of a policy that lets in exactly `text` (Content Security Policy 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _section(title: str, *children: str) -> Html:
    """Return a section with a heading; nothing when there is nothing in it."""
    return tag("section", tag("h2", title), *children) if any(children) else Html("")


def _table(kind: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> Html:
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    body = [tag("tr", *(cell if isinstance(cell, Html) else tag("td", cell) for cell in row)) for row in rows]
    table = tag("table", tag("thead", head), tag("tbody", *body), class_=kind, aria_label=caption)
    return tag("div", table, class_="scroll") if body else Html("")


def _right(text: str) -> Html:
    return tag("td", text, class_="right")


def _facts(facts: Iterable[tuple[str, str]]) -> Html:
    return joined(*(joined(tag("dt", name), tag("dd", value)) for name, value in facts if value))


def _header(told: Story) -> Html:
    run = told.run
    kind = {"ok": "good", "interrupted": "warn"}.get(state_of(run), "bad")
    codes = told.runs.codes if told.runs is not None and told.runs.count != 1 else {}
    facts = [
        ("command", tag("code", clipped(command_line(run.command), LINE))),
        ("all runs", "; ".join(f"exit {code} in {ranges(numbers, 200)}" for code, numbers in sorted(codes.items()))),
        ("ran", usage_of(run)),
        ("peaks", peaks_line(told)),
        *(("fault", clipped(fault, LINE)) for fault in run.faults[:ROWS]),
        *(("note", note) for note in told.notes),
        ("hint", hint_of(told) or ""),
        ("kept in", tag("code", str(run.directory))),
        ("files", clipped(", ".join(sorted(path.name for path in run.artifacts.values())), LINE)),
    ]
    return tag("header", tag("h1", title_of(told), class_=kind), _why(told), tag("dl", _facts(facts)))


def _why(told: Story) -> Html:
    why = told.followed.why
    return tag("div", *(tag("p", sentence) for sentence in why), class_="why") if why else Html("")


def _sections(told: Story) -> list[Html]:
    chain = told.followed.chain
    picture = _timeline(told.followed.timeline, chain[-1].pid if chain and not told.run.ok else None)
    return [picture, _calls(told), _output(told), _samples(told), _hosts(told)]


# -- what differs


def _differs(told: Story) -> Html:
    difference = told.difference
    if difference is None:
        return Html("")
    groups = [finding for group in difference.groups for finding in group.findings]
    found = [*groups, *(one for one in difference.only_failing if one not in groups)][:ROWS]
    number = len(difference.passing)
    title = f"What differs from {number} passing run" + ("" if number == 1 else "s")
    return _section(title, _findings(found, difference) or tag("p", "Nothing that their calls show."))


def _findings(found: Sequence[Finding], difference: Difference) -> Html:
    if not found:
        return Html("")
    first = _list(found[:FIRST], difference, 1)
    if len(found) <= FIRST:
        return first
    more = tag("summary", f"{len(found) - FIRST} more")
    return joined(first, tag("details", more, _list(found[FIRST:], difference, FIRST + 1)))


def _list(found: Sequence[Finding], difference: Difference, start: int) -> Html:
    return tag("ol", *(tag("li", *_finding(each, difference)) for each in found), class_="findings", start=start)


def _finding(finding: Finding, difference: Difference) -> list[str]:
    how = KINDS.get(finding.kind, "")
    how += f" {finding.times} times" if finding.times > 1 else ""
    counts = (
        f"in {len(finding.failing)} of {len(difference.failing)} failing, "
        f"{len(finding.passing)} of {len(difference.passing)} passing runs"
    )
    more = [finding.process] if finding.process else []
    more += [f"after {clipped(finding.after, BESIDE)}"] if finding.after else []
    more += [f"where passing runs have {clipped(finding.instead, BESIDE)}"] if finding.instead else []
    more += [f"for example in line {finding.where[1]} of run {finding.where[0]}"] if finding.where else []
    return [
        tag("strong", how),
        " ",
        tag("code", clipped(finding.text, CALL)),
        " ",
        counts,
        tag("span", "; ".join(more), class_="soft"),
    ]


def _groups(difference: Difference) -> Html:
    groups = difference.groups
    if not groups:
        return _section("Where they part", tag("p", "Nothing that their calls show."))
    parts: list[str] = []
    for group in groups:
        if len(groups) > 1:
            parts.append(tag("h3", f"runs {ranges(group.runs, 200)}"))
        parts.append(_findings(group.findings[:ROWS], difference))
    return _section("Where they part", *parts)


def _only(difference: Difference) -> Html:
    return joined(
        _section("Only, or more often, in failing runs", _findings(difference.only_failing[:ROWS], difference)),
        _section("Only, or more often, in passing runs", _findings(difference.only_passing[:ROWS], difference)),
        _section("Hosts that one side has", _findings(difference.hosts[:ROWS], difference)),
    )


def _figures(figures: Sequence[Figure]) -> Html:
    rows = [
        (figure.name + (" (apart)" if figure.apart else ""), *_spread(figure, "failing"), *_spread(figure, "passing"))
        for figure in figures[:ROWS]
    ]
    columns = ("", "failing: least", "median", "most", "passing: least", "median", "most")
    return _section("Figures", _table("numbers", columns, rows, "figures of both sides"))


def _spread(figure: Figure, side: str) -> list[Html]:
    values = figure.failing if side == "failing" else figure.passing
    return [_right("") if values is None else _right(_measure(values[i], figure.unit)) for i in range(3)]


def _measure(value: float, unit: str) -> str:
    if unit == "s":
        return duration(value)
    if unit in ("KiB", "bytes"):
        return amount(value * (1024 if unit == "KiB" else 1))
    return f"{value:g} {unit}".rstrip()


def _notes(notes: Sequence[str]) -> Html:
    return _section("Notes", tag("ul", *(tag("li", note) for note in notes)) if notes else Html(""))


# -- a run


def _timeline(timeline: Timeline | None, blamed: int | None) -> Html:
    """Return the picture; the process `blamed` is marked in it."""
    if timeline is None or not timeline.lanes:
        return Html("")
    data = {
        "duration": _s(timeline.duration_ns),
        "legend": LEGEND,
        "lanes": [_lane(lane, lane.pid == lane.tid == blamed) for lane in timeline.lanes],
    }
    left = ""
    if timeline.left_out:
        left = f" {timeline.left_out} more processes and threads are left out: those that ended well and soonest."
    about = f"Marks are failing calls, but for those that healthy programs make, too (searches, would-block).{left}"
    rows = (_row(lane) for lane in timeline.lanes)
    columns = ("pid", "process", "begins", "lasts", "ends with", "calls", "failed")
    return _section(
        "Timeline",
        tag("div", id="timeline"),
        tag("p", about, class_="soft"),
        tag(
            "details",
            tag("summary", "The same as a table"),
            _table("numbers", columns, rows, "processes and threads"),
            id="process-table",
            open="open",
        ),
        Html(f'<script type="application/json" id="timeline-data">{embedded_json(data)}</script>'),
    )


def _s(ns: int) -> float:
    return round(ns / 1e9, 6)


def _lane(lane: Lane, blamed: bool) -> dict[str, object]:
    return {
        "pid": lane.pid,
        "tid": lane.tid,
        "name": clipped(lane.name, 64),
        "depth": lane.depth,
        "start": _s(lane.start_ns),
        "end": _s(lane.end_ns),
        "state": lane.state,
        "exit": lane.end,
        "blamed": blamed,
        "calls": lane.calls,
        "errors": lane.errors,
        "marks": [(_s(mark.at_ns), mark.count, mark.text, mark.kind) for mark in lane.marks],
    }


def _row(lane: Lane) -> list[str]:
    is_thread = lane.pid != lane.tid
    return [
        _right(str(lane.tid)),
        "\u2003" * lane.depth + clipped(lane.name, 64),
        _right(duration(lane.start_ns / 1e9)),
        _right(duration((lane.end_ns - lane.start_ns) / 1e9)),
        lane.end,
        _right("" if is_thread else str(lane.calls)),
        _right("" if is_thread else str(lane.errors)),
    ]


def _calls(told: Story) -> Html:
    followed = told.followed
    if not followed.chain:
        return Html("")
    who = f"{followed.chain[-1].program} ({followed.chain[-1].pid})"
    failing = (
        "Its last failing calls" if not followed.only_noise else "Its failing calls; healthy programs make such, too"
    )
    left = f" {followed.noise} others, such as healthy programs make, are left out." if followed.noise else ""
    return _section(
        f"What {who} did last",
        tag("h3", failing) if followed.failing else Html(""),
        _steps(followed.failing, "failing calls"),
        tag("p", left, class_="soft") if left else Html(""),
        tag("h3", "Its last calls, without those about memory and signals") if followed.calls else Html(""),
        _steps(followed.calls, "last calls"),
    )


def _steps(steps: Sequence[Step], caption: str) -> Html:
    rows = (
        (
            _right("" if step.before_end_ns is None else f"-{duration(step.before_end_ns / 1e9)}"),
            call_text(step.event, CALL),
            _right(str(step.event.line)),
        )
        for step in steps[-ROWS:]
    )
    return _table("calls", ("before its end", "call", "line of the log"), rows, caption)


def _output(told: Story) -> Html:
    parts: list[str] = []
    for tail in told.tails:
        count = "" if tail.count is None else f" of {tail.count}"
        parts.append(tag("h3", f"{tail.name}: the last {len(tail.lines)}{count} lines, {amount(tail.size)} in all"))
        lines = "\n".join(clipped(line, LINE) for line in tail.lines)
        parts.append(
            tag("pre", lines, tabindex=0, aria_label=tail.name) if tail.size else tag("p", "empty", class_="soft")
        )
    return _section("Output", *parts)


def _samples(told: Story) -> Html:
    path = told.run.artifacts.get("samples")
    if path is None:
        return Html("")
    try:
        if path.stat().st_size > PICTURE:
            return Html("")
        picture = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError:
        return Html("")
    image = tag("img", src=f"data:image/svg+xml;base64,{picture}", alt=f"Charts of the run: {peaks_line(told)}")
    return _section("Processor, memory, disk and network", tag("figure", image))


def _hosts(told: Story) -> Html:
    title = "Hosts in the packets, of all programs" if told.hosts_from == "packets" else "Hosts talked to"
    names = [lookup_line(lookup) for lookup in told.lookups[:ROWS]]
    hosts = [host_line(host) for host in told.hosts[:ROWS]]
    return _section(title, tag("ul", *(tag("li", line) for line in (*names, *hosts))) if names or hosts else Html(""))
