"""Thresholds, curves and their means, solved by hand."""

import numpy as np
import pytest

from monokd.evaluation.precision import SAMPLE_COLUMNS, Walk, average_precision
from monokd.typing import Floats

SCORE, PRECISION, ENVELOPE = map(SAMPLE_COLUMNS.index, ("score", "precision", "precision_envelope"))


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


def test_the_envelope_is_the_maximum_to_the_right() -> None:
    points, _ = curve(walk("tfftttt", valid=5))
    assert points[:, PRECISION] == pytest.approx([1, 2 / 4, 3 / 5, 4 / 6, 5 / 7])
    assert points[:, ENVELOPE] == pytest.approx([1, 5 / 7, 5 / 7, 5 / 7, 5 / 7])
