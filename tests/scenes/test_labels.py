"""KITTI's definitions on hand-made cases."""

import math

import numpy as np
import pytest

from monokd.scenes import meshes
from monokd.scenes.labels import label_lines, occlusion
from monokd.scenes.layout import Placed
from monokd.scenes.palette import look
from monokd.scenes.rasteriser import Camera, View

CAMERA = Camera(721.54, 609.56, 172.85, (0.0, 0.0, 0.0), 1242, 375)


def view(extents: list[float], visible: int, silhouette: int, inside: tuple[int, ...] = (0, 0, 1241, 374)) -> View:
    nothing = np.zeros((1, 1), dtype=np.int32)
    pixels = np.array([silhouette]), np.array([visible])
    return View(nothing, nothing.astype(np.float32), nothing > 0, *pixels, np.array([extents]), np.array([inside]))


def car(x: float, z: float, rotation: float) -> Placed:
    return Placed("Car", meshes.car(0), look({}), (1.5, 1.6, 3.9), (x, 1.65, z), rotation)


@pytest.mark.parametrize(("visible", "level"), [(100, 0), (85, 0), (84, 1), (50, 1), (49, 2), (10, 2), (9, 3), (0, 3)])
def test_occlusion_levels(visible: int, level: int) -> None:
    assert occlusion(visible, 100) == level


def test_a_line_holds_the_numbers_in_kitti_s_order_and_alpha_wrapped() -> None:
    lines = label_lines([car(10.0, 10.0, 0.0)], view([100.0, 150.0, 200.0, 220.0], 600, 1000), CAMERA)
    assert lines == [f"Car 0.00 1 {-math.pi / 4:.2f} 100.00 150.00 200.00 220.00 1.50 1.60 3.90 10.00 1.65 10.00 0.00"]
    line = label_lines([car(-10.0, 10.0, 3.0)], view([0.0, 0.0, 9.0, 9.0], 60, 60), CAMERA)[0]
    assert float(line.split()[3]) == pytest.approx(3.0 + math.pi / 4 - 2 * math.pi, abs=0.005)


def test_hardly_visible_is_dontcare_and_outside_is_nothing() -> None:
    hidden = label_lines([car(0.0, 20.0, 0.0)], view([100.0, 150.0, 200.0, 220.0], 90, 1000), CAMERA)
    assert hidden == [
        "DontCare -1.00 -1 -10.00 100.00 150.00 200.00 220.00 -1.00 -1.00 -1.00 -1000.00 -1000.00 -1000.00 -10.00"
    ]
    assert label_lines([car(0.0, 20.0, 0.0)], view([2000.0, 150.0, 2100.0, 220.0], 0, 0), CAMERA) == []


def test_a_hand_that_reaches_into_the_picture_is_dontcare() -> None:
    """The box of what shows would fit nobody: 10 of 100 rows."""
    whole = [-40.0, 100.0, 20.0, 200.0]
    hand = label_lines([car(0.0, 20.0, 0.0)], view(whole, 200, 200, (0, 150, 19, 159)), CAMERA)
    half = label_lines([car(0.0, 20.0, 0.0)], view(whole, 1200, 1200, (0, 120, 19, 179)), CAMERA)
    assert [lines[0].split()[0] for lines in (hand, half)] == ["DontCare", "Car"]
