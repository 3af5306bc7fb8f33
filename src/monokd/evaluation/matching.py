"""Who finds whom: labels and detections of each frame matched as KITTI's development kit does.

The kit matches every frame once to collect the scores of true positives, and again at each of up to 41 score
thresholds. What a frame yields at a threshold changes only where one of its detections enters, so this
module records those changes: sums over frames at *any* threshold, and over any resampling of frames, follow
without a second matching.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.evaluation.rules import IGNORED, VALID, States
from monokd.typing import Bools, Floats, Ints

NO_SCORE = -10_000_000.0  # the kit's mark of 'no detection yet': scores below it never count


class Pairs(NamedTuple):
    """What all matchings of a result set share: G labels, D detections and P pairs of F frames."""

    label_offsets: Ints  # F+1, of the frames in the labels
    offsets: Ints  # F+1, of the frames in the detections
    starts: Ints  # G+1, of the labels in the pairs
    detections: Ints  # P, ascending in each label
    similarity: Floats  # P, (1 + cos Δalpha) / 2
    scores: Floats  # D
    frames: Ints  # D, the frame of each detection
    order: Ints  # D detections, frame by frame, by descending score
    descending: Ints  # D detections by descending score


class Criteria(NamedTuple):
    """What a matching asks for: one class, difficulty and kind of overlap."""

    overlaps: Floats  # P
    min_iou: float  # overlaps must exceed it
    labels: States  # G
    results: States  # D
    forgiven: Bools  # D, not counted as wrong where nothing takes them


class Changes(NamedTuple):
    """One matching: what each detection changes when the threshold falls to its score.

    Of detections with one score in one frame, one stands for all.
    """

    hits: Bools  # D, true positives of the first pass, whose scores place the thresholds
    counts: NDArray[np.int32]  # D×3, of true positives, of false positives, of valid labels that have some detection
    similarity: Floats  # D, of the summed orientation similarity


@compiled
def _collect_hits(frame: int, pairs: Pairs, criteria: Criteria, usable: Bools, taken: Bools, hits: Bools) -> None:
    """Run the first pass over one frame: each label takes the free detection with the highest score."""
    for g in range(pairs.label_offsets[frame], pairs.label_offsets[frame + 1]):
        best, best_score = -1, NO_SCORE
        for p in range(pairs.starts[g], pairs.starts[g + 1]):
            d = pairs.detections[p]
            if usable[p] and not taken[d] and pairs.scores[d] > best_score:
                best, best_score = d, pairs.scores[d]
        if best >= 0:
            taken[best] = True
            hits[best] = criteria.labels[g] == VALID and criteria.results[best] == VALID


@compiled
def _best_pair(g: int, pairs: Pairs, criteria: Criteria, usable: Bools, free: Bools) -> int:
    """Find the pair of largest overlap among free valid detections; else the first free ignored one; else −1."""
    best, ignored, largest = -1, -1, 0.0
    for p in range(pairs.starts[g], pairs.starts[g + 1]):
        d = pairs.detections[p]
        if usable[p] and free[d]:
            if criteria.results[d] == VALID and criteria.overlaps[p] > largest:
                best, largest = p, criteria.overlaps[p]
            elif criteria.results[d] == IGNORED and ignored < 0:
                ignored = p
    return best if best >= 0 else ignored


@compiled
def _count(frame: int, pairs: Pairs, criteria: Criteria, usable: Bools, free: Bools) -> tuple[int, int, float]:
    """Run the second pass over one frame, unset `free`; true positives, found valid labels, summed similarity."""
    right, found, alike = 0, 0, 0.0
    for g in range(pairs.label_offsets[frame], pairs.label_offsets[frame + 1]):
        p = _best_pair(g, pairs, criteria, usable, free)
        if p >= 0:
            d = pairs.detections[p]
            free[d] = False
            if criteria.labels[g] == VALID:
                found += 1
                if criteria.results[d] == VALID:
                    right += 1
                    alike += pairs.similarity[p]
    return right, found, alike


@compiled
def match_frames(pairs: Pairs, criteria: Criteria) -> Changes:
    """Match the labels and detections of all frames by the criteria."""
    total = pairs.scores.size
    hits, counts, similarity = np.zeros(total, np.bool_), np.zeros((total, 3), np.int32), np.zeros(total)
    taken, free, paired = np.zeros(total, np.bool_), np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    usable = np.zeros(pairs.detections.size, np.bool_)
    for g in range(criteria.labels.size):
        for p in range(pairs.starts[g], pairs.starts[g + 1]):
            d = pairs.detections[p]
            near = criteria.overlaps[p] > criteria.min_iou
            usable[p] = near and criteria.labels[g] >= VALID and criteria.results[d] >= VALID
            paired[d] |= usable[p]
    wrong_if_free = (criteria.results == VALID) & ~criteria.forgiven
    counts[:, 1] = wrong_if_free & ~paired
    for frame in range(pairs.offsets.size - 1):
        order = pairs.order[pairs.offsets[frame] : pairs.offsets[frame + 1]]
        queue = order[paired[order]]  # by descending score
        if queue.size > 0:
            _collect_hits(frame, pairs, criteria, usable, taken, hits)
        right, wrong, found, alike = 0, 0, 0, 0.0
        for k, d in enumerate(queue):
            if k + 1 < queue.size and pairs.scores[queue[k + 1]] == pairs.scores[d]:
                continue  # detections of one score enter together
            for j in queue[: k + 1]:
                free[j] = True
            now_right, now_found, now_alike = _count(frame, pairs, criteria, usable, free)
            now_wrong = 0
            for j in queue[: k + 1]:
                now_wrong += wrong_if_free[j] and free[j]
            counts[d, 0], counts[d, 1], counts[d, 2] = now_right - right, now_wrong - wrong, now_found - found
            similarity[d] = now_alike - alike
            right, wrong, found, alike = now_right, now_wrong, now_found, now_alike
    return Changes(hits, counts, similarity)
