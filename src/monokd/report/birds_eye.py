"""The scene from above: the camera at the bottom, ahead is up, range rings in metres."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.kitti.calibration import Calibration
from monokd.report.drawing import Layer, box_corners, placed
from monokd.report.lines import draw_segments, fill_polygon

Image = NDArray[np.uint8]
Array = NDArray[np.float64]
GROUND = (18, 22, 28)
RING = (70, 78, 90)
TEXT = (190, 198, 208)
POINT = (84, 94, 108)


def draw_birds_eye(
    layers: Sequence[Layer],
    *,
    calibration: Calibration | None = None,
    image_width_px: int = 1242,
    points_m: Array | None = None,
    range_m: float = 70.0,
    half_width_m: float = 18.0,
    pixels_per_m: float = 20.0,
    ring_step_m: float = 10.0,
) -> Image:
    """Draw boxes from above; the line out of a box points where it heads.

    Args:
        layers: sources of boxes; later ones lie on top.
        calibration: the camera, to draw the edges of its view.
        image_width_px: width of the camera's image.
        points_m: N×3 camera-coordinate points to show as dots.
        range_m: how far ahead the picture reaches.
        half_width_m: how far to either side.
        pixels_per_m: scale.
        ring_step_m: distance between range rings.

    Returns:
        H×W×3 RGB, about (range + 2)·scale high and 2·half_width·scale wide.
    """
    size = (round((range_m + 2) * pixels_per_m), round(2 * half_width_m * pixels_per_m))
    canvas = np.full((*size, 3), GROUND, dtype=np.uint8)
    if points_m is not None:
        _dots(canvas, to_pixels(points_m[:, [0, 2]], size, half_width_m, pixels_per_m))
    _rings(canvas, range_m, half_width_m, pixels_per_m, ring_step_m)
    if calibration is not None:
        edges = np.array([(0.0, 0.0), (image_width_px, 0.0)])
        ends = calibration.unproject(edges, np.full(2, 2 * range_m))[:, [0, 2]]
        rays = np.stack([np.zeros((2, 2)), ends], axis=1)
        lines = to_pixels(rays, size, half_width_m, pixels_per_m)
        draw_segments(canvas, lines, RING, thickness=2, dashes=(4, 6), rim=False)
    for layer in layers:
        _footprints(canvas, layer, half_width_m, pixels_per_m)
    return canvas


def to_pixels(ground_m: Array, size: tuple[int, int], half_width_m: float, pixels_per_m: float) -> Array:
    """(…, x and z) metres → (…, column and row) of a picture of `size` rows and columns."""
    origin = np.array([half_width_m * pixels_per_m, size[0] - 1.0 * pixels_per_m])
    return np.asarray(ground_m * np.array([pixels_per_m, -pixels_per_m]) + origin)


def _rings(canvas: Image, range_m: float, half_width_m: float, scale: float, step_m: float) -> None:
    size = (canvas.shape[0], canvas.shape[1])
    angles = np.linspace(-np.pi / 2, np.pi / 2, 181)
    circle = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    for radius_m in np.arange(step_m, range_m + 0.1, step_m):
        ring = to_pixels(radius_m * circle, size, half_width_m, scale)
        draw_segments(canvas, np.stack([ring[:-1], ring[1:]], axis=1), RING, thickness=1, rim=False)
        # Beside the camera's view near by, at the picture's edge farther out, where few objects stand.
        angle = min(np.deg2rad(56), np.arcsin(min((half_width_m - 2.4) / radius_m, 1.0)))
        at = to_pixels(radius_m * np.array([-np.sin(angle), np.cos(angle)]), size, half_width_m, scale)
        _number(canvas, f"{radius_m:.0f} m", at, scale)


def _number(canvas: Image, text: str, at: Array, scale: float) -> None:
    font, size = cv2.FONT_HERSHEY_SIMPLEX, scale / 20 * 0.95
    (width, height), _ = cv2.getTextSize(text, font, size, 2)
    left, bottom = round(at[0] - width / 2), round(at[1] + height / 2)
    left = int(np.clip(left, 4, max(canvas.shape[1] - width - 4, 4)))
    cv2.rectangle(canvas, (left - 4, bottom - height - 4), (left + width + 4, bottom + 4), GROUND, cv2.FILLED)
    cv2.putText(canvas, text, (left, bottom), font, size, TEXT, max(round(scale / 10), 1), cv2.LINE_AA)


def _dots(canvas: Image, pixels: Array) -> None:
    rows, columns = np.round(pixels[:, 1]).astype(int), np.round(pixels[:, 0]).astype(int)
    inside = (rows >= 0) & (rows < canvas.shape[0] - 1) & (columns >= 0) & (columns < canvas.shape[1] - 1)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        canvas[rows[inside] + down, columns[inside] + right] = POINT


def _footprints(canvas: Image, layer: Layer, half_width_m: float, scale: float) -> None:
    size = (canvas.shape[0], canvas.shape[1])
    objects, style = placed(layer.objects), layer.style
    thickness = max(round(scale / 7), 1)
    for corners in box_corners(objects)[:, :4][:, :, [0, 2]]:
        ring = to_pixels(corners, size, half_width_m, scale)
        front, centre = ring[:2].mean(axis=0), ring.mean(axis=0)
        nose = np.stack([front, front + 0.35 * (front - centre)])[None]
        if layer.filled:
            fill_polygon(canvas, ring, style.rgb, 0.3)
        outline = np.stack([ring, np.roll(ring, -1, axis=0)], axis=1)
        draw_segments(canvas, outline, style.rgb, thickness=thickness, dashes=style.dashes)
        draw_segments(canvas, nose, style.rgb, thickness=thickness)
