"""3D boxes: corners by hand, the near plane, projections against points along the edges, angles."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monokd.kitti.boxes3d import (
    CORNERS,
    EDGES,
    FRONT,
    box_coordinates,
    box_corners,
    projected_boxes,
    wrap_angle,
)  # fmt: skip
from monokd.kitti.calibration import Calibration
from monokd.typing import Floats

CAMERA = Calibration(np.array([[100.0, 0, 50, 0], [0, 100, 40, 0], [0, 0, 1, 0]]), np.eye(3), np.eye(3, 4))
SIZE_M = (2.0, 1.0, 4.0)


def corners(x: float, y: float, z: float, rotation_y_rad: float) -> Floats:
    return box_corners(np.array([SIZE_M]), np.array([[x, y, z]]), np.array([rotation_y_rad]))


def test_a_box_by_hand() -> None:
    """At heading 0 the width lies along z: 10 m ahead, the near face is at 9.5 m; the bottom is at y = 1."""
    near = 9.5
    expected = [50 - 100 * 2 / near, 40 - 100 * 1 / near, 50 + 100 * 2 / near, 40 + 100 * 1 / near]
    np.testing.assert_allclose(projected_boxes(corners(0, 1, 10, 0.0), CAMERA), [expected])


def test_a_turn_is_about_the_cameras_y_axis_from_x_to_minus_z() -> None:
    """KITTI: rotation_y = −π/2 looks ahead, so that the front is farther than the back."""
    points = corners(0, 0, 10, -np.pi / 2)[0]
    np.testing.assert_allclose(np.ptp(points, axis=0), [1, 2, 4], atol=1e-12)
    np.testing.assert_allclose(points[FRONT].mean(axis=0), [0, -1, 12], atol=1e-12)


def test_box_coordinates_invert_the_corners() -> None:
    inside = box_coordinates(corners(3, 1, 8, 0.7)[0], np.array([3.0, 1, 8]), 0.7)
    np.testing.assert_allclose(inside, CORNERS * (4, 2, 1), atol=1e-12)


@pytest.mark.parametrize("rotation_y_rad", [0.0, 0.4, 2.2, -1.0])
@pytest.mark.parametrize("z_m", [0.5, 1.3, 4.0])
def test_a_box_around_the_camera_is_cut(rotation_y_rad: float, z_m: float) -> None:
    """As by brute force: points along all edges, those nearer than 0.1 m left out."""
    box = corners(0.4, 0.8, z_m, rotation_y_rad)
    shares = np.linspace(0, 1, 20_001)[:, None]
    points = np.concatenate([box[0, a] + shares * (box[0, b] - box[0, a]) for a, b in EDGES])
    pixels, depth_m = CAMERA.project(points)
    kept = pixels[depth_m >= 0.1]
    expected = [*kept.min(axis=0), *kept.max(axis=0)]
    np.testing.assert_allclose(projected_boxes(box, CAMERA)[0], expected, rtol=0.02, atol=0.5)
    assert np.isnan(projected_boxes(corners(0, 1, -10, rotation_y_rad), CAMERA)).all()


@given(st.floats(-50, 50))
@example(np.pi)
@example(3 * np.pi)
@example(float(np.nextafter(-np.pi, -4)))
def test_wrapped_angles(angle_rad: float) -> None:
    """The half turn is negative."""
    wrapped = wrap_angle(angle_rad)
    assert -np.pi <= wrapped < np.pi
    np.testing.assert_allclose([np.cos(wrapped), np.sin(wrapped)], [np.cos(angle_rad), np.sin(angle_rad)], atol=1e-12)
