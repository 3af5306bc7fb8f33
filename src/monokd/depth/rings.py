"""Depth along the scanner's rings: returns joined to lines, with borders placed by neighbours and colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.depth.projection import SparseDepth

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

# Votes on which side of a border a pixel belongs to: the next ring above and below, the second next, colour.
NEXT_RING, SECOND_RING, COLOUR = 0.7, 0.4, 1.2
COLOUR_NOISE = 40  # sum over three channels below which a difference says little


def ring_lines(sparse: SparseDepth, image: U8, *, max_gap_px: int, border_ratio: float, doubt: float) -> F32:
    """Depth in the pixels that the rings cross, H×W, 0 elsewhere; see `completion.complete` for the arguments.

    Args:
        sparse: returns with rings.
        image: H×W×3, or 1×1×3 where there is no image.
        max_gap_px: returns further apart are not joined.
        border_ratio: of two neighbouring returns' depths, from which on a border lies between them.
        doubt: votes (of 3.4 at most) below which both sides of a border are mixed; 0 never mixes.
    """
    depth_m, row_px = np.zeros_like(sparse.ring_depth_m), np.zeros_like(sparse.ring_row_px)
    left = np.full(depth_m.shape, -1, np.int32)
    right = np.full(depth_m.shape, -1, np.int32)
    _join(sparse.ring_depth_m, sparse.ring_row_px, max_gap_px, border_ratio, depth_m, row_px, left, right)
    placed_m, placed_px = depth_m.copy(), row_px.copy()
    _, e1, e2 = sparse.scanner
    _place_borders(depth_m, row_px, left, right, image, e1, e2, doubt, placed_m, placed_px)
    lines_m = np.zeros_like(sparse.depth_m)
    _draw(placed_m, placed_px, sparse.depth_m, lines_m)
    return lines_m


@compiled
def _join(
    ring_depth_m: F32,
    ring_row_px: F32,
    max_gap_px: int,
    border_ratio: float,
    depth_m: F32,
    row_px: F32,
    left: I32,
    right: I32,
) -> None:
    """Interpolate between neighbours; across borders take the closer one and note the columns of both."""
    rings, width = ring_depth_m.shape
    for ring in range(rings):
        last = -1
        for column in range(width):
            b = ring_depth_m[ring, column]
            if b == 0:
                continue
            depth_m[ring, column], row_px[ring, column] = b, ring_row_px[ring, column]
            gap = column - last
            if last >= 0 and gap <= max_gap_px:
                a, row = ring_depth_m[ring, last], ring_row_px[ring, last]
                border = max(a, b) >= border_ratio * min(a, b)
                for k in range(1, gap):
                    t = k / gap
                    row_px[ring, last + k] = row + (ring_row_px[ring, column] - row) * t
                    depth_m[ring, last + k] = (a if 2 * k <= gap else b) if border else a + (b - a) * t
                    if border:
                        left[ring, last + k], right[ring, last + k] = last, column
            last = column


@compiled
def _closer_to(z: float, a: float, b: float) -> float:
    """1 where depth z is like a, −1 where it is like b, in ratios; 0 without z."""
    if z <= 0:
        return 0.0
    return float((abs(np.log(z / b)) - abs(np.log(z / a))) / abs(np.log(a / b)))


@compiled
def _ring_votes(depth_m: F32, ring: int, column: int, a: float, b: float) -> float:
    votes = 0.0
    for step, weight in ((1, NEXT_RING), (2, SECOND_RING)):
        if ring >= step:
            votes += weight * _closer_to(depth_m[ring - step, column], a, b)
        if ring + step < len(depth_m):
            votes += weight * _closer_to(depth_m[ring + step, column], a, b)
    return votes


@compiled
def _colour_distance(image: U8, v0: int, u0: int, v1: int, u1: int) -> np.int32:
    distance = np.int32(0)
    for channel in range(3):
        distance += abs(np.int32(image[v0, u0, channel]) - np.int32(image[v1, u1, channel]))
    return np.int32(distance)


@compiled
def _row_at(undisplaced_px: float, z: float, e1: float, e2: float, height: int) -> float:
    """The image row of a return at depth z, from the row that it would have at infinity."""
    return min(max(undisplaced_px + (e1 - undisplaced_px * e2) / z, 0.0), height - 1.0)


@compiled
def _place_border(
    depth_m: F32, row_px: F32, ring: int, first: int, last: int, image: U8, e1: float, e2: float, votes: F32, rows: F32
) -> None:
    """Votes for the left side in the columns between `first` and `last`, and the ring's row for either side.

    The scanner's parallax makes a ring's row depend on the depth that it hits, so each side is
    judged where the ring would have met it.
    """
    a, b = depth_m[ring, first], depth_m[ring, last]
    v0, v1 = row_px[ring, first], row_px[ring, last]
    height = len(image) if len(image) > 1 else 1 << 30
    far0, far1 = v0 - (e1 - v0 * e2) / a, v1 - (e1 - v1 * e2) / b
    for column in range(first + 1, last):
        far = far0 + (far1 - far0) * (column - first) / (last - first)
        rows[0, column], rows[1, column] = _row_at(far, a, e1, e2, height), _row_at(far, b, e1, e2, height)
        vote = _ring_votes(depth_m, ring, column, a, b)
        if len(image) > 1:
            to_a = _colour_distance(image, int(rows[0, column]), column, int(v0), first)
            to_b = _colour_distance(image, int(rows[1, column]), column, int(v1), last)
            vote += COLOUR * (to_b - to_a) / (to_a + to_b + COLOUR_NOISE)
        votes[column] = vote


@compiled
def _best_border(votes: F32, first: int, last: int) -> int:
    """The last column of the left side when one border is put where the votes' sum is best."""
    total, best, border = 0.0, 0.0, first
    for column in range(first + 1, last):
        total += votes[column]
        if total > best:
            best, border = total, column
    return border


@compiled
def _place_borders(
    depth_m: F32,
    row_px: F32,
    left: I32,
    right: I32,
    image: U8,
    e1: float,
    e2: float,
    doubt: float,
    placed_m: F32,
    placed_px: F32,
) -> None:
    """Decide every pixel between two returns across a border: left side, right side or, in doubt, a mixture."""
    rings, width = depth_m.shape
    votes, rows = np.zeros(width, np.float32), np.zeros((2, width), np.float32)
    for ring in range(rings):
        column = 0
        while column < width:
            if left[ring, column] < 0:
                column += 1
                continue
            first, last = left[ring, column], right[ring, column]
            _place_border(depth_m, row_px, ring, first, last, image, e1, e2, votes, rows)
            border = _best_border(votes, first, last)
            a, b = depth_m[ring, first], depth_m[ring, last]
            for u in range(first + 1, last):
                share = 1.0 if u <= border else 0.0
                if abs(votes[u]) < doubt:
                    share = 0.5 + 0.5 * votes[u] / doubt
                placed_m[ring, u] = a * share + b * (1 - share)
                placed_px[ring, u] = rows[0 if share > 0.5 else 1, u]
            column = last


@compiled
def _draw(ring_depth_m: F32, ring_row_px: F32, measured_m: F32, lines_m: F32) -> None:
    """Rings into the image, the nearest in front; measured pixels keep their value."""
    height, width = lines_m.shape
    for ring in range(len(ring_depth_m)):
        for u in range(width):
            z = ring_depth_m[ring, u]
            v = min(int(ring_row_px[ring, u]), height - 1)
            if z > 0 and (lines_m[v, u] == 0 or z < lines_m[v, u]):
                lines_m[v, u] = z
    for v in range(height):
        for u in range(width):
            lines_m[v, u] = measured_m[v, u] if measured_m[v, u] > 0 else lines_m[v, u]
