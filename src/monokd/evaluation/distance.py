"""Average precision by distance: every band scored as if its objects were all there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from monokd.evaluation.bootstrap import Interval, intervals
from monokd.evaluation.evaluate import Evaluation, FigureKey, evaluate_folders
from monokd.evaluation.output import csv_text
from monokd.evaluation.rules import DIFFICULTY_NAMES, SETS
from monokd.files import write_text

EDGES_M = (0.0, 15.0, 25.0, 35.0, 50.0)
METRICS = ("3d", "bev")
COLUMNS = ("iou", "class", "metric", "difficulty", "from_m", "to_m", "objects", "ap", "low", "high")

Band = tuple[float, float]
Bands = Mapping[Band, tuple[Evaluation, Mapping[FigureKey, Interval | None]]]


def by_distance(
    labels: Path,
    results: Path,
    frames: tuple[str, ...],
    rule: str,
    classes: tuple[str, ...],
    *,
    resamples: int = 0,
    seed: int = 0,
) -> Bands:
    """Score each band between `EDGES_M` alone, with 95 % intervals where `resamples` is not 0.

    Labels in other bands are ignored, and so are detections in other bands that find nothing.

    Raises:
        DataError: as `evaluate_folders`.
    """
    bands = {}
    for band_m in pairwise(EDGES_M):
        evaluation = evaluate_folders(labels, results, frames, rule, classes, band_m)
        bands[band_m] = evaluation, intervals(evaluation, resamples, seed) if resamples else {}
    return bands


def write_distances(path: Path, bands: Bands) -> None:
    """Write AP|R40 in 3D and BEV by band as CSV, whole or not at all; empty where undefined or not asked."""
    write_text(path, csv_text(COLUMNS, _rows(bands)))


def _rows(bands: Bands) -> Iterator[list[object]]:
    for band_m, (evaluation, ranges) in bands.items():
        for strictness in SETS:
            for name in evaluation.classes:
                for metric in METRICS:
                    for difficulty in DIFFICULTY_NAMES:
                        key = strictness, name, f"{metric}_R40", difficulty
                        yield [strictness, name, metric, difficulty, *band_m, *_cells(evaluation, key, ranges.get(key))]


def _cells(evaluation: Evaluation, key: FigureKey, interval: Interval | None) -> list[object]:
    """Number of objects, AP and the ends of its interval."""
    found, ap = evaluation.locate(key), evaluation.ap(key)
    if found is None:
        return ["", "", "", ""]
    objects = found[0].objects
    if ap is None or not objects:  # the kit says 0 where there is nothing to find
        return [objects, "", "", ""]
    return [objects, ap, *(["", ""] if interval is None else [interval.low, interval.high])]
