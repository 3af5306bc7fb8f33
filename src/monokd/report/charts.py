"""Charts as SVG text that takes its colours from the page: the headline, distance, precision over recall, training."""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from monokd.report.networks import style_of
from monokd.report.results import HEADLINE, LEVEL, Results, headline_ap
from monokd.report.tables import METRIC_NAMES, iou_of
from monokd.typing import WEIGHT

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
NOT_TERMS = ("network", "epoch", "step", "lr")
WIDE_RANGE = 12  # from which a loss has a logarithmic axis


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One network's line: N positions and values (NaN leaves a gap), and the ends of error bars where there are any."""

    network: str
    text: str  # its values, for a reader who cannot see the chart
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines of some networks, and the texts around them."""

    title: str
    head: str  # of the description; no two charts of a page share it
    series: Sequence[Series]
    axes: Mapping[str, Any]  # properties of matplotlib's axes
    markers: bool = False  # of the networks, on the points
    logarithmic: bool = False  # of the y axis
    rows: Sequence[str] = ()  # horizontal rows: `x` of a series holds values and `y` numbers of rows, from the top


def headline_charts(results: Results, class_name: str) -> Iterator[Chart]:
    """Draw dots with error bars on one scale: a chart for the loose and one for the strict IoU, rows 3D and BEV."""
    figures = headline_ap(results.ap, class_name, results.networks)
    known = [value for figure in figures.values() for value in (figure.ap, figure.high) if not math.isnan(value)]
    if not known:
        return
    limit, rows = _axis_end(max(known)), [METRIC_NAMES[metric] for metric in ("3d", "bev")]
    for iou in ("loose", "strict"):
        series = []
        for index, network in enumerate(results.networks):
            ap, low, high = np.array([figures[network, iou, metric][:3] for metric in ("3d", "bev")]).T
            beside = (index - (len(results.networks) - 1) / 2) * min(0.24, 0.7 / len(results.networks))
            label = style_of(network).label
            text = [f"{label} {row} {value:.1f}" for row, value in zip(rows, ap, strict=True) if np.isfinite(value)]
            series.append(Series(network, "; ".join(text), ap, np.arange(len(rows)) + beside, low, high))
        title = f"{iou.capitalize()}, IoU {iou_of(iou, class_name)}"
        axes = {"xlim": (-0.025 * limit, limit), "xlabel": "AP|R40 in percent"}  # with room for a marker at 0
        yield Chart(title, f"AP|R40 of {class_name}, {LEVEL}, {title}: ", series, axes, rows=rows)


def distance_charts(results: Results, class_name: str) -> Iterator[Chart]:
    """Draw AP|R40 in each band of distance for 3D and BEV, a line a network; loose and strict have a scale each."""
    for iou, metric in HEADLINE:
        both = _moderate(results.bands, class_name, iou)
        mine, highest = both[both["metric"] == metric], both[["ap", "high"]].max().max()
        if not len(mine) or not highest > 0:
            continue
        objects = mine.groupby(["from_m", "to_m"], as_index=False)["objects"].max().fillna(0)
        ticks = [f"{low:.0f}–{high:.0f}\n({count:.0f})" for low, high, count in objects.to_numpy()]
        series = []
        for index, (network, rows) in enumerate(mine.groupby("network", sort=False)):
            bands = objects[["from_m", "to_m"]].merge(rows, how="left")
            beside = 0.09 * (index - (mine["network"].nunique() - 1) / 2)  # error bars stand side by side
            ap, low, high = bands[["ap", "low", "high"]].to_numpy(dtype=np.float64).T
            known = [f"{t.split()[0]} m {y:.1f}" for t, y in zip(ticks, ap, strict=True) if np.isfinite(y)]
            text = f"{style_of(str(network)).label}: {', '.join(known)}"
            series.append(Series(str(network), text, np.arange(len(bands)) + beside, ap, low, high))
        limit, title = _axis_end(highest), _title(iou, metric, class_name)
        axes = {"xlabel": "distance in m (objects)", "ylabel": "AP|R40 in percent", "ylim": (-0.02 * limit, limit)}
        axes |= {"xticks": range(len(ticks)), "xticklabels": ticks}
        yield Chart(title, f"AP|R40 by distance, {class_name}, {title}. ", series, axes, markers=True)


def precision_recall_charts(results: Results, class_name: str) -> Iterator[Chart]:
    """Draw precision over recall for 3D and BEV, loose and strict, one line a network."""
    for iou, metric in HEADLINE:
        curves, series = _moderate(results.curves, class_name, iou), []
        for network, rows in curves[curves["metric"] == metric].groupby("network", sort=False):
            recall, precision = rows[["recall", "precision"]].to_numpy(dtype=np.float64).T
            reached = precision > 0  # 0 stands for recalls that the network never reaches: the line ends there
            text = f"{style_of(str(network)).label} reaches recall {recall[reached].max(initial=0):.2f}"
            series.append(Series(str(network), text, recall, np.where(reached, precision, np.nan)))
        title = _title(iou, metric, class_name)
        axes = {"xlabel": "recall", "ylabel": "precision", "xlim": (0, 1), "ylim": (0, 1.03)}
        if series:
            yield Chart(title, f"Precision over recall, {class_name}, {LEVEL}, {title}: ", series, axes)


def training_charts(results: Results, *, weights: bool = False) -> Iterator[Chart]:
    """Draw a chart a loss term (or, with `weights`, a task weight), one line a network, `total` first."""
    names = sorted(map(str, results.history.columns), key=lambda name: name != "total")
    terms = [name for name in names if name.startswith(WEIGHT) == weights and name not in NOT_TERMS]
    epochs = results.history.groupby(["network", "epoch"], sort=False)[terms].mean().reset_index()
    known = [term for term in terms if epochs[term].notna().any()]
    by_network = epochs.groupby("network")[known]
    if weights and not (by_network.max() > by_network.min()).any(axis=None):
        return  # weights that stand still are settings, no curves
    for term in known:
        title, what, values, series = term.removeprefix(WEIGHT), "weight" if weights else "loss", epochs[term], []
        for network, rows in epochs.dropna(subset=term).groupby("network", sort=False):
            x, y = rows[["epoch", term]].to_numpy(dtype=np.float64).T
            series.append(Series(str(network), f"{style_of(str(network)).label} from {y[0]:.3g} to {y[-1]:.3g}", x, y))
        axes: dict[str, Any] = {"xlabel": "epoch", "ylabel": what}
        axes |= {"ylim": (-0.03, max(1.03, values.max() * 1.03))} if weights else {}
        wide = not weights and values.min() > 0 and values.max() / values.min() > WIDE_RANGE
        head = f"{what.capitalize()} of {title} over epochs: "
        yield Chart(title, head, series, axes, logarithmic=wide)


def to_svg(chart: Chart) -> Markup:
    """Draw `chart`; the same chart gives the same text, and two on one page share no id."""
    height_px, left_px, bottom_px = HEIGHT_PX, 52, 56 if "xticks" in chart.axes else 42
    if chart.rows:
        height_px, left_px = 70 + 60 * len(chart.rows), 36
    # Fixed margins: charts beside each other align, and no layout has to be solved.
    width, height = (WIDTH_PX - left_px - 14) / WIDTH_PX, (height_px - bottom_px - 8) / height_px
    with mpl.rc_context(SETTINGS | {"svg.hashsalt": chart.head}):
        figure = Figure(figsize=(WIDTH_PX / 72, height_px / 72), dpi=72)
        axes = figure.add_axes((left_px / WIDTH_PX, bottom_px / height_px, width, height))
        for line in chart.series:
            _draw_series(axes, line, chart)
        if chart.logarithmic:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        if chart.rows:
            axes.set(yticks=range(len(chart.rows)), yticklabels=chart.rows, ylim=(len(chart.rows) - 0.45, -0.55))
            axes.grid(visible=False, axis="y")
            axes.spines["left"].set_visible(False)
        axes.set(**chart.axes)
        axes.yaxis.set_label_coords(-40 / (WIDTH_PX - 66), 0.5)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata=NO_METADATA)
    body = stream.getvalue().partition("<svg")[2].partition(">")[2]
    body = re.sub(r' id="[\w.]+_\d+"', "", body)  # groups that nothing refers to, named alike in every chart
    body = body.replace(INK, "var(--soft)").replace(GRID, "var(--rule)")
    for line in chart.series:
        body = body.replace(style_of(line.network).on_light, f"var(--{line.network})")
    label = chart.head + "; ".join(line.text for line in chart.series if line.text)
    root = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {WIDTH_PX} {height_px}" role="img"'
    return Markup(f'{root} aria-label="{escape(label)}.">{body}')


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


def _moderate(table: pd.DataFrame, class_name: str, iou: str) -> pd.DataFrame:
    return table[(table["class"] == class_name) & (table["iou"] == iou) & (table["difficulty"] == LEVEL)]


def _axis_end(highest: float) -> float:
    """The next whole ten of percent, with room for a marker."""
    return min(100.0, 10 * math.ceil((highest * 1.04 + 0.5) / 10))


def _title(iou: str, metric: str, class_name: str) -> str:
    return f"{METRIC_NAMES[metric]}, {iou}, IoU {iou_of(iou, class_name)}"
