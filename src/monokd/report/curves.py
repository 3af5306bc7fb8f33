"""Charts from a run's CSV files: training, precision over recall, results by distance; and the headline."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.reading import read_bytes
from monokd.report.charts import Chart, Series
from monokd.report.styles import style_of
from monokd.report.tables import HEADLINE, METRIC_NAMES, Metrics, interval_of, iou_of, value_of

Array = NDArray[np.float64]
Columns = dict[str, Array]
Key = tuple[str, str, str, str]  # strict or loose, class, metric, difficulty
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
MOST_EPOCHS = 10_000_000
NOT_TERMS = {"epoch", "step", "lr"}
WEIGHT = "weight_"
KEY_COLUMNS = ("iou", "class", "metric", "difficulty")
BAND_COLUMNS = ("from_m", "to_m", "objects", "ap", "low", "high")


def read_history(path: str | Path) -> Columns:
    """Read a training history: one value an epoch and column, the mean over the epoch's rows; empty cells are NaN.

    Raises:
        DataError: unreadable, no `epoch` column, no rows, or a cell that is no number.
    """
    heads, rows = _read_csv(path)
    if "epoch" not in heads or not rows:
        raise DataError("expected a column 'epoch' and at least one row", path)
    values = np.array([[_number(cell, path, line) for cell in row] for line, row in rows])
    for (line, _), epoch in zip(rows, values[:, heads.index("epoch")], strict=True):
        if not 0 <= epoch < MOST_EPOCHS or epoch != int(epoch):
            raise DataError(f"epoch: expected a count from 0, found {epoch:g}", path, line)
    epochs = np.unique(values[:, heads.index("epoch")])
    columns = {}
    for index, head in enumerate(heads):
        columns[head] = np.array([_mean(values[values[:, heads.index("epoch")] == epoch, index]) for epoch in epochs])
    return columns


def read_precision_recall(path: str | Path) -> dict[Key, Array]:
    """Read `pr.csv`: (strict or loose, class, metric, difficulty) → N×2 recall and precision in file order.

    Raises:
        DataError: unreadable, a missing column, or a cell that is no number.
    """
    curves = _read_keyed(path, ("recall", "precision"))
    for key, points in curves.items():
        if not ((points >= 0) & (points <= 1)).all():
            raise DataError(f"{' '.join(key)}: expected recall and precision from 0 to 1, found other numbers", path)
    return curves


def read_distances(path: str | Path) -> dict[Key, Array]:
    """Read `distance.csv`: (strict or loose, class, metric, difficulty) → N×6 of `BAND_COLUMNS`, NaN where empty.

    Raises:
        DataError: unreadable, a missing column, or a cell that is no number.
    """
    return _read_keyed(path, BAND_COLUMNS)


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
    curves: Mapping[str, Mapping[Key, Array]], class_name: str, *, level: str = "moderate"
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
                series.append(_series(name, position, points[:, 0], precision))
        if series:
            charts.append(_precision_recall_chart(threshold_set, kind, class_name, level, tuple(series)))
    return charts


def headline_charts(models: Mapping[str, Metrics], class_name: str, *, level: str = "moderate") -> list[Chart]:
    """Dots with error bars: one chart for the loose and one for the strict threshold, rows 3D and BEV."""
    keys = [(metrics, s, class_name, m, level) for metrics in models.values() for s, m in HEADLINE]
    highest = [number for key in keys for number in (value_of(*key), *(interval_of(*key) or ())) if number is not None]
    if not highest:
        return []
    limit = _axis_end(max(highest))
    return [_headline_chart(models, s, class_name, level, limit) for s in ("loose", "strict")]


def distance_charts(
    distances: Mapping[str, Mapping[Key, Array]], class_name: str, *, level: str = "moderate"
) -> list[Chart]:
    """AP|R40 in each band of distance for 3D and BEV, loose and strict, one line a network with its error bars."""
    charts = []
    for threshold_set in ("loose", "strict"):
        kinds = [metric.partition("_")[0] for s, metric in HEADLINE if s == threshold_set]
        mine = {
            kind: {n: by[key] for n, by in distances.items() if (key := (threshold_set, class_name, kind, level)) in by}
            for kind in kinds
        }
        highest = max((np.nan_to_num(rows[:, 3:]).max() for by in mine.values() for rows in by.values()), default=0)
        limit = _axis_end(highest)
        known = [(kind, by) for kind, by in mine.items() if by and highest]
        charts += [_distance_chart(threshold_set, kind, class_name, by, limit) for kind, by in known]
    return charts


def css_name(name: str, position: int) -> str:
    """The CSS variable of a network's colour: its name when that is safe, else one of the two spare ones."""
    return name if name in ("teacher", "baseline", "student") else f"spare{position % 2}"


def _series(
    name: str, position: int, x: Array, y: Array, low: Array | None = None, high: Array | None = None
) -> Series:
    """A network's line."""
    return Series(style_of(name, position), x, y, low, high, css_name(name, position))


def _axis_end(highest: float) -> float:
    """The next whole ten of percent, with room for a marker."""
    return min(100.0, 10 * math.ceil((highest * 1.04 + 0.5) / 10))


def _title(threshold_set: str, kind: str, class_name: str) -> str:
    return f"{METRIC_NAMES.get(kind, kind)}, {threshold_set}, IoU {iou_of(threshold_set, class_name)}"


def _term_chart(term: str, histories: Mapping[str, Columns], weights: bool) -> Chart | None:
    series, lowest, highest = [], math.inf, -math.inf
    for position, (name, columns) in enumerate(histories.items()):
        if term not in columns or not np.isfinite(columns[term]).any():
            continue
        y = columns[term]
        lowest, highest = min(lowest, np.nanmin(y)), max(highest, np.nanmax(y))
        series.append(_series(name, position, columns["epoch"], y))
    if not series:
        return None
    title = term.removeprefix(WEIGHT)
    return Chart(
        key=f"{'weight' if weights else 'term'}-{_slug(title)}",
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
    title = _title(threshold_set, kind, class_name)
    reach = "; ".join(f"{s.style.label} reaches recall {_reach(s):.2f}" for s in series)
    return Chart(
        key=f"pr-{_slug(class_name)}-{threshold_set}-{kind}",
        title=title,
        description=f"Precision over recall, {class_name}, {level}, {title}: {reach}.",
        x_label="recall",
        y_label="precision",
        series=series,
        x_limits=(0, 1),
        y_limits=(0, 1.03),
    )


def _distance_chart(
    threshold_set: str, kind: str, class_name: str, by_name: Mapping[str, Array], limit: float
) -> Chart:
    title = _title(threshold_set, kind, class_name)
    bands = [f"{low:.0f}–{high:.0f}" for low, high in next(iter(by_name.values()))[:, :2]]
    objects = np.max([np.nan_to_num(rows[:, 2]) for rows in by_name.values()], axis=0)
    series, words = [], []
    for position, (name, mine) in enumerate(by_name.items()):
        beside = 0.09 * (position - (len(by_name) - 1) / 2)  # error bars stand side by side
        at = np.arange(len(mine), dtype=np.float64) + beside
        ap, low, high = mine[:, 3:].T
        series.append(_series(name, position, at, ap, low, high))
        known = [f"{band} m {y:.1f}" for band, y in zip(bands, ap, strict=True) if np.isfinite(y)]
        words.append(f"{series[-1].style.label}: {', '.join(known)}")
    return Chart(
        key=f"distance-{_slug(class_name)}-{threshold_set}-{kind}",
        title=title,
        description=f"AP|R40 by distance, {class_name}, {title}. {'; '.join(words)}.",
        x_label="distance in m (number of objects)",
        y_label="AP|R40 in percent",
        series=tuple(series),
        y_limits=(-0.02 * limit, limit),
        x_ticks=tuple((float(x), f"{bands[x]}\n({objects[x]:.0f})") for x in range(len(bands))),
        markers=True,
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
        series.append(_series(name, position, x, np.arange(len(rows), dtype=float), low, high))
        label = series[-1].style.label
        words += [f"{label} {row} {v:.1f}" for row, v in zip(rows, values, strict=True) if v is not None]
    title = f"{threshold_set.capitalize()}, IoU {iou_of(threshold_set, class_name)}"
    return Chart(
        key=f"headline-{_slug(class_name)}-{threshold_set}",
        title=title,
        description=f"AP|R40 of {class_name}, {level}, {title}: {'; '.join(words)}.",
        x_label="AP|R40 in percent",
        y_label="",
        series=tuple(series),
        x_limits=(-0.025 * limit, limit),  # room for a marker at 0
        rows=rows,
    )


def _read_keyed(path: str | Path, columns: Sequence[str]) -> dict[Key, Array]:
    """Rows of numbers by what the first four columns of `KEY_COLUMNS` say, in file order."""
    heads, rows = _read_csv(path)
    missing = [column for column in (*KEY_COLUMNS, *columns) if column not in heads]
    if missing:
        raise DataError(f"expected a column {missing[0]!r}, found {', '.join(heads)[:80]}", path, 1)
    keys, numbers = ([heads.index(column) for column in group] for group in (KEY_COLUMNS, columns))
    found: dict[Key, list[list[float]]] = {}
    for line, row in rows:
        one, two, three, four = (row[index] for index in keys)
        found.setdefault((one, two, three, four), []).append([_number(row[index], path, line) for index in numbers])
    return {key: np.array(points) for key, points in found.items()}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "-", text.lower())


def _read_csv(path: str | Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Heads, and rows with their line numbers."""
    content = read_bytes(path, "table")
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
        heads = next(reader, None) or []
        rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"expected a CSV table, found {error}", path) from error
    if len(set(heads)) < len(heads):
        raise DataError(f"expected columns of different names, found {', '.join(heads)[:80]}", path, 1)
    for line, row in rows:
        if len(row) != len(heads):
            raise DataError(f"expected {len(heads)} cells, found {len(row)}", path, line)
    return heads, rows


def _number(cell: str, path: str | Path, line: int) -> float:
    word = cell.strip(" ")
    if not word:
        return math.nan
    if not NUMBER.fullmatch(word) or not math.isfinite(float(word)):
        raise DataError(f"expected a finite number, found {cell[:40]!r}", path, line)
    return float(word)


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
