"""The scanner against walls and planes solved by hand."""

import math

import numpy as np

from monokd.kitti.calibration import Calibration
from monokd.scenes.layout import CAMERA_HEIGHT_M, Road, Triangles
from monokd.scenes.lidar import BEAMS_DEG, scan_rays, scan_world
from monokd.scenes.palette import MATTE
from monokd.typing import Floats

ROAD = Road(0.0, 0.0, 4.0, 2.0, 0.0, 0.0, 0.0, False, False)
# the scanner stands in the camera: x ahead is z, y left is −x, z up is −y
TO_CAMERA = np.array([[0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
CALIBRATION = Calibration(np.eye(3, 4), np.eye(3), TO_CAMERA)
RAYS = scan_rays()


def scan(distance_m: float) -> Floats:
    """Points of a wide matte wall straight ahead and of the ground before it, without noise or losses."""
    top, bottom = (-160.0, CAMERA_HEIGHT_M - 32.0, distance_m), (-160.0, CAMERA_HEIGHT_M, distance_m)
    right = np.array([320.0, 0.0, 0.0])
    corners = np.array([[top, top + right, bottom + right], [top, bottom + right, bottom]])
    towards, grey, none = np.array([[0.0, 0.0, -1.0]] * 2), np.full((2, 3), 190.0), np.zeros(2)
    wall = Triangles(corners, towards, grey, np.full(2, MATTE), none.astype(np.int64), none)
    rng = np.random.default_rng(1)
    return scan_world(wall, ROAD, CALIBRATION, rng, range_noise_m=0.0, dropout=0.0).astype(float)


def test_every_ray_ends_on_the_wall_or_the_ground_in_its_own_direction() -> None:
    points = scan(20.0)
    assert len(points) == 64 * len(RAYS.lines)
    on_wall, on_ground = np.abs(points[:, 0] - 20.0) < 1e-3, np.abs(points[:, 2] + CAMERA_HEIGHT_M) < 1e-3
    assert (on_wall | on_ground).all()
    assert (points[~on_ground, 2] > -CAMERA_HEIGHT_M - 1e-3).all()
    assert min(on_wall.sum(), on_ground.sum()) > 3000
    azimuth = np.degrees(np.arctan2(points[:, 1], points[:, 0])).reshape(64, -1)
    np.testing.assert_allclose(np.diff(azimuth, axis=1), 0.17, atol=0.02)
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))).reshape(64, -1)
    np.testing.assert_allclose(elevation, np.tile(BEAMS_DEG[::-1, None], elevation.shape[1]), atol=0.03)


def test_nothing_returns_from_beyond_the_range() -> None:
    assert np.linalg.norm(scan(90.0)[:, :3], axis=1).max() <= 80.001
    assert math.isclose(np.linalg.norm(scan(79.0)[:, :3], axis=1).max(), 80.0, abs_tol=0.1)
