"""Thresholds, curves and their means, solved by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.evaluation.matching import Changes, Pairs
from monokd.evaluation.precision import SAMPLE_COLUMNS, Walk, average_precision, resampled, walk_down
from monokd.typing import Floats

SCORE, RECALL, PRECISION, SIMILARITY, ENVELOPE, _ = range(len(SAMPLE_COLUMNS))


def curve(one: Walk) -> tuple[Floats, Floats]:
    """Samples and means over all frames."""
    return average_precision(one, np.ones(one.valid.size, dtype=np.int32))


def walk(kinds: Sequence[str], frames: Sequence[int] | None = None, valid: Sequence[int] = (100,)) -> Walk:
    """Detections by descending score, t right, f wrong."""
    right = np.array([kind == "t" for kind in kinds], dtype=np.bool_)
    return Walk(
        scores=np.arange(len(kinds), 0, -1, dtype=np.float64),
        frames=np.zeros(len(kinds), dtype=np.int64) if frames is None else np.array(frames, dtype=np.int64),
        hits=right,
        counts=np.stack([right, ~right, right], axis=1).astype(np.int32).reshape(-1, 3),
        similarity=np.where(right, 0.5, 0.0),
        valid=np.array(valid, dtype=np.int64),
    )


def test_thresholds_stand_nearest_to_multiples_of_a_fortieth() -> None:
    """80 labels, all found: the hit at rank 2k is the threshold of sample k, but the first is taken at once."""
    points, figures = curve(walk("t" * 80, valid=[80]))
    ranks = 81 - points[:, SCORE]
    assert ranks[:4].tolist() == [1, 2, 4, 6]
    assert ranks[-1] == 80
    assert len(points) == 41
    assert figures.tolist() == [100, 100, 50, 50]


@pytest.mark.parametrize(
    ("hits", "objects", "samples", "means"), [(40, 80, 21, (50, 600 / 11)), (3, 3, 3, (100 * 2 / 40, 100 / 11))]
)
def test_beyond_the_last_hit_stand_zeros(hits: int, objects: int, samples: int, means: tuple[float, float]) -> None:
    points, figures = curve(walk("t" * hits, valid=[objects]))
    assert len(points) == samples
    assert points[-1, RECALL] == hits / objects
    assert figures[:2] == pytest.approx(means)


def test_the_envelope_is_the_maximum_to_the_right() -> None:
    points, _ = curve(walk("tfftttt", valid=[5]))
    assert points[:, PRECISION] == pytest.approx([1, 2 / 4, 3 / 5, 4 / 6, 5 / 7])
    assert points[:, ENVELOPE] == pytest.approx([1, 5 / 7, 5 / 7, 5 / 7, 5 / 7])


def test_nothing_found_is_zero() -> None:
    points, figures = curve(walk("fff", valid=[5]))
    assert len(points) == 0
    assert figures.tolist() == [0, 0, 0, 0]
    assert curve(walk("", valid=[0]))[1].tolist() == [0, 0, 0, 0]


def test_zero_by_zero_stays_undefined() -> None:
    """A threshold without right or wrong detections has no precision, and the kit's mean is NaN."""
    one = walk("tt", valid=[2])
    one.counts[0] = 0
    points, figures = curve(one)
    assert np.isnan(points[0, ENVELOPE])
    assert points[1, ENVELOPE] == 1
    assert np.isnan(figures[1])
    assert figures[0] == pytest.approx(100 / 40)


def test_ties_count_down_to_the_last_of_their_score() -> None:
    tied = walk("tft", valid=[2])
    tied.scores[:] = 1.0
    points, _ = curve(tied)
    assert points[:, PRECISION] == pytest.approx([2 / 3, 2 / 3])


def test_only_changes_are_walked_similarity_alone_included() -> None:
    """A label whose taker is replaced, the old one in DontCare, changes its angle and no count."""
    none = np.zeros(0, dtype=np.int64)
    scores, frames, descending = np.array([0.1, 0.9, 0.5]), np.array([0, 1, 1]), np.array([1, 2, 0])
    pairs = Pairs(none, none, none, none, np.zeros(0), scores, frames, none, descending)
    counts = np.array([[0, 0, 0], [1, 0, 1], [0, 0, 0]], dtype=np.int32)
    changes = Changes(np.array([False, True, False]), counts, np.array([0.0, 0.5, 0.25]))
    one = walk_down(changes, pairs, np.array([1, 1]))
    assert (one.scores.tolist(), one.frames.tolist()) == ([0.9, 0.5], [1, 1])
    assert (one.similarity.tolist(), one.hits.tolist()) == ([0.5, 0.25], [True, False])


frames_of_kinds = st.lists(st.tuples(st.sampled_from("tf"), st.integers(0, 4)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(
    detections=frames_of_kinds,
    missed=st.tuples(*[st.integers(0, 5)] * 5),
    weights=st.lists(st.tuples(*[st.integers(0, 3)] * 5), min_size=1, max_size=4),
)
def test_weights_equal_frames_written_again(
    detections: list[tuple[str, int]], missed: tuple[int, ...], weights: list[tuple[int, ...]]
) -> None:
    """A frame drawn three times is three frames, one drawn never is none."""
    kinds, frames = [kind for kind, _ in detections], [frame for _, frame in detections]
    valid = [missed[f] + sum(kind == "t" and frame == f for kind, frame in detections) for f in range(5)]
    figures = resampled(walk(kinds, frames, valid), np.array(weights, dtype=np.int32))
    for weight, figure in zip(weights, figures, strict=True):
        repeats = np.array(weight)[np.array(frames, dtype=np.int64)]
        *columns, objects = walk(kinds, frames, valid)
        drawn = (np.repeat(column, repeats, axis=0) for column in columns)
        again = Walk._make((*drawn, objects * np.array(weight)))
        assert figure == pytest.approx(curve(again)[1], abs=1e-9, nan_ok=True)
