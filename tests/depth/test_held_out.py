"""Errors on held-out returns: what is removed, what is truth, and the numbers of a known completion."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monokd.depth.held_out import hold_out, measure_folder, on_objects
from monokd.depth.projection import project_scan
from monokd.kitti.calibration import Calibration
from monokd.kitti.frames import KittiFolder
from monokd.kitti.objects import from_rows
from tests.depth.worlds import F32, SHAPE, camera, points_at, sweep, wall, write_frame


def test_every_return_of_a_held_out_pixel_is_removed_and_the_nearest_is_truth() -> None:
    scan = points_at([(u + 0.5, 60.5, z) for u in range(10, 190) for z in (20.0, 8.0)], camera())
    held = hold_out(scan, camera(), SHAPE, np.random.default_rng(3))
    rest_m = project_scan(held.scan, camera(), SHAPE, rings=False).depth_m
    removed = held.truth_m > 0
    assert 20 <= removed.sum() <= 55
    np.testing.assert_allclose(held.truth_m[removed], 8.0, rtol=1e-6)
    assert not (rest_m[removed] > 0).any()
    assert len(scan) - len(held.scan) == 2 * removed.sum()
    assert held.top == 60


def test_returns_on_an_object_are_those_in_its_box() -> None:
    """A 2 m wide box 10 m ahead, turned by 90 degrees: its length points ahead."""
    row = [0, 0, 0, 0, 0, 0, 0, 1.5, 2.0, 4.0, 0.0, 1.0, 10.0, np.pi / 2, np.nan]
    far = row.copy()
    far[12] = 30.0
    objects = from_rows(("Car", "DontCare"), np.array([row, far]))
    truth_m = np.zeros(SHAPE, np.float32)
    truth_m[55, 100] = 8.5  # inside: z from 8 to 12, x from −1 to 1
    truth_m[55, 101] = 7.0  # before it
    truth_m[55, 130] = 9.0  # x = 1.37, beside it
    truth_m[20, 100] = 9.0  # above it
    truth_m[55, 103] = 30.0  # in the DontCare box
    assert np.argwhere(on_objects(truth_m, camera(), objects)).tolist() == [[55, 100]]


def _root(tmp_path: Path) -> KittiFolder:
    root = KittiFolder(tmp_path)
    for i in range(2):
        write_frame(root, f"{i:06d}", sweep(wall(15.0)), camera())
    return root


def test_a_completion_that_is_a_metre_off_measures_a_metre(tmp_path: Path) -> None:
    def off(scan: F32, calibration: Calibration, image: Any) -> F32:
        return np.full(image.shape[:2], 16.0, np.float32)

    root = _root(tmp_path)
    result: dict[str, Any] = measure_folder(root, root.frames(), seed=0, workers=1, method=off)
    assert result["rmse_m"] == pytest.approx(1.0, abs=1e-4)
    assert result["mae_m"] == pytest.approx(1.0, abs=1e-4)
    assert result["filled"] == 1.0
    assert result["frames"] == 2
    assert result["bands"]["10_20_m"]["returns"] == result["returns"]
    assert result["bands"]["0_10_m"] == {"returns": 0, "rmse_m": None, "mae_m": None}
    assert result["objects"]["returns"] == 0
    json.dumps(result, allow_nan=False)


def test_the_same_seed_holds_out_the_same_returns_whatever_the_workers(tmp_path: Path) -> None:
    root = _root(tmp_path)
    first = measure_folder(root, root.frames(), seed=5, workers=1)
    assert measure_folder(root, root.frames(), seed=5, workers=2) == first
    assert measure_folder(root, root.frames(), seed=6, workers=1) != first


def test_real_frames_are_completed_better_than_by_classical_means(kitti_dir: Path) -> None:
    """The bounds that the classical methods' 2.6 m and 0.62 m leave behind, with room for other frames."""
    root = KittiFolder(kitti_dir)
    result: dict[str, Any] = measure_folder(root, root.frames()[:22], seed=0, workers=1)
    assert result["rmse_m"] < 2.6
    assert result["mae_m"] < 0.6
    assert result["filled"] > 0.99
