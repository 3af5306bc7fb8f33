"""From a laser scan to sparse depth in the camera."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monokd.compiled import compiled
from monokd.errors import DataError
from monokd.kitti.calibration import Calibration
from monokd.typing import Floats, Floats32, Ints

NEAREST_M = 1.0
MAX_RINGS = 256


class SparseDepth(NamedTuple):
    """Returns of one scan that fall in the image of H×W pixels.

    Attributes:
        depth_m: H×W, along P2's axis, the nearest return of every pixel, 0 where there is none.
        ring_depth_m: R×W, the nearest return of every ring in every image column, 0 where there is none; R = 0
            for scans that are not stored ring after ring.
        ring_row_px: R×W, where in the column those returns lie; pixel row v spans v to v + 1.
        scanner: the scanner's centre as the camera sees it: u and v times depth (px m), and depth (m). On the way
            from the scanner's view to the camera's, a return at pixel (u, v) and depth z moves by
            (scanner[0] − u · scanner[2], scanner[1] − v · scanner[2]) / z pixels.
        focal_px: vertical focal length of the camera.
    """

    depth_m: Floats32
    ring_depth_m: Floats32
    ring_row_px: Floats32
    scanner: tuple[float, float, float]
    focal_px: float


def project_scan(
    scan: Floats32, calibration: Calibration, shape: tuple[int, int], *, rings: bool = True
) -> SparseDepth:
    """Project a scan into the left colour image; of several returns in a pixel the nearest stays.

    Points nearer than `NEAREST_M` or outside the image are left out. Rings are told apart by the order of the file:
    the azimuth advances along a ring and falls back where the next one starts.

    Args:
        scan: N×4 float32 x ahead, y left, z up (metres), reflectance, as `read_velodyne` gives.
        calibration: camera and scanner of the frame.
        shape: height and width of the image.
        rings: False ignores the order of the file.

    Raises:
        DataError: no point falls in the image.
    """
    M = _scanner_to_image(calibration)
    starts = _ring_starts(scan) if rings else np.zeros(1, np.int64)
    depth_m, ring_depth_m, ring_row_px, inside = _nearest_returns(scan, M, starts, shape[0], shape[1])
    if not inside:
        raise DataError(f"expected points before the camera and in the image, found none of {len(scan)}")
    scanner = (float(M[0, 3]), float(M[1, 3]), float(M[2, 3]))
    return SparseDepth(depth_m, ring_depth_m, ring_row_px, scanner, float(calibration.P2[1, 1]))


def pixels_of(scan: Floats32, calibration: Calibration, shape: tuple[int, int]) -> Ints:
    """Find the image pixel of every point as row · W + column, −1 for points that fall in none; N."""
    return _find_pixels(scan, _scanner_to_image(calibration), shape[0], shape[1])


def _scanner_to_image(calibration: Calibration) -> Floats:
    """Compose the 3×4 matrix from scanner coordinates to pixels times depth."""
    pose = np.eye(4)
    pose[:3] = calibration.R0_rect @ calibration.Tr_velo_to_cam
    return calibration.P2 @ pose


@compiled
def _place(scan: Floats32, i: int, M: Floats, height: int, width: int) -> tuple[float, float, float]:
    """Project a point: row and column in pixels, depth in metres; depth 0 where it falls outside."""
    x, y, z = np.float64(scan[i, 0]), np.float64(scan[i, 1]), np.float64(scan[i, 2])
    depth = M[2, 0] * x + M[2, 1] * y + M[2, 2] * z + M[2, 3]
    if not depth > NEAREST_M:
        return 0.0, 0.0, 0.0
    u = (M[0, 0] * x + M[0, 1] * y + M[0, 2] * z + M[0, 3]) / depth
    v = (M[1, 0] * x + M[1, 1] * y + M[1, 2] * z + M[1, 3]) / depth
    return v, u, depth if 0 <= u < width and 0 <= v < height else 0.0


@compiled
def _find_pixels(scan: Floats32, M: Floats, height: int, width: int) -> Ints:
    pixels = np.full(len(scan), -1, np.int64)
    for i in range(len(scan)):
        v, u, depth = _place(scan, i, M, height, width)
        if depth > 0:
            pixels[i] = int(v) * width + int(u)
    return pixels


@compiled
def _sweep_side(scan: Floats32) -> float:
    """Tell whether the azimuth mostly advances to the left (1), to the right (−1) or has no such order (0)."""
    turn = 0
    for i in range(1, len(scan)):
        cross = scan[i - 1, 0] * scan[i, 1] - scan[i - 1, 1] * scan[i, 0]
        turn += 1 if cross > 0 else -1
    if abs(turn) < 0.8 * (len(scan) - 1):
        return 0.0
    return 1.0 if turn > 0 else -1.0


@compiled
def _diamond_angle(x: float, y: float, cut_behind: bool) -> float:
    """Measure the azimuth of (x, y), 4 a turn and 0 straight ahead; it jumps back behind or straight ahead."""
    reach = abs(x) + abs(y)
    if reach == 0:
        return 0.0
    angle = y / reach if x >= 0 else (2.0 - y / reach if y >= 0 else -2.0 - y / reach)
    return angle + 4.0 if angle < 0 and not cut_behind else angle


@compiled
def _ring_starts(scan: Floats32) -> Ints:
    """List the first index of every ring, and the end; one number where the file has no such order."""
    starts = np.zeros(MAX_RINGS + 1, np.int64)
    side = _sweep_side(scan)
    if side == 0:
        return starts[:1]
    # a sweep that starts straight ahead or later is cut there, one that starts before is cut behind
    cut_behind = scan[0, 1] * side < 0
    before, count = 1e9, 0
    for i in range(len(scan)):
        angle = _diamond_angle(scan[i, 0], scan[i, 1] * side, cut_behind)
        if angle < before - 0.02:
            if count == MAX_RINGS:
                return starts[:1]
            starts[count] = i
            count += 1
        before = angle
    starts[count] = len(scan)
    return starts[: count + 1]


@compiled
def _nearest_returns(
    scan: Floats32, M: Floats, starts: Ints, height: int, width: int
) -> tuple[Floats32, Floats32, Floats32, int]:
    """Keep the nearest return of every pixel, and of every column of a ring; count the points in the image."""
    rings, ring, inside = len(starts) - 1, 0, 0
    depth_m = np.zeros((height, width), np.float32)
    ring_depth_m, ring_row_px = np.zeros((rings, width), np.float32), np.zeros((rings, width), np.float32)
    for i in range(len(scan)):
        while ring < rings and i >= starts[ring + 1]:
            ring += 1
        v, u, depth = _place(scan, i, M, height, width)
        if depth == 0:
            continue
        row, column = int(v), int(u)
        inside += 1
        if depth_m[row, column] == 0 or depth < depth_m[row, column]:
            depth_m[row, column] = depth
        if rings and (ring_depth_m[ring, column] == 0 or depth < ring_depth_m[ring, column]):
            ring_depth_m[ring, column], ring_row_px[ring, column] = depth, v
    return depth_m, ring_depth_m, ring_row_px, inside
