"""Tables as data, and their three forms: HTML (through the page's template), Markdown, terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from monokd.errors import printable
from monokd.evaluation.rules import DIFFICULTY_NAMES, LOOSE_IOU, STRICT_IOU
from monokd.report.networks import CONTROL, style_of
from monokd.report.results import HEADLINE, LEVEL, Figure, headline_ap

METRIC_NAMES = {"3d": "3D", "bev": "BEV", "bbox": "2D", "aos": "AOS"}
UNDEFINED = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, an addition in smaller print, and whether it stands out, as the best of its column does."""

    text: str
    note: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One column head; neighbours with the same non-empty `group` share a head above theirs."""

    title: str
    group: str = ""

    @property
    def flat(self) -> str:
        """Group and title in one line, for forms with a single head row."""
        return f"{self.group} {self.title}".strip()


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names its rows; every row has as many cells as there are columns."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Neighbouring group names with the number of columns each spans; empty when no column has a group."""
        spans = tuple((name, len([*columns])) for name, columns in groupby(column.group for column in self.columns))
        return spans if any(name for name, _ in spans) else ()


def to_markdown(table: Table) -> str:
    """A GitHub table, one line a row, the best of a column in bold; ends with a newline."""
    heads = [column.flat for column in table.columns]
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *([_plain(c, "**") for c in row] for row in table.rows)]
    clean = ([" ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|") for text in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in clean)


def to_rich(table: Table) -> RichTable:
    """A table for the terminal; the best of a column is bold."""
    result = RichTable(title=Text(printable(table.caption)), box=box.SIMPLE_HEAD, title_justify="left")
    for index, column in enumerate(table.columns):
        heads = [printable(head) for head in (column.group, column.title) if head]
        result.add_column(Text("\n".join(heads)), justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in table.rows:
        result.add_row(*(Text(printable(_plain(cell)), style="bold" if cell.best else "") for cell in row))
    return result


def headline(ap: pd.DataFrame, class_name: str, networks: Sequence[str]) -> Table:
    """Moderate AP|R40 in 3D and BEV, loose and strict, one network a row, with intervals where there are some."""
    figures = headline_ap(ap, class_name, networks)
    best = {key: max((figures[network, *key].ap for network in networks), key=_or_zero) for key in HEADLINE}
    rows = {}
    for network in networks:
        mine = {key: figures[network, *key] for key in HEADLINE}
        rows[style_of(network).label] = [ap_cell(mine[key], best=mine[key].ap == best[key]) for key in HEADLINE]
    return _headline_table(f"{class_name}, {LEVEL}: AP|R40 in percent, higher is better", class_name, rows)


def differences(ap: pd.DataFrame, class_name: str, networks: Sequence[str]) -> Table | None:
    """Paired differences to the control, the last network first; None where there are none.

    Those stand out whose 95 % interval excludes 0.
    """
    figures = headline_ap(ap, class_name, networks)
    known = {network for (network, *_), figure in figures.items() if not math.isnan(figure.difference)}
    compared = [network for network in reversed(networks) if network != CONTROL and network in known]
    rows = {style_of(n).label: [_difference_cell(figures[n, *key]) for key in HEADLINE] for n in compared}
    caption = f"{class_name}, {LEVEL}: difference to the control on the same frames, in points, with its 95 % interval"
    return _headline_table(caption, class_name, rows) if rows else None


def changes(
    ap: pd.DataFrame, before: Mapping[str, Mapping[str, Any]], class_name: str, networks: Sequence[str]
) -> Table:
    """The headline's changes against an earlier kitti.json of each network.

    Those stand out whose earlier value lies outside the present 95 % interval.
    """
    figures = headline_ap(ap, class_name, networks)
    rows: dict[str, list[Cell]] = {}
    for network in networks:
        rows[style_of(network).label] = []
        for iou, metric in HEADLINE:
            tree: Any = before.get(network)
            for name in (iou, class_name, f"{metric}_R40", LEVEL):
                tree = tree.get(name) if isinstance(tree, Mapping) else None
            old = float(tree) if isinstance(tree, int | float) else math.nan
            rows[style_of(network).label].append(_change_cell(figures[network, iou, metric], old))
    return _headline_table(f"{class_name}, {LEVEL}: change of AP|R40 in points", class_name, rows)


def details(ap: pd.DataFrame, class_name: str, networks: Sequence[str]) -> list[Table]:
    """Every AP of a class, a table a network: metrics down, thresholds and levels across."""
    keys = [(iou, level) for iou in ("loose", "strict") for level in DIFFICULTY_NAMES]
    columns = (Column("Metric"), *(Column(level, _iou_head(iou, class_name)) for iou, level in keys))
    tables = []
    for network in networks:
        mine = ap[(ap["network"] == network) & (ap["class"] == class_name)]
        if mine["ap"].notna().any():
            wide = mine.pivot_table("ap", ["points", "metric"], ["iou", "difficulty"], dropna=False)
            present = set(zip(mine["points"], mine["metric"], strict=True))
            order = [key for key in product(("R40", "R11"), METRIC_NAMES) if key in present]
            values = wide.reindex(order).reindex(columns=keys).to_numpy()
            names = [Cell(f"{METRIC_NAMES[metric]} {points}") for points, metric in order]
            rows = tuple((name, *map(_number, line)) for name, line in zip(names, values, strict=True))
            tables.append(Table(f"{style_of(network).label}, {class_name}: AP in percent", columns, rows))
    return tables


def depth_errors(metrics: Mapping[str, Any]) -> Table:
    """Errors of dense depth (metrics/depth.json): all returns, objects, bands of distance."""
    groups = {"All returns": metrics, "On labelled objects": metrics.get("objects", {})}
    for name, band in metrics.get("bands", {}).items():
        groups[f"At {name.removesuffix('_m').replace('_', ' to ')} m"] = band
    rows = [
        (Cell(name), _number(group["rmse_m"]), _number(group.get("mae_m")), Cell(_scalar(group.get("returns"))))
        for name, group in groups.items()
        if "rmse_m" in group
    ]
    filled = f", {100 * metrics['filled']:.1f} % of pixels filled" if metrics.get("filled") is not None else ""
    heads = ("Where", "RMSE, m", "Mean absolute error, m", "Points")
    columns = tuple(Column(head) for head in heads)
    return Table(f"Dense depth against held-out laser points{filled}", columns, tuple(rows))


def key_values(caption: str, values: Mapping[str, Any], heads: tuple[str, str] = ("Name", "Value")) -> Table:
    """Nested values as two columns, names joined by dots."""
    rows = tuple((Cell(name), Cell(_scalar(value))) for name, value in flatten(values))
    return Table(caption, (Column(heads[0]), Column(heads[1])), rows)


def settings_changes(settings: Sequence[tuple[str, Any, Any]]) -> Table | None:
    """(name, before, now) as a table; None where nothing differs."""
    rows = tuple((Cell(name), Cell(_scalar(before)), Cell(_scalar(now))) for name, before, now in settings)
    return Table("Settings that differ", (Column("Setting"), Column("Before"), Column("Now")), rows) if rows else None


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Leaves of nested mappings with dotted names, in order."""
    leaves: list[tuple[str, Any]] = []
    for key, value in values.items():
        leaves += flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return leaves


def iou_of(threshold_set: str, class_name: str) -> float:
    """IoU at which 3D and BEV boxes match, by threshold set (strict, loose) and class; NaN for an unknown class."""
    return (LOOSE_IOU if threshold_set == "loose" else STRICT_IOU).get(class_name, math.nan)


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, which is a true minus."""
    return f"{'−' if round(value, digits) < 0 else '+'}{abs(value):.{digits}f}"


def ap_cell(figure: Figure, *, best: bool = False) -> Cell:
    """An AP with its interval, where there is one."""
    note = "" if math.isnan(figure.low) else f"{figure.low:.1f}–{figure.high:.1f}"
    return Cell(UNDEFINED) if math.isnan(figure.ap) else Cell(f"{figure.ap:.2f}", note, best)


def _difference_cell(figure: Figure) -> Cell:
    if math.isnan(figure.difference):
        return Cell(UNDEFINED)
    low, high = figure.difference_low, figure.difference_high
    return Cell(signed(figure.difference), f"{signed(low, 1)} to {signed(high, 1)}", low > 0 or high < 0)


def _change_cell(figure: Figure, old: float) -> Cell:
    change = figure.ap - old
    if math.isnan(change):
        return Cell(UNDEFINED)
    if round(change, 2) == 0:
        return Cell("0.00", "unchanged")
    return Cell(signed(change), f"was {old:.2f}", old < figure.low or old > figure.high)


def _headline_table(caption: str, class_name: str, rows: Mapping[str, Sequence[Cell]]) -> Table:
    """A row for each name, a column for each figure of the headline."""
    columns = [Column(METRIC_NAMES[metric], _iou_head(iou, class_name)) for iou, metric in HEADLINE]
    return Table(caption, (Column("Network"), *columns), tuple((Cell(name), *row) for name, row in rows.items()))


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _iou_head(threshold_set: str, class_name: str) -> str:
    return f"{threshold_set.capitalize()}, IoU {iou_of(threshold_set, class_name)}"


def _number(value: float | None) -> Cell:
    return Cell(UNDEFINED if value is None or math.isnan(value) else f"{value:.2f}")


def _scalar(value: Any) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(cell: Cell, mark: str = "") -> str:
    text = f"{mark}{cell.text}{mark}" if cell.best else cell.text
    return f"{text} ({cell.note})" if cell.note else text
