"""From a laser scan to sparse depth in the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.kitti.calibration import Calibration

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

NEAREST_M = 1.0
MAX_RINGS = 256


@dataclass(frozen=True, slots=True, eq=False)
class SparseDepth:
    """Returns of one scan that fall in the image of H×W pixels.

    Attributes:
        depth_m: H×W, along P2's axis, the nearest return of every pixel, 0 where there is none.
        ring_depth_m: R×W, the nearest return of every ring in every image column, 0 where there is none; R = 0 for
            scans that are not stored ring after ring.
        ring_row_px: R×W, the image row (a whole number) of those returns.
        scanner: the scanner's centre seen from the camera, (px m, px m, m): pixel coordinates times depth, and depth. A
            return at pixel (u, v) and depth z moves by (scanner − (u, v) · scanner[2]) / z on the way from the scanner's view to the camera's.
    """

    depth_m: F32
    ring_depth_m: F32
    ring_row_px: I32
    scanner: tuple[float, float, float]


def project_scan(
    scan: F32,
    calibration: Calibration,
    shape: tuple[int, int],
    *,
    nearest_m: float = NEAREST_M,
    rings: bool = True,
) -> SparseDepth:
    """Project a scan into the left colour image.

    Points behind the camera, nearer than `nearest_m` or outside the image are left out; of several returns in a pixel
    the nearest stays. Rings are told apart by the order of the file: the azimuth advances along a ring and falls back
    at the start of the next.

    Args:
        scan: N×4 float32 x ahead, y left, z up (metres), reflectance, as `read_velodyne` gives.
        calibration: camera and scanner of the frame.
        shape: height and width of the image.
        nearest_m: smallest depth.
        rings: False ignores the order of the file.

    Raises:
        DataError: no point falls in the image.
    """
    height, width = shape
    M = _scanner_to_image(calibration)
    count, begin = _ring_starts(scan) if rings else (0, np.zeros(1, np.int64))
    depth_m = np.zeros((height, width), np.float32)
    ring_depth_m = np.zeros((count, width), np.float32)
    ring_row_px = np.zeros((count, width), np.int32)
    inside = _project(scan, M, nearest_m, begin[: count + 1], depth_m, ring_depth_m, ring_row_px)
    if not inside:
        raise DataError(f"expected points before the camera and in the image, found none of {len(scan)}")
    epipole = (float(M[0, 3]), float(M[1, 3]), float(M[2, 3]))
    return SparseDepth(depth_m, ring_depth_m, ring_row_px, epipole)


def _ring_starts(scan: F32) -> tuple[int, NDArray[np.int64]]:
    starts = np.zeros(MAX_RINGS + 1, np.int64)
    count = _find_rings(scan, starts)
    return (count, starts) if 0 < count <= MAX_RINGS else (0, starts)


@njit(cache=True, nogil=True)
def _find_rings(scan, starts):  # type: ignore[no-untyped-def]
    """Fill `starts` with the first index of every ring and the end; 0 where the file has no such order."""
    n = len(scan)
    turn = 0.0
    for i in range(1, n):
        cross = scan[i - 1, 0] * scan[i, 1] - scan[i - 1, 1] * scan[i, 0]
        turn += 1.0 if cross > 0 else -1.0
    if abs(turn) < 0.8 * n:
        return 0
    side = 1.0 if turn > 0 else -1.0
    # a sweep that starts straight ahead or after is cut there, one that starts before is cut behind
    behind = scan[0, 1] * side < 0
    before, count = 1e9, 0
    for i in range(n):
        x, y = scan[i, 0], scan[i, 1] * side
        reach = abs(x) + abs(y)
        angle = y / reach if reach > 0 else 0.0  # diamond angle, 0 to 4 counted from straight ahead
        if x < 0:
            angle = 2.0 - angle
        elif y < 0 and not behind:
            angle = 4.0 + angle
        if behind and angle > 2.0:
            angle -= 4.0
        if angle < before - 0.02:
            if count == MAX_RINGS:
                return 0
            starts[count] = i
            count += 1
        before = angle
    starts[count] = n
    return count


def pixels_of(
    scan: F32, calibration: Calibration, shape: tuple[int, int], *, nearest_m: float = NEAREST_M
) -> NDArray[np.int64]:
    """The image pixel of every point as row · W + column, −1 for points that fall in none; N."""
    pixels = np.empty(len(scan), np.int64)
    _find_pixels(scan, _scanner_to_image(calibration), nearest_m, shape[0], shape[1], pixels)
    return pixels


def _scanner_to_image(calibration: Calibration) -> F64:
    """3×4 from scanner coordinates to pixels times depth."""
    pose = np.eye(4)
    pose[:3] = calibration.R0_rect @ calibration.Tr_velo_to_cam
    return calibration.P2 @ pose


@njit(cache=True, nogil=True)
def _find_pixels(scan, M, nearest_m, height, width, pixels):  # type: ignore[no-untyped-def]
    for i in range(len(scan)):
        x, y, z = np.float64(scan[i, 0]), np.float64(scan[i, 1]), np.float64(scan[i, 2])
        depth = M[2, 0] * x + M[2, 1] * y + M[2, 2] * z + M[2, 3]
        pixels[i] = -1
        if depth > nearest_m:
            u = (M[0, 0] * x + M[0, 1] * y + M[0, 2] * z + M[0, 3]) / depth
            v = (M[1, 0] * x + M[1, 1] * y + M[1, 2] * z + M[1, 3]) / depth
            if 0 <= u < width and 0 <= v < height:
                pixels[i] = int(v) * width + int(u)


@njit(cache=True, nogil=True)
def _project(scan, M, nearest_m, begin, depth_m, ring_depth_m, ring_row_px):  # type: ignore[no-untyped-def]
    """Scatter the scan; returns how many points fell in the image."""
    height, width = depth_m.shape
    rings = len(begin) - 1
    ring, inside = 0, 0
    for i in range(len(scan)):
        while ring < rings and i >= begin[ring + 1]:
            ring += 1
        x, y, z = np.float64(scan[i, 0]), np.float64(scan[i, 1]), np.float64(scan[i, 2])
        depth = M[2, 0] * x + M[2, 1] * y + M[2, 2] * z + M[2, 3]
        if not depth > nearest_m:
            continue
        u = (M[0, 0] * x + M[0, 1] * y + M[0, 2] * z + M[0, 3]) / depth
        v = (M[1, 0] * x + M[1, 1] * y + M[1, 2] * z + M[1, 3]) / depth
        if not (0 <= u < width and 0 <= v < height):
            continue
        column, row = int(u), int(v)
        inside += 1
        if depth_m[row, column] == 0 or depth < depth_m[row, column]:
            depth_m[row, column] = depth
        if rings and (ring_depth_m[ring, column] == 0 or depth < ring_depth_m[ring, column]):
            ring_depth_m[ring, column] = depth
            ring_row_px[ring, column] = row
    return inside
