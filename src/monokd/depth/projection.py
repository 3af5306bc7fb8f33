"""From a laser scan to sparse depth in the camera."""

from typing import NamedTuple

import numpy as np

from monokd.compiled import compiled
from monokd.errors import DataError
from monokd.kitti.calibration import Calibration
from monokd.typing import Floats, Floats32, Ints

NEAREST_M = 1.0
MAX_RINGS = 256
FALL_BACK = 0.02  # of the azimuth along the square |x| + |y| = 1 (4 a turn), more than its jitter within a ring


class SparseDepth(NamedTuple):
    """N returns of one scan in an image of H×W pixels, which R rings cross.

    On the way from the scanner's view to the camera's, a return at pixel (u, v) and depth z moves by
    (scanner[0] − u · scanner[2], scanner[1] − v · scanner[2]) / z pixels.
    """

    depth_m: Floats32  # H×W, along P2's axis, the nearest return of every pixel, 0 where there is none
    ring_depth_m: Floats32  # R×W, the nearest return of every ring in every image column, 0 where there is none
    ring_row_px: Floats32  # R×W, where in the column those returns lie; pixel row v spans v to v + 1
    pixels: Ints  # N, in which pixel a return falls as row · W + column, −1 for none
    scanner: tuple[float, float, float]  # its centre as the camera sees it: u and v times depth (px m), depth (m)
    focal_px: float  # vertical, of the camera


def project_scan(
    scan: Floats32, calibration: Calibration, shape: tuple[int, int], *, rings: bool = True
) -> SparseDepth:
    """Project a scan (N×4 x ahead, y left, z up, reflectance) into an image of height and width `shape`.

    Of several returns in a pixel the nearest stays. Points nearer than `NEAREST_M` or outside the image are left out.
    Rings are known by the order of the file: the azimuth advances along a ring and falls back where the next one
    starts. Without such an order, or without `rings`, the rows of the image stand for them.

    Raises:
        DataError: no point falls in the image.
    """
    pose = np.eye(4)
    pose[:3] = calibration.R0_rect @ calibration.Tr_velo_to_cam
    M = calibration.P2 @ pose
    starts = _ring_starts(scan) if rings else np.zeros(1, np.int64)
    depth_m, ring_depth_m, ring_row_px, pixels = _nearest_returns(scan, M, starts, shape[0], shape[1])
    if not (pixels >= 0).any():
        raise DataError(f"expected points before the camera and in the image, found none of {len(scan)}")
    if not len(ring_depth_m):
        rows_px = np.repeat(np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(0.5), shape[1], axis=1)
        ring_depth_m, ring_row_px = depth_m, rows_px
    scanner = (float(M[0, 3]), float(M[1, 3]), float(M[2, 3]))
    return SparseDepth(depth_m, ring_depth_m, ring_row_px, pixels, scanner, float(calibration.P2[1, 1]))


def _ring_starts(scan: Floats32) -> Ints:
    """List the first index of every ring, and the end; one number where the file has no such order."""
    x, y = np.ascontiguousarray(scan[:, :2].T)
    turn = 2 * np.count_nonzero(x[:-1] * y[1:] > y[:-1] * x[1:]) - (len(scan) - 1)
    y = y if turn > 0 else -y  # the azimuth advances to the left or right
    side = y / np.maximum(np.abs(x) + np.abs(y), np.float32(1e-9))
    azimuth = np.where(x >= 0, side, np.where(y < 0, np.float32(-2), np.float32(2)) - side)
    if y[0] >= 0:  # a sweep that starts straight ahead or later is cut there, one that starts before behind
        azimuth[azimuth < 0] += 4
    starts = np.flatnonzero(np.diff(azimuth, prepend=np.inf) < -FALL_BACK)
    if abs(turn) < 0.8 * (len(scan) - 1) or len(starts) > MAX_RINGS:
        return np.zeros(1, np.int64)
    return np.append(starts, len(scan))


@compiled
def _nearest_returns(
    scan: Floats32, M: Floats, starts: Ints, height: int, width: int
) -> tuple[Floats32, Floats32, Floats32, Ints]:
    """Keep the nearest return of every pixel, and of every column of a ring; find the pixels of all points."""
    rings, ring = len(starts) - 1, 0
    depth_m, pixels = np.zeros((height, width), np.float32), np.full(len(scan), -1, np.int64)
    ring_depth_m, ring_row_px = np.zeros((rings, width), np.float32), np.zeros((rings, width), np.float32)
    for i in range(len(scan)):
        while ring < rings and i >= starts[ring + 1]:
            ring += 1
        x, y, z = np.float64(scan[i, 0]), np.float64(scan[i, 1]), np.float64(scan[i, 2])
        depth = M[2, 0] * x + M[2, 1] * y + M[2, 2] * z + M[2, 3]
        if not depth > NEAREST_M:
            continue
        u = (M[0, 0] * x + M[0, 1] * y + M[0, 2] * z + M[0, 3]) / depth
        v = (M[1, 0] * x + M[1, 1] * y + M[1, 2] * z + M[1, 3]) / depth
        if not (0 <= u < width and 0 <= v < height):
            continue
        row, column = int(v), int(u)
        pixels[i] = row * width + column
        if depth_m[row, column] == 0 or depth < depth_m[row, column]:
            depth_m[row, column] = depth
        if rings and (ring_depth_m[ring, column] == 0 or depth < ring_depth_m[ring, column]):
            ring_depth_m[ring, column], ring_row_px[ring, column] = depth, v
    return depth_m, ring_depth_m, ring_row_px, pixels
