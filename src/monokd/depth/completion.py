"""From sparse to dense depth: along the scanner's rings first, between the rings second."""

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.depth.projection import SparseDepth, project_scan
from monokd.depth.rings import colour_distance, ring_lines
from monokd.depth.visibility import remove_hidden
from monokd.errors import DataError
from monokd.kitti.calibration import Calibration
from monokd.typing import Bytes, Floats32

I32 = NDArray[np.int32]

# A level surface h below (or above) the camera changes 1/z by 1 / (focal length · h) a row. Steeper steps than at these
# heights are borders; the road is at least LOWEST_ROAD_M below the camera.
LOWEST_ROOF_M, LOWEST_CEILING_M, LOWEST_ROAD_M = 0.28, 0.7, 1.15
HOLE_PX, HOLE_M = 16, 0.6  # about three rings without a return; the height of a car's windows and roof
LEAST_RETURNS = 32  # of a ring, to know where it runs
SAME_COLOUR = 30  # sum over three channels
RING_GAP_PX = 6
TOP_MARGIN_PX = 2


def complete(sparse: SparseDepth, image: Bytes, *, doubt: float = 0.75) -> Floats32:
    """Fill sparse depth; every measured pixel keeps its value.

    1. Along a ring, neighbouring returns are joined. Where their depths differ by `BORDER_RATIO` or more, a border
       lies between them; each pixel goes to the side that the rings above and below and the image's colours vote for.
    2. In a column, depth between two lines is linear in 1/z, as planes are, unless the step is too steep for level
       ground or a roof: there a border is put where the colours change most. Tall holes take the depth below them
       where it is nearer: what returns nothing is mostly the glass and dark paint of the car that stands there.
    3. Below the lowest line, 1/z goes on as between the two lowest, down to the image's edge.
    4. From a ring's distance above the highest line of a column, the farther of that line and of the next filled
       columns in the row goes on, as the laser passed over what ended there. Rows above the scan's highest return
       (less two rows) hold 0: no laser looked there, and the sky is not guessed.

    Args:
        sparse: the returns.
        image: H×W×3 of the same frame, in any channel order.
        doubt: votes (of 3.4 at most) below which the two sides are mixed, which lowers the mean squared error; 0
            keeps every border sharp.

    Returns:
        H×W float32 metres, 0 = none.

    Raises:
        DataError: the image has another size than the depth.
    """
    if image.shape != (*sparse.depth_m.shape, 3):
        raise DataError(f"expected an image of {sparse.depth_m.shape} pixels, found {image.shape}")
    top = max(int(np.argmax((sparse.depth_m > 0).any(axis=1))) - TOP_MARGIN_PX, 0)
    dense_m, highest = _fill_columns(ring_lines(sparse, image, doubt), image, sparse.focal_px)
    _fill_above(dense_m, highest, _ceiling(sparse, highest), top)
    return dense_m


def dense_depth(scan: Floats32, calibration: Calibration, image: Bytes) -> Floats32:
    """Compute the dense depth of a frame, H×W metres, 0 = none: projection, removal of hidden returns, completion.

    Raises:
        DataError: no point falls in the image.
    """
    sparse = project_scan(scan, calibration, (image.shape[0], image.shape[1]))
    return complete(remove_hidden(sparse), image)


@compiled
def _border_row(image: Bytes, above: int, below: int, u: int) -> int:
    """Find the last row that belongs to the upper of two lines with a border between them."""
    best, border, votes = -1e9, above, 0.0
    for row in range(above, below):
        if row > above:
            up, down = colour_distance(image, row, u, above, u), colour_distance(image, row, u, below, u)
            votes += 2.0 * (down - up) / (up + down + 20)
        score = votes - 0.15 * abs(row - 0.5 * (above + below - 1))  # without evidence half-way
        if score > best:
            best, border = score, row
    return border


@compiled
def _fill_columns(lines_m: Floats32, image: Bytes, focal_px: float) -> tuple[Floats32, I32]:
    """Fill between the lines of every column and down to the lower edge; returns also every column's highest line."""
    height, width = lines_m.shape
    dense_m, highest = np.zeros_like(lines_m), np.full(width, -1, np.int32)
    last = np.full(width, -1, np.int32)
    slope = np.zeros(width, np.float32)
    for v in range(height):
        for u in range(width):
            if lines_m[v, u] == 0:
                continue
            if last[u] < 0:
                highest[u] = v
                dense_m[v, u] = lines_m[v, u]
            else:
                slope[u] = _fill_between(lines_m, image, last[u], v, u, focal_px, dense_m)
            last[u] = v
    for v in range(max(0, last.min()), height):
        for u in range(width):
            if 0 <= last[u] < v:
                dense_m[v, u] = 1 / (1 / lines_m[last[u], u] + slope[u] * (v - last[u]))
    return dense_m, highest


@compiled
def _fill_between(
    lines_m: Floats32, image: Bytes, above: int, below: int, u: int, focal_px: float, dense_m: Floats32
) -> float:
    """Fill a column from the row after `above` to `below`; returns how 1/z may go on below them."""
    z0, z1 = lines_m[above, u], lines_m[below, u]
    dense_m[below, u] = z1
    rise = (1 / z1 - 1 / z0) / (below - above)
    ratio = max(z0, z1) / min(z0, z1)
    gap = below - above
    if rise * focal_px > 1 / LOWEST_ROAD_M and gap >= HOLE_PX and gap * z1 < HOLE_M * focal_px:
        dense_m[above + 1 : below, u] = z1
        return 0.0
    smooth = ratio < 1.15 or -1 / LOWEST_CEILING_M < rise * focal_px < 1 / LOWEST_ROOF_M
    if not smooth and ratio < 2:
        smooth = colour_distance(image, above, u, below, u) < SAME_COLOUR
    if smooth:
        for v in range(above + 1, below):
            dense_m[v, u] = 1 / (1 / z0 + rise * (v - above))
        return float(min(max(rise, 0.0), 1 / (focal_px * LOWEST_ROAD_M)))
    border = _border_row(image, above, below, u)
    for v in range(above + 1, below):
        dense_m[v, u] = z0 if v <= border else z1
    return 0.0


def _ceiling(sparse: SparseDepth, highest: I32) -> I32:
    """Find the row in every column above which the laser did not look: that of the topmost ring with returns."""
    columns = np.arange(sparse.depth_m.shape[1])
    for depth_m, row_px in zip(sparse.ring_depth_m, sparse.ring_row_px, strict=True):
        seen = np.flatnonzero(depth_m)
        if len(seen) >= LEAST_RETURNS:
            top = np.interp(columns, seen, row_px[seen])
            return np.asarray(np.where(highest >= 0, np.minimum(highest, top), top), np.int32)
    return np.maximum(highest, 0)


@compiled
def _fill_above(dense_m: Floats32, highest: I32, ceiling: I32, top: int) -> None:
    """Fill the rows from `top` to every column's highest line, below `ceiling` each run with its farthest depth."""
    height, width = dense_m.shape
    own_m = np.array([dense_m[highest[u], u] if highest[u] >= 0 else np.float32(0) for u in range(width)])
    for v in range(top, height):
        for start, end, step in ((0, width, 1), (width - 1, -1, -1)):
            farthest = np.float32(0)
            for u in range(start, end, step):
                if 0 <= highest[u] <= v:
                    farthest = dense_m[v, u]
                elif v < ceiling[u] or 0 <= highest[u] - v <= RING_GAP_PX:
                    dense_m[v, u] = own_m[u]
                    farthest = own_m[u]
                else:
                    farthest = max(farthest, own_m[u])
                    dense_m[v, u] = max(farthest, dense_m[v, u])
    for u in range(width):
        for v in range(top, min(ceiling[u], height - 1)):
            dense_m[v, u] = dense_m[ceiling[u], u]
