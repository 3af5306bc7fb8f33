"""Returns that the scanner saw past an object's border, but that the camera cannot see behind the object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.depth.projection import SparseDepth

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]
BLOCK_PX = 8
REACH_PX = 16


def remove_hidden(sparse: SparseDepth, *, nearer: float = 0.8, behind_px: int = 5) -> SparseDepth:
    """Remove background that shines through objects in front.

    Scanner and camera stand apart, so an object shifts before its background from one view to the other by
    E · (1/z_object − 1/z_background), E from the scanner's place. A return that the scanner saw is hidden from the
    camera only if the object moved over it: then the object has returns between it and at most that shift away in the
    shift's direction, and returns on its other side. Both are looked for in strips 3 pixels wide.

    Args:
        sparse: the returns.
        nearer: an object's depth is less than this share of the return's.
        behind_px: how far the object's other returns may be, about the distance between rings.
    """
    hidden = np.zeros(sparse.depth_m.shape, np.bool_)
    _find_hidden(sparse.depth_m, _nearest_of_blocks(sparse.depth_m), *sparse.scanner, nearer, behind_px, hidden)
    ring_depth_m = sparse.ring_depth_m.copy()
    _clear_rings(ring_depth_m, sparse.ring_row_px, sparse.depth_m, hidden, nearer)
    return replace(sparse, depth_m=np.where(hidden, np.float32(0), sparse.depth_m), ring_depth_m=ring_depth_m)


@compiled
def _nearest_of_blocks(depth_m: F32) -> F32:
    """The smallest depth in every block and its eight neighbours, infinity where there is none."""
    height, width = depth_m.shape
    rows, columns = (height + BLOCK_PX - 1) // BLOCK_PX, (width + BLOCK_PX - 1) // BLOCK_PX
    one = np.full((rows, columns), np.inf, np.float32)
    for v in range(height):
        for u in range(width):
            if 0 < depth_m[v, u] < one[v // BLOCK_PX, u // BLOCK_PX]:
                one[v // BLOCK_PX, u // BLOCK_PX] = depth_m[v, u]
    around = np.empty_like(one)
    for i in range(rows):
        for j in range(columns):
            around[i, j] = one[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].min()
    return around


@compiled
def _object_along(
    depth_m: F32, v: int, u: int, dv: float, du: float, first: int, last: int, z: float, nearer: float, shift: float
) -> bool:
    """Whether a strip from step `first` to `last` along (dv, du) holds a return of an object before depth z.

    With a positive `shift` (px m) the object must also have moved at least that far, to one pixel.
    """
    height, width = depth_m.shape
    for step in range(first, last + 1):
        for side in range(-1, 2):
            y = int(np.floor(v + 0.5 + dv * step + du * side))
            x = int(np.floor(u + 0.5 + du * step - dv * side))
            if not (0 <= y < height and 0 <= x < width):
                continue
            q = depth_m[y, x]
            if 0 < q < nearer * z and (shift == 0 or step <= shift * (1 / q - 1 / z) + 1):
                return True
    return False


@compiled
def _find_hidden(
    depth_m: F32, nearest_m: F32, e0: float, e1: float, e2: float, nearer: float, behind_px: int, hidden: Mask
) -> None:
    height, width = depth_m.shape
    for v in range(height):
        for u in range(width):
            z = depth_m[v, u]
            z_near = nearest_m[v // BLOCK_PX, u // BLOCK_PX]
            if z == 0 or z_near > nearer * z:
                continue
            du, dv = e0 - u * e2, e1 - v * e2
            shift = np.sqrt(du * du + dv * dv)
            if shift < 1e-6:
                continue
            du, dv = du / shift, dv / shift
            last = min(int(shift * (1 / z_near - 1 / z)) + 1, REACH_PX)
            hidden[v, u] = _object_along(depth_m, v, u, dv, du, 0, last, z, nearer, shift) and _object_along(
                depth_m, v, u, -dv, -du, 0, behind_px, z, nearer, 0.0
            )


@compiled
def _clear_rings(ring_depth_m: F32, ring_row_px: F32, depth_m: F32, hidden: Mask, nearer: float) -> None:
    """Remove the hidden returns from the rings, and those behind an object in their very pixel."""
    rings, width = ring_depth_m.shape
    for ring in range(rings):
        for u in range(width):
            z = ring_depth_m[ring, u]
            if z > 0:
                v = int(ring_row_px[ring, u])
                if (hidden[v, u] and depth_m[v, u] == z) or depth_m[v, u] < nearer * z:
                    ring_depth_m[ring, u] = 0
