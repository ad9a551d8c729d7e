"""The charts of a run: what is in them, and that no name or value breaks them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun.samples.chart import Line, Panel, draw, panels_of
from lowrun.samples.series import Flow, Series

SVG = "{http://www.w3.org/2000/svg}"
FLOW = Flow([0.0, 1.0], [0.0, 10.0], [0.0, 20.0])
STILL = Flow([0.0, 1.0], [0.0, 0.0], [0.0, 0.0])


def texts_of(drawn: str) -> list[str]:
    """All words in the picture; it is well-formed."""
    return [text.text or "" for text in ElementTree.fromstring(drawn).iter(f"{SVG}text")]


def test_a_run_has_four_charts() -> None:
    """Processor, memory, disk and network; a card without traffic one way has one line."""
    series = Series([0.0, 1.0], [0.0, 50.0], [1, 1], [1, 1], [100, 200], FLOW, STILL, [0.0], [1e6], {"lo": FLOW})
    panels = panels_of(series)
    assert [[line.name for line in panel.lines] for panel in panels] == [
        ["tree"],
        ["tree", "machine, available"],
        ["calls, read", "calls, written"],
        ["lo, in", "lo, out"],
    ]
    assert list(panels[1].lines[0].values) == [100 * 1024, 200 * 1024]
    words = texts_of(draw(panels, "job"))
    assert {"Processor, % of one core: tree", "Memory", "lo, in", "20 B/s", "50 %"} <= set(words)


def test_an_empty_run_is_drawn() -> None:
    """Nothing to show is no error."""
    assert "Network cards of the machine: nothing" in texts_of(draw(panels_of(Series()), "job"))


def test_what_is_not_known_is_a_gap() -> None:
    """NaN splits a line in two."""
    panel = Panel("x", "B", [Line("a", [0, 1, 2, 3, 4], [1, 2, math.nan, 1, 3])])
    paths = [path.get("d") for path in ElementTree.fromstring(draw([panel], "job")).iter(f"{SVG}path")]
    assert len(paths) == 2


def test_one_point_is_seen() -> None:
    """A line of one point is a dot."""
    drawn = ElementTree.fromstring(draw([Panel("x", "B", [Line("a", [1.0], [5.0])])], "job"))
    assert len(list(drawn.iter(f"{SVG}circle"))) == 1


@given(name=st.text(st.characters(), max_size=12), value=st.floats(0, 1e18))
@pytest.mark.parametrize("title", ["job", "\udcff $x_1$ $\\frac", "<a>&b;", "a\nb\0c\x1b[1m", "中文 é", "x" * 500])
def test_no_name_or_value_breaks_a_chart(title: str, name: str, value: float) -> None:
    """Whatever a command, a network card or a figure is, the picture is well-formed UTF-8 and the title is in it."""
    drawn = draw([Panel("x", "B/s", [Line(name, [0.0, 1.0], [0.0, value])])], title)
    found = ElementTree.fromstring(drawn.encode()).find(f"{SVG}title")
    assert found is not None and found.text
