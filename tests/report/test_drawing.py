"""Boxes land where the camera sees them; colours keep their order; inputs stay as they were."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from monokd.kitti.images import read_image
from monokd.report import drawing
from monokd.report.drawing import Layer, draw_birds_eye, draw_boxes_3d
from monokd.report.networks import STYLES
from tests.report.fakes import camera, objects

STUDENT = STYLES["student"]
GREY = np.full((96, 320, 3), 90, dtype=np.uint8)


def test_box_is_drawn_at_its_projected_corners() -> None:
    """Every corner's pixel takes the colour, and the sky far above does not; the image itself stays as it was."""
    one = objects([("Car", 0.5, 14.0, 0.3)])
    drawn = draw_boxes_3d(GREY, [Layer(one, STUDENT)], camera())
    assert (GREY == 90).all()
    for u, v in camera().project(drawing.box_corners(one)[0])[0]:
        patch = drawn[int(v) - 1 : int(v) + 3, int(u) - 1 : int(u) + 3].reshape(-1, 3).astype(int)
        assert np.abs(patch - np.array(STUDENT.rgb)).sum(axis=1).min() < 40
    assert (drawn[:15] == GREY[:15]).all()


def test_nothing_behind_the_camera_is_drawn() -> None:
    """Of a car beside it the part behind would appear mirrored above the horizon if it were not cut off."""
    behind = draw_boxes_3d(GREY, [Layer(objects([("Car", 0.0, -10.0, 0.0)]), STUDENT, filled=True)], camera())
    assert (behind == GREY).all()
    beside = draw_boxes_3d(GREY, [Layer(objects([("Car", 2.5, 0.5, np.pi / 2)]), STUDENT)], camera()) != GREY
    assert beside.any()
    assert not beside[:, :160].any()


def test_dont_care_has_no_3d_box() -> None:
    marked = objects([("DontCare", 0.0, 10.0, 0.0), ("Car", 0.0, 10.0, 0.0)])
    marked.sizes_m[0], marked.locations_m[0] = -1, -1000
    assert drawing.placed(marked).names == ("Car",)


def test_nearer_depth_is_brighter_and_unknown_is_grey() -> None:
    """Brightness falls with distance up to 80 m, so the map reads in greyscale and for every kind of colour vision."""
    drawn = drawing.colour_depth(np.array([[0.5, 2.0, 4, 8, 16, 32, 64, 80, 200, 0]], dtype=np.float32))
    brightness = cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY)[0, :-1].astype(int)
    assert (np.sign(np.diff(brightness)) == [0, -1, -1, -1, -1, -1, -1, 0]).all()
    assert drawn[0, -1].tolist() == [110, 110, 110]
    bar = drawing.add_colour_bar(np.zeros((20, 320, 3), dtype=np.uint8))[21, [0, -1]]
    np.testing.assert_allclose(bar.astype(int), drawn[0, [1, 7]].astype(int), atol=2)


def drawn_from_above(x: float, z: float, rotation: float = 0.0) -> np.ndarray:
    """Rows and columns that a car changes, 10 pixels a metre, the camera at row 410 and column 180; 2×N."""
    scale: Any = {"range_m": 40, "pixels_per_m": 10}
    layer = Layer(objects([("Car", x, z, rotation)]), STUDENT)
    plain, drawn = (draw_birds_eye(layers, camera(), 320, **scale) for layers in ([], [layer]))
    assert plain.shape == (420, 360, 3)
    return np.argwhere((drawn != plain).any(axis=2)).T


def test_position_and_heading_from_above_by_hand() -> None:
    """A car 12 m ahead and 5 m to the right is 50 pixels right of the middle, 120 above the camera's row.

    The line out of it points right at heading 0, down to the camera at π/2.
    """
    rows, columns = drawn_from_above(5.0, 12.0)
    assert abs((rows.min() + rows.max()) / 2 - 290) <= 2
    assert abs(columns.min() - (230 - 19.5)) <= 3
    assert columns.max() - 230 > 230 - columns.min() + 4
    rows, _ = drawn_from_above(0.0, 20.0, np.pi / 2)
    assert rows.max() - 210 > 210 - rows.min() + 4


def test_the_scan_is_drawn_from_above() -> None:
    """The point 15 m ahead and 1 m to the right is a dot at its place; one far away does no harm."""
    points = np.array([[1.0, 0.0, 15.0], [500.0, 0.0, 500.0], [-1e9, 0.0, 3.0]])
    bare, dotted = (draw_birds_eye([], camera(), 320, points_m=each, range_m=40) for each in (None, points))
    assert sorted(set(np.argwhere((dotted != bare).any(axis=2))[:, 1].tolist())) == [380, 381]


def test_far_outside_points_do_no_harm_and_dashes_leave_gaps() -> None:
    """A line between points a hundred thousand pixels away crosses the picture where it should."""
    for dashes, lit in (((), 1.0), ((10, 10), 0.55)):
        drawn = np.zeros((200, 200, 3), dtype=np.uint8)
        ends = np.array([[(-1e5, -1e5), (1e5, 1e5)]])
        drawing.draw_segments(drawn, ends, (255, 255, 255), rim=False, dashes=dashes)
        assert (drawn.diagonal()[0] > 100).mean() == pytest.approx(lit, abs=0.1)


def test_a_written_picture_keeps_its_colours(tmp_path: Path) -> None:
    picture = np.full((8, 8, 3), (200, 100, 0), dtype=np.uint8)
    for name, tolerance in (("a.png", 0), ("a.jpg", 4)):
        drawing.write_picture(tmp_path / name, picture)
        np.testing.assert_allclose(read_image(tmp_path / name).astype(int), picture.astype(int), atol=tolerance)
