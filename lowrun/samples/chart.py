"""Four small charts in one SVG: processor, memory, disk and network over the time of a run. Pure: values in, bytes out.

Drawn by matplotlib (the extra `lowrun[plot]`), by its figure objects alone:
pyplot and rcParams are state of the whole process, which may be a host that
draws itself, so neither is touched; a figure of one's own may be drawn on any
thread. Nothing in it depends on the clock.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from lowrun.errors import UnsupportedError
from lowrun.samples.series import Flow, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Line", "Panel", "draw", "is_available", "panels_of"]

#: Told apart with any kind of colour vision (Okabe and Ito, 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SIZE = (9.6, 5.6)
TITLE_LENGTH = 100
#: DejaVu has Latin, Greek and Cyrillic.
FIRST_WITHOUT_GLYPH = "\u0500"


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity over time: seconds since the run began, and its value then."""

    name: str
    times: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: what it shows, in which unit ("B", "B/s": a prefix is put before it; "%" none), its lines."""

    title: str
    unit: str
    lines: Sequence[Line]


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
        Panel("Read and written", "B/s", disk),
        Panel("Network cards", "B/s", network),
    ]


def _flow_lines(name: str, flow: Flow, read: str, written: str) -> list[Line]:
    both = ((read, flow.read), (written, flow.written))
    return [Line(f"{name}, {way}", flow.times, values) for way, values in both if any(values)]


def is_available() -> bool:
    """Return True when the library that draws is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def draw(panels: Sequence[Panel], title: str) -> bytes:
    """Return the SVG of `panels`, two in a row, under `title`.

    Raises UnsupportedError without matplotlib.
    """
    try:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError("charts need matplotlib: pip install 'lowrun[plot]'") from error

    figure = Figure(figsize=SIZE, layout="constrained")
    FigureCanvasSVG(figure)
    words = title if len(title) <= TITLE_LENGTH else f"{title[:TITLE_LENGTH]}..."
    figure.suptitle(_printable(words), fontsize=10, family="monospace")
    rows = (len(panels) + 1) // 2
    for place, panel in enumerate(panels, 1):
        _draw_panel(figure.add_subplot(rows, 2, place), panel)
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _draw_panel(axes: Axes, panel: Panel) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    for line, color in zip(panel.lines, cycle(COLORS), strict=False):
        # A single point has no line: it is shown as a dot.
        dot = "." if len(line.times) == 1 else None
        axes.plot(line.times, line.values, color=color, linewidth=1.2, label=_label(line.name), marker=dot)
    axes.set_title(panel.title, loc="left", fontsize=9, fontweight="bold")
    axes.set_xlabel("seconds", fontsize=8)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=panel.unit == "%"))
    axes.yaxis.set_major_formatter("{x:g} %" if panel.unit == "%" else EngFormatter(unit=panel.unit))
    if panel.lines:
        axes.legend(fontsize=8, frameon=False, loc="best", handlelength=1.2)
    else:
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color="#777777")


def _printable(text: str) -> str:
    """Escape what the font that matplotlib brings has no glyph for (line breaks, bytes that are no text, Han), and "$".

    What stands between two "$" would be a formula.
    """
    shown = (char if char.isprintable() and char < FIRST_WITHOUT_GLYPH else ascii(char)[1:-1] for char in text)
    return "".join(shown).replace("$", r"\$")


def _label(name: str) -> str:
    """Return a name that a legend shows: matplotlib leaves out those that begin with an underscore."""
    return _printable(f" {name}" if name.startswith("_") else name)
