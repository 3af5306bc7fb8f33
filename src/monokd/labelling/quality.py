"""How good a detector's boxes are, and from which score on they can stand for labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monokd.evaluation.boxes import pairs_above
from monokd.kitti.objects import Objects

MIN_IOU = {"Car": 0.5, "Pedestrian": 0.25, "Cyclist": 0.25}
"""In space, as the looser of the two sets that are usually reported."""
REACHED = 0.95  # share of the reachable recall down to which a box is uncertain rather than wrong


class Matches(NamedTuple):
    """Detections of several frames against labels.

    Attributes:
        scores: N.
        correct: N, takes a label of its class.
        counted: N, correct, or takes none; one that takes a label too small or hidden to count is neither.
        depth_error_m: N distances along the camera's axis to the label taken, NaN without.
        flipped: N, the heading is nearer to the label's opposite.
        labels: how many labels count.
    """

    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    depth_error_m: NDArray[np.float64]
    flipped: NDArray[np.bool_]
    labels: int


class Thresholds(NamedTuple):
    """Scores from which a box is a label, and from which it is at least uncertain."""

    keep: float
    ignore: float


def match(detections: Sequence[Objects], labels: Sequence[Objects], classes: Sequence[str]) -> Matches:
    """Match the detections of each frame with its labels, highest score first, each with the best label left.

    Args:
        detections: a frame each.
        labels: of the same frames.
        classes: that count.
    """
    frames = [_match_frame(own, true, classes) for own, true in zip(detections, labels, strict=True)]
    columns = [np.concatenate([getattr(frame, name) for frame in frames]) for name in Matches._fields[:-1]]
    scores, correct, counted, error_m, flipped = columns
    return Matches(scores, correct, counted, error_m, flipped, sum(frame.labels for frame in frames))


def choose_thresholds(found: Matches) -> Thresholds:
    """Choose the score of the best F1 to keep, and that of `REACHED` of all recall to call uncertain.

    Without a single correct detection nothing is kept: both are infinite.
    """
    order = np.argsort(-found.scores, kind="stable")
    order = order[found.counted[order]]
    right = np.cumsum(found.correct[order])
    if not right.size or right[-1] == 0:
        return Thresholds(np.inf, np.inf)
    f1 = 2 * right / (np.arange(1, right.size + 1) + found.labels)
    keep = found.scores[order[int(np.argmax(f1))]]
    reached = found.scores[order[int(np.argmax(right >= REACHED * right[-1]))]]
    return Thresholds(float(keep), float(min(keep, reached)))


def quality(found: Matches) -> dict[str, float | None]:
    """Summarise boxes that stand for labels: percent of them right, of labels found, depth error, headings."""
    boxes, right = int(found.counted.sum()), int(found.correct.sum())
    errors = found.depth_error_m[found.correct]
    return {
        "precision": 100 * right / boxes if boxes else None,
        "recall": 100 * right / found.labels if found.labels else None,
        "median_depth_error_m": float(np.median(np.abs(errors))) if right else None,
        "flipped_headings": 100 * float(found.flipped[found.correct].mean()) if right else None,
    }


def _match_frame(detections: Objects, labels: Objects, classes: Sequence[str]) -> Matches:
    own, true = _rows(detections), _rows(labels)
    n = len(detections)
    correct, counted = np.zeros(n, bool), np.array([name in classes for name in detections.names], bool)
    error_m, flipped = np.full(n, np.nan), np.zeros(n, bool)
    trains = np.array([name in classes for name in labels.names], bool) & _counts(labels)
    overlaps = np.zeros((len(labels), n))
    each, chosen, values = pairs_above(
        true, np.ones(len(labels), bool), np.array([0, len(labels)]), own, np.array([0, n]), 0.0
    )
    overlaps[np.repeat(np.arange(len(labels)), each), chosen] = values[:, 2]
    free = np.ones(len(labels), bool)
    for d in np.argsort(-detections.scores, kind="stable"):
        name = detections.names[d]
        same = free & np.array([other == name for other in labels.names], bool)
        if not counted[d] or not same.any():
            continue
        g = int(np.argmax(np.where(same, overlaps[:, d], -1)))
        if overlaps[g, d] <= MIN_IOU[name]:
            continue
        free[g] = False
        correct[d], counted[d] = trains[g], trains[g]
        error_m[d] = detections.locations_m[d, 2] - labels.locations_m[g, 2]
        flipped[d] = np.cos(detections.rotation_y_rad[d] - labels.rotation_y_rad[g]) < 0
    return Matches(detections.scores, correct, counted, error_m, flipped, int(trains.sum()))


def _counts(labels: Objects) -> NDArray[np.bool_]:
    """Tell which labels are at most as small, truncated and occluded as KITTI's hard level allows."""
    height_px = labels.boxes_px[:, 3] - labels.boxes_px[:, 1]
    counts: NDArray[np.bool_] = (height_px >= 25) & (labels.truncation <= 0.5) & (labels.occlusion <= 2)
    return counts


def _rows(objects: Objects) -> NDArray[np.float64]:
    """N×15 numbers in the order of KITTI's lines."""
    single = (objects.truncation, objects.occlusion, objects.alpha_rad)
    return np.column_stack(
        [*single, objects.boxes_px, objects.sizes_m, objects.locations_m, objects.rotation_y_rad, objects.scores]
    ).reshape(-1, 15)
