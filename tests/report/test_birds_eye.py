"""The view from above is to scale."""

from __future__ import annotations

import numpy as np

from monokd.report.birds_eye import GROUND, draw_birds_eye, to_pixels
from monokd.report.drawing import Layer
from monokd.report.styles import STUDENT
from tests.report.fakes import camera, objects

PLAIN = draw_birds_eye([], range_m=40, half_width_m=20, pixels_per_m=10)


def changed(x: float, z: float, rotation: float = 0.0) -> np.ndarray:
    layer = Layer(objects([("Car", x, z, rotation)]), STUDENT)
    drawn = draw_birds_eye([layer], range_m=40, half_width_m=20, pixels_per_m=10)
    return np.argwhere((drawn != PLAIN).any(axis=2))


def test_size_follows_from_metres() -> None:
    assert PLAIN.shape == (420, 400, 3)


def test_position_by_hand() -> None:
    """A car 12 m ahead and 5 m to the right: 50 pixels right of the middle, 120 above the camera's row (410)."""
    rows, columns = changed(5.0, 12.0).T
    assert abs((rows.min() + rows.max()) / 2 - 290) <= 2
    assert abs(columns.min() - (250 - 19.5)) <= 3


def test_nose_points_ahead() -> None:
    """Heading 0 looks along +x: the line beyond the outline is on the right."""
    _, columns = changed(0.0, 20.0).T
    assert columns.max() - 200 > 200 - columns.min() + 4


def test_heading_of_half_pi_points_to_the_camera() -> None:
    rows, _ = changed(0.0, 20.0, np.pi / 2).T
    assert rows.max() - 210 > 210 - rows.min() + 4


def test_boxes_out_of_reach_are_not_drawn() -> None:
    assert not len(changed(60.0, 20.0))
    assert not len(changed(0.0, 90.0))


def test_rings_are_circles_around_the_camera() -> None:
    """At 0° and ±30° the 10 m ring is 10 m away."""
    for angle in (0.0, 0.5, -0.5):
        at = to_pixels(10 * np.array([np.sin(angle), np.cos(angle)]), (420, 400), 20, 10)
        column, row = np.round(at).astype(int)
        patch = PLAIN[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3)
        assert (patch != GROUND).any()


def test_view_and_points_are_drawn_under_the_boxes() -> None:
    points = np.array([[1.0, 0.0, 15.0], [500.0, 0.0, 500.0]])
    drawn = draw_birds_eye([], calibration=camera(), image_width_px=320, points_m=points, range_m=40)
    assert (drawn != draw_birds_eye([], range_m=40)).any(axis=2).sum() > 100
