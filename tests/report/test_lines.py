"""Segments are cut exactly at the picture's edge, dashed by length, and never leave the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, box

from monokd.report.lines import clip_segment, draw_segments, fill_polygon

NUMBER = st.floats(-300, 300, allow_nan=False).map(lambda x: round(x, 3))
POINT = st.tuples(NUMBER, NUMBER)


@settings(deadline=None)  # the machine may be busy
@given(POINT, POINT)
def test_clip_agrees_with_shapely(start: tuple[float, float], end: tuple[float, float]) -> None:
    """The part inside has the length that an independent geometry library finds."""
    clipped = clip_segment(np.array(start), np.array(end), 100, 60)
    inside = LineString([start, end]).intersection(box(0, 0, 100, 60)).length
    length = 0.0 if clipped is None else float(np.hypot(*(clipped[1] - clipped[0])))
    assert length == pytest.approx(inside, abs=1e-6)


def test_clip_keeps_direction() -> None:
    clipped = clip_segment(np.array([150.0, 30.0]), np.array([-50.0, 30.0]), 100, 60)
    assert clipped is not None
    np.testing.assert_allclose(clipped, [[100, 30], [0, 30]])


def test_dashes_leave_gaps_of_their_length() -> None:
    """Stroke 10 and gap 10: half of the pixels along the line stay dark."""
    image = np.zeros((9, 200, 3), dtype=np.uint8)
    draw_segments(image, np.array([[[0.0, 4.0], [199.0, 4.0]]]), (255, 255, 255), dashes=(10, 10), rim=False)
    assert 0.45 < (image[4, :, 0] > 127).mean() < 0.65


def test_far_outside_points_do_no_harm() -> None:
    """A line through the picture between points a hundred thousand pixels away crosses it where it should."""
    image = np.zeros((50, 50, 3), dtype=np.uint8)
    draw_segments(image, np.array([[[-1e5, -1e5], [1e5, 1e5]]]), (0, 255, 0), thickness=1, rim=False)
    assert all(image[i, i, 1] > 100 for i in range(50))
    assert image[5, 40].tolist() == [0, 0, 0]


def test_rim_surrounds_the_line() -> None:
    image = np.full((21, 40, 3), 255, dtype=np.uint8)
    draw_segments(image, np.array([[[0.0, 10.0], [39.0, 10.0]]]), (255, 255, 255), thickness=3)
    column = image[:, 20, 0]
    assert column[10] == 255
    assert column[5:10].min() < 90
    assert column[11:16].min() < 90


def test_fill_blends_by_opacity_and_only_inside() -> None:
    image = np.zeros((20, 20, 3), dtype=np.uint8)
    fill_polygon(image, np.array([[5.0, 5], [15, 5], [15, 15], [5, 15]]), (200, 100, 0), 0.5)
    assert image[10, 10].tolist() == [100, 50, 0]
    assert image[2, 2].tolist() == [0, 0, 0]


def test_fill_outside_changes_nothing() -> None:
    image = np.zeros((20, 20, 3), dtype=np.uint8)
    fill_polygon(image, np.array([[50.0, 50], [60, 50], [60, 60]]), (200, 100, 0), 0.5)
    fill_polygon(image, np.array([[-1e9, 0], [1e9, 5], [0, 1e9]]), (200, 100, 0), 0.5)
    assert not image.any()
