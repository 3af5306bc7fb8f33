"""Thresholds, curves and their means, solved by hand."""

import numpy as np
import pytest

from monokd.evaluation.precision import SAMPLE_COLUMNS, Walk, average_precision
from monokd.typing import Floats

SCORE, RECALL, PRECISION, SIMILARITY, ENVELOPE, _ = range(len(SAMPLE_COLUMNS))


def curve(one: Walk) -> tuple[Floats, Floats]:
    """Samples and means over all frames."""
    return average_precision(one, np.ones(one.valid.size, dtype=np.int32))


def walk(kinds: str, valid: int) -> Walk:
    """Detections of one frame by descending score, t right, f wrong."""
    right = np.array([kind == "t" for kind in kinds], dtype=np.bool_)
    return Walk(
        scores=np.arange(len(kinds), 0, -1, dtype=np.float64),
        frames=np.zeros(len(kinds), dtype=np.int64),
        hits=right,
        counts=np.stack([right, ~right, right], axis=1).astype(np.int32).reshape(-1, 3),
        similarity=np.where(right, 0.5, 0.0),
        valid=np.array([valid]),
    )


def test_thresholds_stand_nearest_to_multiples_of_a_fortieth() -> None:
    """80 labels, all found: the hit at rank 2k is the threshold of sample k, but the first is taken at once."""
    points, figures = curve(walk("t" * 80, valid=80))
    ranks = 81 - points[:, SCORE]
    assert ranks[:4].tolist() == [1, 2, 4, 6]
    assert ranks[-1] == 80
    assert len(points) == 41
    assert figures.tolist() == [100, 100, 50, 50]


@pytest.mark.parametrize(
    ("hits", "objects", "samples", "means"), [(40, 80, 21, (50, 600 / 11)), (3, 3, 3, (100 * 2 / 40, 100 / 11))]
)
def test_beyond_the_last_hit_stand_zeros(hits: int, objects: int, samples: int, means: tuple[float, float]) -> None:
    points, figures = curve(walk("t" * hits, valid=objects))
    assert len(points) == samples
    assert points[-1, RECALL] == hits / objects
    assert figures[:2] == pytest.approx(means)


def test_the_envelope_is_the_maximum_to_the_right() -> None:
    points, _ = curve(walk("tfftttt", valid=5))
    assert points[:, PRECISION] == pytest.approx([1, 2 / 4, 3 / 5, 4 / 6, 5 / 7])
    assert points[:, ENVELOPE] == pytest.approx([1, 5 / 7, 5 / 7, 5 / 7, 5 / 7])


@pytest.mark.parametrize(("kinds", "objects"), [("fff", 5), ("", 0)])
def test_nothing_found_is_zero(kinds: str, objects: int) -> None:
    assert curve(walk(kinds, objects))[1].tolist() == [0, 0, 0, 0]


def test_zero_by_zero_stays_undefined() -> None:
    """A threshold without right or wrong detections has no precision, and the kit's mean is NaN."""
    one = walk("tt", valid=2)
    one.counts[0] = 0
    points, figures = curve(one)
    assert np.isnan(points[0, ENVELOPE])
    assert points[1, ENVELOPE] == 1
    assert np.isnan(figures[1])
    assert figures[0] == pytest.approx(100 / 40)
