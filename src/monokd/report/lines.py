"""Line segments on RGB arrays: clipped, dashed, with a dark rim that keeps them visible on any background."""

from __future__ import annotations

from itertools import cycle

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Array = NDArray[np.float64]
RGB = tuple[int, int, int]
RIM: RGB = (16, 18, 22)
SUBPIXEL_BITS = 4


def clip_segment(start: Array, end: Array, width: float, height: float) -> tuple[Array, Array] | None:
    """The part of a segment inside [0, width]×[0, height] (Liang and Barsky, 1984); None when there is none."""
    first, last = 0.0, 1.0
    step = end - start
    for axis, size in ((0, width), (1, height)):
        for sign, distance in ((-1.0, start[axis]), (1.0, size - start[axis])):
            speed = sign * step[axis]
            if speed == 0:
                if distance < 0:
                    return None
                continue
            crossing = distance / speed
            if speed < 0:
                first = max(first, crossing)
            else:
                last = min(last, crossing)
    if first > last:
        return None
    return start + first * step, start + last * step


def draw_segments(
    image: Image, segments: Array, rgb: RGB, *, thickness: int = 2, dashes: tuple[int, ...] = (), rim: bool = True
) -> None:
    """Draw N×2×2 pixel segments into `image` (H×W×3), dashed by stroke and gap lengths in units of `thickness` / 2."""
    height, width = image.shape[:2]
    margin = 2.0 * thickness
    pieces: list[tuple[Array, Array]] = []
    for start, end in segments:
        clipped = clip_segment(start + margin, end + margin, width + 2 * margin, height + 2 * margin)
        if clipped is not None:
            pieces += _dashed(clipped[0] - margin, clipped[1] - margin, [d * thickness / 2 for d in dashes])
    if rim:
        for start, end in pieces:
            _stroke(image, start, end, RIM, thickness + 2)
    for start, end in pieces:
        _stroke(image, start, end, rgb, thickness)


def fill_polygon(image: Image, corners: Array, rgb: RGB, opacity: float) -> None:
    """Blend a convex polygon, N×2 pixels near the image, into `image`."""
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, (width, height)).astype(int)
    if (high <= low).any() or np.abs(corners).max() > 1e6:
        return
    patch = image[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(patch.shape[:2], dtype=np.uint8)
    points = np.round((corners - low) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillConvexPoly(mask, points, 255, cv2.LINE_AA, SUBPIXEL_BITS)
    share = opacity * mask[..., None].astype(np.float32) / 255
    patch[:] = np.round(patch * (1 - share) + np.array(rgb, dtype=np.float32) * share).astype(np.uint8)


def _stroke(image: Image, start: Array, end: Array, rgb: RGB, thickness: int) -> None:
    one, two = ((round(p[0] * 16), round(p[1] * 16)) for p in (start, end))
    cv2.line(image, one, two, rgb, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def _dashed(start: Array, end: Array, dashes: list[float]) -> list[tuple[Array, Array]]:
    length = float(np.hypot(*(end - start)))
    if not dashes or length <= dashes[0]:
        return [(start, end)]
    direction, position = (end - start) / length, 0.0
    strokes: list[tuple[Array, Array]] = []
    for index, size in cycle(enumerate(dashes)):
        if position >= length:
            return strokes
        if index % 2 == 0:
            strokes.append((start + position * direction, start + min(position + size, length) * direction))
        position += size
    return strokes
