"""Which frames to show: found, missed and false boxes by a rule that fits one sentence.

A box finds an object when its centre stands within `REACH_M` of the object's, seen from above; surer boxes choose first
and every object is found once (the matching of nuScenes, Caesar et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from monokd.classes import MODERATE, NEIGHBOURS
from monokd.kitti.objects import Objects
from monokd.typing import Bools, Floats, Ints

REACH_M = 2.0
HIT, FALSE, IGNORED = 1, -1, 0


class Counts(NamedTuple):
    """Boxes and objects of one frame, one class, above a score."""

    found: int
    counted: int  # objects of moderate difficulty
    false: int

    @property
    def f1(self) -> float:
        """2·found / (2·found + missed + false); 0 when nothing counts."""
        return 2 * self.found / max(self.found + self.counted + self.false, 1)


class Match(NamedTuple):
    """One network on one frame, one class."""

    found_by: Floats  # score of the box that found each counted object (of moderate difficulty); −inf where none did
    scores: Floats  # of each box of the class
    outcome: Ints  # HIT, FALSE or IGNORED for each box

    def at(self, threshold: float) -> Counts:
        """Count with the boxes alone that are at least as sure as `threshold`."""
        false = (self.outcome == FALSE) & (self.scores >= threshold)
        return Counts(int((self.found_by >= threshold).sum()), len(self.found_by), int(false.sum()))


def match(truth: Objects, results: Objects, class_name: str) -> Match:
    """Match one frame's result boxes with its labels.

    Labels of the class beyond KITTI's moderate limits, of neighbouring classes, and DontCare regions neither count nor
    make a box false.
    """
    names = np.array(truth.names, dtype=object)
    tall = truth.boxes_px[:, 3] - truth.boxes_px[:, 1] >= MODERATE.min_height_px
    clear = (truth.occlusion <= MODERATE.max_occlusion) & (truth.truncation <= MODERATE.max_truncation)
    counted = (names == class_name) & tall & clear
    free = (names == class_name) | (names == NEIGHBOURS.get(class_name))
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


def _in_dont_care(boxes: Objects, regions: Objects) -> Bools:
    """Boxes with more than half of their 2D area in one DontCare region."""
    one, two = boxes.boxes_px[:, None], regions.boxes_px[None]
    overlap_px = np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2])
    area_px2 = np.maximum((one[..., 2:] - one[..., :2]).prod(axis=-1), 1e-9)
    return np.asarray((np.maximum(overlap_px, 0).prod(axis=-1) > area_px2 / 2).any(axis=1))


def best_threshold(matches: Sequence[Match]) -> float:
    """Find the lowest score at which F1 over all frames is highest; 0 without any hit."""
    scores = np.concatenate([m.scores for m in matches])
    outcome = np.concatenate([m.outcome for m in matches])
    if not (outcome == HIT).any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    scores, outcome = scores[order], outcome[order]
    hits, false = np.cumsum(outcome == HIT), np.cumsum(outcome == FALSE)
    f1 = 2 * hits / (hits + false + sum(len(m.found_by) for m in matches))
    f1[:-1][scores[1:] == scores[:-1]] = -1.0  # boxes of one score come together
    return float(scores[np.flatnonzero(f1 == f1.max())[-1]])


def choose(mine: Mapping[str, Counts], control: Mapping[str, Counts]) -> dict[str, str]:
    """Choose frames → why: 2 `best` and 2 `worst` by F1, and the largest `gain` in found objects over the control.

    No frame twice, none without counted objects, those with a single one only after the others. Ties go to more
    objects, then to the smaller id.
    """
    pool = {frame: counts for frame, counts in mine.items() if counts.counted}
    highest, lowest = (
        sorted(pool, key=lambda f: (pool[f].counted < 2, sign * pool[f].f1, -pool[f].counted, f)) for sign in (-1, 1)
    )
    gain = {frame: counts.found - control[frame].found for frame, counts in pool.items()}
    gaining = sorted((f for f in gain if gain[f] > 0), key=lambda f: (-gain[f], -pool[f].counted, f))
    chosen: dict[str, str] = {}
    for frames, count, reason in ((highest, 2, "best"), (lowest, 2, "worst"), (gaining, 1, "gain")):
        left = [frame for frame in frames if frame not in chosen]
        chosen |= dict.fromkeys(left[:count], reason)
    return chosen
