"""Charts as SVG text that takes its colours from the page: the headline, distance, precision over recall, training."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from monokd.report.networks import css_name, style_of
from monokd.report.results import HEADLINE, LEVEL, Results, by_network, headline_ap
from monokd.report.tables import METRIC_NAMES, iou_of

Numbers = NDArray[np.floating]
WIDTH_PX, HEIGHT_PX = 360, 250
INK, GRID = "#010203", "#040506"  # stand for the page's variables
SETTINGS: Any = {
    "svg.fonttype": "none", "path.simplify": True, "lines.scale_dashes": False, "font.size": 11,
    "text.parse_math": False, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.edgecolor": GRID, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.8, "xtick.major.pad": 6, "ytick.major.pad": 5,
    "xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 0, "ytick.minor.size": 0,
}  # fmt: skip
NO_METADATA: Any = dict.fromkeys(("Date", "Creator", "Type", "Format"))
WEIGHT = "weight_"
NOT_TERMS = ("network", "epoch", "step", "lr")
WIDE_RANGE = 12  # from which a loss has a logarithmic axis


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One network's line: N positions and values (NaN leaves a gap), and the ends of error bars where there are any."""

    network: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and the words around it."""

    key: str  # unique on its page: letters, digits and dashes
    title: str
    description: str  # what a reader who cannot see it needs to know
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_limits: tuple[float, float] | None = None  # None fits the data
    y_limits: tuple[float, float] | None = None
    x_ticks: Sequence[str] = ()  # texts at 0, 1, 2 and so on that replace the automatic ticks
    markers: bool = False  # of the networks, on the points
    logarithmic: bool = False  # of the y axis
    rows: Sequence[str] = ()  # horizontal rows: `x` of a series holds values and `y` numbers of rows, from the top


def headline_charts(results: Results, class_name: str) -> list[Chart]:
    """Draw dots with error bars on one scale: a chart for the loose and one for the strict IoU, rows 3D and BEV."""
    figures = headline_ap(results.ap, class_name, results.networks)
    known = [value for figure in figures.values() for value in (figure.ap, figure.high) if not math.isnan(value)]
    if not known:
        return []
    limit = _axis_end(max(known))
    charts = []
    for iou in ("loose", "strict"):
        metrics = [metric for threshold_set, metric in HEADLINE if threshold_set == iou]
        rows = [METRIC_NAMES[metric] for metric in metrics]
        series, words = [], []
        for index, network in enumerate(results.networks):
            ap, low, high = np.array([figures[network, iou, metric][:3] for metric in metrics]).T
            beside = (index - (len(results.networks) - 1) / 2) * min(0.24, 0.7 / len(results.networks))
            series.append(Series(network, ap, np.arange(len(rows)) + beside, low, high))
            label = style_of(network).label
            words += [f"{label} {row} {value:.1f}" for row, value in zip(rows, ap, strict=True) if np.isfinite(value)]
        title = f"{iou.capitalize()}, IoU {iou_of(iou, class_name)}"
        description = f"AP|R40 of {class_name}, {LEVEL}, {title}: {'; '.join(words)}."
        room = (-0.025 * limit, limit)  # for a marker at 0
        key = f"headline-{_slug(class_name)}-{iou}"
        charts.append(Chart(key, title, description, "AP|R40 in percent", "", series, x_limits=room, rows=rows))
    return charts


def distance_charts(results: Results, class_name: str) -> list[Chart]:
    """Draw AP|R40 in each band of distance for 3D and BEV, a line a network; loose and strict have a scale each."""
    charts = []
    for iou, metric in HEADLINE:
        both = _moderate(results.bands, class_name, iou)
        mine, highest = both[both["metric"] == metric], both[["ap", "high"]].max().max()
        if not len(mine) or not highest > 0:
            continue
        objects = mine.groupby(["from_m", "to_m"], as_index=False)["objects"].max().fillna(0)
        ticks = [f"{low:.0f}–{high:.0f}\n({count:.0f})" for low, high, count in objects.to_numpy()]
        series, words = [], []
        for index, (network, rows) in enumerate(by_network(mine)):
            bands = objects[["from_m", "to_m"]].merge(rows, how="left")
            beside = 0.09 * (index - (mine["network"].nunique() - 1) / 2)  # error bars stand side by side
            ap, low, high = bands[["ap", "low", "high"]].to_numpy(dtype=np.float64).T
            series.append(Series(network, np.arange(len(bands)) + beside, ap, low, high))
            known = [f"{t.split()[0]} m {y:.1f}" for t, y in zip(ticks, ap, strict=True) if np.isfinite(y)]
            words.append(f"{style_of(network).label}: {', '.join(known)}")
        title, limit = _title(iou, metric, class_name), _axis_end(highest)
        description = f"AP|R40 by distance, {class_name}, {title}. {'; '.join(words)}."
        key, labels = f"distance-{_slug(class_name)}-{iou}-{metric}", ("distance in m (objects)", "AP|R40 in percent")
        limits = (-0.02 * limit, limit)
        charts.append(Chart(key, title, description, *labels, series, y_limits=limits, x_ticks=ticks, markers=True))
    return charts


def precision_recall_charts(results: Results, class_name: str) -> list[Chart]:
    """Draw precision over recall for 3D and BEV, loose and strict, one line a network."""
    charts = []
    for iou, metric in HEADLINE:
        curves = _moderate(results.curves, class_name, iou)
        series, words = [], []
        for network, rows in by_network(curves[curves["metric"] == metric]):
            recall, precision = rows[["recall", "precision"]].to_numpy(dtype=np.float64).T
            # Precision 0 stands for recalls that the network never reaches: the line ends there.
            series.append(Series(network, recall, np.where(precision > 0, precision, np.nan)))
            words.append(f"{style_of(network).label} reaches recall {recall[precision > 0].max(initial=0):.2f}")
        title, key = _title(iou, metric, class_name), f"pr-{_slug(class_name)}-{iou}-{metric}"
        description = f"Precision over recall, {class_name}, {LEVEL}, {title}: {'; '.join(words)}."
        if series:
            limits: Any = {"x_limits": (0, 1), "y_limits": (0, 1.03)}
            charts.append(Chart(key, title, description, "recall", "precision", series, **limits))
    return charts


def training_charts(results: Results, *, weights: bool = False) -> list[Chart]:
    """Draw a chart a loss term (or, with `weights`, a task weight), one line a network, `total` first."""
    names = sorted(map(str, results.history.columns), key=lambda name: name != "total")
    terms = [name for name in names if name.startswith(WEIGHT) == weights and name not in NOT_TERMS]
    epochs = results.history.groupby(["network", "epoch"], sort=False)[terms].mean().reset_index()
    known = [term for term in terms if epochs[term].notna().any()]
    by_network = epochs.groupby("network")[known]
    if weights and not (by_network.max() > by_network.min()).any(axis=None):
        return []  # weights that stand still are settings, no curves
    return [_training_chart(term, epochs.dropna(subset=term), weights) for term in known]


def _training_chart(term: str, epochs: pd.DataFrame, weights: bool) -> Chart:
    title, what, values = term.removeprefix(WEIGHT), "weight" if weights else "loss", epochs[term]
    series, words = [], []
    for network, rows in by_network(epochs):
        x, y = rows[["epoch", term]].to_numpy(dtype=np.float64).T
        series.append(Series(network, x, y))
        words.append(f"{style_of(network).label} from {y[0]:.3g} to {y[-1]:.3g}")
    key = f"{'weight' if weights else 'term'}-{_slug(title)}"
    description = f"{what.capitalize()} of {title} over epochs: {'; '.join(words)}."
    wide = not weights and values.min() > 0 and values.max() / values.min() > WIDE_RANGE
    limits = (-0.03, max(1.03, values.max() * 1.03)) if weights else None
    return Chart(key, title, description, "epoch", what, series, y_limits=limits, logarithmic=wide)


def to_svg(chart: Chart) -> str:
    """Draw `chart`; the same chart gives the same text, and two on one page share no id."""
    with mpl.rc_context(SETTINGS | {"svg.hashsalt": chart.key}):
        height_px = 70 + 60 * len(chart.rows) if chart.rows else HEIGHT_PX
        figure = Figure(figsize=(WIDTH_PX / 72, height_px / 72), dpi=72)
        axes = figure.add_axes(_inside(chart, height_px))
        for line in chart.series:
            _draw_series(axes, line, chart)
        _draw_axes(axes, chart)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata=NO_METADATA)
    body = stream.getvalue().partition("<svg")[2].partition(">")[2]
    body = re.sub(r' id="[\w.]+_\d+"', "", body)  # groups that nothing refers to, named alike in every chart
    body = body.replace(INK, "var(--soft)").replace(GRID, "var(--rule)")
    for line in chart.series:
        body = body.replace(style_of(line.network).on_light, f"var(--{css_name(line.network)})")
    box, label = f"0 0 {WIDTH_PX} {height_px}", escape(chart.description)
    return f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}" role="img" aria-label="{label}">{body}'


def _inside(chart: Chart, height_px: float) -> tuple[float, float, float, float]:
    """Fixed margins: charts beside each other align, and no layout has to be solved."""
    left, right, top, bottom = 36 if chart.rows else 52, 14, 8, 56 if chart.x_ticks else 42
    width = (WIDTH_PX - left - right) / WIDTH_PX
    return left / WIDTH_PX, bottom / height_px, width, (height_px - top - bottom) / height_px


def _draw_series(axes: Axes, line: Series, chart: Chart) -> None:
    style = style_of(line.network)
    if line.low is not None and line.high is not None:
        known = np.isfinite(line.low) & np.isfinite(line.high)
        draw, at = (axes.hlines, line.y) if chart.rows else (axes.vlines, line.x)
        draw(at[known], line.low[known], line.high[known], colors=style.on_light, linewidth=1.6)
    look: Any = {"color": style.on_light, "linewidth": 1.8, "markersize": 7.5 if chart.rows else 5}
    look["linestyle"] = "none" if chart.rows else (0, style.dashes) if style.dashes else "-"
    look["marker"] = style.marker if chart.rows or chart.markers or len(line.x) == 1 else None
    # Where lines coincide, a solid one under a dashed one leaves both visible.
    axes.plot(line.x, line.y, zorder=2.2 if style.dashes else 2.1, **look)


def _draw_axes(axes: Axes, chart: Chart) -> None:
    if chart.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if chart.rows:
        axes.set_yticks(range(len(chart.rows)), chart.rows)
        axes.set_ylim(len(chart.rows) - 0.45, -0.55)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
    if chart.x_limits is not None:
        axes.set_xlim(chart.x_limits)
    if chart.y_limits is not None:
        axes.set_ylim(chart.y_limits)
    if chart.x_ticks:
        axes.set_xticks(range(len(chart.x_ticks)), chart.x_ticks)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.yaxis.set_label_coords(-40 / (WIDTH_PX - 66), 0.5)


def _moderate(table: pd.DataFrame, class_name: str, iou: str) -> pd.DataFrame:
    """The rows of a class and threshold set; 3D and BEV only, which the charts show."""
    chosen = (table["class"] == class_name) & (table["iou"] == iou) & (table["difficulty"] == LEVEL)
    return table[chosen & table["metric"].isin(["3d", "bev"])]


def _axis_end(highest: float) -> float:
    """The next whole ten of percent, with room for a marker."""
    return min(100.0, 10 * math.ceil((highest * 1.04 + 0.5) / 10))


def _title(iou: str, metric: str, class_name: str) -> str:
    return f"{METRIC_NAMES[metric]}, {iou}, IoU {iou_of(iou, class_name)}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "-", text.lower())
