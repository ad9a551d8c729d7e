"""Four small charts in one SVG: processor, memory, disk and network over the time of a run. Pure: values in, text out.

Drawn by leather (the extra `lowrun[plot]`): pure Python, some 20 ms a
picture. It opens nothing, starts nothing and keeps no state, so it is fit for
a host's process and for the loop; matplotlib would keep fonts open, start
numpy's threads and take half a second to be imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowrun.errors import UnsupportedError
from lowrun.samples.series import Flow, Series

if TYPE_CHECKING:
    from leather import Chart

__all__ = ["POINTS", "Line", "Panel", "draw", "is_available", "panels_of"]

#: As many points of a line as a chart of this size can show.
POINTS = 400
WIDTH, HEIGHT = 1200, 760
#: Told apart with any kind of colour vision (Okabe and Ito, 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PREFIXES = ("", "k", "M", "G", "T", "P")


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity over time: seconds since the run began, and its value then; NaN leaves a gap."""

    name: str
    times: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: what it shows, in which unit ("B", "B/s", "%"), its lines."""

    title: str
    unit: str
    lines: Sequence[Line]


def is_available() -> bool:
    """Return True when the library that draws is installed."""
    from importlib.util import find_spec

    return find_spec("leather") is not None


def panels_of(series: Series) -> list[Panel]:
    """Return the four charts of a run."""
    times, machine = series.times, series.machine_times
    memory = [Line("tree", times, [1024 * kib for kib in series.rss_kib])]
    memory += [Line("machine, available", machine, [1024 * kib for kib in series.available_kib])] if machine else []
    disk = [*_flow_lines("calls", series.calls, "read", "written")]
    disk += _flow_lines("devices", series.storage, "read", "written")
    network = [line for name, flow in series.cards.items() for line in _flow_lines(name, flow, "in", "out")]
    return [
        Panel("Processor, % of one core", "%", [Line("tree", times, series.cpu_percent)]),
        Panel("Memory", "B", memory),
        Panel("Read and written by the tree", "B/s", disk),
        Panel("Network cards of the machine", "B/s", network),
    ]


def _flow_lines(name: str, flow: Flow, read: str, written: str) -> list[Line]:
    both = ((read, flow.read), (written, flow.written))
    return [Line(f"{name}, {way}", flow.times, values) for way, values in both if any(values)]


def draw(panels: Sequence[Panel], title: str) -> str:
    """Return the SVG of `panels`, two in a row; `title` is what a browser shows for it.

    Raises UnsupportedError without leather.
    """
    try:
        from leather import Grid
    except ImportError as error:
        raise UnsupportedError("charts need leather: pip install 'lowrun[plot]'") from error
    from xml.sax.saxutils import escape

    end = max((line.times[-1] for panel in panels for line in panel.lines if line.times), default=0.0)
    grid = Grid()
    grid.add_many([_chart(panel, end) for panel in panels])
    head, mark, rest = grid.to_svg(width=WIDTH, height=HEIGHT).partition("><")
    return f"{head}><title>{escape(_printable(title))}</title>{mark[1:]}{rest}"


def _chart(panel: Panel, end: float) -> Chart:
    from leather import Chart

    lines = [line for line in panel.lines if line.times] or [Line("nothing", (0.0, end), (0.0, 0.0))]
    # A line alone has no legend.
    chart = Chart(panel.title if len(lines) > 1 else f"{panel.title}: {_printable(lines[0].name)}")
    for place, line in enumerate(lines):
        points = [
            (time, None if math.isnan(value) else value) for time, value in zip(line.times, line.values, strict=True)
        ]
        color = COLORS[place % len(COLORS)]
        if len(points) == 1:  # a line of one point is not seen
            chart.add_dots(points, name=_printable(line.name), fill_color=color)
        else:
            chart.add_line(points, name=_printable(line.name), stroke_color=color, width=1.5)
    largest = max((value for line in lines for value in line.values if not math.isnan(value)), default=0.0)
    chart.add_x_scale(0, end or 0.001)
    chart.add_y_scale(0, largest or 1)
    chart.add_x_axis(name="seconds", tick_formatter=lambda value, _index, _count: f"{value:g}")
    chart.add_y_axis(tick_formatter=_tick_format(panel.unit))
    return chart


def _tick_format(unit: str) -> Callable[[float, int, int], str]:
    def text(value: float, _index: int, _count: int) -> str:
        if unit == "%":
            return f"{value:g} %"
        prefix = min(int(math.log10(value) / 3), len(PREFIXES) - 1) if value >= 1 else 0
        return f"{value / 1000**prefix:g} {PREFIXES[prefix]}{unit}"

    return text


def _printable(text: str) -> str:
    """Escape what XML has no place for: bytes that are no text, control characters."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
