"""2D boxes of 3D boxes: by hand, cut at the camera, and the same as clipping a fine grid of surface points."""

from __future__ import annotations

import numpy as np
import pytest

from monokd.kitti.calibration import Calibration
from monokd.kitti.objects import Objects, from_rows
from monokd.kitti.projected import corners_m, projected_boxes_px

CAMERA = Calibration(np.array([[100.0, 0, 50, 0], [0, 100, 40, 0], [0, 0, 1, 0]]), np.eye(3), np.eye(3, 4))


def box(
    x: float, y: float, z: float, turned_rad: float, size_m: tuple[float, float, float] = (2.0, 1.0, 4.0)
) -> Objects:
    return from_rows(("Car",), np.array([0, 0, 0, 0, 0, 0, 0, *size_m, x, y, z, turned_rad, np.nan]))


def test_a_box_by_hand() -> None:
    """Unturned, the width lies along z: 10 m ahead, the near face is at 9.5 m; the bottom is at y = 1."""
    near = 9.5
    expected = [50 - 100 * 2 / near, 40 - 100 * 1 / near, 50 + 100 * 2 / near, 40 + 100 * 1 / near]
    np.testing.assert_allclose(projected_boxes_px(box(0, 1, 10, 0.0), CAMERA), [expected])


def test_a_quarter_turn_swaps_length_and_width() -> None:
    corners = corners_m(box(1, 2, 10, np.pi / 2))[0]
    np.testing.assert_allclose(np.ptp(corners, axis=0), [1, 2, 4], atol=1e-12)
    np.testing.assert_allclose(corners.max(axis=0), [1.5, 2, 12])


def test_a_turn_is_about_the_cameras_y_axis_from_x_to_minus_z() -> None:
    """KITTI: rotation_y = −π/2 looks ahead, so that the front is farther than the back."""
    front = corners_m(box(0, 0, 10, -np.pi / 2))[0][4:].mean(axis=0)
    np.testing.assert_allclose(front, [0, -1, 12], atol=1e-12)


@pytest.mark.parametrize("turned_rad", [0.0, 0.4, 2.2, -1.0])
@pytest.mark.parametrize("z_m", [0.5, 1.3, 4.0])
def test_a_box_around_the_camera_is_cut(turned_rad: float, z_m: float) -> None:
    """As by brute force: points along all edges, those nearer than 0.1 m left out."""
    objects = box(0.4, 0.8, z_m, turned_rad)
    corners = corners_m(objects)[0]
    shares = np.linspace(0, 1, 20_001)[:, None]
    edges = [(a, b) for a in range(8) for b in range(8) if (a ^ b) in (1, 2, 4)]
    points = np.concatenate([corners[a] + shares * (corners[b] - corners[a]) for a, b in edges])
    pixels, depth_m = CAMERA.project(points)
    kept = pixels[depth_m >= 0.1]
    np.testing.assert_allclose(
        projected_boxes_px(objects, CAMERA)[0], [*kept.min(axis=0), *kept.max(axis=0)], rtol=0.02, atol=0.5
    )


def test_a_box_behind_the_camera_has_none() -> None:
    assert np.isnan(projected_boxes_px(box(0, 1, -10, 0.3), CAMERA)).all()
