"""Where the rays of a picture or a scan end: triangles, a ground plane, or nothing.

Both sensors cast rays (1, p, q) from their own place: 1 ahead, p alike along a line of rays (a picture's row, a
scanner's column), q ascending within it. So a triangle covers one run of rays in every line that it meets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.typing import Bools, Floats, Floats32, Ints

GROUND, SKY = -1, -2


class Rays(NamedTuple):
    """L lines of R rays; ray r of line l is (1, lines[l], steps[r] · stretch[l]).

    Attributes:
        lines: L, ascending.
        steps: R, ascending.
        stretch: L.
    """

    lines: Floats
    steps: Floats
    stretch: Floats


class Hits(NamedTuple):
    """Where rays end, L×R rays, N objects.

    Attributes:
        inverse: L×R, 1 / distance ahead (along the first axis), 0 where nothing is met.
        triangle: L×R, index of the triangle, `GROUND` or `SKY`.
        silhouette: N, rays that would meet each object if it were alone.
        inside: N×4, first ray and line, last ray and line of that silhouette (inverted where there is none).
    """

    inverse: Floats32
    triangle: NDArray[np.int32]
    silhouette: Ints
    inside: Ints


def cast(corners_m: Floats, owners: Ints, objects: int, ground: Floats, rays: Rays) -> Hits:
    """Cast rays at triangles over a ground plane.

    Args:
        corners_m: T×3×3, axes as the rays', all ahead of their origin.
        owners: T, index of an object in ascending runs, or −1.
        objects: N.
        ground: the plane ground · point = 1.
        rays: the sensor's.
    """
    start, slope = ground[0] + ground[1] * rays.lines, ground[2] * rays.stretch
    inverse = np.outer(slope.astype(np.float32), rays.steps.astype(np.float32)) + start.astype(np.float32)[:, None]
    np.maximum(inverse, 0.0, out=inverse)
    triangle = np.where(inverse > 0.0, np.int32(GROUND), np.int32(SKY))
    inside = np.tile(np.array([len(rays.steps), len(rays.lines), -1, -1]), (objects, 1))
    hits = Hits(inverse, triangle, np.zeros(objects, dtype=np.int64), inside)
    _cast_triangles(np.ascontiguousarray(corners_m), owners, rays, hits)
    return hits


@compiled
def _first(table: Floats, value: float) -> int:
    """Index of the first entry of an ascending table that is not below `value`, guessed as if it were even."""
    last = table.shape[0] - 1
    guess = (value - table[0]) / (table[last] - table[0]) * last
    index = int(min(max(guess, 0.0), last + 1.0))
    while index > 0 and table[index - 1] >= value:
        index -= 1
    while index <= last and table[index] < value:
        index += 1
    return index


@compiled
def _run(p: Floats, q: Floats, count: int, line: float) -> tuple[float, float]:
    """Ends of a convex polygon's part on p = line; the same edge gives the same end to both its triangles."""
    low, high = math.inf, -math.inf
    for k in range(count):
        a, b = k, (k + 1) % count
        if p[a] > p[b] or (p[a] == p[b] and q[a] > q[b]):
            a, b = b, a
        if p[a] <= line <= p[b]:
            if p[a] == p[b]:
                low, high = min(low, q[a]), max(high, q[b])
            else:
                end = q[a] + (line - p[a]) * ((q[b] - q[a]) / (p[b] - p[a]))
                low, high = min(low, end), max(high, end)
    return low, high


@compiled
def _plane(corners: Floats) -> tuple[float, float, float]:
    """The plane n · point = 1 of a triangle; NaN where it holds the origin."""
    ax, ay, az = corners[1, 0] - corners[0, 0], corners[1, 1] - corners[0, 1], corners[1, 2] - corners[0, 2]
    bx, by, bz = corners[2, 0] - corners[0, 0], corners[2, 1] - corners[0, 1], corners[2, 2] - corners[0, 2]
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    offset = nx * corners[0, 0] + ny * corners[0, 1] + nz * corners[0, 2]
    if abs(offset) < 1e-9:
        return math.nan, math.nan, math.nan
    return nx / offset, ny / offset, nz / offset


@compiled
def _cast_triangles(corners: Floats, owners: Ints, rays: Rays, hits: Hits) -> None:
    inverse, triangle, steps, inside = hits.inverse, hits.triangle, rays.steps, hits.inside
    latest = np.full(inverse.shape, -1, dtype=np.int16)  # the last object drawn there
    p, q = np.empty(3), np.empty(3)
    for t in range(corners.shape[0]):
        owner = owners[t]
        n0, n1, n2 = _plane(corners[t])
        if math.isnan(n0):
            continue
        for k in range(3):
            p[k], q[k] = corners[t, k, 1] / corners[t, k, 0], corners[t, k, 2] / corners[t, k, 0]
        for i in range(_first(rays.lines, min(p[0], p[1], p[2])), _first(rays.lines, max(p[0], p[1], p[2]))):
            low, high = _run(p, q, 3, rays.lines[i])
            first, end = _first(steps, low / rays.stretch[i]), _first(steps, high / rays.stretch[i])
            start, slope = n0 + n1 * rays.lines[i], n2 * rays.stretch[i]
            for j in range(first, end):
                value = np.float32(start + slope * steps[j])
                if value > inverse[i, j]:
                    inverse[i, j] = value
                    triangle[i, j] = t
            if owner >= 0 and end > first:
                inside[owner, 0], inside[owner, 1] = min(inside[owner, 0], first), min(inside[owner, 1], i)
                inside[owner, 2], inside[owner, 3] = max(inside[owner, 2], end - 1), max(inside[owner, 3], i)
                for j in range(first, end):
                    if latest[i, j] != owner:
                        latest[i, j] = owner
                        hits.silhouette[owner] += 1


@compiled
def shadow(flat: Floats, rays: Rays, triangle: NDArray[np.int32]) -> Bools:
    """The rays (L×R) that end on the ground where T×3×3 triangles in its plane lie, if more than a metre ahead."""
    shaded = np.zeros(triangle.shape, dtype=np.bool_)
    p, q = np.empty(4), np.empty(4)
    for t in range(flat.shape[0]):
        count = 0
        for k in range(3):
            one, two = flat[t, k], flat[t, (k + 1) % 3]
            if one[0] >= 1.0:
                p[count], q[count] = one[1] / one[0], one[2] / one[0]
                count += 1
            if (one[0] >= 1.0) != (two[0] >= 1.0):
                part = (1.0 - one[0]) / (two[0] - one[0])
                p[count], q[count] = one[1] + part * (two[1] - one[1]), one[2] + part * (two[2] - one[2])
                count += 1
        if count == 0:
            continue
        for i in range(_first(rays.lines, p[:count].min()), _first(rays.lines, p[:count].max())):
            low, high = _run(p, q, count, rays.lines[i])
            for j in range(_first(rays.steps, low), _first(rays.steps, high)):
                if triangle[i, j] == GROUND:
                    shaded[i, j] = True
    return shaded
