"""What an evaluation looks like: JSON, CSV, curves, a table for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from monokd.evaluation.bootstrap import Difference, Interval
from monokd.evaluation.evaluate import Evaluation, FigureKey, nested
from monokd.evaluation.precision import SAMPLES
from monokd.evaluation.rules import DIFFICULTY_NAMES, METRICS, SETS
from monokd.files import write_text

CURVE_COLUMNS = (
    *("iou", "class", "metric", "difficulty", "min_iou", "sample", "recall", "precision"),
    *("score", "measured_recall", "measured_precision"),
)
AP_COLUMNS = (
    "iou",
    "class",
    "metric",
    "difficulty",
    "ap",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "above",
)


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation with what was asked about it.

    Attributes:
        evaluation: the figures.
        resamples: how many resamples the intervals rest on; 0 without intervals.
        seed: of the resamples.
        intervals: by figure.
        against: the other result set, where differences were asked.
        differences: by figure.
    """

    evaluation: Evaluation
    resamples: int = 0
    seed: int = 0
    intervals: dict[FigureKey, Interval | None] = field(default_factory=dict)
    against: str | None = None
    differences: dict[FigureKey, Difference | None] = field(default_factory=dict)


def report_json(report: Report) -> dict[str, object]:
    """The evaluation's JSON, with `bootstrap` and `difference` beside it where they were asked."""
    content = report.evaluation.as_json()
    if report.resamples:
        shown = ((key, None if x is None else [x.low, x.high]) for key, x in report.intervals.items())
        content["bootstrap"] = {"resamples": report.resamples, "seed": report.seed, **nested(shown)}
    if report.against is not None:
        differences = ((key, None if x is None else asdict(x)) for key, x in report.differences.items())
        content["difference"] = {"against": report.against, **nested(differences)}
    return content


def write_csv(path: Path, report: Report) -> None:
    """Write one line a figure, whole or not at all; empty where undefined or not asked."""
    rows = []
    for key in report.evaluation.figure_keys():
        interval, difference = report.intervals.get(key), report.differences.get(key)
        limits = ["", ""] if interval is None else [interval.low, interval.high]
        compared = [""] * 4 if difference is None else list(asdict(difference).values())
        ap = report.evaluation.ap(key)
        rows.append([*key, "" if ap is None else ap, *limits, *compared])
    write_text(path, csv_text(AP_COLUMNS, rows))


def write_curves(path: Path, evaluation: Evaluation) -> None:
    """Write the 41 samples of every curve as CSV, whole or not at all.

    `recall` is the sample's nominal recall, `precision` the envelope that AP averages (for aos the
    orientation similarity); `score`, `measured_recall` and `measured_precision` are empty beyond the last
    threshold.
    """
    write_text(path, csv_text(CURVE_COLUMNS, curve_rows(evaluation)))


def curve_rows(evaluation: Evaluation) -> Iterable[list[object]]:
    """Rows of `write_curves`."""
    for strictness in SETS:
        for name in evaluation.classes:
            for metric in (metric for metric in METRICS if metric in evaluation.defined[name]):
                for difficulty in DIFFICULTY_NAMES:
                    cell = evaluation.cells[strictness, name, "bbox" if metric == "aos" else metric, difficulty]
                    measured, envelope = (3, 5) if metric == "aos" else (2, 4)
                    for k in range(SAMPLES):
                        head = [strictness, name, metric, difficulty, cell.min_iou, k, k / (SAMPLES - 1)]
                        if k < len(cell.points):
                            point = cell.points[k]
                            yield [*head, *(_plain(point[column]) for column in (envelope, 0, 1, measured))]
                        else:
                            yield [*head, 0.0, "", "", ""]


def _plain(value: float) -> object:
    return "" if np.isnan(value) else float(value)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV table as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
