"""Tables as data, and their three forms: HTML (through the page's template), Markdown, terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from monokd.errors import printable
from monokd.report.styles import style_of

Metrics = Mapping[str, Any]
LEVELS = ("easy", "moderate", "hard")
HEADLINE = (("loose", "3d_R40"), ("loose", "bev_R40"), ("strict", "3d_R40"), ("strict", "bev_R40"))
METRIC_NAMES = {"3d": "3D", "bev": "BEV", "bbox": "2D", "aos": "AOS"}
IOU = {("strict", "Car"): 0.7, ("loose", "Car"): 0.5, ("strict", ""): 0.5, ("loose", ""): 0.25}
UNDEFINED = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: its content.
        note: an addition in smaller print, such as an interval.
        best: stands out as the column's best.
    """

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
    """A table whose first column names its rows.

    Attributes:
        caption: what it shows.
        columns: heads, the first one over the row names.
        rows: cells, as many a row as there are columns.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        """Refuse ragged rows."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"expected {len(self.columns)} cells in a row, found {len(row)}")

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Neighbouring group names with the number of columns each spans; empty when no column has a group."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and column.group and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return tuple(spans) if any(name for name, _ in spans) else ()


def to_markdown(table: Table) -> str:
    """A GitHub table, one line a row, the best of a column in bold; ends with a newline."""
    lines = [_pipes([column.flat for column in table.columns])]
    lines.append(_pipes(["---"] + ["---:"] * (len(table.columns) - 1)))
    lines += [_pipes([_plain(cell, "**", "**") for cell in row]) for row in table.rows]
    return "\n".join(lines) + "\n"


def to_rich(table: Table) -> RichTable:
    """A table for the terminal; the best of a column is bold."""
    result = RichTable(title=Text(printable(table.caption)), box=box.SIMPLE_HEAD, title_justify="left")
    for index, column in enumerate(table.columns):
        heads = [printable(head) for head in (column.group, column.title) if head]
        result.add_column(Text("\n".join(heads)), justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in table.rows:
        result.add_row(*(Text(printable(_plain(cell)), style="bold" if cell.best else "") for cell in row))
    return result


def iou_of(threshold_set: str, class_name: str) -> float:
    """IoU at which 3D and BEV boxes match, by threshold set (strict, loose) and class."""
    return IOU[threshold_set, class_name if class_name == "Car" else ""]


def value_of(
    metrics: Metrics, threshold_set: str, class_name: str, metric: str, level: str = "moderate"
) -> float | None:
    """One AP in percent; None where it is undefined or absent."""
    entry = metrics.get(threshold_set, {}).get(class_name, {}).get(metric, {}).get(level)
    return None if entry is None else float(entry)


def interval_of(
    metrics: Metrics, threshold_set: str, class_name: str, metric: str, level: str = "moderate"
) -> tuple[float, float] | None:
    """Ends of the interval under `metrics["bootstrap"]`, laid out like the metrics; None if absent."""
    entry = _within(metrics.get("bootstrap"), threshold_set, class_name, metric, level)
    if not isinstance(entry, Sequence) or len(entry) != 2 or None in entry:
        return None
    return float(entry[0]), float(entry[1])


def score(metrics: Metrics, threshold_set: str, class_name: str, metric: str, level: str = "moderate") -> Cell:
    """One AP with its interval, where there is one."""
    key = threshold_set, class_name, metric, level
    return _number(value_of(metrics, *key), interval_of(metrics, *key))


def difference_of(
    metrics: Metrics, threshold_set: str, class_name: str, metric: str, level: str = "moderate"
) -> Mapping[str, float] | None:
    """`value`, `low` and `high` of the paired difference under `metrics["difference"]`; None if absent."""
    entry = _within(metrics.get("difference"), threshold_set, class_name, metric, level)
    return entry if isinstance(entry, Mapping) else None


def _within(tree: Any, *keys: str) -> Any:
    """What lies under nested keys, None where one is missing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def headline(models: Mapping[str, Metrics], *, class_name: str = "Car", level: str = "moderate") -> Table:
    """AP|R40 in 3D and BEV, loose and strict, one network a row, with intervals where the metrics have them.

    Args:
        models: name of each network → its metrics, in the order of the rows.
        class_name: the class to show.
        level: easy, moderate or hard.
    """
    columns = [Column("Network")]
    columns += [Column(_metric_name(m), _set_name(s, class_name)) for s, m in HEADLINE]
    best = {key: _best(models, *key, class_name, level) for key in HEADLINE}
    rows = []
    for position, (name, metrics) in enumerate(models.items()):
        row = [Cell(style_of(name, position).label)]
        for key in HEADLINE:
            value = value_of(metrics, key[0], class_name, key[1], level)
            interval = interval_of(metrics, key[0], class_name, key[1], level)
            row.append(_number(value, interval, value is not None and value == best[key]))
        rows.append(tuple(row))
    return Table(f"{class_name}, {level}: AP|R40 in percent, higher is better", tuple(columns), tuple(rows))


def differences(models: Mapping[str, Metrics], *, class_name: str = "Car", level: str = "moderate") -> Table | None:
    """The paired differences under each `metrics["difference"]`, with intervals; None where there are none.

    Args:
        models: name of each network → its metrics; the last one makes the first row.
        class_name: the class to show.
        level: easy, moderate or hard.
    """
    columns = [Column("Networks"), *(Column(_metric_name(m), _set_name(s, class_name)) for s, m in HEADLINE)]
    rows = []
    for name, metrics in reversed(list(models.items())):
        found = metrics.get("difference")
        if not found:
            continue
        against = style_of(str(found.get("against", "")).rstrip("/").rpartition("/")[2]).label
        row = [Cell(f"{style_of(name).label} − {against}")]
        for threshold_set, metric in HEADLINE:
            row.append(_difference(difference_of(metrics, threshold_set, class_name, metric, level)))
        rows.append(tuple(row))
    if not rows:
        return None
    caption = f"{class_name}, {level}: difference on the same frames, in points, with its 95 % interval"
    return Table(caption, tuple(columns), tuple(rows))


def detail(name: str, metrics: Metrics, class_name: str) -> Table | None:
    """Every AP of one network and class, metrics down, thresholds and levels across; None where all are undefined."""
    columns = [Column("Metric")]
    columns += [Column(level, _set_name(s, class_name)) for s in ("loose", "strict") for level in LEVELS]
    rows = []
    for metric in _metric_order(metrics, class_name):
        cells = [
            _number(value_of(metrics, s, class_name, metric, level)) for s in ("loose", "strict") for level in LEVELS
        ]
        rows.append((Cell(_metric_name(metric, full=True)), *cells))
    if all(cell.text == UNDEFINED for row in rows for cell in row[1:]):
        return None
    return Table(f"{style_of(name).label}, {class_name}: AP in percent", tuple(columns), tuple(rows))


def depth_errors(metrics: Metrics) -> Table:
    """Errors of dense depth: one row for all returns, objects and each band; plain values when there are none."""
    rows = []
    bands = metrics.get("bands", {})
    groups = {"All returns": metrics, "On labelled objects": metrics.get("objects", {})}
    groups |= {f"At {name.removesuffix('_m').replace('_', ' to ')} m": band for name, band in bands.items()}
    for name, group in groups.items():
        if "rmse_m" in group:
            cells = [_metres(group.get(key)) for key in ("rmse_m", "mae_m")]
            rows.append((Cell(name), *cells, Cell(_scalar(group.get("returns")))))
    if not rows:
        return key_values("Dense depth against held-out laser points", metrics)
    filled = f", {100 * metrics['filled']:.1f} % of pixels filled" if metrics.get("filled") is not None else ""
    caption = f"Dense depth against held-out laser points{filled}"
    heads = ("Where", "RMSE, m", "Mean absolute error, m", "Points")
    return Table(caption, tuple(Column(head) for head in heads), tuple(rows))


def _metres(value: float | None) -> Cell:
    return Cell(UNDEFINED if value is None else f"{value:.2f}")


def changes(
    models: Mapping[str, Metrics], previous: Mapping[str, Metrics], *, class_name: str = "Car", level: str = "moderate"
) -> Table:
    """The headline's changes against earlier metrics of the same networks.

    Those stand out whose earlier value lies outside the present 95 % interval.
    """
    columns = [Column("Network")]
    columns += [Column(_metric_name(m), _set_name(s, class_name)) for s, m in HEADLINE]
    rows = []
    for position, (name, metrics) in enumerate(models.items()):
        row = [Cell(style_of(name, position).label)]
        for threshold_set, metric in HEADLINE:
            new = value_of(metrics, threshold_set, class_name, metric, level)
            old = value_of(previous.get(name, {}), threshold_set, class_name, metric, level)
            row.append(_change(old, new, interval_of(metrics, threshold_set, class_name, metric, level)))
        rows.append(tuple(row))
    return Table(f"{class_name}, {level}: change of AP|R40 in points", tuple(columns), tuple(rows))


def settings_changes(settings: Sequence[tuple[str, Any, Any]]) -> Table | None:
    """(name, before, now) as a table; None where nothing differs."""
    rows = tuple((Cell(name), Cell(_scalar(before)), Cell(_scalar(now))) for name, before, now in settings)
    columns = (Column("Setting"), Column("Before"), Column("Now"))
    return Table("Settings that differ", columns, rows) if rows else None


def key_values(caption: str, values: Mapping[str, Any], heads: tuple[str, str] = ("Name", "Value")) -> Table:
    """Nested values as two columns, names joined by dots."""
    rows = tuple((Cell(name), Cell(_scalar(value))) for name, value in flatten(values))
    return Table(caption, (Column(heads[0]), Column(heads[1])), rows)


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Leaves of nested mappings with dotted names, in order."""
    leaves: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        leaves += flatten(value, f"{name}.") if isinstance(value, Mapping) else [(name, value)]
    return leaves


def classes_of(models: Sequence[Metrics]) -> list[str]:
    """Class names of the metrics in their order."""
    names: dict[str, None] = {}
    for metrics in models:
        for threshold_set in ("strict", "loose"):
            names |= dict.fromkeys(metrics.get(threshold_set, {}))
    return list(names)


def _best(models: Mapping[str, Metrics], threshold_set: str, metric: str, class_name: str, level: str) -> float | None:
    values = [value_of(metrics, threshold_set, class_name, metric, level) for metrics in models.values()]
    return max((value for value in values if value is not None), default=None)


def _number(value: float | None, interval: tuple[float, float] | None = None, best: bool = False) -> Cell:
    if value is None:
        return Cell(UNDEFINED)
    note = "" if interval is None else f"{interval[0]:.1f}–{interval[1]:.1f}"
    return Cell(f"{value:.2f}", note, best)


def _change(old: float | None, new: float | None, interval: tuple[float, float] | None) -> Cell:
    if new is None or old is None:
        return Cell(UNDEFINED)
    if round(new - old, 2) == 0:
        return Cell("0.00", "unchanged")
    beyond = interval is not None and not interval[0] <= old <= interval[1]
    return Cell(signed(new - old), f"was {old:.2f}", beyond)


def _difference(entry: Mapping[str, float] | None) -> Cell:
    if entry is None:
        return Cell(UNDEFINED)
    return Cell(signed(entry["value"]), f"{signed(entry['low'], 1)} to {signed(entry['high'], 1)}")


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, which is a true minus."""
    return f"{'−' if round(value, digits) < 0 else '+'}{abs(value):.{digits}f}"


def _set_name(threshold_set: str, class_name: str) -> str:
    return f"{threshold_set.capitalize()}, IoU {iou_of(threshold_set, class_name)}"


def _metric_name(metric: str, full: bool = False) -> str:
    kind, _, points = metric.partition("_")
    name = METRIC_NAMES.get(kind, kind)
    return f"{name} {points}" if full and points else name


def _metric_order(metrics: Metrics, class_name: str) -> list[str]:
    present = dict.fromkeys(metric for s in ("strict", "loose") for metric in metrics.get(s, {}).get(class_name, {}))
    known = [f"{kind}_{points}" for points in ("R40", "R11") for kind in METRIC_NAMES]
    return [m for m in known if m in present] + [m for m in present if m not in known]


def _scalar(value: Any) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _plain(cell: Cell, before: str = "", after: str = "") -> str:
    text = f"{before}{cell.text}{after}" if cell.best else cell.text
    return f"{text} ({cell.note})" if cell.note else text


def _pipes(cells: list[str]) -> str:
    clean = (" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(clean)} |"
