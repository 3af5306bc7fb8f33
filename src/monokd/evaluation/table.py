"""The table that every output is made from: one row for each average precision; and the tables beside it."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from monokd.evaluation.bootstrap import NO_INTERVALS, Resampling, figures, interval
from monokd.evaluation.evaluate import Evaluation, ResultSet, evaluate_results
from monokd.evaluation.precision import MEANS, SAMPLES
from monokd.evaluation.rules import DIFFICULTY_NAMES, IOU_SETS, METRICS, POINTS
from monokd.files import write_text

CURVE_COLUMNS = (
    *("iou", "class", "metric", "difficulty", "min_iou", "sample", "recall", "precision"),
    *("score", "measured_recall", "measured_precision"),
)
DISTANCE_COLUMNS = ("iou", "class", "metric", "difficulty", "from_m", "to_m", "objects", "ap", "low", "high")
DISTANCE_EDGES_M = (0.0, 15.0, 25.0, 35.0, 50.0)


class ApRow(NamedTuple):
    """One average precision in percent, and its difference to another result set, each with its 95 % interval.

    None where it was not asked for or is undefined: without detections, or for 0 / 0 in the curve, as in the kit.
    """

    iou: str
    name: str  # of the class
    metric: str
    points: str
    difficulty: str
    ap: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


AP_COLUMNS = ("iou", "class", *ApRow._fields[2:])


def ap_table(
    evaluation: Evaluation, other: Evaluation | None = None, resampling: Resampling = NO_INTERVALS
) -> list[ApRow]:
    """List every average precision, and what is left when that of `other`, on the same frames, is subtracted."""
    own, *others = figures([evaluation] if other is None else [evaluation, other], resampling)
    undefined = np.full((1 + resampling.resamples, len(MEANS)), np.nan)
    rows = []
    for key in product(IOU_SETS, evaluation.classes, METRICS, POINTS, DIFFICULTY_NAMES):
        iou, name, metric, points, difficulty = key
        curve, column = (iou, name, metric, difficulty), MEANS.index(f"aos_{points}" if metric == "aos" else points)
        values = own.get(curve, undefined)[:, column]
        differences = (values - theirs.get(curve, undefined)[:, column] for theirs in others)
        columns = (values, *differences)
        rows.append(ApRow(*key, *(x for each in columns for x in (_defined(each[0]), *interval(each[1:])))))
    return rows


def table_json(
    evaluation: Evaluation, rows: Sequence[ApRow], resampling: Resampling = NO_INTERVALS, against: str | None = None
) -> dict[str, object]:
    """Nest the rows as `monokd evaluate --json` prints them, and `metrics/MODEL/kitti.json` holds them.

    Intervals, and the differences to what `against` names, are added where there are some.
    """

    def difference(row: ApRow) -> dict[str, float | None] | None:
        values = {"value": row.difference, "low": row.difference_low, "high": row.difference_high}
        return None if row.difference is None else values

    content = {"frames": len(evaluation.frames), "rule": evaluation.rule, **_nested(rows, lambda row: row.ap)}
    if resampling.resamples:
        head = {"resamples": resampling.resamples, "seed": resampling.seed}
        if resampling.groups is not None:
            head["groups"] = len({resampling.groups[frame] for frame in evaluation.frames})
        content["bootstrap"] = head | _nested(rows, lambda row: None if row.low is None else [row.low, row.high])
    if against is not None:
        content["difference"] = {"against": against, **_nested(rows, difference)}
    return content


def _nested(rows: Sequence[ApRow], value: Callable[[ApRow], object]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for row in rows:
        metrics = tree.setdefault(row.iou, {}).setdefault(row.name, {})
        metrics.setdefault(f"{row.metric}_{row.points}", {})[row.difficulty] = value(row)
    return tree


def curve_rows(evaluation: Evaluation) -> Iterator[tuple[object, ...]]:
    """List the 41 samples of every curve, columns as `CURVE_COLUMNS`.

    `recall` is the sample's nominal recall, `precision` the envelope that AP averages (for aos the orientation
    similarity); `score`, `measured_recall` and `measured_precision` are None beyond the last threshold.
    """
    for key, curve in evaluation.curves.items():
        measured, envelope = (3, 5) if key[2] == "aos" else (2, 4)
        for k in range(SAMPLES):
            head = (*key, curve.min_iou, k, k / (SAMPLES - 1))
            if k < len(curve.samples):
                yield *head, *(_defined(curve.samples[k, column]) for column in (envelope, 0, 1, measured))
            else:
                yield *head, 0.0, None, None, None


def distance_rows(
    result_set: ResultSet, rule: str, classes: Sequence[str], resampling: Resampling = NO_INTERVALS
) -> Iterator[tuple[object, ...]]:
    """List AP|R40 in 3D and BEV between `DISTANCE_EDGES_M`, columns as `DISTANCE_COLUMNS`.

    Each band is scored as if its objects were all there is; None where it has none, though the kit says 0 there.
    """
    for band_m in pairwise(DISTANCE_EDGES_M):
        evaluation = evaluate_results(result_set, rule, classes, metrics=("3d", "bev"), band_m=band_m)
        for row in ap_table(evaluation, resampling=resampling):
            if row.points == "R40" and row.metric in ("3d", "bev"):
                key = row.iou, row.name, row.metric, row.difficulty
                objects = evaluation.curves[key].objects if key in evaluation.curves else None
                yield *key, *band_m, objects, *((row.ap, row.low, row.high) if objects else (None,) * 3)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV, whole or not at all; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
