"""From two folders of text to the curves of every class, metric and difficulty."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np

from monokd.classes import DIFFICULTIES, NEIGHBOURS, Difficulty
from monokd.classes import KITTI_NAMES as NAMES
from monokd.errors import DataError
from monokd.evaluation import boxes, rules
from monokd.evaluation.matching import Criteria, Pairs, match_frames
from monokd.evaluation.precision import MEANS, Walk, average_precision, walk_down
from monokd.evaluation.rules import CLASSES, METRICS, Band, Rule
from monokd.kitti.labels import LabelTable, read_table
from monokd.typing import Floats, Ints

A = TypeVar("A")
R = TypeVar("R")
CurveKey = tuple[str, str, str, str]  # strict or loose, class, metric, difficulty
WARNED_FRAMES = 5  # missing frames that a warning names


@dataclass(frozen=True, slots=True, eq=False)
class ResultSet:
    """Labels and detections of the same frames, and which of them overlap.

    Attributes:
        frames: F names.
        labels: G lines.
        results: D lines; a file that does not exist is empty.
        pairs: labels and detections that overlap.
        overlaps: 3×P, in the order of `rules.OVERLAPS`.
        dont_care: D, the largest share of each detection's 2D box inside one DontCare region.
        frame_of: D, the frame of each detection.
        descending: D detections by descending score.
    """

    frames: tuple[str, ...]
    labels: LabelTable
    results: LabelTable
    pairs: Pairs
    overlaps: Floats
    dont_care: Floats
    frame_of: Ints
    descending: Ints

    def warnings(self, folder: Path) -> list[str]:
        """Say which frames have no file in the results' folder, and which class names KITTI does not know."""
        said = []
        missing, total = [self.frames[i] for i in self.results.missing], len(self.frames)
        if missing:
            named = ", ".join(missing[:WARNED_FRAMES]) + (", …" if len(missing) > WARNED_FRAMES else "")
            hint = f" (did you mean {folder / 'data'}?)" if len(missing) == total and (folder / "data").is_dir() else ""
            reason = f"{len(missing)} of {total} frames have no result file and count as empty"
            said.append(f"warning: {folder}: {reason}: {named}{hint}")
        lines = Counter(self.labels.unknown)
        lines.update(self.results.unknown)
        if lines:
            names = ", ".join(f"{name} ({count} line{'s' * (count > 1)})" for name, count in lines.items())
            said.append(f"warning: classes that KITTI does not know count as other classes: {names}")
        return said


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One class, difficulty and kind of overlap at one least IoU.

    Attributes:
        min_iou: overlaps must exceed it.
        objects: valid labels.
        samples: T×6 samples of the curve, columns as `precision.SAMPLE_COLUMNS`.
        means: 4 percentages in the order of `precision.MEANS`.
        walk: what resampling needs.
    """

    min_iou: float
    objects: int
    samples: Floats
    means: Floats
    walk: Walk


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A result set scored by KITTI's rules.

    Attributes:
        frames: the frames that were scored.
        rule: le or lt.
        classes: the classes that were scored.
        curves: every curve that has a result, in the order of the table; bbox and aos share theirs, and so do the
            strict and the loose set where they ask for the same IoU.
    """

    frames: tuple[str, ...]
    rule: Rule
    classes: tuple[str, ...]
    curves: dict[CurveKey, Curve]


def mean_column(metric: str, points: str) -> int:
    """Find the place among `precision.MEANS` of R40 or R11 of a metric."""
    return MEANS.index(f"aos_{points}" if metric == "aos" else points)


def evaluate_folders(
    labels: Path,
    results: Path,
    frames: Sequence[str] | None = None,
    rule: str = "le",
    classes: Sequence[str] = CLASSES,
) -> Evaluation:
    """Score a folder of result files against a folder of label files: `read_result_set`, then `evaluate_results`."""
    return evaluate_results(read_result_set(labels, results, frames), rule, classes)


def read_result_set(labels: Path, results: Path, frames: Sequence[str] | None = None) -> ResultSet:
    """Read labels and results, and compute their overlaps.

    Args:
        labels: folder of FRAME.txt with 15 fields a line.
        results: folder of FRAME.txt with 16 fields a line; a file that does not exist counts as empty.
        frames: the frames to score; default: every label file.

    Raises:
        DataError: a folder or a label file is missing, or a line is wrong.
    """
    frames = label_frames(labels) if frames is None else frames
    if not results.is_dir():
        raise DataError("expected a folder of result files, found no such folder", results)
    truth = read_table(labels, frames, scores=False)
    return pair_up(frames, truth, read_table(results, frames, scores=True, missing_ok=True))


def label_frames(labels: Path) -> list[str]:
    """Names of all label files, ascending.

    Raises:
        DataError: no such folder, or no *.txt in it.
    """
    if not labels.is_dir():
        raise DataError("expected a folder of label files, found no such folder", labels)
    names = sorted(entry[:-4] for entry in os.listdir(labels) if entry.endswith(".txt") and entry[0] != ".")
    if not names:
        raise DataError("expected label files *.txt, found none", labels)
    return names


def pair_up(frames: Sequence[str], labels: LabelTable, results: LabelTable) -> ResultSet:
    """Compute the overlaps of labels and detections of the same frames."""
    counts, detections, overlaps = _pairs_in_threads(labels, results)
    of_label = np.repeat(np.arange(len(labels.rows)), counts)
    scores = np.ascontiguousarray(results.rows[:, boxes.SCORE])
    frame_of = np.repeat(np.arange(results.offsets.size - 1), np.diff(results.offsets))
    turn_rad = labels.rows[of_label, boxes.ALPHA] - results.rows[detections, boxes.ALPHA]
    pairs = Pairs(
        label_offsets=labels.offsets,
        offsets=results.offsets,
        starts=np.concatenate([[0], np.cumsum(counts)]),
        detections=detections,
        similarity=(1 + np.cos(turn_rad)) / 2,
        scores=scores,
        order=np.lexsort((-scores, frame_of)),
    )
    regions = labels.classes == NAMES.index("DontCare")
    region_offsets = np.concatenate([[0], np.cumsum(regions)])[labels.offsets]
    shares = boxes.dont_care_shares(labels.rows[regions], region_offsets, results.rows, results.offsets)
    descending = np.argsort(-scores, kind="stable")
    by_kind = np.ascontiguousarray(overlaps.T)
    return ResultSet(tuple(frames), labels, results, pairs, by_kind, shares, frame_of, descending)


def evaluate_results(
    result_set: ResultSet,
    rule: str = "le",
    classes: Sequence[str] = CLASSES,
    *,
    metrics: Sequence[str] = METRICS,
    band_m: Band | None = None,
) -> Evaluation:
    """Score a result set.

    With a band of distance, labels outside it are ignored, and so are detections outside it that find nothing: one
    just across the border still finds its label inside (as COCO's evaluation treats sizes).

    Args:
        result_set: labels and detections.
        rule: le, the current development kit, or lt, the older one.
        classes: of Car, Pedestrian, Cyclist.
        metrics: of 3d, bev, bbox, aos.
        band_m: score objects from the one distance to below the other only; default: all.

    Raises:
        DataError: no such rule or class.
    """
    checked = rules.check_rule(rule)
    for name in classes:
        if name not in CLASSES:
            raise DataError(f"classes: expected some of {', '.join(CLASSES)}, found '{name}'")
    labels, results = result_set.labels, result_set.results
    states = {
        (name, level): (
            rules.label_states(labels, name, level, checked, band_m),
            rules.result_states(results, name, level),
        )
        for name, level in product(classes, DIFFICULTIES)
    }
    outside = rules.out_of_band(results, band_m)

    def curve(job: tuple[str, Difficulty, str, float]) -> Curve:
        name, level, overlap, min_iou = job
        forgiven = outside | (result_set.dont_care > min_iou) if overlap == "bbox" else outside
        overlaps = result_set.overlaps[rules.OVERLAPS.index(overlap)]
        changes = match_frames(result_set.pairs, Criteria(overlaps, min_iou, *states[name, level], forgiven))
        valid = states[name, level][0] == rules.VALID
        valid_so_far = np.concatenate([[0], np.cumsum(valid)])
        walk = walk_down(
            changes, result_set.pairs.scores, result_set.frame_of, result_set.descending,
            np.diff(valid_so_far[labels.offsets]),
        )  # fmt: skip
        return Curve(min_iou, int(valid.sum()), *average_precision(walk), walk)

    defined = {name: rules.defined_metrics(results, name) for name in classes}
    jobs = {
        (iou, name, metric, level.name): (name, level, rules.overlap_of(metric), rules.min_iou(iou, name, metric))
        for iou, name, metric, level in product(rules.IOU_SETS, classes, metrics, DIFFICULTIES)
        if metric in defined[name]
    }
    different = list(dict.fromkeys(jobs.values()))
    curves = dict(zip(different, in_threads(curve, different), strict=True))
    return Evaluation(result_set.frames, checked, tuple(classes), {key: curves[job] for key, job in jobs.items()})


def in_threads(function: Callable[[A], R], items: Sequence[A]) -> list[R]:
    """Apply a function that releases the GIL to every item, on all cores, in the order of `items`."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def _pairs_in_threads(labels: LabelTable, results: LabelTable) -> tuple[Ints, Ints, Floats]:
    """`boxes.pairs_above` of all frames, some at a time."""
    of_interest = [NAMES.index(name) for name in (*CLASSES, *NEIGHBOURS.values())]
    visible = np.isin(labels.classes, of_interest)
    edges = np.linspace(0, labels.offsets.size - 1, 4 * (os.cpu_count() or 1) + 1).astype(np.int64)

    def pairs(k: int) -> tuple[Ints, Ints, Floats]:
        some = slice(edges[k], edges[k + 1] + 1)
        return boxes.pairs_above(
            labels.rows, visible, labels.offsets[some], results.rows, results.offsets[some], rules.LOWEST_IOU
        )

    counts, detections, overlaps = zip(*in_threads(pairs, range(edges.size - 1)), strict=True)
    return np.concatenate(counts), np.concatenate(detections), np.concatenate(overlaps)
