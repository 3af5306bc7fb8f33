"""Overlaps: solved by hand, and by shapely."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monokd.evaluation import boxes
from tests.evaluation.cases import line
from tests.evaluation.reference import Box, overlap

Row = NDArray[np.float64]


def row(
    x: float = 0, z: float = 20, length: float = 4, width: float = 2, rotation: float = 0,
    y: float = 1.7, height: float = 1.5,
) -> Row:  # fmt: skip
    return np.array(line(size=(height, width, length), location=(x, y, z), rotation=rotation, score=0)[1])


def overlaps(a: Row, b: Row) -> tuple[float, float, float]:
    return boxes.overlaps(a, b, np.empty((12, 2)), np.empty((12, 2)))


@pytest.mark.parametrize(
    "b, expected",
    [
        (row(), 1),
        (row(rotation=math.pi), 1),
        (row(rotation=math.pi / 2), 4 / 12),  # 2×2 shared of 8 + 8
        (row(x=2), 4 / 12),
        (row(z=21), 4 / 12),
        (row(x=4), 0),  # touching
        (row(x=100), 0),
        (row(length=1, width=1), 1 / 8),  # inside
        (row(length=1, width=1, rotation=math.pi / 4), 1 / 8),
        (row(length=0), 0),
        (row(length=-1, width=-1), 0),
    ],
)
def test_ground_boxes_by_hand(b: Row, expected: float) -> None:
    assert overlaps(row(), b)[1] == pytest.approx(expected, abs=1e-14)


sizes = [st.floats(0.2, 12)] * 2
rest = st.floats(-2 * math.pi, 2 * math.pi), st.floats(-1, 3), st.floats(0.2, 4)
rows = st.builds(row, st.floats(-60, 60), st.floats(-60, 60), *sizes, *rest)
near = st.builds(row, st.floats(-3, 3), st.floats(-3, 3), *sizes, *rest)
noise = st.floats(-1e-9, 1e-9)


@settings(max_examples=500, deadline=None)
@given(a=near, b=near)
def test_shapely_agrees(a: Row, b: Row) -> None:
    for kind, ours in zip(("bbox", "bev", "3d"), overlaps(a, b), strict=True):
        assert ours == pytest.approx(overlap(Box("", *a), Box("", *b), kind), abs=1e-12)


@settings(max_examples=500, deadline=None)
@given(a=rows, shift=st.tuples(noise, noise, noise))
def test_nearly_identical_boxes_overlap_nearly_fully(a: Row, shift: tuple[float, float, float]) -> None:
    """Edges that almost coincide are where polygon clipping breaks."""
    b = a.copy()
    b[10], b[12], b[13] = a[10] + shift[0], a[12] + shift[1], a[13] + shift[2]
    assert overlaps(a, b)[1] == pytest.approx(1, abs=1e-7)


def test_more_pairs_than_the_first_allocation() -> None:
    many, offsets = np.stack([row()] * 50), np.array([0, 50])
    counts, detections, _ = boxes.pairs_above(many, np.ones(50, dtype=np.bool_), offsets, many, offsets, 0.5)
    assert counts.tolist() == [50] * 50
    assert detections.tolist() == [*range(50)] * 50
