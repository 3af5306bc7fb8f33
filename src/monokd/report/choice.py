"""Which frames to show: found, missed and false boxes by a rule that fits one sentence.

A box finds an object when its centre stands within `REACH_M` of the object's, seen from above; surer boxes choose first
and every object is found once (the matching of nuScenes, Caesar et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.kitti.objects import Objects

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
REACH_M = 2.0
NEIGHBOURS = {"Car": ("Van",), "Pedestrian": ("Person_sitting",), "Cyclist": ()}
MIN_HEIGHT_PX, MAX_OCCLUSION, MAX_TRUNCATION = 25.0, 1.0, 0.30
HIT, FALSE, IGNORED = 1, -1, 0


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """One network on one frame, one class.

    Attributes:
        found_by: score of the box that found each counted object (moderate by KITTI's limits); −inf where none did.
        scores: score of each box of the class.
        outcome: HIT, FALSE or IGNORED for each box.
    """

    found_by: Array
    scores: Array
    outcome: NDArray[np.int64]

    def f1(self, threshold: float) -> float:
        """2·found / (2·found + missed + false) of boxes at least as sure as `threshold`; 0 when nothing counts."""
        found = int((self.found_by >= threshold).sum())
        false = int(((self.outcome == FALSE) & (self.scores >= threshold)).sum())
        return 2 * found / max(found + len(self.found_by) + false, 1)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A frame to show and why."""

    frame: str
    reason: str


def match(truth: Objects, results: Objects, class_name: str, reach_m: float = REACH_M) -> Match:
    """Match one frame's result boxes with its labels.

    Labels of the class beyond KITTI's moderate limits, of neighbouring classes, and DontCare regions neither count nor
    make a box false.
    """
    names = np.array(truth.names, dtype=object)
    same = names == class_name
    counted = same & _moderate(truth)
    spare = (same & ~counted) | np.isin(names, NEIGHBOURS.get(class_name, ()))
    boxes = results.select(np.array([name == class_name for name in results.names], dtype=bool))
    boxes = boxes.select(np.argsort(-boxes.scores, kind="stable"))
    gap = _distances(boxes, truth)
    free, outcome = counted | spare, np.full(len(boxes), FALSE)
    found_by = np.full(len(truth), -np.inf)
    for index in range(len(boxes)):
        reachable = np.where(free & (gap[index] <= reach_m), gap[index], np.inf)
        if not len(reachable) or not np.isfinite(reachable.min()):
            continue
        target = int(reachable.argmin())
        free[target] = False
        outcome[index] = HIT if counted[target] else IGNORED
        found_by[target] = boxes.scores[index]
    small = boxes.boxes_px[:, 3] - boxes.boxes_px[:, 1] < MIN_HEIGHT_PX
    outcome[(outcome == FALSE) & (small | _in_dont_care(boxes, truth.select(names == "DontCare")))] = IGNORED
    return Match(found_by[counted], boxes.scores, outcome)


def best_threshold(matches: Sequence[Match]) -> float:
    """The score at which F1 over all frames is highest; the lowest such score; 0 without any hit."""
    scores = np.concatenate([m.scores for m in matches]) if matches else np.zeros(0)
    outcome = np.concatenate([m.outcome for m in matches]) if matches else np.zeros(0, dtype=np.int64)
    if not (outcome == HIT).any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    scores, outcome = scores[order], outcome[order]
    hits, false = np.cumsum(outcome == HIT), np.cumsum(outcome == FALSE)
    total = sum(len(m.found_by) for m in matches)
    f1 = 2 * hits / (hits + false + total)
    last_of_score = np.append(scores[1:] != scores[:-1], True)
    f1 = np.where(last_of_score, f1, -1.0)
    return float(scores[np.flatnonzero(f1 == f1.max())[-1]])


def choose(
    matches: Mapping[str, Match],
    threshold: float,
    *,
    control: Mapping[str, Match] | None = None,
    control_threshold: float = 0.0,
    best: int = 2,
    worst: int = 2,
    gains: int = 1,
) -> list[Chosen]:
    """Best and worst frames by F1, and those where most objects more are found than by the control.

    Args:
        matches: frame → match of the network that the page is about.
        threshold: its score threshold.
        control: frame → match of the network to compare with.
        control_threshold: that one's threshold.
        best: how many of the best.
        worst: how many of the worst.
        gains: how many of the largest gains.

    Returns:
        No frame twice, none without counted objects, those with a single one only after the others. Ties go to more
        objects, then to the smaller id.
    """
    pool = [frame for frame, m in matches.items() if len(m.found_by)]
    rank = {frame: (matches[frame].f1(threshold), len(matches[frame].found_by)) for frame in pool}
    few = {frame: rank[frame][1] < 2 for frame in pool}
    chosen: list[Chosen] = []

    def take(order: list[str], count: int, reason: str) -> None:
        taken = {item.frame for item in chosen}
        chosen.extend(Chosen(frame, reason) for frame in [f for f in order if f not in taken][:count])

    take(sorted(pool, key=lambda f: (few[f], -rank[f][0], -rank[f][1], f)), best, "best")
    take(sorted(pool, key=lambda f: (few[f], rank[f][0], -rank[f][1], f)), worst, "worst")
    if control is not None:
        gain = {f: _found(matches[f], threshold) - _found(control[f], control_threshold) for f in pool if f in control}
        order = sorted((f for f in gain if gain[f] > 0), key=lambda f: (-gain[f], -rank[f][1], f))
        take(order, gains, "gain")
    return chosen


def _found(result: Match, threshold: float) -> int:
    return int((result.found_by >= threshold).sum())


def _moderate(truth: Objects) -> Mask:
    tall = truth.boxes_px[:, 3] - truth.boxes_px[:, 1] >= MIN_HEIGHT_PX
    clear = (truth.occlusion <= MAX_OCCLUSION) & (truth.truncation <= MAX_TRUNCATION)
    return np.asarray(tall & clear, dtype=bool)


def _distances(boxes: Objects, truth: Objects) -> Array:
    """N boxes × M labels, metres seen from above."""
    step = boxes.locations_m[:, None, [0, 2]] - truth.locations_m[None, :, [0, 2]]
    return np.asarray(np.hypot(step[..., 0], step[..., 1]))


def _in_dont_care(boxes: Objects, regions: Objects) -> Mask:
    """Boxes with more than half of their 2D area in one DontCare region."""
    if not len(regions):
        return np.zeros(len(boxes), dtype=bool)
    one, two = boxes.boxes_px[:, None], regions.boxes_px[None]
    sides = np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2])
    overlap = np.maximum(sides, 0).prod(axis=-1)
    area = np.maximum((boxes.boxes_px[:, 2:] - boxes.boxes_px[:, :2]).prod(axis=1), 1e-9)
    return np.asarray((overlap / area[:, None]).max(axis=1) > 0.5)
