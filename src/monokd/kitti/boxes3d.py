"""The geometry of 3D boxes: corners, the near plane, projection to the image, angles.

Camera coordinates: x right, y down, z ahead (metres). A box's place is the centre of its bottom face; it is
rotated about y, and at heading 0 its length runs along x.
"""

from typing import TypeVar

import numpy as np

from monokd.kitti.calibration import Calibration
from monokd.typing import Floats, Ints

Angle = TypeVar("Angle", float, Floats)

NEAR_M = 0.1  # what is nearer, or behind the camera, is cut off
# Corners as shares of length, height (up) and width: 0 to 3 run around the bottom face, 4 to 7 stand above them.
CORNERS = np.array([[x, y, z] for y in (0.0, -1.0) for x, z in ((0.5, 0.5), (0.5, -0.5), (-0.5, -0.5), (-0.5, 0.5))])
EDGES = np.array([edge for i in range(4) for edge in ((i, (i + 1) % 4), (i + 4, (i + 1) % 4 + 4), (i, i + 4))])
FRONT = np.array([0, 1, 5, 4])  # the front face, around


def box_corners(sizes_m: Floats, locations_m: Floats, rotation_y_rad: Floats) -> Floats:
    """Place the corners of N boxes in camera coordinates, N×8×3 metres, in the order of `CORNERS`.

    `sizes_m` are N×3 height, width, length; `locations_m` N×3 centres of the bottom faces.
    """
    height, width, length = sizes_m.T[:, :, None]
    cos, sin = np.cos(rotation_y_rad)[:, None], np.sin(rotation_y_rad)[:, None]
    x, y, z = CORNERS[:, 0] * length, CORNERS[:, 1] * height, CORNERS[:, 2] * width
    around = np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1)
    return np.asarray(around + locations_m[:, None])


def box_coordinates(points_m: Floats, location_m: Floats, rotation_y_rad: float) -> Floats:
    """Express N×3 camera points in one box's own axes, N×3 metres: along its length, down, along its width.

    The inverse of `box_corners`: a box's corners give its `CORNERS` times length, height and width.
    """
    x, y, z = (points_m - location_m).T
    cos, sin = np.cos(rotation_y_rad), np.sin(rotation_y_rad)
    return np.stack([cos * x - sin * z, y, sin * x + cos * z], axis=1)


def cut_ends(points: Floats, others: Floats, near: float = NEAR_M) -> Floats:
    """Find where edges from `points` to `others` (…×3 each) begin: there, or at the plane z = `near`; NaN before it.

    The points may be camera coordinates, or homogeneous pixels of `Calibration.P2`.
    """
    depth, other = points[..., 2:], others[..., 2:]
    behind, crossing = depth < near, other >= near
    share = np.where(behind & crossing, (near - depth) / np.where(other == depth, 1.0, other - depth), 0.0)
    return np.where(behind & ~crossing, np.nan, points + share * (others - points))


def project_edges(corners_m: Floats, calibration: Calibration, edges: Ints = EDGES) -> Floats:
    """Project edges of N×8×3 `corners_m` cut at `NEAR_M`, N×E×2×2 pixels (edge, end, x and y); NaN behind it."""
    points = corners_m @ calibration.P2[:, :3].T + calibration.P2[:, 3]
    ends = points[:, edges]
    cut = cut_ends(ends, ends[:, :, ::-1])
    return np.asarray(cut[..., :2] / cut[..., 2:])


def projected_boxes(corners_m: Floats, calibration: Calibration) -> Floats:
    """Bound the projections of N boxes (N×8×3), N×4 left, top, right, bottom pixels; NaN wholly behind the camera."""
    pixels = project_edges(corners_m, calibration).reshape(len(corners_m), 2 * len(EDGES), 2)
    seen = ~np.isnan(pixels[..., 0]).all(axis=1)
    boxes = np.full((len(corners_m), 4), np.nan)
    boxes[seen, :2], boxes[seen, 2:] = np.nanmin(pixels[seen], axis=1), np.nanmax(pixels[seen], axis=1)
    return boxes


def wrap_angle(angle_rad: Angle) -> Angle:
    """Bring angles to [−π, π)."""
    wrapped = (angle_rad + np.pi) % (2 * np.pi) - np.pi
    return wrapped - 2 * np.pi * (wrapped >= np.pi)
