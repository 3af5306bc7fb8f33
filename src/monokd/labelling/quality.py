"""How good a detector's boxes are, and from which score on they can stand for labels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from monokd.classes import HARD, NEIGHBOURS
from monokd.evaluation.boxes import pairs_above
from monokd.evaluation.rules import LOOSE_IOU
from monokd.kitti.objects import Objects
from monokd.typing import Bools, Floats, Ints

MIN_IMAGE_IOU = 0.5
RECALL_WEIGHT = 2.0  # of F-β: an object that is taken for background teaches worse than a box that is some way off
REACHED = 0.95  # share of the objects found in the image down to which a box is uncertain rather than background


class Matches(NamedTuple):
    """N detections of several frames against labels."""

    scores: Floats
    correct: Bools  # takes a label of its class
    counted: Bools  # correct, or wrong; one on a label that does not count, such as DontCare or a Van, is neither
    depth_error_m: Floats  # distance along the camera's axis to the label taken, NaN without
    flipped: Bools  # the heading is nearer to the label's opposite
    labels: int  # how many labels count


class Thresholds(NamedTuple):
    """Scores from which a box is a label, and from which it is at least uncertain."""

    keep: float
    ignore: float


def match(
    detections: Sequence[Objects], labels: Sequence[Objects], classes: Sequence[str], *, in_image: bool = False
) -> Matches:
    """Match the detections of each frame with its labels, highest score first, each with the best label left.

    Only objects of `classes` count. Boxes are compared in space, or those `in_image`.
    """
    frames = [_match_frame(own, true, classes, in_image) for own, true in zip(detections, labels, strict=True)]
    *columns, counts = zip(*frames, strict=True)
    scores, correct, counted, error_m, flipped = map(np.concatenate, columns)
    return Matches(scores, correct, counted, error_m, flipped, sum(counts))


def choose_thresholds(in_space: Matches, in_image: Matches) -> Thresholds:
    """Choose from which score boxes are labels, and from which they are uncertain.

    Labels begin where F-β of the boxes in space is best, uncertain ones where `REACHED` of the objects that are found
    in the image at all are found: below that, a box is background. Without a single box that is right in space nothing
    is kept: both are infinite.
    """
    scores, right = _ranked(in_space)
    if not right.size or right[-1] == 0:
        return Thresholds(np.inf, np.inf)
    beta = RECALL_WEIGHT**2
    f_beta = (1 + beta) * right / (np.arange(1, right.size + 1) + beta * in_space.labels)
    keep = scores[int(np.argmax(f_beta))]
    scores, seen = _ranked(in_image)
    reached = scores[int(np.argmax(seen >= REACHED * seen[-1]))]
    return Thresholds(float(keep), float(min(keep, reached)))


def _ranked(found: Matches) -> tuple[Floats, Ints]:
    """Return descending scores of the detections that count, and how many are correct down to each."""
    order = np.argsort(-found.scores, kind="stable")
    order = order[found.counted[order]]
    return found.scores[order], np.cumsum(found.correct[order])


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


def _match_frame(detections: Objects, labels: Objects, classes: Sequence[str], in_image: bool) -> Matches:
    n, m = len(detections), len(labels)
    correct, counted = np.zeros(n, bool), np.isin(detections.names, classes)
    error_m, flipped = np.full(n, np.nan), np.zeros(n, bool)
    names = np.array(labels.names, dtype=np.str_)
    height_px = labels.boxes_px[:, 3] - labels.boxes_px[:, 1]
    clear = (labels.truncation <= HARD.max_truncation) & (labels.occlusion <= HARD.max_occlusion)
    trains = np.isin(names, classes) & (height_px >= HARD.min_height_px) & clear
    unknown_px = labels.boxes_px[names == "DontCare"]
    free, ends = np.ones(m, bool), (np.array([0, m]), np.array([0, n]))
    each, chosen, values = pairs_above(_rows(labels), free, ends[0], _rows(detections), ends[1], 0.0)
    overlaps = np.zeros((m, n))
    overlaps[np.repeat(np.arange(m), each), chosen] = values[:, 0 if in_image else 2]
    for d in np.argsort(-detections.scores, kind="stable"):
        name = detections.names[d]
        if not counted[d]:
            continue
        taken = np.where(free & np.isin(names, [name, NEIGHBOURS.get(name, name)]), overlaps[:, d], -1.0)
        g = int(np.argmax(taken)) if m else 0
        if not m or taken[g] <= (MIN_IMAGE_IOU if in_image else LOOSE_IOU[name]):
            counted[d] = not (_covered(detections.boxes_px[d], unknown_px) > MIN_IMAGE_IOU).any()
            continue
        free[g] = False
        correct[d], counted[d] = trains[g], trains[g]
        error_m[d] = detections.locations_m[d, 2] - labels.locations_m[g, 2]
        flipped[d] = np.cos(detections.rotation_y_rad[d] - labels.rotation_y_rad[g]) < 0
    return Matches(detections.scores, correct, counted, error_m, flipped, int(trains.sum()))


def _covered(box_px: Floats, regions_px: Floats) -> Floats:
    """Return the share of one box that each of N regions covers."""
    sides = np.minimum(box_px[2:], regions_px[:, 2:]) - np.maximum(box_px[:2], regions_px[:, :2])
    return np.asarray(np.maximum(sides, 0).prod(axis=1) / max(float(np.prod(box_px[2:] - box_px[:2])), 1e-6))


def _rows(objects: Objects) -> Floats:
    """Return N×15 numbers in the order of KITTI's lines."""
    return np.column_stack([getattr(objects, name) for name in Objects.__slots__[1:]])
