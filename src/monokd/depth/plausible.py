"""Whether a depth map can be one."""

from __future__ import annotations

from pathlib import Path

from monokd.errors import DataError
from monokd.kitti.frames import read_depth

LEAST_FILLED, NEAREST_M, FURTHEST_M = 0.05, 2.0, 200.0


def check_depth(path: Path, size: tuple[int, int]) -> None:
    """Format, size, range and holes of a depth map; one smaller than the image is padded in training.

    Raises:
        DataError: the first fault.
    """
    depth_m, (width, height) = read_depth(path), size
    if depth_m.shape[0] > height or depth_m.shape[1] > width:
        raise DataError(f"expected at most the image's {height}×{width} pixels, found {depth_m.shape}", path)
    filled, furthest_m = float((depth_m > 0).mean()), float(depth_m.max())
    if filled < LEAST_FILLED:
        raise DataError(f"expected depth in at least {LEAST_FILLED:.0%} of the pixels, found {filled:.2%}", path)
    if furthest_m > FURTHEST_M:
        raise DataError(f"expected metres × 256 up to {FURTHEST_M:g} m, found {furthest_m:g} m", path)
    if furthest_m < NEAREST_M:
        raise DataError(f"expected metres × 256, found nothing beyond {furthest_m:g} m (a wrong scale?)", path)
