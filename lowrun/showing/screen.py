"""A story as one screen of text. Pure.

Sections share the screen's height: those that want more than is there give lines back, the longest first. Nothing that
the terminal would act on is printed, whatever a run wrote.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lowrun.comparison.report import first_lines
from lowrun.kept.calltext import DOTS, call_text
from lowrun.kept.directory import KeptRun
from lowrun.kept.hosts import Host, Lookup
from lowrun.kept.tails import Tail, visible
from lowrun.notation import duration, ranges
from lowrun.showing.stories import Step, Story
from lowrun.showing.words import amount, command_line, ending, state_of

__all__ = ["Paint", "host_line", "hint_of", "lookup_line", "plain", "story_text"]

Paint = Callable[[str, str], str]
WIDTH, HEIGHT = 80, 40
#: Width of the titles of facts.
TITLE = 11
#: A section has at least so many lines, if it has as many.
LEAST = 2
LONGEST_RANGES = 40
#: Failing calls that are shown if there is room, and such as healthy programs make.
CALLS, COMMON = 8, 3
#: Last calls.
LAST = 6
COLORS = {"ok": "green", "failed": "red", "killed": "red", "timed out": "red", "interrupted": "yellow"}


def plain(text: str, color: str) -> str:
    """The `Paint` of what is no terminal."""
    return text


@dataclass(slots=True)
class _Section:
    """A heading, and lines of which the last, or the first, so many are shown."""

    title: str
    lines: list[str]
    room: int
    #: True: what does not fit is left out at the beginning.
    tail: bool = True
    #: Of which the lines are the last ones, "40 lines"; "" when the title does not say how many are shown.
    whole: str = ""

    def heading(self) -> str:
        """The title, with how many of all lines are shown."""
        if not self.whole:
            return self.title
        shown = min(self.room, len(self.lines))
        return f"{self.title}, {_plural(shown, 'line')}" + (
            f" (the last of {self.whole})" if self.whole != str(shown) else ""
        )

    def shown(self) -> list[str]:
        """The lines there is room for."""
        if self.room >= len(self.lines):
            return self.lines
        return self.lines[len(self.lines) - self.room :] if self.tail else self.lines[: self.room]


def columns_of(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def fitted(text: str, width: int | None) -> str:
    """Return `text`, cut to `width` columns with `...` at its end; None: as it is."""
    if width is None or columns_of(text) <= width:
        return text
    kept, room = [], max(0, width - len(DOTS))
    for char in text:
        room -= columns_of(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + DOTS


def story_text(story: Story, width: int | None = WIDTH, height: int | None = HEIGHT, paint: Paint = plain) -> str:
    """Return the lines about a run, each of at most `width` columns, `height` of them or little more; None: all."""
    head = _head(story, width, paint)
    sections = [section for section in _sections(story, width) if section.lines]
    foot = _foot(story, width)
    if height is None:
        for section in sections:
            section.room = len(section.lines)
    else:
        _share(sections, height - len(head) - len(foot) - len(sections))
    body = []
    for section in sections:
        body += [paint(fitted(section.heading(), width), "bold"), *section.shown()]
    return "\n".join((*head, *body, *foot)) + "\n"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s" if not what.endswith("s") else "es")


def _share(sections: Sequence[_Section], room: int) -> None:
    """Take lines from the longest section until all fit."""
    while sum(section.room for section in sections) > room:
        longest = max(sections, key=lambda section: section.room, default=None)
        if longest is None or longest.room <= LEAST:
            return
        longest.room -= 1


def _fact(title: str, text: str, width: int | None, most: int = 2) -> list[str]:
    """Return a fact with its title, broken into at most `most` lines."""
    return _broken(f"  {title:<{TITLE - 2}}{text}", width, TITLE, most)


def _broken(text: str, width: int | None, indent: int, most: int) -> list[str]:
    """Return `text` broken at its blanks into at most `most` lines; all but the first are indented."""
    if width is None:
        return [text]
    lines: list[str] = []
    while columns_of(text) > width and len(lines) < most - 1:
        part = fitted(text, width + len(DOTS))[: -len(DOTS)]
        cut = part.rfind(" ") if " " in part[indent:] else len(part)
        lines.append(text[:cut].rstrip(" "))
        text = " " * indent + text[cut:].lstrip(" ")
    return [*lines, fitted(text, width)]


def _head(story: Story, width: int | None, paint: Paint) -> list[str]:
    run, runs = story.run, story.runs
    lines = [paint(fitted(title_of(story), width), COLORS[state_of(run)])]
    for sentence in story.followed.why:
        lines += _fact("why" if len(lines) == 1 else "", sentence, width, 3)
    lines += _fact("command", command_line(run.command), width) if run.command else []
    if runs is not None and len(runs.codes) > 1:
        kinds = [f"exit {code} in {ranges(numbers, LONGEST_RANGES)}" for code, numbers in sorted(runs.codes.items())]
        lines += _fact("all runs", "; ".join(kinds), width)
    if run.pid is not None:
        lines += _fact("ran", usage_of(run), width)
    return lines


def title_of(story: Story) -> str:
    """Return the first line: which run of how many, and how it ended."""
    count = None if story.runs is None else story.runs.count
    which = f"run {story.run.index}" + (f" of {count}" if count is not None and count > 1 else "")
    state, how = state_of(story.run), ending(story.run)
    return f"{which} {how}" if how.startswith(state) else f"{which} {state}: {how}"


def usage_of(run: KeptRun) -> str:
    """Return when a run began and what it took."""
    parts = [visible(run.started.partition(".")[0].replace("T", " ")) + " UTC"] if run.started else []
    parts += [] if run.wall_s is None else [f"for {duration(run.wall_s)}"]
    parts += [] if run.user_s is None or run.sys_s is None else [f"CPU {duration(run.user_s + run.sys_s)}"]
    parts += [] if run.max_rss_kib is None else [f"largest process {amount(run.max_rss_kib * 1024)}"]
    parts += [] if run.processes is None else [_plural(run.processes, "process")]
    return ", ".join(parts)


def _sections(story: Story, width: int | None) -> list[_Section]:
    followed = story.followed
    inner = None if width is None else width - 2
    sections = [_differs(story, inner)]
    who = f"{visible(followed.chain[-1].program)} ({followed.chain[-1].pid})" if followed.chain else ""
    if not story.run.ok or not followed.only_noise:
        title = f"last calls of {who} that failed, and how long before its end"
        if followed.only_noise:
            title = f"calls of {who} that failed; healthy programs make such, too"
        failing = [] if followed.hang is not None and followed.only_noise else list(followed.failing)
        sections.append(
            _Section(
                title,
                [_step(step, inner) for step in failing],
                min(COMMON if followed.only_noise else CALLS, len(failing)),
            )
        )
    tells = followed.failing and not followed.only_noise
    if not story.run.ok and (followed.hang is not None or not tells or followed.chain[-1].signal):
        calls = [_step(step, inner) for step in followed.calls]
        title = f"last calls of {who}, without those about memory and signals"
        sections.append(_Section(title, calls, min(LAST, len(calls))))
    sections += [_tail(tail, width) for tail in story.tails if tail.lines]
    title = "hosts in the packets, of all programs" if story.hosts_from == "packets" else "hosts talked to"
    hosts = [f"  {fitted(lookup_line(lookup), inner)}" for lookup in story.lookups if not lookup.addresses]
    hosts += [f"  {fitted(host_line(host), inner)}" for host in story.hosts]
    sections.append(_Section(title, hosts, min(6, len(hosts)), tail=False))
    return sections


def _differs(story: Story, width: int | None) -> _Section:
    if story.difference is None:
        return _Section("", [], 0)
    lines = [part for line in first_lines(story.difference) for part in _broken(f"  {line}", width, 5, 3)]
    number = len(story.difference.passing)
    title = f"what differs from {_plural(number, 'passing run')}"
    return _Section(title, lines, len(lines), tail=False)


def _step(step: Step, width: int | None) -> str:
    before = "" if step.before_end_ns is None else f"-{duration(step.before_end_ns / 1e9)}"
    room = None if width is None else width - 11
    return f"  {before:>9}  {call_text(step.event, room)}"


def _tail(tail: Tail, width: int | None) -> _Section:
    count = str(tail.count) if tail.count is not None else amount(tail.size)
    title = tail.name if tail.ended else f"{tail.name} (its last line has no end)"
    lines = [f"  {fitted(line, None if width is None else width - 2)}" for line in tail.lines]
    return _Section(title, lines, min(10, len(lines)), whole=count)


def lookup_line(lookup: Lookup) -> str:
    """Return what became of a name that was looked up."""
    name = visible(lookup.name)
    if lookup.addresses:
        return f"{name} is {', '.join(lookup.addresses)}"
    return f"{name}: {lookup.answer}" if lookup.answer else f"{name}: no answer, asked {lookup.asked} times"


def host_line(host: Host) -> str:
    """Return what went to a host and came from it."""
    address = visible(f"[{host.address}]" if ":" in host.address else host.address)
    named = f" ({visible(', '.join(host.names))})" if host.names else ""
    errors = "".join(f", {error}" + (f" {count} times" if count > 1 else "") for error, count in host.errors.items())
    return (
        f"{host.protocol} {address}:{host.port}{named}: sent {amount(host.sent)}, got {amount(host.received)}{errors}"
    )


def _foot(story: Story, width: int | None) -> list[str]:
    lines = []
    if peaks := peaks_line(story):
        lines += _fact("peaks", peaks, width)
    for fault in story.run.faults:
        lines += _fact("fault", visible(fault), width, 3)
    for note in story.notes:
        lines += _fact("note", visible(note), width, 3)
    if (hint := hint_of(story)) is not None:
        lines += _fact("hint", hint, width)
    files = " ".join(sorted(visible(path.name) for path in story.run.artifacts.values()))
    return lines + _fact("kept in", f"{visible(str(story.run.directory))}: {files or 'nothing but run.json'}", width, 3)


def peaks_line(story: Story) -> str:
    """Return what the samples tell, "" when there are none."""
    peaks = story.peaks
    parts = []
    if peaks.processes is not None and peaks.processes.value > 0:  # 0: it was too short to be looked at
        parts += [] if peaks.rss_kib is None else [f"memory {amount(peaks.rss_kib.value * 1024)}"]
        parts += [] if peaks.cpu_percent is None else [f"CPU {peaks.cpu_percent.value:.0f} %"]
        parts.append(_plural(int(peaks.processes.value), "process"))
        parts += [] if peaks.threads is None else [_plural(int(peaks.threads.value), "thread")]
    parts += [] if peaks.read_bytes is None else [f"read {amount(peaks.read_bytes)}"]
    parts += [] if peaks.written_bytes is None else [f"wrote {amount(peaks.written_bytes)}"]
    return ", ".join(parts)


def hint_of(story: Story) -> str | None:
    """Return what to do to be told more, None when there is nothing."""
    run, runs = story.run, story.runs
    if run.ok or run.pid is None or story.difference is not None:
        return None
    if "calls" not in run.artifacts:
        return "lowrun -ct keeps the system calls, -lt the output" if not story.tails else "-ct keeps the system calls"
    passes = runs is not None and any(numbers and code == 0 for code, numbers in runs.codes.items())
    if runs is not None and runs.passing:
        return None
    if passes:
        return "--keep failed+1 keeps a passing run, too: then it is told what differs"
    return None
