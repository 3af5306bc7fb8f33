"""From sparse to dense depth: along the scanner's rings first, between the rings second."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from monokd.depth.projection import SparseDepth

F32 = NDArray[np.float32]


def complete(sparse: SparseDepth, *, max_gap_px: int = 40, edge_ratio: float = 2.0) -> F32:
    """Fill sparse depth.

    Along a ring, returns at most `max_gap_px` columns apart are joined by lines. Between the lines of a column depth is
    interpolated in 1/z, in which planes are linear, where the two lines differ by less than `edge_ratio`; at a
    border the nearer line's depth reaches half way and is not mixed with the farther one's. Below the lowest line its depth goes
    on to the image's lower edge; above the highest its depth goes on up to the row of the scan's highest return. Rows above
    that row hold 0: no laser looked there (sky policy).

    Returns:
        H×W float32 metres, 0 = none.
    """
    lines = np.zeros_like(sparse.depth_m)
    if len(sparse.ring_depth_m):
        _join_rings(sparse.ring_depth_m, sparse.ring_row_px, max_gap_px, lines)
    else:
        _join_neighbours(sparse.depth_m, 8, lines)
    measured = sparse.depth_m > 0
    np.copyto(lines, sparse.depth_m, where=measured)
    top = int(np.argmax(measured.any(axis=1)))
    return _fill_columns(lines, max(top - 2, 0), edge_ratio)


@njit(cache=True, nogil=True)
def _put(lines, row, column, z):  # type: ignore[no-untyped-def]
    if lines[row, column] == 0 or z < lines[row, column]:
        lines[row, column] = z


@njit(cache=True, nogil=True)
def _join_rings(depth_m, row_px, max_gap_px, lines):  # type: ignore[no-untyped-def]
    rings, width = depth_m.shape
    for ring in range(rings):
        left = -1
        for column in range(width):
            z1 = depth_m[ring, column]
            if z1 == 0:
                continue
            gap = column - left
            if left >= 0 and gap <= max_gap_px:
                z0, v0, v1 = depth_m[ring, left], row_px[ring, left], row_px[ring, column]
                for k in range(1, gap):
                    t = k / gap
                    _put(lines, int(v0 + (v1 - v0) * t + 0.5), left + k, z0 + (z1 - z0) * t)
            left = column


@njit(cache=True, nogil=True)
def _join_neighbours(depth_m, max_gap_px, lines):  # type: ignore[no-untyped-def]
    height, width = depth_m.shape
    for row in range(height):
        for column in range(width):
            z0 = depth_m[row, column]
            if z0 == 0:
                continue
            for gap in range(1, min(max_gap_px, width - 1 - column) + 1):
                shift = 9
                for step in (0, -1, 1):
                    if 0 <= row + step < height and depth_m[row + step, column + gap] > 0:
                        shift = step
                        break
                if shift != 9:
                    z1 = depth_m[row + shift, column + gap]
                    for k in range(1, gap):
                        t = k / gap
                        _put(lines, int(row + shift * t + 0.5), column + k, z0 + (z1 - z0) * t)
                    break


@njit(cache=True, nogil=True)
def _fill_columns(lines, top, edge_ratio):  # type: ignore[no-untyped-def]
    height, width = lines.shape
    out = np.zeros((height, width), np.float32)
    last = np.full(width, -1, np.int32)
    for row in range(height):
        for column in range(width):
            z1 = lines[row, column]
            if z1 == 0:
                continue
            out[row, column] = z1
            above = last[column]
            last[column] = row
            if above < 0:
                for v in range(top, row):
                    out[v, column] = z1
            elif row - above > 1:
                z0 = lines[above, column]
                gap = row - above
                if max(z0, z1) < edge_ratio * min(z0, z1):
                    a, b = 1 / z0, (1 / z1 - 1 / z0) / gap
                    for k in range(1, gap):
                        out[above + k, column] = 1 / (a + b * k)
                else:
                    for k in range(1, gap):
                        out[above + k, column] = z0 if 2 * k <= gap else z1
    for column in range(width):
        if last[column] < 0:
            continue
        for v in range(last[column] + 1, height):
            out[v, column] = lines[last[column], column]
    return out
