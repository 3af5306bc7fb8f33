"""Error bars: average precision over frames drawn again with replacement.

A resample is a data set of its own: its objects are counted and its thresholds are chosen anew, so each
figure is what the benchmark would say about those frames. Percentile intervals (Efron 1979) at 95 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.evaluation.cells import Cell, in_threads
from monokd.evaluation.evaluate import Evaluation, FigureKey
from monokd.evaluation.precision import Floats, resampled

CHUNK = 256  # resamples whose weights are held at once
LOW_PERCENT, HIGH_PERCENT = 2.5, 97.5


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval in points of percent."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much A has more than B on the same frames, in points of percent.

    Attributes:
        value: over all frames.
        low: of the 95 % interval.
        high: of the 95 % interval.
        above: the share of resamples in which A has more.
    """

    value: float
    low: float
    high: float
    above: float


def intervals(evaluation: Evaluation, resamples: int, seed: int) -> dict[FigureKey, Interval | None]:
    """A 95 % interval for every figure; None where the figure is undefined."""
    draws = _draws([evaluation], resamples, seed)[0]
    return {key: _interval(_figure(evaluation, draws, key)) for key in evaluation.figure_keys()}


def compare(
    evaluation: Evaluation, other: Evaluation, resamples: int, seed: int
) -> tuple[dict[FigureKey, Interval | None], dict[FigureKey, Difference | None]]:
    """Intervals of `evaluation`, and of its difference to `other` on the same resamples of the same frames.

    Raises:
        ValueError: they are not of the same frames.
    """
    if evaluation.frames != other.frames:
        raise ValueError("paired differences need the same frames")
    own, others = _draws([evaluation, other], resamples, seed)
    ranges: dict[FigureKey, Interval | None] = {}
    differences: dict[FigureKey, Difference | None] = {}
    for key in evaluation.figure_keys():
        ours, theirs = _figure(evaluation, own, key), _figure(other, others, key)
        ranges[key] = _interval(ours)
        a, b = evaluation.ap(key), other.ap(key)
        differences[key] = None
        if ours is not None and theirs is not None and a is not None and b is not None:
            spread = _interval(ours - theirs)
            if spread is not None:
                differences[key] = Difference(a - b, spread.low, spread.high, float(np.mean(ours > theirs)))
    return ranges, differences


def _draws(evaluations: list[Evaluation], resamples: int, seed: int) -> list[dict[int, Floats]]:
    """For each evaluation, the R×4 figures of each of its cells (by identity), on common resamples."""
    cells = {id(cell): cell for evaluation in evaluations for cell in evaluation.cells.values()}
    parts: dict[int, list[Floats]] = {key: [] for key in cells}
    for weights in _weights(len(evaluations[0].frames), resamples, seed):

        def run(cell: Cell, weights: NDArray[np.int32] = weights) -> Floats:
            return resampled(cell.walk, weights)

        for key, figures in zip(cells, in_threads(run, list(cells.values())), strict=True):
            parts[key].append(figures)
    whole = {key: np.concatenate(figures) for key, figures in parts.items()}
    return [{id(cell): whole[id(cell)] for cell in evaluation.cells.values()} for evaluation in evaluations]


def _weights(frames: int, resamples: int, seed: int) -> Iterator[NDArray[np.int32]]:
    """Chunks of R×F: how often each resample draws each frame."""
    random = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        drawn = random.integers(frames, size=(count, frames), dtype=np.int32)
        weights = np.zeros((count, frames), dtype=np.int32)
        for row in range(count):
            weights[row] = np.bincount(drawn[row], minlength=frames)
        yield weights


def _figure(evaluation: Evaluation, draws: dict[int, Floats], key: FigureKey) -> Floats | None:
    found = evaluation.locate(key)
    return None if found is None else draws[id(found[0])][:, found[1]]


def _interval(values: Floats | None) -> Interval | None:
    if values is None or np.isnan(values).all():
        return None
    low, high = np.nanpercentile(values, [LOW_PERCENT, HIGH_PERCENT])
    return Interval(float(low), float(high))
