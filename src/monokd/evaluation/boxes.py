"""Overlaps of boxes: in the image, from above, in space.

A row is a line of KITTI's label and result files as 15 numbers (pixels, metres, radians).
"""

import math

import numpy as np

from monokd.compiled import compiled
from monokd.typing import Bools, Floats, Ints

TRUNCATION, OCCLUSION, ALPHA, LEFT, TOP, RIGHT, BOTTOM = range(7)
HEIGHT, WIDTH, LENGTH, X, Y, Z, ROTATION_Y, SCORE = range(7, 15)


@compiled
def image_intersection(a: Floats, b: Floats) -> float:
    """Compute the area that the 2D boxes of two rows share, px²."""
    width = min(a[RIGHT], b[RIGHT]) - max(a[LEFT], b[LEFT])
    height = min(a[BOTTOM], b[BOTTOM]) - max(a[TOP], b[TOP])
    return width * height if width > 0 and height > 0 else 0.0


@compiled
def image_area(a: Floats) -> float:
    """Compute the area of the 2D box of a row, px²."""
    return float((a[RIGHT] - a[LEFT]) * (a[BOTTOM] - a[TOP]))


@compiled
def image_iou(a: Floats, b: Floats) -> float:
    """Compute the intersection over union of the 2D boxes of two rows."""
    shared = image_intersection(a, b)
    return shared / (image_area(a) + image_area(b) - shared) if shared != 0 else 0.0


@compiled
def _clip(polygon: Floats, count: int, axis: int, sign: float, limit: float, clipped: Floats) -> int:
    """Keep the part of a convex polygon where sign × coordinate ≤ limit; returns its count of corners."""
    kept = 0
    ax, ay = polygon[count - 1, 0], polygon[count - 1, 1]
    before = limit - sign * (ay if axis else ax)
    for k in range(count):
        bx, by = polygon[k, 0], polygon[k, 1]
        here = limit - sign * (by if axis else bx)
        if (before > 0 and here < 0) or (before < 0 and here > 0):
            share = before / (before - here)
            clipped[kept, 0], clipped[kept, 1] = ax + share * (bx - ax), ay + share * (by - ay)
            kept += 1
        if here >= 0:
            clipped[kept, 0], clipped[kept, 1] = bx, by
            kept += 1
        ax, ay, before = bx, by, here
    return kept


@compiled
def _area(polygon: Floats, count: int) -> float:
    twice = 0.0
    for k in range(1, count - 1):
        ax, ay = polygon[k, 0] - polygon[0, 0], polygon[k, 1] - polygon[0, 1]
        bx, by = polygon[k + 1, 0] - polygon[0, 0], polygon[k + 1, 1] - polygon[0, 1]
        twice += ax * by - ay * bx
    return abs(twice) / 2


@compiled
def ground_intersection(a: Floats, b: Floats, front: Floats, back: Floats) -> float:
    """Compute the area that two boxes share on the ground, m²; `front` and `back` are 12×2 of scratch space.

    b's corners in a's own axes are clipped by a's four sides. Corners on a side stay, whatever the rounding,
    so identical and touching boxes need no tolerance: an error of a corner moves the area by as little.
    """
    x, z = b[X] - a[X], b[Z] - a[Z]
    reach = (math.hypot(a[WIDTH], a[LENGTH]) + math.hypot(b[WIDTH], b[LENGTH])) / 2
    if min(a[WIDTH], a[LENGTH], b[WIDTH], b[LENGTH]) <= 0 or not x * x + z * z < reach * reach:
        return 0.0
    # The box's length points along (cos ry, −sin ry) in (x, z).
    cosine, sine = math.cos(a[ROTATION_Y]), math.sin(a[ROTATION_Y])
    along, across = cosine * x - sine * z, sine * x + cosine * z
    turn = b[ROTATION_Y] - a[ROTATION_Y]
    cosine, sine = math.cos(turn), math.sin(turn)
    for k in range(4):
        length = b[LENGTH] / 2 if k in (0, 3) else -b[LENGTH] / 2
        width = b[WIDTH] / 2 if k < 2 else -b[WIDTH] / 2
        front[k, 0] = along + cosine * length + sine * width
        front[k, 1] = across - sine * length + cosine * width
    count = 4
    for axis in range(2):
        limit = (a[WIDTH] if axis else a[LENGTH]) / 2
        count = _clip(front, count, axis, 1.0, limit, back)
        count = _clip(back, count, axis, -1.0, limit, front)
    return _area(front, count)


@compiled
def overlaps(a: Floats, b: Floats, front: Floats, back: Floats) -> tuple[float, float, float]:
    """Compute the IoU of two rows in the image, on the ground and in space; scratch as in `ground_intersection`."""
    ground = ground_intersection(a, b, front, back)
    if ground == 0:
        return image_iou(a, b), 0.0, 0.0
    bev = ground / (a[WIDTH] * a[LENGTH] + b[WIDTH] * b[LENGTH] - ground)
    height_m = min(a[Y], b[Y]) - max(a[Y] - a[HEIGHT], b[Y] - b[HEIGHT])
    if height_m <= 0:
        return image_iou(a, b), bev, 0.0
    shared = ground * height_m
    both = a[HEIGHT] * a[WIDTH] * a[LENGTH] + b[HEIGHT] * b[WIDTH] * b[LENGTH]
    return image_iou(a, b), bev, shared / (both - shared)


@compiled
def pairs_above(
    labels: Floats, visible: Bools, label_offsets: Ints, results: Floats, offsets: Ints, lowest: float
) -> tuple[Ints, Ints, Floats]:
    """Find pairs of a `visible` label (G×15 rows) and a detection (D×15 rows) of one frame, in file order.

    Some overlap exceeds `lowest`. The F+1 offsets of frames in labels and results may be a part of all frames. Returns
    the count of pairs of each of these frames' labels, P detections, P×3 overlaps (bbox, bev, 3d).
    """
    counts = np.zeros(label_offsets[-1] - label_offsets[0], np.int64)
    chosen, values = np.empty(1024, np.int64), np.empty((1024, 3))
    front, back = np.empty((12, 2)), np.empty((12, 2))
    n = 0
    for frame in range(offsets.size - 1):
        for g in range(label_offsets[frame], label_offsets[frame + 1]):
            if not visible[g]:
                continue
            for d in range(offsets[frame], offsets[frame + 1]):
                bbox, bev, space = overlaps(results[d], labels[g], front, back)
                if max(bbox, bev, space) > lowest:
                    if n == chosen.size:
                        chosen = np.concatenate((chosen, np.empty_like(chosen)))
                        values = np.concatenate((values, np.empty_like(values)))
                    chosen[n] = d
                    values[n, 0], values[n, 1], values[n, 2] = bbox, bev, space
                    n += 1
                    counts[g - label_offsets[0]] += 1
    return counts, chosen[:n], values[:n]


@compiled
def dont_care_shares(regions: Floats, region_offsets: Ints, results: Floats, offsets: Ints) -> Floats:
    """Compute the largest share of each of D detections' 2D boxes inside one DontCare region of its frame."""
    shares = np.zeros(results.shape[0])
    for frame in range(offsets.size - 1):
        for r in range(region_offsets[frame], region_offsets[frame + 1]):
            for d in range(offsets[frame], offsets[frame + 1]):
                shared = image_intersection(results[d], regions[r])
                if shared > 0:
                    shares[d] = max(shares[d], shared / image_area(results[d]))
    return shares
