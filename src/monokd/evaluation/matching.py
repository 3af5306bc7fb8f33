"""Who finds whom: labels and detections of each frame matched as KITTI's development kit does.

The kit matches every frame once to collect the scores of true positives, and again at each of up to 41 score
thresholds. What a frame yields at a threshold changes only where one of its detections enters, so this
module records those changes: sums over frames at *any* threshold, and over any resampling of frames, follow
without a second matching.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.evaluation.rules import IGNORED, VALID, States
from monokd.typing import Bools, Floats, Ints

NO_SCORE = -10_000_000.0  # the kit's mark of 'no detection yet': scores below it never count


class Pairs(NamedTuple):
    """What all matchings of a result set share.

    Attributes:
        label_offsets: F+1 offsets of the frames in the labels.
        offsets: F+1 offsets of the frames in the detections.
        starts: G+1 offsets of the labels in the pairs.
        detections: P detections, ascending in each label.
        similarity: P, (1 + cos Δalpha) / 2.
        scores: D.
        order: D detections, frame by frame, by descending score.
    """

    label_offsets: Ints
    offsets: Ints
    starts: Ints
    detections: Ints
    similarity: Floats
    scores: Floats
    order: Ints


class Criteria(NamedTuple):
    """What a matching asks for: one class, difficulty and kind of overlap.

    Attributes:
        overlaps: P, of the one kind.
        min_iou: overlaps must exceed it.
        labels: G states.
        results: D states.
        forgiven: D, detections that are not counted as wrong where nothing takes them.
    """

    overlaps: Floats
    min_iou: float
    labels: States
    results: States
    forgiven: Bools


class Changes(NamedTuple):
    """One matching: what each detection changes when the threshold falls to its score.

    Of detections with one score in one frame, one stands for all.

    Attributes:
        hits: D, true positives of the first pass, whose scores place the thresholds.
        counts: D×3, changes of true positives, of false positives, of valid labels that have some detection.
        similarity: D, changes of the summed orientation similarity.
    """

    hits: Bools
    counts: NDArray[np.int32]
    similarity: Floats


class _Flags(NamedTuple):
    """D flags each: overlaps a label, has entered at the threshold, is taken by a label."""

    paired: Bools
    active: Bools
    taken: Bools


@compiled
def _queue_pairs(frame: int, pairs: Pairs, criteria: Criteria, paired: Bools, queue: Ints) -> int:
    """List the detections of one frame that some label could take, by descending score; returns how many."""
    for g in range(pairs.label_offsets[frame], pairs.label_offsets[frame + 1]):
        if criteria.labels[g] >= VALID:
            for p in range(pairs.starts[g], pairs.starts[g + 1]):
                d = pairs.detections[p]
                if criteria.results[d] >= VALID and criteria.overlaps[p] > criteria.min_iou:
                    paired[d] = True
    length = 0
    for k in range(pairs.offsets[frame], pairs.offsets[frame + 1]):
        if paired[pairs.order[k]]:
            queue[length] = pairs.order[k]
            length += 1
    return length


@compiled
def _collect_hits(frame: int, pairs: Pairs, criteria: Criteria, taken: Bools, hits: Bools) -> None:
    """Run the first pass over one frame: each label takes the free detection with the highest score."""
    for g in range(pairs.label_offsets[frame], pairs.label_offsets[frame + 1]):
        if criteria.labels[g] < VALID:
            continue
        best, best_score = -1, NO_SCORE
        for p in range(pairs.starts[g], pairs.starts[g + 1]):
            d = pairs.detections[p]
            free = criteria.results[d] >= VALID and not taken[d]
            if free and criteria.overlaps[p] > criteria.min_iou and pairs.scores[d] > best_score:
                best, best_score = d, pairs.scores[d]
        if best >= 0:
            taken[best] = True
            hits[best] = criteria.labels[g] == VALID and criteria.results[best] == VALID


@compiled
def _best_pair(g: int, pairs: Pairs, criteria: Criteria, flags: _Flags) -> int:
    """Find the pair of largest overlap among free valid detections; else the first free ignored one; else −1."""
    best, ignored, largest = -1, -1, 0.0
    for p in range(pairs.starts[g], pairs.starts[g + 1]):
        d = pairs.detections[p]
        if not flags.active[d] or flags.taken[d] or not criteria.overlaps[p] > criteria.min_iou:
            continue
        if criteria.results[d] == VALID and criteria.overlaps[p] > largest:
            best, largest = p, criteria.overlaps[p]
        elif criteria.results[d] == IGNORED and ignored < 0:
            ignored = p
    return best if best >= 0 else ignored


@compiled
def _count(frame: int, pairs: Pairs, criteria: Criteria, flags: _Flags) -> tuple[int, int, float]:
    """Run the second pass over one frame; fills `flags.taken`.

    Returns:
        True positives, valid labels with a detection, summed similarity.
    """
    right, found, alike = 0, 0, 0.0
    for g in range(pairs.label_offsets[frame], pairs.label_offsets[frame + 1]):
        if criteria.labels[g] < VALID:
            continue
        p = _best_pair(g, pairs, criteria, flags)
        if p >= 0:
            d = pairs.detections[p]
            flags.taken[d] = True
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
    flags = _Flags(np.zeros(total, np.bool_), np.zeros(total, np.bool_), np.zeros(total, np.bool_))
    queue = np.empty(total, np.int64)
    for frame in range(pairs.offsets.size - 1):
        length = _queue_pairs(frame, pairs, criteria, flags.paired, queue)
        for d in range(pairs.offsets[frame], pairs.offsets[frame + 1]):
            counts[d, 1] = criteria.results[d] == VALID and not flags.paired[d] and not criteria.forgiven[d]
        if length == 0:
            continue
        _collect_hits(frame, pairs, criteria, flags.taken, hits)
        right, wrong, found, alike = 0, 0, 0, 0.0
        for k in range(length):
            d = queue[k]
            flags.active[d] = True
            if k + 1 < length and pairs.scores[queue[k + 1]] == pairs.scores[d]:
                continue  # detections of one score enter together
            flags.taken[queue[:length]] = False
            now_right, now_found, now_alike = _count(frame, pairs, criteria, flags)
            now_wrong = 0
            for j in queue[: k + 1]:
                now_wrong += criteria.results[j] == VALID and not flags.taken[j] and not criteria.forgiven[j]
            counts[d, 0], counts[d, 1], counts[d, 2] = now_right - right, now_wrong - wrong, now_found - found
            similarity[d] = now_alike - alike
            right, wrong, found, alike = now_right, now_wrong, now_found, now_alike
    return Changes(hits, counts, similarity)
