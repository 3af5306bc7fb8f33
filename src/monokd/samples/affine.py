"""The one transform between the image and the network's input, and images warped by it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.typing import Bytes, Floats, Floats32, Uint16s

Pixels = NDArray[np.integer]
Sources = NDArray[np.intp]
Columns = tuple[Sources, Sources, Floats, int, int]  # see `_columns`


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A similarity between image pixels and network input pixels; pixel centres lie at halves."""

    forward: Floats  # 2×3, image to input
    inverse: Floats  # 2×3, input to image
    coord_range_px: Floats32  # 2×2 float32, the crop's top-left and bottom-right corners in image pixels
    width_px: int  # width of the input
    height_px: int  # height of the input


def crop_affine(
    centre_px: tuple[float, float], crop_px: tuple[float, float], *, width_px: int, height_px: int
) -> Affine:
    """Bring a crop's centre (x, y) to the input's centre, and the crop's width to the input's width.

    Both axes take the width's scale. As in CenterNet (Zhou et al. 2019) it is solved from three points of
    single precision by OpenCV's solver: truncated pixels (`warp_image`) see the solver's last bit.
    """
    image = _three_points(centre_px, crop_px[0])
    network = _three_points((width_px / 2, height_px / 2), float(width_px))
    forward, inverse = cv2.getAffineTransform(image, network), cv2.getAffineTransform(network, image)
    centre, half = np.array(centre_px), np.array(crop_px) / 2
    corners = np.stack([centre - half, centre + half]).astype(np.float32)
    return Affine(np.asarray(forward, float), np.asarray(inverse, float), corners, width_px, height_px)


def transform_points(matrix: Floats, points: NDArray[np.floating]) -> Floats:
    """Apply a 2×3 matrix to N×2 points, rounded to single precision first as the published code does."""
    rounded = points.astype(np.float32).astype(np.float64)
    return rounded @ matrix[:, :2].T + matrix[:, 2]


def warp_image(image: Bytes, affine: Affine, *, flip: bool) -> Bytes:
    """Sample an H×W×3 image at every input pixel, bilinear, truncated to 8 bits, black outside: 3×h×w.

    Where an input pixel steps over two image pixels or more, the image is averaged over that many first;
    at the published size this never happens and the numbers are Pillow's to the bit. `flip` mirrors the image
    first; `affine` is that of the mirrored image.
    """
    out = np.empty((3, affine.height_px, affine.width_px), dtype=np.uint8)
    _warp_rgb(*_sources(image, affine, flip), out)
    return out


def warp_depth(stored: Uint16s, affine: Affine, *, flip: bool) -> Floats32:
    """Sample an H×W depth map (metres × 256) as `warp_image` does, 0 outside: h×w float32 metres."""
    out = np.empty((affine.height_px, affine.width_px), dtype=np.float32)
    _warp_depth(*_sources(stored, affine, flip), out)
    return out


def _three_points(centre_px: tuple[float, float], width_px: float) -> Floats32:
    points = np.zeros((3, 2), dtype=np.float32)
    points[0] = centre_px
    points[1] = centre_px[0], centre_px[1] - width_px / 2
    step = points[0] - points[1]
    points[2] = points[1] + np.array([-step[1], step[0]], dtype=np.float32)
    return points


def _sources(image: Bytes | Uint16s, affine: Affine, flip: bool) -> tuple[Pixels, Columns, Floats, float, int]:
    """The image averaged over blocks of `factor` pixels, its columns, the rows' matrix, the whole height, `factor`."""
    height, width = image.shape[:2]
    factor = max(1, min(int(affine.inverse[0, 0] + 1e-6), height, width))
    reduced: Pixels = image
    if factor > 1:
        rows, columns = height // factor, width // factor
        whole = image[: rows * factor, : columns * factor]
        reduced = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA))
    columns_at = _columns(affine.inverse[0, 0], affine.inverse[0, 2], width, affine.width_px, factor, flip)
    return reduced, columns_at, affine.inverse[1], float(height), factor


def _columns(step: float, origin: float, size: int, count: int, factor: int, flip: bool) -> Columns:
    """Left and right source columns and the weight of the right one for each input column, and the columns inside."""
    at = step * (np.arange(count) + 0.5) + origin
    inside = np.flatnonzero((at >= 0) & (at < size))
    first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    reduced = size // factor
    at = at / factor - 0.5 - ((size - reduced * factor) / factor if flip else 0.0)
    low = np.floor(at)
    left, right = (np.clip(low + i, 0, reduced - 1).astype(np.intp) for i in (0, 1))
    if flip:
        left, right = reduced - 1 - left, reduced - 1 - right
    return left, right, at - low, first, last


@compiled(inline=True)
def _row(matrix: Floats, x: int, y: int) -> float:
    """Image row at the centre of input pixel (x, y); the order of the sums is Pillow's."""
    row: float = matrix[0] * (x + 0.5) + matrix[1] * (y + 0.5) + matrix[2]
    return row


@compiled
def _blend_columns(image: Pixels, source: int, columns: Columns, out: Floats) -> None:
    """One source row at every input column, by channel."""
    left, right, weight, first, last = columns
    for x in range(first, last):
        a, b, w = left[x], right[x], weight[x]
        for c in range(3):
            p = np.float64(image[source, a, c])
            out[c, x] = p + (np.float64(image[source, b, c]) - p) * w


@compiled
def _warp_rgb(image: Pixels, columns: Columns, matrix: Floats, size: float, factor: int, out: Bytes) -> None:
    rows = image.shape[0]
    _, _, _, first, last = columns
    kept = np.empty((2, 3, out.shape[2]))
    kept_row = np.full(2, -1)
    for y in range(out.shape[1]):
        out[:, y] = 0
        start, end = _row(matrix, first, y), _row(matrix, last - 1, y)
        if first == last or start < 0 or end < 0 or start >= size or end >= size:
            continue
        begin = first
        while begin < last:
            low = np.floor(_row(matrix, begin, y) / factor - 0.5)
            # The solver leaves about 1e-16 a column in the row: where that crosses a whole row, go pixel by pixel.
            stop = last if np.floor(end / factor - 0.5) == low else begin + 1
            above, below = min(max(int(low), 0), rows - 1), min(max(int(low) + 1, 0), rows - 1)
            for source in (above, below):
                if kept_row[source % 2] != source:
                    kept_row[source % 2] = source
                    _blend_columns(image, source, columns, kept[source % 2])
            for c in range(3):
                top, bottom = kept[above % 2, c], kept[below % 2, c]
                for x in range(begin, stop):
                    down = (_row(matrix, x, y) / factor - 0.5) - low
                    out[c, y, x] = np.uint8(np.int32(top[x] + (bottom[x] - top[x]) * down))
            begin = stop


@compiled
def _warp_depth(image: Pixels, columns: Columns, matrix: Floats, size: float, factor: int, out: Floats32) -> None:
    rows = image.shape[0]
    left, right, weight, first, last = columns
    for y in range(out.shape[0]):
        out[y] = 0
        at = _row(matrix, 0, y)
        if at < 0 or at >= size:
            continue
        low = np.floor(at / factor - 0.5)
        down = (at / factor - 0.5) - low
        above, below = min(max(int(low), 0), rows - 1), min(max(int(low) + 1, 0), rows - 1)
        for x in range(first, last):
            a, b, w = left[x], right[x], weight[x]
            p, q = np.float64(image[above, a]), np.float64(image[below, a])
            top, bottom = p + (image[above, b] - p) * w, q + (image[below, b] - q) * w
            out[y, x] = (top + (bottom - top) * down) / 256
