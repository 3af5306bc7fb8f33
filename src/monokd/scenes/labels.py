"""Label lines from what was rendered, by KITTI's definitions."""

import math

import numpy as np

from monokd.scenes.layout import Placed
from monokd.scenes.rasteriser import Camera, View
from monokd.typing import Floats

# Least visible share of the silhouette for KITTI's occlusion levels 0, 1, 2; below the last it is DontCare.
VISIBLE_SHARES = (0.85, 0.50, 0.10)
MIN_VISIBLE_PX = 24
MIN_BOX_SHARE = 0.5  # of the whole object's box inside the image
UNKNOWN = -1.0, -1.0, -1.0, -1000.0, -1000.0, -1000.0, -10.0


def clipped_box(extents_px: Floats, camera: Camera) -> Floats:
    """The part of a box (left, top, right, bottom) inside the image."""
    return np.clip(extents_px, 0.0, [camera.width_px - 1.0, camera.height_px - 1.0] * 2)


def box_2d(extents_px: Floats, inside_px: Floats, camera: Camera) -> Floats:
    """The box about the part of a silhouette inside the image.

    Where the image's edge cuts the object, its farthest point may lie outside, so the silhouette's pixels decide there.
    """
    box = clipped_box(extents_px, camera)
    if (box == extents_px).all():
        return box
    return np.append(np.maximum(box[:2], inside_px[:2] - 0.5), np.minimum(box[2:], inside_px[2:] + 0.5))


def truncation(extents_px: Floats, camera: Camera) -> float:
    """Share of the whole object's box outside the image, 0 to 1."""
    return 1.0 - _area(clipped_box(extents_px, camera)) / _area(extents_px)


def occlusion(visible_px: int, silhouette_px: int) -> int:
    """0 visible, 1 partly, 2 largely occluded, 3 hidden, from the visible share of the silhouette inside the image."""
    return sum(visible_px / silhouette_px < least for least in VISIBLE_SHARES)


def label_lines(objects: list[Placed], view: View, camera: Camera) -> list[str]:
    """One KITTI line per visible object, nearest first; hardly visible ones are DontCare, those outside left out."""
    lines, unnamed = [], []
    for i in sorted(np.flatnonzero(view.silhouette_px), key=lambda i: objects[i].location_m[2]):
        placed, extents = objects[i], view.extents_px[i]
        box = box_2d(extents, view.inside_px[i], camera)
        level = occlusion(view.visible_px[i], view.silhouette_px[i])
        # where the image's edge leaves no more than a hand or a foot, nobody could draw the object's box
        fragment = _area(box) < MIN_BOX_SHARE * _area(clipped_box(extents, camera))
        if level == 3 or view.visible_px[i] < MIN_VISIBLE_PX or fragment:
            unnamed.append(f"DontCare -1.00 -1 {_numbers(-10.0, *box, *UNKNOWN)}")
            continue
        x, y, z = placed.location_m
        alpha = math.remainder(placed.rotation_y_rad - math.atan2(x, z), 2 * math.pi)
        pose = _numbers(alpha, *box, *placed.size_m, x, y, z, placed.rotation_y_rad)
        lines.append(f"{placed.name} {truncation(extents, camera):.2f} {level} {pose}")
    return lines + unnamed


def _area(box: Floats) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _numbers(*values: float) -> str:
    return " ".join(f"{value:.2f}" for value in values)
