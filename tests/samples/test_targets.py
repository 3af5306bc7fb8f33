"""Targets worked out by hand, and the properties that the losses rely on."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.classes import CLASSES
from monokd.kitti.calibration import Calibration
from monokd.kitti.objects import Objects, from_rows
from monokd.samples.affine import Affine, crop_affine
from monokd.samples.batch import Targets
from monokd.samples.constants import MEAN_SIZES_M
from monokd.samples.targets import (
    frame_targets,
    heading_classes,
    roi_align_map,
    trainable,
)  # fmt: skip

CAMERA = Calibration(np.array([[700.0, 0, 640, 0], [0, 700, 192, 0], [0, 0, 1, 0]]), np.eye(3), np.eye(3, 4))
FULL = crop_affine((640.0, 192.0), (1280.0, 384.0), width_px=1280, height_px=384)
# Centre (0, 0, 20) m, so its middle projects to the principal point 640, 192: cell (160, 48).
CAR = (0.0, 0.0, 0.0, 600.0, 172.0, 690.0, 220.0, 1.5, 1.6, 3.9, 0.0, 0.75, 20.0, 0.3, math.nan)


def _objects(*rows: tuple[float, ...], names: tuple[str, ...] | None = None) -> Objects:
    return from_rows(names or ("Car",) * len(rows), np.array(rows))


def _with(**changes: float) -> tuple[float, ...]:
    names = ("truncation", "occlusion", "alpha", "left", "top", "right", "bottom", "h", "w", "l", "x", "y", "z", "ry")
    return tuple(changes.get(name, value) for name, value in zip((*names, "score"), CAR, strict=True))


def _targets(objects: Objects, affine: Affine = FULL, classes: tuple[str, ...] = CLASSES) -> Targets:
    depth = np.full((affine.height_px // 4, affine.width_px // 4), 18.0, np.float32)
    return frame_targets(objects, CAMERA, affine, depth, classes=classes)


def test_one_car_by_hand() -> None:
    targets = _targets(_objects(CAR))
    assert targets.indices[0] == 48 * 320 + 160
    assert targets.class_ids[0] == targets.mask_2d.sum() == targets.object_count == 1
    np.testing.assert_allclose(targets.boxes_px[0], [600, 172, 690, 220])
    np.testing.assert_allclose(targets.size_2d[0], [22.5, 12])
    np.testing.assert_allclose(targets.offset_2d[0], [645 / 4 - 160, 196 / 4 - 48])
    np.testing.assert_allclose(targets.offset_3d[0], [0, 0], atol=1e-6)
    np.testing.assert_allclose(targets.size_3d[0], np.array([1.5, 1.6, 3.9]) - MEAN_SIZES_M[1], atol=1e-6)
    alpha = 0.3 - math.atan2(5, 700)
    assert targets.heading_bin[0] == 1  # 30° bins about 0°, 30°, …: alpha is 16.8°
    assert targets.heading_residual_rad[0] == pytest.approx(alpha - math.radians(30), abs=1e-6)
    assert targets.depth_m[0] == 20
    np.testing.assert_allclose(targets.vis_depth_m[0], 18)
    assert targets.heatmap[1, 48, 160] == 1
    assert targets.heatmap[[0, 2]].max() == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"truncation": 0.5}, True),
        ({"truncation": 0.51}, False),
        ({"occlusion": 2.0}, True),
        ({"occlusion": 3.0}, False),
        ({"bottom": 172 + 24.0}, True),  # height + 1 = 25
        ({"bottom": 172 + 23.9}, False),
        ({"z": 1.99}, False),
        ({"z": 2.0}, True),
    ],
)
def test_levels(changes: dict[str, float], expected: bool) -> None:
    """The three levels of KITTI and the nearest distance, at their limits."""
    assert bool(trainable(_objects(_with(**changes)))[0]) is expected


def test_slots_belong_to_lines() -> None:
    """Filtered lines leave empty slots, and count."""
    small = _with(bottom=180.0)
    targets = _targets(_objects(small, CAR, CAR, names=("Car", "Tram", "Car")))
    assert targets.mask_2d[:4].tolist() == [False, False, True, False]
    assert targets.object_count == 3
    assert not targets.boxes_px[[0, 1]].any()


def test_classes_filter() -> None:
    """The heatmap keeps three channels; objects of other classes leave no trace, nor does a frame without any."""
    objects = _objects(CAR, _with(x=2.0), _with(x=-4.0), names=("Pedestrian", "Van", "Cyclist"))
    for nothing in (_targets(objects, classes=("Car",)), _targets(objects.select(np.zeros(3, dtype=bool)))):
        assert not nothing.heatmap.any()
        assert not nothing.mask_2d.any()
    cyclists = _targets(objects, classes=("Cyclist",))
    assert cyclists.heatmap.amax(dim=(1, 2)).tolist() == [0, 0, 1]
    assert cyclists.mask_2d[:3].tolist() == [False, False, True]
    assert cyclists.boxes_px[:3].any(dim=1).tolist() == [False, False, True]


def test_a_detectors_boxes_weigh_their_score_and_uncertain_ones_are_ignored() -> None:
    """A DontCare line with a score hides its cells (640 to 660 by 190 to 198 px), but not the peak of a kept box."""
    sure, unsure = (*CAR[:-1], 0.75), (*_with(left=640.0, top=190.0, right=660.0, bottom=198.0)[:-1], 0.05)
    rows, names = (sure, unsure), ("Car", "DontCare")
    targets = _targets(_objects(*rows, names=names))
    assert targets.weight.tolist()[:3] == [0.75, 0.0, 0.0]
    expected = np.zeros((96, 320), bool)
    expected[47:50, 160:165] = True
    expected[48, 160] = False  # the car's peak
    np.testing.assert_array_equal(targets.ignore, expected)
    labels = _targets(_objects(*((*row[:-1], math.nan) for row in rows), names=names))
    assert not labels.ignore.any()
    assert labels.weight.tolist()[:2] == [1.0, 0.0]


def test_peaks_off_the_map() -> None:
    """A centre off the map has no slot but keeps its box; less than a cell off, it stands on the border."""
    # x = −18.4 m at 20 m projects to −4: one cell off. −18.3 m: 0.125 cells off.
    targets = _targets(_objects(_with(x=-18.4), _with(x=-18.3)))
    assert targets.mask_2d[:2].tolist() == [False, True]
    assert targets.boxes_px[:2].any(dim=1).all()
    assert targets.indices[1] == 48 * 320
    assert targets.offset_3d[1, 0] == pytest.approx(-0.125, abs=1e-3)


@given(st.floats(-7, 7))
@settings(deadline=None)
def test_heading_round_trip(angle: float) -> None:
    """The bin's centre plus the residual is the angle, and the residual is at most half a bin."""
    (number,), (residual,) = heading_classes(np.array([angle]))
    assert 0 <= number < 12
    assert abs(residual) <= math.radians(15) + 1e-9
    assert abs(math.remainder(number * math.radians(30) + residual - angle, 2 * math.pi)) < 1e-9


def test_roi_align_of_a_ramp() -> None:
    """Bilinear samples of a ramp average to the ramp at the cell's centre; samples off the map count as 0."""
    y, x = np.mgrid[:40, :60].astype(np.float32)
    found = roi_align_map(2 * x - y, np.array([10.0, 5.0, 45.0, 19.0]), 7)
    centres_x, centres_y = 10 + 5 * (np.arange(7) + 0.5), 5 + 2 * (np.arange(7) + 0.5)
    np.testing.assert_allclose(found, 2 * centres_x[None] - centres_y[:, None], atol=1e-4)
    outside = roi_align_map(np.ones((8, 8), np.float32), np.array([-14.0, 0.0, 0.0, 7.0]), 7)
    np.testing.assert_allclose(outside[0], [0, 0, 0, 0, 0, 0, 0.5], atol=1e-6)  # samples at −1.5 and −0.5
    above = roi_align_map(np.ones((8, 8), np.float32), np.array([0.0, -14.0, 7.0, 0.0]), 7)
    np.testing.assert_allclose(above, outside.T, atol=1e-6)
    tiny = roi_align_map(2 * x - y, np.array([3.0, 3.0, 3.2, 3.2]), 7)
    np.testing.assert_allclose(tiny[0, 6], 2 * (3 + 6.5 / 7) - (3 + 0.5 / 7), atol=1e-5)  # at least one cell wide
