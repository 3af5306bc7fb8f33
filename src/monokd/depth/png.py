"""Depth PNGs on the disk: how they are written, and whether others can be depth."""

from pathlib import Path

import cv2
import numpy as np

from monokd.errors import DataError
from monokd.files import write_bytes
from monokd.kitti.images import read_depth
from monokd.typing import Floats32, Uint16s

LEAST_FILLED, NEAREST_M, FURTHEST_M = 0.05, 2.0, 200.0
# Smooth depth minus the row above it is mostly runs: the fastest setting of zlib, 15 % larger than its full search.
PNG_OPTIONS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
)


def encode_depth(depth_m: Floats32) -> Uint16s:
    """Turn H×W metres into KITTI's uint16: × 256, rounded, at most 65535; a positive depth never becomes 0."""
    stored = np.clip(np.floor(depth_m.astype(np.float64) * 256 + 0.5), 1, 65535)
    return np.where(depth_m > 0, stored, 0).astype(np.uint16)


def write_depth(path: Path, depth_m: Floats32) -> None:
    """Write a KITTI depth PNG, whole or not at all (OSError)."""
    _, data = cv2.imencode(".png", encode_depth(depth_m), PNG_OPTIONS)
    write_bytes(path, data.tobytes())


def check_depth(path: Path, size_px: tuple[int, int]) -> None:
    """Check format, size (width and height; less is padded in training), range and holes of a depth map.

    Raises:
        DataError: the first fault.
    """
    depth_m, (width, height) = read_depth(path), size_px
    if depth_m.shape[0] > height or depth_m.shape[1] > width:
        raise DataError(f"expected at most the image's {height}×{width} pixels, found {depth_m.shape}", path)
    filled, furthest_m = float((depth_m > 0).mean()), float(depth_m.max())
    if filled < LEAST_FILLED:
        raise DataError(f"expected depth in at least {LEAST_FILLED:.0%} of the pixels, found {filled:.2%}", path)
    if furthest_m > FURTHEST_M:
        raise DataError(f"expected metres × 256 up to {FURTHEST_M:g} m, found {furthest_m:g} m", path)
    if furthest_m < NEAREST_M:
        raise DataError(f"expected metres × 256, found nothing beyond {furthest_m:g} m (a wrong scale?)", path)
