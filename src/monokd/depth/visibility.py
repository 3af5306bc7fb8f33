"""Returns that the scanner saw past an object's border, but that the camera cannot see behind the object."""

import cv2
import numpy as np

from monokd.compiled import compiled
from monokd.depth.projection import SparseDepth
from monokd.typing import Bools, Floats32

BLOCK_PX = 8
REACH_PX = 16
BEHIND_PX = 5  # how far an object's other returns may be, about the distance between rings
NEARER = 0.8  # an object's depth is less than this share of what it hides


def remove_hidden(sparse: SparseDepth) -> SparseDepth:
    """Remove background that shines through objects in front.

    Scanner and camera stand apart, so an object shifts before its background from one view to the other by
    E · (1/z_object − 1/z_background), E from the scanner's place. A return that the scanner saw is hidden from the
    camera only if the object moved over it: then the object has returns between it and at most that shift away in the
    shift's direction, and returns on its other side. Both are looked for in strips 3 pixels wide.

    Of the rings' returns also those behind an object in their very pixel go.
    """
    hidden = _find_hidden(sparse, _nearest_of_blocks(sparse.depth_m))
    depth_m = np.where(hidden, np.float32(0), sparse.depth_m)
    return sparse._replace(depth_m=depth_m, ring_depth_m=_clear_rings(sparse, hidden))


@compiled
def _clear_rings(sparse: SparseDepth, hidden: Bools) -> Floats32:
    """Set hidden returns of the rings to 0, and those behind an object in their very pixel."""
    depth_m, ring_m = sparse.depth_m, sparse.ring_depth_m.copy()
    for (ring, u), z in np.ndenumerate(sparse.ring_depth_m):
        # In single precision the last row can round up to the image's height.
        v = min(int(sparse.ring_row_px[ring, u]), depth_m.shape[0] - 1)
        if z > 0 and ((hidden[v, u] and depth_m[v, u] == z) or depth_m[v, u] < NEARER * z):
            ring_m[ring, u] = 0
    return ring_m


def _nearest_of_blocks(depth_m: Floats32) -> Floats32:
    """Find the smallest depth in every block and its eight neighbours, infinity where there is none."""
    height, width = depth_m.shape
    seen_m = np.where(depth_m > 0, depth_m, np.float32(np.inf))
    padded = np.pad(seen_m, ((0, -height % BLOCK_PX), (0, -width % BLOCK_PX)), constant_values=np.inf)
    # Rows first: that is fast, and leaves an eighth.
    rows = padded.reshape(-1, BLOCK_PX, padded.shape[1]).min(axis=1)
    blocks = rows.reshape(len(rows), -1, BLOCK_PX).min(axis=2)
    return np.asarray(cv2.erode(blocks, np.ones((3, 3), np.uint8)), np.float32)


@compiled
def _object_along(depth_m: Floats32, v: int, u: int, dv: float, du: float, steps: int, shift: float) -> bool:
    """Look for a return of an object before pixel (v, u) in the strip of `steps` along (dv, du).

    With a positive `shift` (px m) the object must also have moved at least that far, to one pixel.
    """
    (height, width), z = depth_m.shape, depth_m[v, u]
    for step in range(steps + 1):
        for side in range(-1, 2):
            y = int(np.floor(v + 0.5 + dv * step + du * side))
            x = int(np.floor(u + 0.5 + du * step - dv * side))
            if not (0 <= y < height and 0 <= x < width):
                continue
            q = depth_m[y, x]
            if 0 < q < NEARER * z and (shift == 0 or step <= shift * (1 / q - 1 / z) + 1):
                return True
    return False


@compiled
def _find_hidden(sparse: SparseDepth, nearest_m: Floats32) -> Bools:
    depth_m, (e0, e1, e2) = sparse.depth_m, sparse.scanner
    hidden = np.zeros(depth_m.shape, np.bool_)
    for v in range(depth_m.shape[0]):
        for u in range(depth_m.shape[1]):
            z, z_near = depth_m[v, u], nearest_m[v // BLOCK_PX, u // BLOCK_PX]
            if z == 0 or z_near > NEARER * z:
                continue
            du, dv = e0 - u * e2, e1 - v * e2
            shift = np.sqrt(du * du + dv * dv)
            if shift < 1e-6:
                continue
            du, dv = du / shift, dv / shift
            steps = min(int(shift * (1 / z_near - 1 / z)) + 1, REACH_PX)
            before = _object_along(depth_m, v, u, dv, du, steps, shift)
            hidden[v, u] = before and _object_along(depth_m, v, u, -dv, -du, BEHIND_PX, 0.0)
    return hidden
