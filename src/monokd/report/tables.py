"""Tables as data, and their three forms: HTML (through the page's template), Markdown, terminal."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from monokd.classes import DIFFICULTIES
from monokd.errors import printable
from monokd.evaluation.rules import LOOSE_IOU, STRICT_IOU
from monokd.report.networks import CONTROL, style_of
from monokd.report.results import HEADLINE, LEVEL, Figure, headline_ap

METRIC_NAMES = {"3d": "3D", "bev": "BEV", "bbox": "2D", "aos": "AOS"}
UNDEFINED = "–"


class Cell(NamedTuple):
    """One cell: its text, an addition in smaller print, and whether it stands out, as the best of its column does."""

    text: str
    note: str = ""
    best: bool = False


class Column(NamedTuple):
    """One column head; neighbours with the same non-empty `group` share a head above theirs."""

    title: str
    group: str = ""


class Table(NamedTuple):
    """A table whose first column names its rows; every row has as many cells as there are columns."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Name neighbouring groups with the number of columns each spans; empty when no column has a group."""
        spans = tuple((name, len([*columns])) for name, columns in groupby(column.group for column in self.columns))
        return spans if any(name for name, _ in spans) else ()


def to_markdown(table: Table) -> str:
    """Write a GitHub table, one line a row, the best of a column in bold; ends with a newline."""
    heads = [f"{column.group} {column.title}".strip() for column in table.columns]
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *([_plain(c, "**") for c in row] for row in table.rows)]
    escaped = ([printable(text).replace("\\", "\\\\").replace("|", "\\|") for text in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def to_rich(table: Table) -> RichTable:
    """Lay out a table for the terminal; the best of a column is bold."""
    result = RichTable(title=Text(printable(table.caption)), box=box.SIMPLE_HEAD, title_justify="left")
    for index, column in enumerate(table.columns):
        heads = [printable(head) for head in (column.group, column.title) if head]
        result.add_column(Text("\n".join(heads)), justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in table.rows:
        result.add_row(*(Text(printable(_plain(cell)), style="bold" if cell.best else "") for cell in row))
    return result


def headline(ap: pd.DataFrame, class_name: str, networks: Sequence[str]) -> Table:
    """Tabulate moderate AP|R40 in 3D and BEV, loose and strict, one network a row, with intervals if there are some."""
    figures = headline_ap(ap, class_name, networks)
    best = {key: max((figures[name, *key].ap for name in networks), key=np.nan_to_num) for key in HEADLINE}
    cells = {key: ap_cell(figure, best=figure.ap == best[key[1:]]) for key, figure in figures.items()}
    return _headline_table("AP|R40 in percent, higher is better", class_name, networks, cells)


def differences(ap: pd.DataFrame, class_name: str, networks: Sequence[str]) -> Table | None:
    """Tabulate paired differences to the control, if any, last network first; bold where the interval excludes 0."""
    cells = {}
    for key, (_, _, _, difference, low, high) in headline_ap(ap, class_name, networks).items():
        if not math.isnan(difference):
            cells[key] = Cell(signed(difference), f"{signed(low, 1)} to {signed(high, 1)}", low > 0 or high < 0)
    compared = [name for name in reversed(networks) if name != CONTROL and name in {key[0] for key in cells}]
    what = "difference to the control on the same frames, in points, with its 95 % interval"
    return _headline_table(what, class_name, compared, cells) if compared else None


def changes(
    ap: pd.DataFrame, before: Mapping[str, Mapping[str, Any]], class_name: str, networks: Sequence[str]
) -> Table:
    """Tabulate the headline's changes against an earlier kitti.json of each network, bold beyond today's interval."""
    cells = {}
    for (network, iou, metric), figure in headline_ap(ap, class_name, networks).items():
        values: Any = before.get(network, {}).get(iou, {}).get(class_name, {}).get(f"{metric}_R40", {})
        old = math.nan if values.get(LEVEL) is None else values[LEVEL]
        if round(figure.ap - old, 2) == 0:
            cells[network, iou, metric] = Cell("0.00", "unchanged")
        elif not math.isnan(figure.ap - old):
            outside = old < figure.low or old > figure.high
            cells[network, iou, metric] = Cell(signed(figure.ap - old), f"was {old:.2f}", outside)
    return _headline_table("change of AP|R40 in points", class_name, networks, cells)


def _headline_table(
    what: str, class_name: str, networks: Sequence[str], cells: Mapping[tuple[str, str, str], Cell]
) -> Table:
    """Make a row for each network, a column for each figure of the headline; a cell that there is not is undefined."""
    columns = [Column(METRIC_NAMES[metric], _iou_head(iou, class_name)) for iou, metric in HEADLINE]
    undefined = Cell(UNDEFINED)
    rows = tuple((Cell(style_of(n).label), *(cells.get((n, *key), undefined) for key in HEADLINE)) for n in networks)
    return Table(f"{class_name}, {LEVEL}: {what}", (Column("Network"), *columns), rows)


def details(ap: pd.DataFrame, class_name: str, networks: Sequence[str]) -> list[Table]:
    """Tabulate every AP of a class, a table a network: metrics down, thresholds and levels across."""
    keys = [(iou, difficulty.name) for iou in ("loose", "strict") for difficulty in DIFFICULTIES]
    columns = (Column("Metric"), *(Column(level, _iou_head(iou, class_name)) for iou, level in keys))
    tables = []
    for network in networks:
        mine = ap[(ap["network"] == network) & (ap["class"] == class_name)]
        if mine["ap"].notna().any():
            values = mine.set_index(["points", "metric", "iou", "difficulty"])["ap"].to_dict()
            rows = tuple(
                (Cell(f"{name} {points}"), *(Cell(_number(values.get((points, metric, *key)))) for key in keys))
                for points, (metric, name) in product(("R40", "R11"), METRIC_NAMES.items())
            )
            tables.append(Table(f"{style_of(network).label}, {class_name}: AP in percent", columns, rows))
    return tables


def depth_errors(metrics: Mapping[str, Any]) -> Table:
    """Tabulate errors of dense depth (metrics/depth.json): all returns, objects, bands of distance."""
    groups = {"All returns": metrics, "On labelled objects": metrics["objects"]}
    groups |= {f"At {name.removesuffix('_m').replace('_', ' to ')} m": band for name, band in metrics["bands"].items()}
    rows = [[name, _number(g["rmse_m"]), _number(g["mae_m"]), _scalar(g["returns"])] for name, g in groups.items()]
    caption = f"Dense depth against held-out laser points, {100 * metrics['filled']:.1f} % of pixels filled"
    return _table(caption, ("Where", "RMSE, m", "Mean absolute error, m", "Points"), rows)


def key_values(caption: str, values: Mapping[str, Any], heads: tuple[str, str] = ("Name", "Value")) -> Table:
    """Tabulate nested values in two columns, names joined by dots."""
    return _table(caption, heads, [[name, _scalar(value)] for name, value in flatten(values)])


def settings_changes(settings: Sequence[tuple[str, Any, Any]]) -> Table:
    """Tabulate (name, before, now)."""
    rows = [[name, _scalar(before), _scalar(now)] for name, before, now in settings]
    return _table("Settings that differ", ("Setting", "Before", "Now"), rows)


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption, tuple(map(Column, heads)), tuple(tuple(map(Cell, row)) for row in rows))


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """List the leaves of nested mappings with dotted names."""
    leaves: list[tuple[str, Any]] = []
    for key, value in values.items():
        leaves += flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return leaves


def iou_of(threshold_set: str, class_name: str) -> float:
    """Look up the IoU at which 3D and BEV boxes match, by threshold set and class; NaN for an unknown class."""
    return (LOOSE_IOU if threshold_set == "loose" else STRICT_IOU).get(class_name, math.nan)


def _iou_head(threshold_set: str, class_name: str) -> str:
    return f"{threshold_set.capitalize()}, IoU {iou_of(threshold_set, class_name)}"


def signed(value: float, digits: int = 2) -> str:
    """Write a number with its sign, which is a true minus."""
    return f"{'−' if round(value, digits) < 0 else '+'}{abs(value):.{digits}f}"


def ap_cell(figure: Figure, *, best: bool = False) -> Cell:
    """Write an AP with its interval, where there is one."""
    note = "" if math.isnan(figure.low) else f"{figure.low:.1f}–{figure.high:.1f}"
    return Cell(UNDEFINED) if math.isnan(figure.ap) else Cell(f"{figure.ap:.2f}", note, best)


def _number(value: float | None) -> str:
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.2f}"


def _scalar(value: Any) -> str:
    words = {"None": UNDEFINED, "True": "yes", "False": "no"}
    return f"{value:.4g}" if isinstance(value, float) else words.get(str(value), str(value))


def _plain(cell: Cell, mark: str = "") -> str:
    text = f"{mark}{cell.text}{mark}" if cell.best else cell.text
    return f"{text} ({cell.note})" if cell.note else text
