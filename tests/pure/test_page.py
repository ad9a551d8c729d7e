"""The page: whatever a run wrote stands in it as text, it may load nothing, and its size is bounded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lowrun.comparison.difference import Difference, Figure, Finding, Group
from lowrun.kept.directory import KeptRuns
from lowrun.kept.hosts import Host, Lookup
from lowrun.kept.tails import Tail
from lowrun.showing.markup import Html, embedded_json, tag
from lowrun.showing.page import diff_page, show_page
from lowrun.showing.stories import Story, follow
from tests.readings import call, end, failed_open, run_of

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&lt;<!--\u2028\u202e\x1b[2J\udcff"
#: The same as it is shown.
SHOWN = "</script><img src=x onerror=alert(1)>\"'&lt;<!--\\u2028\\u202e^[[2J\\xff"
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Elements, text and attributes as a browser finds them; open ones must be closed in their order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []
        assert not re.search("</?(d[dtl]|td|tr|li|code|p)>", self.text), "what is HTML was escaped"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def hostile_story() -> Story:
    """A story of which every text is hostile."""
    run = run_of(3, command=("sh", HOSTILE), faults=(HOSTILE,), directory=Path("/d" + HOSTILE), reason=HOSTILE)
    events = [
        call(0, "execve", path=f"/bin/{HOSTILE}", executable=f"/bin/{HOSTILE}"),
        failed_open(1, HOSTILE, executable=f"/bin/{HOSTILE}"),
        end(2, 3),
    ]
    tail = Tail("stderr", Path("x"), 99, (SHOWN,), 1)
    finding = Finding("call", HOSTILE, HOSTILE, (1,), (), process=HOSTILE, after=HOSTILE, where=(1, 2))
    difference = Difference((1,), (2,), (Group((1,), (finding,)),), (finding,), (), notes=(HOSTILE,))
    return Story(
        run, None, follow(events, run), (tail,), hosts=(Host("TCP", "::1", 1, names=(HOSTILE,)),),
        lookups=(Lookup(HOSTILE, 1),), hosts_from="calls", difference=difference, notes=(HOSTILE,),
    )  # fmt: skip


def test_hostile_text_stays_text() -> None:
    """No element, attribute or script comes of it; it can be read as it was, escapes for what is not to be seen."""
    page = show_page(hostile_story())
    seen = Reader(page)
    assert [name for name, _ in seen.elements if name in ("img", "iframe", "object", "link", "svg")] == []
    assert len([name for name, _ in seen.elements if name == "script"]) == 2
    assert not [key for _, attributes in seen.elements for key in attributes if key.startswith("on")]
    assert seen.text.count(SHOWN) >= 10
    assert "\u2028" not in page and "\u202e" not in page and "\x1b" not in page
    page.encode("utf-8")


def test_the_data_of_the_script_is_what_it_was() -> None:
    """The JSON in the page has no character that could end its element, and is the same values."""
    value = {"a": [HOSTILE.replace("\udcff", ""), 1.5, None], "<b>": "&amp;"}
    text = embedded_json(value)
    assert not set(text) & set("<>&\u2028\u2029")
    assert text.isascii() and json.loads(text) == value


def test_markup() -> None:
    """Text is escaped once, HTML is not; an attribute cannot be left."""
    assert tag("p", "<b>", Html("<i>"), class_='a"b') == '<p class="a&quot;b">&lt;b&gt;<i></p>'
    assert tag("img", alt="\n<") == '<img alt="\n&lt;">'


def test_the_policy_lets_in_nothing_else() -> None:
    """All loading is forbidden but for the page's own style and script, by their hash, and inlined pictures."""
    page = show_page(hostile_story())
    [policy] = [a["content"] for name, a in Reader(page).elements if a.get("http-equiv")]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert re.fullmatch(r"'sha256-[\w+/=]+'", rules["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/=]+'", rules["style-src"])
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def many(count: int) -> Iterator[object]:
    for i in range(count):
        yield failed_open(i, f"/some/long/path/{i}/" + "x" * 400, pid=1 + i % 2000)


def test_its_size_is_bounded() -> None:
    """Tens of thousands of failing calls in thousands of processes, lines without an end: some megabytes."""
    run = run_of(3)
    run = replace(run, command=("prog", "z" * 10**7), faults=("f" * 10**5,) * 1000)
    story = Story(run, None, follow(many(40_000), run, 200), (Tail("stdout", Path("x"), 1, ("y" * 10**6,) * 200, 9),))  # type: ignore[arg-type]
    page = show_page(story)
    assert len(page) < 4 << 20
    assert "more processes and threads are left out" in page


def test_it_is_read_without_a_script() -> None:
    """The table of processes is in the page itself, and open; headings and tables have names."""
    seen = Reader(show_page(hostile_story()))
    assert next(attributes for _, attributes in seen.elements if attributes.get("id") == "process-table")["open"]
    assert all(attributes.get("aria-label") for name, attributes in seen.elements if name == "table")
    assert "exit 3" in seen.text
    assert ("html", {"lang": "en"}) in seen.elements


def test_the_page_of_a_difference(tmp_path: Path) -> None:
    """Groups, what one side has, figures, notes; of runs that are gone there is no story."""
    finding = Finding("missing", HOSTILE, "", (1, 3), (), times=1)
    more = replace(finding, kind="more", times=7, text="write(1)")
    difference = Difference(
        (1, 3), (2,), (Group((1,), (finding,)), Group((3,), (more,))), (more,) * 20, (finding,),
        (Figure("wall time", "s", (0.1, 0.2, 0.3), None, True), Figure("peak", "KiB", None, (1, 2, 3000), False)),
        (replace(finding, kind="host"),), (HOSTILE,),
    )  # fmt: skip
    page = diff_page(KeptRuns(tmp_path, ("prog", HOSTILE), ()), difference)
    seen = Reader(page)
    assert "2 failing runs against 1 passing run" in seen.text
    for word in ("missing:", "more often: 7 times", "100.0 ms", "2.9 MiB", "12 more", "Hosts that one side has"):
        assert word in seen.text
    assert seen.text.count(SHOWN) == 4  # in the command it is quoted for a shell
    assert "alert" not in "".join(str(attributes) for _, attributes in seen.elements if "script" not in str(attributes))


def test_an_empty_story_has_a_page() -> None:
    """Nothing was kept but run.json."""
    page = show_page(Story(run_of(1)))
    assert "failed: exit 1" in Reader(page).text
    assert "Timeline" not in Reader(page).text


@pytest.mark.parametrize("name", ["page.css", "page.js"])
def test_what_is_inlined_cannot_end_its_element(name: str) -> None:
    """Neither style nor script has an end tag in it."""
    text = (Path(__file__).parents[2] / "lowrun" / "showing" / name).read_text()
    assert "</" not in text and "innerHTML" not in text and "eval(" not in text
