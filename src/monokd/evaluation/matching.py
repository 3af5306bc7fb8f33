"""Who finds whom: labels and detections of each frame matched as KITTI's development kit does.

The kit matches every frame once to collect the scores of true positives, and again at each of up to 41 score
thresholds. What a frame yields at a threshold changes only where one of its detections enters, so this
module records those changes: sums over frames at *any* threshold, and over any resampling of frames, follow
without a second matching.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
States = NDArray[np.int8]

NO_SCORE = -10_000_000.0  # the kit's mark of 'no detection yet': scores below it never count


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What all matchings of a result set share.

    Attributes:
        label_offsets: F+1 offsets of the frames in the labels.
        offsets: F+1 offsets of the frames in the detections.
        starts: G+1 offsets of the labels in the pairs.
        detections: P detections, ascending in each label.
        overlaps: P×3, bbox, bev, 3d.
        similarity: P, (1 + cos Δalpha) / 2.
        scores: D.
        order: D detections, frame by frame, by descending score.
        frames: D, the frame of each detection.
    """

    label_offsets: Ints
    offsets: Ints
    starts: Ints
    detections: Ints
    overlaps: Floats
    similarity: Floats
    scores: Floats
    order: Ints
    frames: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """One matching: what each detection changes when the threshold falls to its score.

    Of detections with one score in one frame, one stands for all.

    Attributes:
        hits: D, true positives of the first pass, whose scores place the thresholds.
        counts: D×3, changes of true positives, of false positives, of valid labels that have some detection.
        similarity: D, changes of the summed orientation similarity.
    """

    hits: Flags
    counts: NDArray[np.int32]
    similarity: Floats


def match(pairs: Pairs, kind: int, labels: States, results: States, in_dont_care: Flags, min_iou: float) -> Changes:
    """Match all frames for one class, difficulty and kind of overlap.

    Args:
        pairs: the result set.
        kind: the column of `pairs.overlaps`.
        labels: G states, valid 0, ignored 1, invisible −1.
        results: D states.
        in_dont_care: D, detections that are not counted as wrong where nothing takes them.
        min_iou: overlaps must exceed it.
    """
    hits, counts, similarity = _match_frames(
        pairs.label_offsets, pairs.offsets, pairs.starts, pairs.detections, pairs.overlaps[:, kind],
        pairs.similarity, pairs.scores, pairs.order, labels, results, in_dont_care, min_iou,
    )  # fmt: skip
    return Changes(hits, counts, similarity)


@compiled
def _collect_hits(
    g0: int, g1: int, starts: Ints, detections: Ints, overlaps: Floats, scores: Floats,
    labels: States, results: States, min_iou: float, taken: Flags, hits: Flags,
) -> None:  # fmt: skip
    """First pass over one frame: each label takes the free detection with the highest score."""
    for g in range(g0, g1):
        if labels[g] < 0:
            continue
        best, best_score = -1, NO_SCORE
        for p in range(starts[g], starts[g + 1]):
            d = detections[p]
            if results[d] >= 0 and not taken[d] and overlaps[p] > min_iou and scores[d] > best_score:
                best, best_score = d, scores[d]
        if best >= 0:
            taken[best] = True
            if labels[g] == 0 and results[best] == 0:
                hits[best] = True


@compiled
def _best_pair(
    g: int,
    starts: Ints,
    detections: Ints,
    overlaps: Floats,
    results: States,
    min_iou: float,
    active: Flags,
    taken: Flags,
) -> int:
    """The pair with the largest overlap among free valid detections; else the first free ignored one; else
    −1.
    """
    best, ignored, largest = -1, -1, 0.0
    for p in range(starts[g], starts[g + 1]):
        d = detections[p]
        if not active[d] or taken[d] or not overlaps[p] > min_iou:
            continue
        if results[d] == 0 and overlaps[p] > largest:
            best, largest = p, overlaps[p]
        elif results[d] == 1 and ignored < 0:
            ignored = p
    return best if best >= 0 else ignored


@compiled
def _count(
    g0: int, g1: int, starts: Ints, detections: Ints, overlaps: Floats, similarity: Floats,
    labels: States, results: States, min_iou: float, active: Flags, taken: Flags,
) -> tuple[int, int, float]:  # fmt: skip
    """Second pass over one frame: true positives, valid labels with a detection, summed similarity; fills
    `taken`.
    """
    right, found, alike = 0, 0, 0.0
    for g in range(g0, g1):
        if labels[g] < 0:
            continue
        p = _best_pair(g, starts, detections, overlaps, results, min_iou, active, taken)
        if p >= 0:
            taken[detections[p]] = True
            if labels[g] == 0:
                found += 1
                if results[detections[p]] == 0:
                    right += 1
                    alike += similarity[p]
    return right, found, alike


@compiled
def _queue_pairs(
    g0: int, g1: int, d0: int, d1: int, starts: Ints, detections: Ints, overlaps: Floats, order: Ints,
    labels: States, results: States, min_iou: float, paired: Flags, queue: Ints,
) -> int:  # fmt: skip
    """List the detections of one frame that some label could take, by descending score; returns how many."""
    for g in range(g0, g1):
        if labels[g] >= 0:
            for p in range(starts[g], starts[g + 1]):
                if results[detections[p]] >= 0 and overlaps[p] > min_iou:
                    paired[detections[p]] = True
    length = 0
    for k in range(d0, d1):
        if paired[order[k]]:
            queue[length] = order[k]
            length += 1
    return length


@compiled
def _match_frames(
    label_offsets: Ints, offsets: Ints, starts: Ints, detections: Ints, overlaps: Floats, similarity: Floats,
    scores: Floats, order: Ints, labels: States, results: States, in_dont_care: Flags, min_iou: float,
) -> tuple[Flags, NDArray[np.int32], Floats]:  # fmt: skip
    total = scores.size
    hits, taken = np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    paired, active = np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    counts, alike = np.zeros((total, 3), np.int32), np.zeros(total)
    queue = np.empty(total, np.int64)
    for frame in range(offsets.size - 1):
        d0, d1 = offsets[frame], offsets[frame + 1]
        g0, g1 = label_offsets[frame], label_offsets[frame + 1]
        length = _queue_pairs(
            g0, g1, d0, d1, starts, detections, overlaps, order, labels, results, min_iou, paired, queue
        )
        for d in range(d0, d1):
            counts[d, 1] = results[d] == 0 and not paired[d] and not in_dont_care[d]
        if length == 0:
            continue
        _collect_hits(g0, g1, starts, detections, overlaps, scores, labels, results, min_iou, taken, hits)
        right, wrong, found, summed = 0, 0, 0, 0.0
        for k in range(length):
            d = queue[k]
            active[d] = True
            if k + 1 < length and scores[queue[k + 1]] == scores[d]:
                continue  # detections of one score enter together
            for j in range(length):
                taken[queue[j]] = False
            now_right, now_found, now_summed = _count(
                g0, g1, starts, detections, overlaps, similarity, labels, results, min_iou, active, taken
            )
            now_wrong = 0
            for j in range(k + 1):
                now_wrong += results[queue[j]] == 0 and not taken[queue[j]] and not in_dont_care[queue[j]]
            counts[d, 0] = now_right - right
            counts[d, 1] = now_wrong - wrong
            counts[d, 2] = now_found - found
            alike[d] = now_summed - summed
            right, wrong, found, summed = now_right, now_wrong, now_found, now_summed
    return hits, counts, alike
