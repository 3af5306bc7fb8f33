"""Small charts as SVG text that takes its colours from the page, so that they follow light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from monokd.report.styles import Style

Array = NDArray[np.float64]
SIZE_PX = (360, 250)
INK, GRID = "#010203", "#040506"
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "monokd",
    "path.simplify": True,
    "lines.scale_dashes": False,
    "font.size": 11,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.major.pad": 6,
    "ytick.major.pad": 5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
}


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One line of a chart.

    Attributes:
        style: its look and its label.
        x: N positions.
        y: N values; NaN leaves a gap.
        low: lower ends of error bars, NaN where there is none; None without any.
        high: upper ends.
        css: name of the CSS variable that holds its colour, without dashes in front.
    """

    style: Style
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    css: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and the words around it.

    Attributes:
        key: unique on its page, letters, digits and dashes.
        title: heading.
        description: what a reader who cannot see it needs to know.
        x_label: axis with unit.
        y_label: axis with unit.
        series: lines.
        x_limits: ends of the axis; None fits the data.
        y_limits: likewise.
        x_ticks: positions and texts that replace the automatic ones.
        markers: put the series' markers on the points.
        logarithmic: of the y axis.
    """

    key: str
    title: str
    description: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    x_ticks: tuple[tuple[float, str], ...] = ()
    markers: bool = False
    logarithmic: bool = False
    rows: tuple[str, ...] = field(default=())


def to_svg(chart: Chart) -> str:
    """Draw `chart`; the same chart gives the same text."""
    with mpl.rc_context(SETTINGS):
        height_px = 70 + 60 * len(chart.rows) if chart.rows else SIZE_PX[1]
        figure = Figure(figsize=(SIZE_PX[0] / 72, height_px / 72), dpi=72)
        axes = figure.add_axes(_inside(chart, height_px))
        (_draw_rows if chart.rows else _draw_lines)(axes, chart)
        axes.set_xlabel(chart.x_label)
        axes.set_ylabel(chart.y_label)
        axes.yaxis.set_label_coords(-40 / (SIZE_PX[0] - 66), 0.5)
        text = _saved(figure)
    return _themed(text, chart)


def _inside(chart: Chart, height_px: float) -> tuple[float, float, float, float]:
    """Fixed margins: charts beside each other align, and no layout has to be solved."""
    left, right, top = 36 if chart.rows else 52, 14, 8
    bottom = 56 if any("\n" in text for _, text in chart.x_ticks) else 42
    width_px = SIZE_PX[0]
    return (
        left / width_px,
        bottom / height_px,
        (width_px - left - right) / width_px,
        (height_px - top - bottom) / height_px,
    )


def _draw_lines(axes: Axes, chart: Chart) -> None:
    for line in chart.series:
        if line.low is not None and line.high is not None:
            _error_bars(axes, line, vertical=True)
        axes.plot(
            line.x,
            line.y,
            color=line.style.on_light,
            linewidth=1.8,
            linestyle=_line_style(line.style.dashes),
            marker=line.style.marker if chart.markers or len(line.x) == 1 else None,
            markersize=5,
            # Where lines coincide, a solid one under a dashed one leaves both visible.
            zorder=2.2 if line.style.dashes else 2.1,
        )
    if chart.logarithmic:
        _logarithmic(axes)
    if chart.x_limits is not None:
        axes.set_xlim(chart.x_limits)
    if chart.y_limits is not None:
        axes.set_ylim(chart.y_limits)
    if chart.x_ticks:
        axes.set_xticks([x for x, _ in chart.x_ticks], [text for _, text in chart.x_ticks])


def _draw_rows(axes: Axes, chart: Chart) -> None:
    """Dots on horizontal rows: `x` holds values, `y` row numbers from the top; series are spread within a row."""
    count = len(chart.series)
    for index, line in enumerate(chart.series):
        shift = (index - (count - 1) / 2) * min(0.24, 0.7 / max(count, 1))
        moved = Series(line.style, line.x, line.y + shift, line.low, line.high)
        _error_bars(axes, moved, vertical=False)
        axes.plot(
            moved.x,
            moved.y,
            color=line.style.on_light,
            linestyle="none",
            marker=line.style.marker,
            markersize=7.5,
        )
    axes.set_yticks(range(len(chart.rows)), chart.rows)
    axes.set_ylim(len(chart.rows) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    if chart.x_limits is not None:
        axes.set_xlim(chart.x_limits)


def _error_bars(axes: Axes, line: Series, *, vertical: bool) -> None:
    if line.low is None or line.high is None:
        return
    draw = axes.vlines if vertical else axes.hlines
    known = np.isfinite(line.low) & np.isfinite(line.high)
    at = (line.x if vertical else line.y)[known]
    draw(at, line.low[known], line.high[known], colors=line.style.on_light, linewidth=1.6)


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _line_style(dashes: Sequence[int]) -> Any:
    return (0, tuple(dashes)) if dashes else "-"


def _saved(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _themed(text: str, chart: Chart) -> str:
    """Drop fixed sizes, unused ids and the metadata; replace colours by the page's variables."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _opening(chart), text, count=1, flags=re.DOTALL)
    used = set(re.findall(r"#([\w.-]+)\)|href=\"#([\w.-]+)\"", text))
    names = {name for pair in used for name in pair if name}
    text = re.sub(r' id="([^"]*)"', lambda m: f' id="{chart.key}-{m[1]}"' if m[1] in names else "", text)
    for name in names:
        text = text.replace(f"#{name})", f"#{chart.key}-{name})").replace(f'"#{name}"', f'"#{chart.key}-{name}"')
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = text.replace(INK, "var(--soft)").replace(GRID, "var(--rule)")
    for line in chart.series:
        text = text.replace(line.style.on_light, f"var(--{line.css})" if line.css else line.style.on_light)
    return re.sub(r"\n\s*", "\n", text).strip()


def _opening(chart: Chart) -> str:
    label = chart.description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\\", "")
    return rf'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" role="img" aria-label="{label}">'
