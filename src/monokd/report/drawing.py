"""Boxes over a frame, depth and heat as colour. Every function returns a new H×W×3 uint8 RGB array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.kitti.calibration import Calibration
from monokd.kitti.objects import Objects
from monokd.report.lines import RGB, draw_segments, fill_polygon
from monokd.report.styles import STUDENT, TRUTH, Style

Image = NDArray[np.uint8]
Array = NDArray[np.float64]
NEAR_PLANE_M = 0.3
# Corners 0 to 3 run around the bottom face, 4 to 7 above them; 0 and 1 are the front.
EDGES = np.array([(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)])
FRONT = np.array([0, 1, 5, 4])
COLOUR_BAR_TICKS_M = (2, 5, 10, 20, 40, 80)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One source of boxes in a picture.

    Attributes:
        objects: its boxes.
        style: its look.
        filled: shade the front face (image) or the whole footprint (bird's-eye view).
    """

    objects: Objects
    style: Style
    filled: bool = False


def box_corners(objects: Objects) -> Array:
    """Corners of N boxes in camera coordinates, N×8×3 metres: 0 to 3 around the bottom face, 4 to 7 above them."""
    height, width, length = objects.sizes_m.T[:, :, None] / np.array([1.0, 2.0, 2.0])[:, None, None]
    ahead = length * np.array([1, 1, -1, -1, 1, 1, -1, -1])
    side = width * np.array([1, -1, -1, 1, 1, -1, -1, 1])
    up = height * np.array([0, 0, 0, 0, 1, 1, 1, 1])
    cos, sin = np.cos(objects.rotation_y_rad)[:, None], np.sin(objects.rotation_y_rad)[:, None]
    offsets = np.stack([cos * ahead + sin * side, -up, cos * side - sin * ahead], axis=2)
    return np.asarray(objects.locations_m[:, None, :] + offsets)


def placed(objects: Objects) -> Objects:
    """The objects that have a 3D box (DontCare regions have none)."""
    solid, near = objects.sizes_m > 0, np.abs(objects.locations_m) < 500
    return objects.select(np.flatnonzero((solid & near).all(axis=1)))


def draw_boxes_3d(
    image: Image, layers: Sequence[Layer], calibration: Calibration, *, thickness: int = 2, labels: bool = False
) -> Image:
    """Draw 3D boxes over `image`, the far ones first; the shaded face is the front.

    Args:
        image: H×W×3 RGB.
        layers: sources of boxes; later ones lie on top.
        calibration: the camera of this image.
        thickness: of lines, in pixels.
        labels: write class, score and distance above each box where there is room.
    """
    canvas = image.copy()
    for layer in layers:
        objects = placed(layer.objects)
        objects = objects.select(np.argsort(-objects.locations_m[:, 2], kind="stable"))
        for corners in box_corners(objects):
            _draw_box(canvas, corners, layer, calibration, thickness)
    if labels:
        for layer in layers:
            _draw_labels(canvas, placed(layer.objects), layer.style.rgb, calibration)
    return canvas


def draw_boxes_2d(image: Image, layers: Sequence[Layer], *, thickness: int = 2) -> Image:
    """Draw 2D boxes (left, top, right, bottom pixels) over `image`, H×W×3 RGB."""
    canvas = image.copy()
    for layer in layers:
        for left, top, right, bottom in layer.objects.boxes_px:
            ring = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
            segments = np.stack([ring, np.roll(ring, -1, axis=0)], axis=1)
            draw_segments(canvas, segments, layer.style.rgb, thickness=thickness, dashes=layer.style.dashes)
    return canvas


def colour_depth(depth_m: NDArray[np.float32], *, near_m: float = 2.0, far_m: float = 80.0) -> Image:
    """Depth as colour on a logarithmic scale, near bright, far dark; cells without depth are grey.

    Args:
        depth_m: H×W metres, 0 or less where there is none.
        near_m: everything nearer looks the same.
        far_m: everything farther looks the same.
    """
    known = depth_m > 0
    share = np.log(np.clip(depth_m, near_m, far_m) / near_m) / np.log(far_m / near_m)
    coloured = _coloured(1 - share, cv2.COLORMAP_VIRIDIS)
    coloured[~known] = (110, 110, 110)
    return coloured


def add_colour_bar(picture: Image, *, near_m: float = 2.0, far_m: float = 80.0) -> Image:
    """Put the scale of `colour_depth` under a picture of the same width, with ticks in metres."""
    width = picture.shape[1]
    scale = max(width / 1242, 0.35)
    bar_px, text_px = max(round(26 * scale), 8), max(round(44 * scale), 16)
    depth_m = near_m * (far_m / near_m) ** np.linspace(0, 1, width, dtype=np.float32)
    bar = colour_depth(np.tile(depth_m, (bar_px, 1)), near_m=near_m, far_m=far_m)
    strip = np.full((text_px, width, 3), 24, dtype=np.uint8)
    for tick_m in COLOUR_BAR_TICKS_M:
        x = np.log(tick_m / near_m) / np.log(far_m / near_m) * (width - 1)
        text = f"{tick_m} m"
        text_width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)[0][0]
        left = int(np.clip(x - text_width / 2, 4, width - text_width - 4))
        cv2.line(strip, (round(x), 0), (round(x), max(round(6 * scale), 2)), (235, 235, 235), 2)
        origin = (left, text_px - max(round(9 * scale), 3))
        cv2.putText(strip, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (235, 235, 235), 2, cv2.LINE_AA)
    return np.concatenate([picture, bar, strip])


def draw_heat_map(image: Image, heat: NDArray[np.float32], *, opacity: float = 0.95) -> Image:
    """Lay a heat map of any size over a greyed image: no colour at 0, bright at 1.

    Args:
        image: H×W×3 RGB.
        heat: h×w, 0 to 1, covering the whole image.
        opacity: share of the colour where heat is 1.
    """
    height, width = image.shape[:2]
    grown = cv2.resize(np.clip(heat, 0, 1).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32) * 0.6
    # The square root lets weak answers show; the scale stays fixed, so that pictures compare.
    share = opacity * np.sqrt(grown)[..., None]
    mixed = grey * (1 - share) + _coloured(np.sqrt(grown), cv2.COLORMAP_INFERNO) * share
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def draw_frame(
    image: Image,
    calibration: Calibration,
    objects: Objects,
    *,
    truth: Objects | None = None,
    style: Style = STUDENT,
    labels: bool = True,
) -> Image:
    """One picture of a frame's boxes for people: ground truth (when given) under the network's boxes.

    Args:
        image: H×W×3 RGB.
        calibration: the camera of this image.
        objects: what the network found.
        truth: labels.
        style: the look of the network.
        labels: write class, score and distance above the boxes.
    """
    under = draw_boxes_3d(image, [] if truth is None else [Layer(truth, TRUTH)], calibration)
    return draw_boxes_3d(under, [Layer(objects, style, filled=True)], calibration, labels=labels)


def _coloured(share: NDArray[np.floating], colour_map: int) -> Image:
    """H×W shares of 1 → H×W×3 RGB."""
    levels = np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, colour_map), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _draw_box(canvas: Image, corners: Array, layer: Layer, calibration: Calibration, thickness: int) -> None:
    segments = _projected_edges(corners, calibration)
    if layer.filled and (corners[:, 2] > NEAR_PLANE_M).all():
        fill_polygon(canvas, calibration.project(corners[FRONT])[0], layer.style.rgb, 0.25)
    draw_segments(canvas, segments, layer.style.rgb, thickness=thickness, dashes=layer.style.dashes)


def _projected_edges(corners: Array, calibration: Calibration) -> Array:
    """Edges of one box (8×3 metres) as E×2×2 pixels, cut at the near plane."""
    starts, ends = corners[EDGES[:, 0]], corners[EDGES[:, 1]]
    visible = (starts[:, 2] > NEAR_PLANE_M) | (ends[:, 2] > NEAR_PLANE_M)
    starts, ends = starts[visible], ends[visible]
    cut_starts, cut_ends = _cut(starts, ends), _cut(ends, starts)
    return np.stack([calibration.project(cut_starts)[0], calibration.project(cut_ends)[0]], axis=1)


def _cut(points: Array, others: Array) -> Array:
    """Move points behind the near plane along their edges onto it."""
    behind = points[:, 2] < NEAR_PLANE_M
    rise = np.where(behind, others[:, 2] - points[:, 2], 1.0)
    share = np.where(behind, (NEAR_PLANE_M - points[:, 2]) / rise, 0.0)
    return points + share[:, None] * (others - points)


def _draw_labels(canvas: Image, objects: Objects, rgb: RGB, calibration: Calibration) -> None:
    """Write labels, near objects first, leaving out those that would cover another."""
    taken: list[tuple[int, int, int, int]] = []
    scale = max(canvas.shape[1] / 1242 * 0.55, 0.4)
    for index in np.argsort(objects.locations_m[:, 2], kind="stable"):
        if objects.locations_m[index, 2] < NEAR_PLANE_M + objects.sizes_m[index].max():
            continue
        top = calibration.project(box_corners(objects.select(np.array([index])))[0])[0].min(axis=0)
        score = objects.scores[index]
        sure = "" if np.isnan(score) else f" {score:.2f}"
        text = f"{objects.names[index]}{sure} {objects.locations_m[index, 2]:.0f} m"
        _write(canvas, text, top, scale, rgb, taken)


def _write(
    canvas: Image, text: str, corner: Array, scale: float, rgb: RGB, taken: list[tuple[int, int, int, int]]
) -> None:
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    left = int(np.clip(corner[0], 0, max(canvas.shape[1] - width - 6, 0)))
    bottom = int(np.clip(corner[1] - 3, height + below + 4, canvas.shape[0]))
    area = (left, bottom - height - below - 4, left + width + 6, bottom)
    if any(area[0] < b[2] and b[0] < area[2] and area[1] < b[3] and b[1] < area[3] for b in taken):
        return
    taken.append(area)
    cv2.rectangle(canvas, area[:2], (area[2] - 1, area[3] - 1), (16, 18, 22), cv2.FILLED)
    origin = (left + 3, bottom - below - 2)
    cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, rgb, 1, cv2.LINE_AA)
