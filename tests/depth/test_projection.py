"""Projection: what lands where, and which returns count."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.depth.projection import project_scan
from monokd.errors import DataError
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import KittiFolder, read_velodyne
from monokd.kitti.images import read_image
from tests.depth.worlds import SHAPE, camera, points_at, sweep, wall


def test_a_point_lands_in_the_pixel_worked_out_by_hand() -> None:
    """10 m ahead, 1 m left, 0.5 m up: u = 100 − 200/10 = 80, v = 50 − 100/10 = 40."""
    scan = np.array([[10.0, 0.99, 0.495, 0.3]], np.float32)
    depth_m = project_scan(scan, camera(), SHAPE).depth_m
    assert np.argwhere(depth_m).tolist() == [[40, 80]]
    assert depth_m[40, 80] == pytest.approx(10.0)


def test_points_behind_too_near_or_outside_are_left_out() -> None:
    calibration = camera()
    scan = points_at(
        [(50.5, 60.5, 9.0), (50.5, 60.5, 0.9), (-0.1, 5.0, 9.0), (200.0, 5.0, 9.0), (5.0, 120.0, 9.0)], calibration
    )
    scan = np.vstack([scan, scan[:1] * np.float32(-1)])
    sparse = project_scan(scan, calibration, SHAPE)
    assert np.count_nonzero(sparse.depth_m) == 1
    assert sparse.pixels.tolist() == [60 * 200 + 50, -1, -1, -1, -1, -1]


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("start_degrees", [0, 40, -180])
def test_rings_are_separated_whatever_the_sweep_starts_with(turn: int, start_degrees: int) -> None:
    """Five full or partial turns at different heights, to the left or right, from ahead or from behind."""
    azimuth = np.radians(np.arange(start_degrees, 360 if start_degrees >= 0 else 180)) * turn
    rings = [
        np.stack([10 * np.cos(azimuth), 10 * np.sin(azimuth), np.full_like(azimuth, 1 - 0.5 * i)], 1) for i in range(5)
    ]
    scan = np.column_stack([np.vstack(rings), np.zeros(5 * len(azimuth))]).astype(np.float32)
    sparse = project_scan(scan, camera(), SHAPE)
    assert len(sparse.ring_depth_m) == 5
    for i, (depth_m, row_px) in enumerate(zip(sparse.ring_depth_m, sparse.ring_row_px, strict=True)):
        seen = depth_m > 0
        assert seen.any()
        expected_px = 50 - 200 * (1 - 0.5 * i) / depth_m[seen]
        np.testing.assert_allclose(row_px[seen], expected_px, rtol=1e-4)


def test_a_shuffled_scan_has_rows_for_rings_and_the_same_pixels() -> None:
    scan = sweep(wall(10.0))
    shuffled = scan[np.random.default_rng(0).permutation(len(scan))]
    sparse = project_scan(shuffled, camera(), SHAPE)
    np.testing.assert_array_equal(sparse.depth_m, project_scan(scan, camera(), SHAPE).depth_m)
    np.testing.assert_array_equal(sparse.ring_depth_m, sparse.depth_m)
    np.testing.assert_array_equal(sparse.ring_row_px[:, 7], np.arange(SHAPE[0]) + 0.5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 199.9), st.floats(0, 119.9), st.floats(1.5, 80)), min_size=1, max_size=30))
def test_every_pixel_holds_its_smallest_depth(pixels: list[tuple[float, float, float]]) -> None:
    calibration = camera((0.02, -0.08, -0.27))
    scan = points_at(pixels, calibration)
    points = calibration.velodyne_to_camera(scan[:, :3].astype(np.float64))
    try:
        sparse = project_scan(scan, calibration, SHAPE)
    except DataError:  # none in the image
        return
    inside, expected = sparse.pixels >= 0, np.full(SHAPE[0] * SHAPE[1], np.inf)
    np.minimum.at(expected, sparse.pixels[inside], calibration.project(points)[1][inside])
    np.testing.assert_allclose(sparse.depth_m.ravel(), np.where(np.isfinite(expected), expected, 0), rtol=1e-5)


def test_real_scans_have_rings_from_top_to_bottom(kitti_dir: Path) -> None:
    root = KittiFolder(kitti_dir)
    for frame in root.frames()[:4]:
        shape = read_image(root.image(frame)).shape[:2]
        sparse = project_scan(read_velodyne(root.velodyne(frame)), read_calibration(root.calibration(frame)), shape)
        assert 60 <= len(sparse.ring_depth_m) <= 66
        rows = [
            row_px[depth_m > 0].mean()
            for depth_m, row_px in zip(sparse.ring_depth_m, sparse.ring_row_px, strict=True)
            if depth_m.any()
        ]
        assert np.mean(np.diff(rows) > 0) > 0.9
