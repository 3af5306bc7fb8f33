"""Precision at 41 recalls and its mean, for the frames as they are or for any resampling of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.evaluation.matching import Changes, Pairs
from monokd.typing import Bools, Floats, Ints

SAMPLES = 41
SAMPLE_COLUMNS = ("score", "recall", "precision", "similarity", "precision_envelope", "similarity_envelope")
MEANS = ("R40", "R11", "aos_R40", "aos_R11")


class Walk(NamedTuple):
    """The E detections that change something in one matching, by descending score; columns as `Changes`."""

    scores: Floats
    frames: Ints
    hits: Bools
    counts: NDArray[np.int32]
    similarity: Floats
    valid: Ints  # F, valid labels of each frame


def walk_down(changes: Changes, pairs: Pairs, valid: Ints) -> Walk:
    """Order the changes of one matching by score; F counts of `valid` labels."""
    # Similarity alone changes where a label's detection is replaced and DontCare forgives the old one.
    changing = changes.hits | (changes.counts != 0).any(axis=1) | (changes.similarity != 0)
    chosen = pairs.descending[changing[pairs.descending]]
    ordered = Changes(*(column[chosen] for column in changes))
    return Walk(pairs.scores[chosen], pairs.frames[chosen], *ordered, valid)


@compiled
def average_precision(walk: Walk, weights: NDArray[np.int32]) -> tuple[Floats, Floats]:
    """Compute the curve and its means, where F `weights` say how often each frame counts.

    Returns T×6 samples at the T ≤ 41 thresholds, columns as `SAMPLE_COLUMNS`, and the 4 `MEANS` in percent.
    """
    samples, means = _samples(walk, weights), np.empty(len(MEANS))
    for k in range(2):
        envelope = _envelope(samples[:, 2 + k])
        samples[:, 4 + k] = envelope
        # R40 is the mean of places 1 to 40, R11 that of 0, 4, … 40; beyond the end stand zeros.
        means[2 * k], means[2 * k + 1] = 100 * np.sum(envelope[1:]) / 40, 100 * np.sum(envelope[::4]) / 11
    return samples, means


@compiled
def resampled(walk: Walk, weights: NDArray[np.int32]) -> Floats:
    """Compute the 4 `MEANS` of every resampling, R×4, from R×F `weights`."""
    means = np.empty((weights.shape[0], len(MEANS)))
    for r in range(weights.shape[0]):
        means[r] = average_precision(walk, weights[r])[1]
    return means


@compiled
def _samples(walk: Walk, weights: NDArray[np.int32]) -> Floats:
    """Choose the thresholds among the weighted hits and sum the changes down to each."""
    objects, total = 0, 0
    for f in range(walk.valid.size):
        objects += walk.valid[f] * weights[f]
    for e in range(walk.scores.size):
        total += walk.hits[e] * weights[walk.frames[e]]
    samples = np.zeros((SAMPLES, len(SAMPLE_COLUMNS)))
    taken, seen, summed_to, wanted = 0, 0, 0, 0.0
    right, wrong, found, alike = 0, 0, 0, 0.0
    for e in range(walk.scores.size):
        if not walk.hits[e]:
            continue
        for _ in range(weights[walk.frames[e]]):
            seen += 1
            here = seen / objects
            following = (seen + 1) / objects if seen < total else here
            if (following - wanted < wanted - here and seen < total) or taken == SAMPLES:
                continue
            # Every change of this score counts, those of equal score included.
            while summed_to < walk.scores.size and walk.scores[summed_to] >= walk.scores[e]:
                weight = weights[walk.frames[summed_to]]
                right += weight * walk.counts[summed_to, 0]
                wrong += weight * walk.counts[summed_to, 1]
                found += weight * walk.counts[summed_to, 2]
                alike += weight * walk.similarity[summed_to]
                summed_to += 1
            samples[taken, 0] = walk.scores[e]
            samples[taken, 1] = right / (right + objects - found)
            samples[taken, 2] = right / (right + wrong)
            samples[taken, 3] = alike / (right + wrong)
            taken += 1
            wanted += 1 / (SAMPLES - 1)
    return samples[:taken]


@compiled
def _envelope(values: Floats) -> Floats:
    """Largest value at or after each place; as in the kit, NaN (0 / 0) stays and is skipped elsewhere."""
    result = values.copy()
    largest = -np.inf
    for k in range(values.size - 1, -1, -1):
        if not np.isnan(values[k]):
            largest = max(largest, values[k])
            result[k] = largest
    return result
