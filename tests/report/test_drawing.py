"""Boxes land where the camera sees them; colours keep their order; inputs stay as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import KittiFolder, read_image
from monokd.kitti.labels import read_labels
from monokd.report.drawing import (
    Layer,
    add_colour_bar,
    box_corners,
    colour_depth,
    draw_boxes_2d,
    draw_boxes_3d,
    draw_frame,
    draw_heat_map,
    placed,
)
from monokd.report.styles import BASELINE, STUDENT, TRUTH
from tests.report.fakes import camera, objects, scored

GREY = np.full((96, 320, 3), 90, dtype=np.uint8)


def test_corners_of_an_unturned_box_by_hand() -> None:
    """Heading 0: length along x with the front at +x, width along z, height upwards (−y)."""
    corners = box_corners(objects([("Car", 2.0, 10.0, 0.0)]))[0]
    np.testing.assert_allclose(corners[0], [2 + 1.95, 1.65, 10 + 0.8])
    np.testing.assert_allclose(corners[1], [2 + 1.95, 1.65, 10 - 0.8])
    np.testing.assert_allclose(corners[6], [2 - 1.95, 1.65 - 1.5, 10 - 0.8])


def test_heading_of_half_pi_faces_the_camera() -> None:
    """KITTI's rotation_y grows from x towards −z, so π/2 points the front at the camera."""
    corners = box_corners(objects([("Car", 0.0, 10.0, np.pi / 2)]))[0]
    np.testing.assert_allclose(corners[[0, 1, 4, 5], 2], 10 - 1.95)


@settings(deadline=None)  # the machine may be busy
@given(st.floats(-np.pi, np.pi), st.floats(5, 60), st.floats(-20, 20))
def test_corners_keep_size_and_centre(rotation: float, z: float, x: float) -> None:
    """Turning moves no centre and stretches no edge."""
    corners = box_corners(objects([("Car", x, z, rotation)]))[0]
    np.testing.assert_allclose(corners.mean(axis=0), [x, 1.65 - 0.75, z], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(corners[0] - corners[3]), 3.9)
    np.testing.assert_allclose(np.linalg.norm(corners[0] - corners[1]), 1.6)


def test_box_is_drawn_at_its_projected_corners() -> None:
    """Every corner's pixel takes the colour, and the sky far above does not."""
    one = objects([("Car", 0.5, 14.0, 0.3)])
    drawn = draw_boxes_3d(GREY, [Layer(one, STUDENT)], camera())
    for u, v in camera().project(box_corners(one)[0])[0]:
        patch = drawn[int(v) - 1 : int(v) + 3, int(u) - 1 : int(u) + 3].reshape(-1, 3).astype(int)
        assert np.abs(patch - np.array(STUDENT.rgb)).sum(axis=1).min() < 40
    assert (drawn[:15] == GREY[:15]).all()


def test_box_behind_the_camera_is_not_drawn() -> None:
    drawn = draw_boxes_3d(GREY, [Layer(objects([("Car", 0.0, -10.0, 0.0)]), STUDENT, filled=True)], camera())
    assert (drawn == GREY).all()


def test_box_around_the_camera_plane_stays_below_the_horizon() -> None:
    """A car beside the camera: the part behind would appear mirrored above the horizon if it were not cut off."""
    drawn = draw_boxes_3d(GREY, [Layer(objects([("Car", 2.5, 0.5, np.pi / 2)]), STUDENT)], camera())
    changed = (drawn != GREY).any(axis=2)
    assert changed.any()
    assert not changed[:, :160].any()


def test_pictures_leave_their_inputs_alone() -> None:
    image, one = GREY.copy(), scored(objects([("Car", 0.0, 12.0, 0.2)]), [0.7])
    draw_frame(image, camera(), one, truth=one)
    draw_boxes_2d(image, [Layer(one, TRUTH)])
    draw_heat_map(image, np.ones((4, 4), dtype=np.float32))
    assert (image == GREY).all()


def test_dont_care_has_no_3d_box() -> None:
    marked = objects([("DontCare", 0.0, 10.0, 0.0), ("Car", 0.0, 10.0, 0.0)])
    marked.sizes_m[0], marked.locations_m[0] = -1, -1000
    assert placed(marked).names == ("Car",)


def test_2d_box_edges() -> None:
    one = replace(objects([("Car", 0.0, 12.0, 0.0)]), boxes_px=np.array([[20.0, 30.0, 60.0, 50.0]]))
    drawn = draw_boxes_2d(GREY, [Layer(one, TRUTH)])
    for row, column in ((30, 40), (50, 40), (40, 20), (40, 60)):
        assert drawn[row, column].min() > 200
    assert drawn[40, 40].tolist() == [90, 90, 90]


def test_labels_never_cover_each_other() -> None:
    """Of ten cars at one place only the nearest is labelled, so its text stays readable."""
    one = scored(objects([("Car", 0.0, 12.0, 0.2)]), [0.5])
    many = scored(objects([("Car", 0.0, 12.0 + i / 100, 0.2) for i in range(10)]), [0.5] * 10)
    written = [
        draw_boxes_3d(GREY, [Layer(x, STUDENT)], camera(), labels=True)
        != draw_boxes_3d(GREY, [Layer(x, STUDENT)], camera())
        for x in (one, many)
    ]
    assert written[0].any()
    assert written[1].any(axis=2).sum() <= 1.1 * written[0].any(axis=2).sum()


def test_nearer_depth_is_brighter_and_unknown_is_grey() -> None:
    """Brightness falls with distance, so the map reads in greyscale and for every kind of colour vision."""
    depth = np.array([[2.0, 4, 8, 16, 32, 64, 80, 0]], dtype=np.float32)
    drawn = colour_depth(depth)
    brightness = cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY)[0].astype(int)
    assert (np.diff(brightness[:7]) < 0).all()
    assert drawn[0, 7].tolist() == [110, 110, 110]


def test_depth_beyond_the_scale_looks_like_its_ends() -> None:
    drawn = colour_depth(np.array([[0.5, 2, 80, 200]], dtype=np.float32))
    assert (drawn[0, 0] == drawn[0, 1]).all()
    assert (drawn[0, 2] == drawn[0, 3]).all()


@pytest.mark.parametrize("width", (64, 320, 1242))
def test_colour_bar_shows_the_map_s_own_colours(width: int) -> None:
    """The bar sits under the untouched picture and its ends carry the colours of 2 m and 80 m."""
    depth = np.full((20, width), 9.0, dtype=np.float32)
    drawn = add_colour_bar(colour_depth(depth))
    assert drawn.shape[1] == width
    assert drawn.shape[0] > 20
    assert (drawn[:20] == colour_depth(depth)).all()
    ends = colour_depth(np.array([[2.0, 80.0]], dtype=np.float32))[0]
    np.testing.assert_allclose(drawn[21, [0, -1]].astype(int), ends.astype(int), atol=2)


def test_heat_map_is_colourless_at_zero_and_bright_at_the_peak() -> None:
    heat = np.zeros((24, 80), dtype=np.float32)
    heat[12, 40] = 1
    drawn = draw_heat_map(GREY, heat).astype(int)
    assert np.ptp(drawn[5, 5]) == 0
    assert drawn[50, 162].sum() > drawn[5, 5].sum() + 150


def test_dashes_tell_networks_apart_without_colour() -> None:
    one = replace(objects([("Car", 0.0, 9.0, 0.2)]), boxes_px=np.array([[20.0, 10.0, 300.0, 80.0]]))
    dashed = replace(STUDENT, dashes=BASELINE.dashes)
    drawn = [draw_boxes_2d(GREY, [Layer(one, s)]) for s in (STUDENT, dashed)]
    coloured = [(picture == STUDENT.rgb).all(axis=2).sum() for picture in drawn]
    assert 0.3 * coloured[0] < coloured[1] < 0.85 * coloured[0]


def test_real_labels_fall_on_their_2d_boxes(kitti_dir: Path) -> None:
    """The drawn 3D boxes of real labels stay near the labelled 2D boxes (annotators drew both)."""
    folder = KittiFolder(kitti_dir)
    frame = folder.frames()[0]
    image, calibration = read_image(folder.image(frame)), read_calibration(folder.calibration(frame))
    truth = placed(read_labels(folder.label(frame)))
    whole = truth.select(truth.truncation == 0)
    drawn = (draw_boxes_3d(image, [Layer(whole, TRUTH)], calibration) != image).any(axis=2)
    allowed = np.zeros(drawn.shape, dtype=bool)
    for left, top, right, bottom in whole.boxes_px.astype(int):
        spare = 8 + max(right - left, bottom - top) // 5
        allowed[max(top - spare, 0) : bottom + spare, max(left - spare, 0) : right + spare] = True
    assert drawn.any()
    assert not drawn[~allowed].any()
