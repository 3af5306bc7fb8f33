"""Which frames to show: found, missed and false boxes by a rule that fits one sentence.

A box finds an object when its centre stands within `REACH_M` of the object's, seen from above; surer boxes choose first
and every object is found once (the matching of nuScenes, Caesar et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monokd.classes import DIFFICULTIES, NEIGHBOURS
from monokd.kitti.objects import Objects
from monokd.typing import Bools, Floats, Ints

REACH_M = 2.0
MODERATE = DIFFICULTIES[1]
HIT, FALSE, IGNORED = 1, -1, 0


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """One network on one frame, one class.

    Attributes:
        found_by: score of the box that found each counted object (of moderate difficulty); −inf where none did.
        scores: score of each box of the class.
        outcome: HIT, FALSE or IGNORED for each box.
    """

    found_by: Floats
    scores: Floats
    outcome: Ints

    def found(self, threshold: float) -> int:
        """How many counted objects are found by boxes at least as sure as `threshold`."""
        return int((self.found_by >= threshold).sum())

    def false(self, threshold: float) -> int:
        """How many boxes at least as sure as `threshold` find nothing."""
        return int(((self.outcome == FALSE) & (self.scores >= threshold)).sum())

    def f1(self, threshold: float) -> float:
        """2·found / (2·found + missed + false); 0 when nothing counts."""
        found = self.found(threshold)
        return 2 * found / max(found + len(self.found_by) + self.false(threshold), 1)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A frame to show and why: `best`, `worst` or `gain`."""

    frame: str
    reason: str


def match(truth: Objects, results: Objects, class_name: str) -> Match:
    """Match one frame's result boxes with its labels.

    Labels of the class beyond KITTI's moderate limits, of neighbouring classes, and DontCare regions neither count nor
    make a box false.
    """
    names = np.array(truth.names, dtype=object)
    counted = (names == class_name) & _moderate(truth)
    free = counted | (names == class_name) | (names == NEIGHBOURS.get(class_name))
    boxes = results.select(np.array([name == class_name for name in results.names], dtype=bool))
    boxes = boxes.select(np.argsort(-boxes.scores, kind="stable"))
    gaps_m = np.linalg.norm(boxes.locations_m[:, None, [0, 2]] - truth.locations_m[None, :, [0, 2]], axis=2)
    small = boxes.boxes_px[:, 3] - boxes.boxes_px[:, 1] < MODERATE.min_height_px
    excused = small | _in_dont_care(boxes, truth.select(names == "DontCare"))
    outcome, found_by = np.where(excused, IGNORED, FALSE), np.full(len(truth), -np.inf)
    for index, gap_m in enumerate(gaps_m):
        reachable = np.where(free & (gap_m <= REACH_M), gap_m, np.inf)
        if np.isfinite(reachable).any():
            target = int(reachable.argmin())
            free[target] = False
            outcome[index] = HIT if counted[target] else IGNORED
            found_by[target] = boxes.scores[index]
    return Match(found_by[counted], boxes.scores, outcome)


def best_threshold(matches: Sequence[Match]) -> float:
    """The score at which F1 over all frames is highest; the lowest such score; 0 without any hit."""
    scores = np.concatenate([np.zeros(0), *(m.scores for m in matches)])
    outcome = np.concatenate([np.zeros(0), *(m.outcome for m in matches)])
    if not (outcome == HIT).any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    scores, outcome = scores[order], outcome[order]
    hits, false = np.cumsum(outcome == HIT), np.cumsum(outcome == FALSE)
    f1 = 2 * hits / (hits + false + sum(len(m.found_by) for m in matches))
    f1[:-1][scores[1:] == scores[:-1]] = -1.0  # boxes of one score come together
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
    pool = {frame: m for frame, m in matches.items() if len(m.found_by)}
    chosen: dict[str, Chosen] = {}

    def take(order: Sequence[str], count: int, reason: str) -> None:
        left = [frame for frame in order if frame not in chosen]
        chosen.update((frame, Chosen(frame, reason)) for frame in left[:count])

    def rank(sign: int) -> list[str]:
        def key(frame: str) -> tuple[bool, float, int, str]:
            count = len(pool[frame].found_by)
            return count < 2, sign * pool[frame].f1(threshold), -count, frame

        return sorted(pool, key=key)

    take(rank(-1), best, "best")
    take(rank(1), worst, "worst")
    if control is not None:
        gain = {f: pool[f].found(threshold) - control[f].found(control_threshold) for f in pool if f in control}
        order = sorted(gain, key=lambda f: (-gain[f], -len(pool[f].found_by), f))
        take([f for f in order if gain[f] > 0], gains, "gain")
    return list(chosen.values())


def _moderate(truth: Objects) -> Bools:
    tall = truth.boxes_px[:, 3] - truth.boxes_px[:, 1] >= MODERATE.min_height_px
    clear = (truth.occlusion <= MODERATE.max_occlusion) & (truth.truncation <= MODERATE.max_truncation)
    return np.asarray(tall & clear, dtype=bool)


def _in_dont_care(boxes: Objects, regions: Objects) -> Bools:
    """Boxes with more than half of their 2D area in one DontCare region."""
    one, two = boxes.boxes_px[:, None], regions.boxes_px[None]
    overlap_px = np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2])
    area_px2 = np.maximum((boxes.boxes_px[:, 2:] - boxes.boxes_px[:, :2]).prod(axis=1), 1e-9)
    share = np.maximum(overlap_px, 0).prod(axis=-1) / area_px2[:, None]
    return np.asarray((share > 0.5).any(axis=1))
