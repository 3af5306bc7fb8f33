"""Label lines from what was rendered, by KITTI's definitions."""

from __future__ import annotations

from monokd.scenes.exact import arctan2, wrap
from monokd.scenes.layout import Placed
from monokd.scenes.rasteriser import Camera, View

# Least visible share of the silhouette for KITTI's occlusion levels 0, 1, 2; below the last it is DontCare.
VISIBLE_SHARES = (0.85, 0.50, 0.10)
MIN_VISIBLE_PX = 24


def clipped_box(extents_px: tuple[float, float, float, float], width_px: int, height_px: int) -> tuple[float, ...]:
    """The part of a box inside the image, left, top, right, bottom."""
    left, top, right, bottom = extents_px
    last_u, last_v = width_px - 1.0, height_px - 1.0
    return (
        min(max(left, 0.0), last_u),
        min(max(top, 0.0), last_v),
        min(max(right, 0.0), last_u),
        min(max(bottom, 0.0), last_v),
    )


def box_2d(
    extents_px: tuple[float, float, float, float], inside_px: tuple[int, int, int, int], width_px: int, height_px: int
) -> tuple[float, ...]:
    """The box about the part of a silhouette inside the image.

    Where the image's edge cuts the object, its farthest point may lie outside, so the silhouette's pixels decide there.
    """
    box = clipped_box(extents_px, width_px, height_px)
    if box == extents_px:
        return box
    left, top, right, bottom = inside_px
    return max(box[0], left - 0.5), max(box[1], top - 0.5), min(box[2], right + 0.5), min(box[3], bottom + 0.5)


def truncation(extents_px: tuple[float, float, float, float], width_px: int, height_px: int) -> float:
    """Share of the whole object's box outside the image, 0 to 1."""
    left, top, right, bottom = extents_px
    a, b, c, d = clipped_box(extents_px, width_px, height_px)
    whole = (right - left) * (bottom - top)
    return 1.0 - (c - a) * (d - b) / whole if whole > 0 else 1.0


def occlusion(visible_px: int, silhouette_px: int) -> int:
    """0 visible, 1 partly, 2 largely occluded, 3 hidden, from the shown share of the silhouette inside the image."""
    share = visible_px / silhouette_px if silhouette_px > 0 else 0.0
    return next((level for level, least in enumerate(VISIBLE_SHARES) if share >= least), 3)


def label_lines(objects: list[Placed], view: View, camera: Camera) -> list[str]:
    """One KITTI line per object that shows, nearest first; what hardly shows is DontCare, what is outside left out."""
    order = sorted(range(len(objects)), key=lambda i: (objects[i].location_m[2], i))
    lines, unnamed = [], []
    for i in order:
        if int(view.silhouette_px[i]) == 0:
            continue
        left, top, right, bottom = (float(value) for value in view.extents_px[i])
        extents = left, top, right, bottom
        first, second, third, fourth = (int(value) for value in view.inside_px[i])
        box = box_2d(extents, (first, second, third, fourth), camera.width_px, camera.height_px)
        level = occlusion(int(view.visible_px[i]), int(view.silhouette_px[i]))
        if level == 3 or int(view.visible_px[i]) < MIN_VISIBLE_PX:
            unnamed.append(_line("DontCare", -1, -1, -10, box, (-1, -1, -1), (-1000, -1000, -1000), -10))
            continue
        placed = objects[i]
        x, _, z = placed.location_m
        alpha = wrap(placed.rotation_y_rad - arctan2(x, z))
        outside = truncation(extents, camera.width_px, camera.height_px)
        lines.append(
            _line(placed.name, outside, level, alpha, box, placed.size_m, placed.location_m, placed.rotation_y_rad)
        )
    return lines + unnamed


def _line(
    name: str,
    outside: float,
    level: int,
    alpha: float,
    box: tuple[float, ...],
    size: tuple[float, ...],
    location: tuple[float, ...],
    rotation: float,
) -> str:
    numbers = " ".join(f"{value:.2f}" for value in (alpha, *box, *size, *location, rotation))
    return f"{name} {outside:.2f} {level} {numbers}"
