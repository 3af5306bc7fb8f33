"""The 2D boxes that 3D boxes take in an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monokd.kitti.calibration import Calibration
from monokd.kitti.objects import Objects

Array = NDArray[np.float64]
NEAR_M = 0.1  # what is nearer, or behind the camera, is cut off
# Corners of a box as shares of length, height (up) and width; edges join corners that differ in one.
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (0.0, -1.0) for z in (-0.5, 0.5)])
EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b) in (1, 2, 4)])


def corners_m(objects: Objects) -> Array:
    """The corners of N boxes in camera coordinates, N×8×3."""
    height, width, length = objects.sizes_m.T[:, :, None]
    cos, sin = np.cos(objects.rotation_y_rad)[:, None], np.sin(objects.rotation_y_rad)[:, None]
    x, y, z = CORNERS[:, 0] * length, CORNERS[:, 1] * height, CORNERS[:, 2] * width
    around = np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1)
    return around + objects.locations_m[:, None]


def projected_boxes_px(objects: Objects, calibration: Calibration) -> Array:
    """The boxes around the projections of N 3D boxes, N×4 left, top, right, bottom; NaN wholly behind the camera."""
    points = corners_m(objects) @ calibration.P2[:, :3].T + calibration.P2[:, 3]
    start, end = points[:, EDGES[:, 0]], points[:, EDGES[:, 1]]
    ends = np.stack([_cut(start, end), _cut(end, start)], axis=2).reshape(len(objects), -1, 3)
    pixels = ends[..., :2] / ends[..., 2:]
    seen = ~np.isnan(pixels[..., 0]).all(axis=1)
    boxes = np.full((len(objects), 4), np.nan)
    boxes[seen, :2], boxes[seen, 2:] = np.nanmin(pixels[seen], axis=1), np.nanmax(pixels[seen], axis=1)
    return boxes


def _cut(points: Array, others: Array) -> Array:
    """Homogeneous `points`, those behind `NEAR_M` moved along their edges to it; NaN where both ends are behind."""
    depth, other = points[..., 2:], others[..., 2:]
    behind, crossing = depth < NEAR_M, other >= NEAR_M
    share = np.where(behind & crossing, (NEAR_M - depth) / np.where(other == depth, 1.0, other - depth), 0.0)
    moved: Array = np.where(behind & ~crossing, np.nan, points + share * (others - points))
    return moved
