"""Charts from a run's CSV files: training, precision over recall, results by distance; and the headline."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.report.charts import Chart, Series
from monokd.report.styles import style_of
from monokd.report.tables import HEADLINE, METRIC_NAMES, Metrics, interval_of, iou_of, value_of

Array = NDArray[np.float64]
Columns = dict[str, Array]
NOT_TERMS = {"epoch", "step", "lr"}
WEIGHT = "weight_"
PR_COLUMNS = ("iou", "class", "metric", "difficulty", "recall", "precision")


def read_history(path: str | Path) -> Columns:
    """Read a training history: one value an epoch and column, the mean over the epoch's rows; empty cells are NaN.

    Raises:
        DataError: unreadable, no `epoch` column, no rows, or a cell that is no number.
    """
    heads, rows = _read_csv(path)
    if "epoch" not in heads or not rows:
        raise DataError("expected a column 'epoch' and at least one row", path)
    values = np.array([[_number(cell, path, line) for cell in row] for line, row in rows])
    epochs = np.unique(values[:, heads.index("epoch")])
    columns = {}
    for index, head in enumerate(heads):
        columns[head] = np.array([_mean(values[values[:, heads.index("epoch")] == epoch, index]) for epoch in epochs])
    return columns


def read_precision_recall(path: str | Path) -> dict[tuple[str, str, str, str], Array]:
    """Read `pr.csv`: (strict or loose, class, metric, difficulty) → N×2 recall and precision in file order.

    Raises:
        DataError: unreadable, a missing column, or a cell that is no number.
    """
    heads, rows = _read_csv(path)
    missing = [column for column in PR_COLUMNS if column not in heads]
    if missing:
        raise DataError(f"expected a column {missing[0]!r}, found {', '.join(heads)[:80]}", path, 1)
    at = [heads.index(column) for column in PR_COLUMNS]
    curves: dict[tuple[str, str, str, str], list[tuple[float, float]]] = {}
    for line, row in rows:
        key = (row[at[0]], row[at[1]], row[at[2]], row[at[3]])
        point = (_number(row[at[4]], path, line), _number(row[at[5]], path, line))
        curves.setdefault(key, []).append(point)
    return {key: np.array(points) for key, points in curves.items()}


def training_charts(histories: Mapping[str, Columns], *, weights: bool = False) -> list[Chart]:
    """One chart a loss term (or, with `weights`, a task weight), one line a network, `total` first."""
    terms: dict[str, None] = {}
    for columns in histories.values():
        chosen = (name for name in columns if name.startswith(WEIGHT) == weights and name not in NOT_TERMS)
        terms |= dict.fromkeys(chosen)
    if weights and not any(_moves(columns[term]) for columns in histories.values() for term in columns.keys() & terms):
        return []  # weights that stand still are settings, no curves
    ordered = sorted(terms, key=lambda term: term != "total")
    return [chart for term in ordered if (chart := _term_chart(term, histories, weights)) is not None]


def precision_recall_charts(
    curves: Mapping[str, Mapping[tuple[str, str, str, str], Array]], class_name: str, *, level: str = "moderate"
) -> list[Chart]:
    """Precision over recall for 3D and BEV, loose and strict, one line a network."""
    charts = []
    for threshold_set, metric in HEADLINE:
        kind = metric.partition("_")[0]
        series = []
        for position, (name, mine) in enumerate(curves.items()):
            points = mine.get((threshold_set, class_name, kind, level))
            if points is not None and len(points):
                # Precision 0 stands for recalls that the network never reaches: the line ends there.
                precision = np.where(points[:, 1] > 0, points[:, 1], np.nan)
                css = css_name(name, position)
                series.append(Series(style_of(name, position), points[:, 0], precision, css=css))
        if series:
            charts.append(_precision_recall_chart(threshold_set, kind, class_name, level, tuple(series)))
    return charts


def headline_charts(models: Mapping[str, Metrics], class_name: str, *, level: str = "moderate") -> list[Chart]:
    """Dots with error bars: one chart for the loose and one for the strict threshold, rows 3D and BEV."""
    keys = [(metrics, s, class_name, m, level) for metrics in models.values() for s, m in HEADLINE]
    highest = [number for key in keys for number in (value_of(*key), *(interval_of(*key) or ())) if number is not None]
    if not highest:
        return []
    limit = min(100.0, 10 * math.ceil((max(highest) * 1.04 + 0.5) / 10))
    return [_headline_chart(models, s, class_name, level, limit) for s in ("loose", "strict")]


def distance_charts(
    found: Mapping[str, tuple[Array, NDArray[np.int64]]], edges_m: Sequence[float], class_name: str
) -> list[Chart]:
    """Percent found in each band of distance, one line a network; nothing where there are no objects.

    Args:
        found: network → percent in each band (NaN where there is no object) and number of objects.
        edges_m: ends of the bands, one more than bands.
        class_name: for the words.
    """
    totals = next(iter(found.values()))[1] if found else np.zeros(0, dtype=np.int64)
    if not totals.any():
        return []
    bands = [f"{low:.0f}–{high:.0f}" for low, high in pairwise(edges_m)]
    at = np.arange(len(bands), dtype=float)
    series, words = [], []
    for position, (name, (percent, _)) in enumerate(found.items()):
        series.append(Series(style_of(name, position), at, percent, css=css_name(name, position)))
        parts = [f"{band} m {y:.0f} %" for band, y in zip(bands, percent, strict=True) if np.isfinite(y)]
        words.append(f"{series[-1].style.label}: {', '.join(parts)}")
    chart = Chart(
        key="found-by-distance",
        title=f"{class_name}: share found",
        description=f"Percent of counted {class_name} objects found, by distance. {'; '.join(words)}.",
        x_label="distance in m (number of objects)",
        y_label="found, percent",
        series=tuple(series),
        y_limits=(-2, 104),
        x_ticks=tuple((x, f"{band}\n({total})") for x, band, total in zip(at, bands, totals, strict=True)),
        markers=True,
    )
    return [chart]


def css_name(name: str, position: int) -> str:
    """The CSS variable of a network's colour: its name when that is safe, else one of the two spare ones."""
    return name if name in ("teacher", "baseline", "student") else f"spare{position % 2}"


def _term_chart(term: str, histories: Mapping[str, Columns], weights: bool) -> Chart | None:
    series, lowest, highest = [], math.inf, -math.inf
    for position, (name, columns) in enumerate(histories.items()):
        if term not in columns or not np.isfinite(columns[term]).any():
            continue
        y = columns[term]
        lowest, highest = min(lowest, np.nanmin(y)), max(highest, np.nanmax(y))
        series.append(Series(style_of(name, position), columns["epoch"], y, css=css_name(name, position)))
    if not series:
        return None
    title = term.removeprefix(WEIGHT)
    return Chart(
        key=f"{'weight' if weights else 'term'}-{re.sub(r'[^a-z0-9]', '-', title.lower())}",
        title=title,
        description=f"{'Weight' if weights else 'Loss'} of {title} over epochs: {_ends(series)}",
        x_label="epoch",
        y_label="weight" if weights else "loss",
        series=tuple(series),
        y_limits=(-0.03, max(1.03, highest * 1.03)) if weights else None,
        logarithmic=not weights and lowest > 0 and highest / lowest > 12,
    )


def _moves(values: Array) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 0 and bool(np.ptp(known) > 0)


def _ends(series: list[Series]) -> str:
    parts = []
    for line in series:
        known = line.y[np.isfinite(line.y)]
        parts.append(f"{line.style.label} from {known[0]:.3g} to {known[-1]:.3g}")
    return "; ".join(parts) + "."


def _precision_recall_chart(
    threshold_set: str, kind: str, class_name: str, level: str, series: tuple[Series, ...]
) -> Chart:
    title = f"{METRIC_NAMES.get(kind, kind)}, {threshold_set}, IoU {iou_of(threshold_set, class_name)}"
    reach = "; ".join(f"{s.style.label} reaches recall {_reach(s):.2f}" for s in series)
    return Chart(
        key=f"pr-{re.sub(r'[^a-z0-9]', '-', class_name.lower())}-{threshold_set}-{kind}",
        title=title,
        description=f"Precision over recall, {class_name}, {level}, {title}: {reach}.",
        x_label="recall",
        y_label="precision",
        series=series,
        x_limits=(0, 1),
        y_limits=(0, 1.03),
    )


def _reach(series: Series) -> float:
    found = series.x[series.y > 0]
    return float(found.max()) if len(found) else 0.0


def _headline_chart(
    models: Mapping[str, Metrics], threshold_set: str, class_name: str, level: str, limit: float
) -> Chart:
    metrics = [m for s, m in HEADLINE if s == threshold_set]
    rows = tuple(METRIC_NAMES[m.partition("_")[0]] for m in metrics)
    series, words = [], []
    for position, (name, mine) in enumerate(models.items()):
        values = [value_of(mine, threshold_set, class_name, m, level) for m in metrics]
        intervals = [interval_of(mine, threshold_set, class_name, m, level) for m in metrics]
        low = np.array([math.nan if pair is None else pair[0] for pair in intervals])
        high = np.array([math.nan if pair is None else pair[1] for pair in intervals])
        x = np.array([math.nan if value is None else value for value in values])
        style = style_of(name, position)
        series.append(Series(style, x, np.arange(len(rows), dtype=float), low, high, css_name(name, position)))
        words += [f"{style.label} {row} {v:.1f}" for row, v in zip(rows, values, strict=True) if v is not None]
    title = f"{threshold_set.capitalize()}, IoU {iou_of(threshold_set, class_name)}"
    return Chart(
        key=f"headline-{threshold_set}",
        title=title,
        description=f"AP|R40 of {class_name}, {level}, {title}: {'; '.join(words)}.",
        x_label="AP|R40 in percent",
        y_label="",
        series=tuple(series),
        x_limits=(-0.025 * limit, limit),  # room for a marker at 0
        rows=rows,
    )


def _read_csv(path: str | Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Heads, and rows with their line numbers."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream)
            heads = next(reader, None) or []
            rows = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise DataError(f"cannot read the table: {error.strerror}", path) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"expected a CSV table, found {error}", path) from error
    for line, row in rows:
        if len(row) != len(heads):
            raise DataError(f"expected {len(heads)} cells, found {len(row)}", path, line)
    return heads, rows


def _number(cell: str, path: str | Path, line: int) -> float:
    if not cell.strip():
        return math.nan
    try:
        return float(cell)
    except ValueError as error:
        raise DataError(f"expected a number, found {cell[:40]!r}", path, line) from error


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
