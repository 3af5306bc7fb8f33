"""Depth along the scanner's rings: returns joined to lines, with borders placed by neighbours and colour."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.depth.projection import SparseDepth
from monokd.typing import Bytes, Floats32

MAX_GAP_PX = 40  # returns of a ring further apart are not joined
BORDER_RATIO = 1.05  # of neighbouring returns' depths, from which on a border lies between them
# Votes on which side of a border a pixel belongs to: the next ring above and below, the second next, colour.
NEXT_RING, SECOND_RING, COLOUR = 0.7, 0.4, 1.2
COLOUR_NOISE = 40  # sum over three channels below which a difference says little
Scanner = tuple[float, float, float]


class Lines(NamedTuple):
    """Rings with their gaps filled, R×W each."""

    depth_m: Floats32  # 0 where nothing is
    row_px: Floats32  # where in the image column that depth lies
    left: NDArray[np.int32]  # column of the return to the left, where a border lies between two; −1 elsewhere
    right: NDArray[np.int32]  # column of the return to the right


def ring_lines(sparse: SparseDepth, image: Bytes, doubt: float) -> Floats32:
    """Compute depth in the pixels that the rings cross, H×W, 0 elsewhere; `doubt` as in `complete`."""
    lines_m = _draw(*_place_borders(_join(sparse), image, sparse.scanner, doubt), len(image))
    return np.where(sparse.depth_m > 0, sparse.depth_m, lines_m)


@compiled
def _join(sparse: SparseDepth) -> Lines:
    """Interpolate between neighbours; across borders take the closer one and note the columns of both."""
    depth_m, row_px = sparse.ring_depth_m.copy(), sparse.ring_row_px.copy()
    rings, width = depth_m.shape
    left, right = np.full((rings, width), -1, np.int32), np.full((rings, width), -1, np.int32)
    for ring in range(rings):
        last = -1
        for column in range(width):
            b = sparse.ring_depth_m[ring, column]
            if b == 0:
                continue
            gap = column - last
            if last >= 0 and gap <= MAX_GAP_PX:
                a, row = depth_m[ring, last], row_px[ring, last]
                border = max(a, b) >= BORDER_RATIO * min(a, b)
                for k in range(1, gap):
                    t = k / gap
                    row_px[ring, last + k] = row + (row_px[ring, column] - row) * t
                    depth_m[ring, last + k] = (a if 2 * k <= gap else b) if border else a + (b - a) * t
                    if border:
                        left[ring, last + k], right[ring, last + k] = last, column
            last = column
    return Lines(depth_m, row_px, left, right)


@compiled
def _ring_votes(depth_m: Floats32, ring: int, column: int, a: float, b: float) -> float:
    """Compare the rings above and below with a (positive) and b (negative), in ratios."""
    votes = 0.0
    for step, weight in ((1, NEXT_RING), (2, SECOND_RING)):
        for other in (ring - step, ring + step):
            if 0 <= other < len(depth_m) and depth_m[other, column] > 0:
                z = depth_m[other, column]
                votes += weight * float((abs(np.log(z / b)) - abs(np.log(z / a))) / abs(np.log(a / b)))
    return votes


@compiled
def colour_distance(image: Bytes, v0: int, u0: int, v1: int, u1: int) -> np.int32:
    """Sum the differences of two pixels over the channels."""
    distance = np.int32(0)
    for channel in range(3):
        distance += abs(np.int32(image[v0, u0, channel]) - np.int32(image[v1, u1, channel]))
    return np.int32(distance)


@compiled
def _row_at(undisplaced_px: float, z: float, scanner: Scanner, height: int) -> float:
    """Find the image row of a return at depth z, from the row that it would have at infinity."""
    return min(max(undisplaced_px + (scanner[1] - undisplaced_px * scanner[2]) / z, 0.0), height - 1.0)


@compiled
def _vote(lines: Lines, ring: int, column: int, image: Bytes, scanner: Scanner, votes: Floats32, rows: Floats32) -> int:
    """Fill votes for the left side and the ring's row for either side in all columns of the border at `column`.

    The scanner's parallax makes a ring's row depend on the depth that it hits, so each side is judged where the ring
    would have met it. Returns the last column of the left side when the border is put where the votes' sum is best.
    """
    first, last = lines.left[ring, column], lines.right[ring, column]
    a, b = lines.depth_m[ring, first], lines.depth_m[ring, last]
    v0, v1 = lines.row_px[ring, first], lines.row_px[ring, last]
    far0, far1 = v0 - (scanner[1] - v0 * scanner[2]) / a, v1 - (scanner[1] - v1 * scanner[2]) / b
    total, best, border = 0.0, 0.0, first
    for u in range(first + 1, last):
        far = far0 + (far1 - far0) * (u - first) / (last - first)
        rows[0, u], rows[1, u] = _row_at(far, a, scanner, len(image)), _row_at(far, b, scanner, len(image))
        to_a = colour_distance(image, int(rows[0, u]), u, int(v0), first)
        to_b = colour_distance(image, int(rows[1, u]), u, int(v1), last)
        votes[u] = _ring_votes(lines.depth_m, ring, u, a, b) + COLOUR * (to_b - to_a) / (to_a + to_b + COLOUR_NOISE)
        total += votes[u]
        if total > best:
            best, border = total, u
    return int(border)


@compiled
def _place_borders(lines: Lines, image: Bytes, scanner: Scanner, doubt: float) -> tuple[Floats32, Floats32]:
    """Decide every pixel between two returns across a border: left side, right side or, in doubt, a mixture."""
    rings, width = lines.depth_m.shape
    depth_m, row_px = lines.depth_m.copy(), lines.row_px.copy()
    votes, rows = np.zeros(width, np.float32), np.zeros((2, width), np.float32)
    for ring in range(rings):
        column = 0
        while column < width:
            if lines.left[ring, column] < 0:
                column += 1
                continue
            border = _vote(lines, ring, column, image, scanner, votes, rows)
            first, last = lines.left[ring, column], lines.right[ring, column]
            a, b = lines.depth_m[ring, first], lines.depth_m[ring, last]
            for u in range(first + 1, last):
                share = 1.0 if u <= border else 0.0
                if abs(votes[u]) < doubt:
                    share = 0.5 + 0.5 * votes[u] / doubt
                depth_m[ring, u] = a * share + b * (1 - share)
                row_px[ring, u] = rows[0 if share > 0.5 else 1, u]
            column = last
    return depth_m, row_px


@compiled
def _draw(ring_depth_m: Floats32, ring_row_px: Floats32, height: int) -> Floats32:
    """Draw rings into an image, the nearest in front."""
    lines_m = np.zeros((height, ring_depth_m.shape[1]), np.float32)
    for ring in range(len(ring_depth_m)):
        for u in range(ring_depth_m.shape[1]):
            z = ring_depth_m[ring, u]
            v = min(int(ring_row_px[ring, u]), height - 1)
            if z > 0 and (lines_m[v, u] == 0 or z < lines_m[v, u]):
                lines_m[v, u] = z
    return lines_m
