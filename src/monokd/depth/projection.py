"""From a laser scan to sparse depth in the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.errors import DataError
from monokd.kitti.calibration import Calibration

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

NEAREST_M = 1.0
MAX_RINGS = 256


@dataclass(frozen=True, slots=True, eq=False)
class SparseDepth:
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

    depth_m: F32
    ring_depth_m: F32
    ring_row_px: F32
    scanner: tuple[float, float, float]
    focal_px: float


def project_scan(
    scan: F32,
    calibration: Calibration,
    shape: tuple[int, int],
    *,
    nearest_m: float = NEAREST_M,
    rings: bool = True,
) -> SparseDepth:
    """Project a scan into the left colour image.

    Points behind the camera, nearer than `nearest_m` or outside the image are left out; of several returns in a
    pixel the nearest stays. Rings are told apart by the order of the file: the azimuth advances along a ring and
    falls back where the next one starts.

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
    starts = np.zeros(MAX_RINGS + 1, np.int64)
    count = _find_rings(scan, starts) if rings else 0
    depth_m = np.zeros((height, width), np.float32)
    ring_depth_m = np.zeros((count, width), np.float32)
    ring_row_px = np.zeros((count, width), np.float32)
    inside = _scatter(scan, M, nearest_m, starts[: count + 1], depth_m, ring_depth_m, ring_row_px)
    if not inside:
        raise DataError(f"expected points before the camera and in the image, found none of {len(scan)}")
    scanner = (float(M[0, 3]), float(M[1, 3]), float(M[2, 3]))
    return SparseDepth(depth_m, ring_depth_m, ring_row_px, scanner, float(calibration.P2[1, 1]))


def pixels_of(scan: F32, calibration: Calibration, shape: tuple[int, int], *, nearest_m: float = NEAREST_M) -> I64:
    """The image pixel of every point as row · W + column, −1 for points that fall in none; N."""
    pixels = np.empty(len(scan), np.int64)
    _find_pixels(scan, _scanner_to_image(calibration), nearest_m, shape[0], shape[1], pixels)
    return pixels


def _scanner_to_image(calibration: Calibration) -> F64:
    """3×4 from scanner coordinates to pixels times depth."""
    pose = np.eye(4)
    pose[:3] = calibration.R0_rect @ calibration.Tr_velo_to_cam
    return calibration.P2 @ pose


@compiled
def _sweep_side(scan: F32) -> float:
    """1 where the azimuth mostly advances to the left, −1 to the right, 0 where neighbours have no such order."""
    turn = 0
    for i in range(1, len(scan)):
        cross = scan[i - 1, 0] * scan[i, 1] - scan[i - 1, 1] * scan[i, 0]
        turn += 1 if cross > 0 else -1
    if abs(turn) < 0.8 * (len(scan) - 1):
        return 0.0
    return 1.0 if turn > 0 else -1.0


@compiled
def _diamond_angle(x: float, y: float, cut_behind: bool) -> float:
    """Grows with the azimuth of (x, y), by 4 a turn; 0 straight ahead. It jumps back behind or straight ahead."""
    reach = abs(x) + abs(y)
    if reach == 0:
        return 0.0
    angle = y / reach if x >= 0 else (2.0 - y / reach if y >= 0 else -2.0 - y / reach)
    return angle + 4.0 if angle < 0 and not cut_behind else angle


@compiled
def _find_rings(scan: F32, starts: I64) -> int:
    """Fill `starts` with the first index of every ring and the end; 0 where the file has no such order."""
    side = _sweep_side(scan)
    if side == 0:
        return 0
    # a sweep that starts straight ahead or later is cut there, one that starts before is cut behind
    cut_behind = scan[0, 1] * side < 0
    before, count = 1e9, 0
    for i in range(len(scan)):
        angle = _diamond_angle(scan[i, 0], scan[i, 1] * side, cut_behind)
        if angle < before - 0.02:
            if count == len(starts) - 1:
                return 0
            starts[count] = i
            count += 1
        before = angle
    starts[count] = len(scan)
    return count


@compiled
def _find_pixels(scan: F32, M: F64, nearest_m: float, height: int, width: int, pixels: I64) -> None:
    for i in range(len(scan)):
        x, y, z = np.float64(scan[i, 0]), np.float64(scan[i, 1]), np.float64(scan[i, 2])
        depth = M[2, 0] * x + M[2, 1] * y + M[2, 2] * z + M[2, 3]
        pixels[i] = -1
        if depth > nearest_m:
            u = (M[0, 0] * x + M[0, 1] * y + M[0, 2] * z + M[0, 3]) / depth
            v = (M[1, 0] * x + M[1, 1] * y + M[1, 2] * z + M[1, 3]) / depth
            if 0 <= u < width and 0 <= v < height:
                pixels[i] = int(v) * width + int(u)


@compiled
def _scatter(
    scan: F32, M: F64, nearest_m: float, starts: I64, depth_m: F32, ring_depth_m: F32, ring_row_px: F32
) -> int:
    """Write the nearest return of every pixel and of every column of a ring; returns how many fell inside."""
    height, width = depth_m.shape
    rings = len(starts) - 1
    ring, inside = 0, 0
    for i in range(len(scan)):
        while ring < rings and i >= starts[ring + 1]:
            ring += 1
        x, y, z = np.float64(scan[i, 0]), np.float64(scan[i, 1]), np.float64(scan[i, 2])
        depth = M[2, 0] * x + M[2, 1] * y + M[2, 2] * z + M[2, 3]
        if not depth > nearest_m:
            continue
        u = (M[0, 0] * x + M[0, 1] * y + M[0, 2] * z + M[0, 3]) / depth
        v = (M[1, 0] * x + M[1, 1] * y + M[1, 2] * z + M[1, 3]) / depth
        if not (0 <= u < width and 0 <= v < height):
            continue
        row, column = int(v), int(u)
        inside += 1
        if depth_m[row, column] == 0 or depth < depth_m[row, column]:
            depth_m[row, column] = depth
        if rings and (ring_depth_m[ring, column] == 0 or depth < ring_depth_m[ring, column]):
            ring_depth_m[ring, column] = depth
            ring_row_px[ring, column] = v
    return inside
