"""Precision at 41 recalls and its mean, for the frames as they are or for any resampling of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.evaluation.matching import Changes, Pairs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SAMPLES = 41
FIGURES = ("R40", "R11", "aos_R40", "aos_R11")
POINT_COLUMNS = ("score", "recall", "precision", "similarity", "precision_envelope", "similarity_envelope")


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """One matching as a walk down the scores.

    Attributes:
        scores: E, descending.
        frames: E.
        hits: E, whether a true positive of the first pass stands here.
        counts: E×3, changes of true positives, false positives, found labels.
        similarity: E, changes of the summed orientation similarity.
        valid: F, valid labels of each frame.
    """

    scores: Floats
    frames: NDArray[np.int32]
    hits: NDArray[np.bool_]
    counts: NDArray[np.int32]
    similarity: Floats
    valid: Ints


def steps(changes: Changes, pairs: Pairs, descending: Ints, valid: Ints) -> Steps:
    """Order the changes of one matching by score, `descending` being all detections so ordered."""
    chosen = _changing(descending, changes.hits, changes.counts, changes.similarity)
    return Steps(
        pairs.scores[chosen],
        pairs.frames[chosen].astype(np.int32),
        changes.hits[chosen],
        changes.counts[chosen],
        changes.similarity[chosen],
        valid,
    )


def curve(walk: Steps) -> tuple[Floats, Floats]:
    """The curve over all frames and its means.

    Returns:
        T×6 points at the T ≤ 41 thresholds, columns as `POINT_COLUMNS`, and the 4 `FIGURES` in percent.
    """
    weights = np.ones(walk.valid.size, dtype=np.int32)
    return _curve(walk.scores, walk.frames, walk.hits, walk.counts, walk.similarity, walk.valid, weights)


def resampled(walk: Steps, weights: NDArray[np.int32]) -> Floats:
    """The 4 `FIGURES` in percent of every resampling; R×F `weights` say how often each frame is drawn."""
    return _resampled(walk.scores, walk.frames, walk.hits, walk.counts, walk.similarity, walk.valid, weights)


@compiled
def _changing(descending: Ints, hits: NDArray[np.bool_], counts: NDArray[np.int32], similarity: Floats) -> Ints:
    """Those of `descending` where anything changes; similarity alone does where a label's taker is
    replaced.
    """
    chosen = np.empty_like(descending)
    length = 0
    for d in descending:
        if hits[d] or counts[d, 0] or counts[d, 1] or counts[d, 2] or similarity[d] != 0:
            chosen[length] = d
            length += 1
    return chosen[:length]


@compiled
def _envelope(values: Floats) -> Floats:
    """Largest value at or after each place. As in the kit, NaN (0 / 0) stays where it is and is skipped
    elsewhere.
    """
    result = values.copy()
    largest = -np.inf
    for k in range(values.size - 1, -1, -1):
        if not np.isnan(values[k]):
            largest = max(largest, values[k])
            result[k] = largest
    return result


@compiled
def _means(envelope: Floats) -> tuple[float, float]:
    """Percent: R40, the mean of places 1 to 40, and R11, the mean of places 0, 4, … 40; beyond the end stand
    zeros.
    """
    r40, r11 = 0.0, 0.0
    for k in range(envelope.size):
        if k > 0:
            r40 += envelope[k]
        if k % 4 == 0:
            r11 += envelope[k]
    return 100 * r40 / 40, 100 * r11 / 11


@compiled
def _curve(
    scores: Floats, frames: NDArray[np.int32], hits: NDArray[np.bool_], counts: NDArray[np.int32],
    similarity: Floats, valid: Ints, weights: NDArray[np.int32],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Choose the thresholds among the weighted hits and sum the changes down to each."""
    objects, total = 0, 0
    for f in range(valid.size):
        objects += valid[f] * weights[f]
    for e in range(scores.size):
        total += hits[e] * weights[frames[e]]
    points = np.zeros((SAMPLES, len(POINT_COLUMNS)))
    taken, seen, summed_to, wanted = 0, 0, 0, 0.0
    right, wrong, found, alike = 0, 0, 0, 0.0
    for e in range(scores.size):
        if not hits[e]:
            continue
        for _ in range(weights[frames[e]]):
            seen += 1
            here = seen / objects
            following = (seen + 1) / objects if seen < total else here
            if (following - wanted < wanted - here and seen < total) or taken == SAMPLES:
                continue
            # Every step of this score counts, those of equal score included.
            while summed_to < scores.size and scores[summed_to] >= scores[e]:
                weight = weights[frames[summed_to]]
                right += weight * counts[summed_to, 0]
                wrong += weight * counts[summed_to, 1]
                found += weight * counts[summed_to, 2]
                alike += weight * similarity[summed_to]
                summed_to += 1
            points[taken, 0] = scores[e]
            points[taken, 1] = right / (right + objects - found)
            points[taken, 2] = right / (right + wrong)
            points[taken, 3] = alike / (right + wrong)
            taken += 1
            wanted += 1 / (SAMPLES - 1)
    points = points[:taken]
    points[:, 4], points[:, 5] = _envelope(points[:, 2]), _envelope(points[:, 3])
    r40, r11 = _means(points[:, 4])
    aos_r40, aos_r11 = _means(points[:, 5])
    return points, np.array([r40, r11, aos_r40, aos_r11])


@compiled
def _resampled(
    scores: Floats, frames: NDArray[np.int32], hits: NDArray[np.bool_], counts: NDArray[np.int32],
    similarity: Floats, valid: Ints, weights: NDArray[np.int32],
) -> Floats:  # fmt: skip
    figures = np.empty((weights.shape[0], len(FIGURES)))
    for r in range(weights.shape[0]):
        figures[r] = _curve(scores, frames, hits, counts, similarity, valid, weights[r])[1]
    return figures
