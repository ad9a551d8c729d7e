"""The charts of a run: what is in them, and that no name or value breaks them."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowrun.samples.chart import Line, Panel, draw, panels_of
from lowrun.samples.series import Flow, Series

SVG = "{http://www.w3.org/2000/svg}"
FLOW = Flow([0.0, 1.0], [0.0, 10.0], [0.0, 20.0])
STILL = Flow([0.0, 1.0], [0.0, 0.0], [0.0, 0.0])


def axes_of(drawn: bytes) -> list[str]:
    """The ids of the charts in the picture."""
    root = ElementTree.fromstring(drawn)
    return [id for group in root.iter(f"{SVG}g") if (id := group.get("id", "")).startswith("axes_")]


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
    assert len(axes_of(draw(panels, "job"))) == 4


def test_an_empty_run_is_drawn() -> None:
    """Nothing to show is no error."""
    assert len(axes_of(draw(panels_of(Series()), "job"))) == 4


def test_the_same_run_gives_the_same_picture() -> None:
    """No date and no clock in it."""
    panels = [Panel("x", "B", [Line("a", [0, 1], [1, 2])])]
    first, second = draw(panels, "job"), draw(panels, "job")
    assert len(first) == len(second)
    assert b"<dc:date>" not in first


@settings(max_examples=6, deadline=None)
@given(name=st.text(st.characters(), min_size=1, max_size=12), value=st.floats(width=32))
@pytest.mark.parametrize("title", ["job", "\udcff $x_1$ $\\frac", "a\nb\0c\x1b[1m", "中文 é", "x" * 500])
def test_no_name_or_value_breaks_a_chart(title: str, name: str, value: float) -> None:
    """Whatever a command, a network card or a figure is, the picture is well-formed and nobody is warned."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = draw([Panel("x", "B/s", [Line(name, [0.0, 1.0], [0.0, value])])], title)
    assert len(axes_of(drawn)) == 1
