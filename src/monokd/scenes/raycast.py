"""Where the rays of a picture or a scan end: triangles, a ground plane, or nothing.

Both sensors cast rays (1, p, q) from their own place: 1 ahead, p alike along a line of rays (a picture's row, a
scanner's column), q ascending within it. So a triangle covers one run of rays in every line that it meets.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.typing import Bools, Floats, Floats32, Ints

GROUND, SKY = -1, -2
NEAR_M = 0.5  # triangles are cut there


class Rays(NamedTuple):
    """L lines of R rays; ray r of line l is (1, lines[l], steps[r] · stretch[l]); lines and steps ascend."""

    lines: Floats
    steps: Floats
    stretch: Floats


class Hits(NamedTuple):
    """Where L×R rays end, N objects."""

    inverse: Floats32  # L×R, 1 / distance ahead (along the first axis), 0 where nothing is met
    triangle: NDArray[np.int32]  # L×R, index of the triangle, `GROUND` or `SKY`
    silhouette: Ints  # N, rays that would meet each object if it were alone
    inside: Ints  # N×4, first ray and line, last ray and line of that silhouette (inverted where there is none)


def cast(corners_m: Floats, owners: Ints, objects: int, ground: Floats, rays: Rays) -> Hits:
    """Cast rays at T triangles (T×3×3, axes as the rays') over the plane ground · point = 1.

    `owners` are the triangles' indices of N `objects` in ascending runs, or −1.
    """
    start, slope = ground[0] + ground[1] * rays.lines, ground[2] * rays.stretch
    inverse = np.outer(slope.astype(np.float32), rays.steps.astype(np.float32)) + start.astype(np.float32)[:, None]
    np.maximum(inverse, np.float32(0.0), out=inverse)
    triangle = np.where(inverse > 0.0, np.int32(GROUND), np.int32(SKY))
    inside = np.tile(np.array([len(rays.steps), len(rays.lines), -1, -1]), (objects, 1))
    hits = Hits(inverse, triangle, np.zeros(objects, dtype=np.int64), inside)
    corners_m = np.ascontiguousarray(corners_m)
    planes = np.cross(corners_m[:, 1] - corners_m[:, 0], corners_m[:, 2] - corners_m[:, 0])
    offset = (planes * corners_m[:, 0]).sum(axis=1, keepdims=True)
    planes = np.divide(planes, offset, out=np.full_like(planes, np.nan), where=np.abs(offset) >= 1e-9)
    _cast_triangles(corners_m, planes, owners, rays, hits)
    return hits


@compiled
def _first(table: Floats, value: float) -> int:
    """Index of the first entry of an ascending table that is not below `value`, guessed as if it were even."""
    share = (value - table[0]) / (table[-1] - table[0])
    index = int(min(max(share, 0.0), 1.0) * len(table))
    while index > 0 and table[index - 1] >= value:
        index -= 1
    while index < len(table) and table[index] < value:
        index += 1
    return index


@compiled
def _outline(corners: Floats, p: Floats, q: Floats) -> int:
    """Fill p and q of the corners of a triangle's part beyond `NEAR_M`; returns their number, 0, 3 or 4."""
    count = 0
    for k in range(3):
        one, two = corners[k], corners[(k + 1) % 3]
        if one[0] >= NEAR_M:
            p[count], q[count] = one[1] / one[0], one[2] / one[0]
            count += 1
        if (one[0] >= NEAR_M) != (two[0] >= NEAR_M):
            share = (NEAR_M - one[0]) / (two[0] - one[0])
            p[count] = (one[1] + share * (two[1] - one[1])) / NEAR_M
            q[count] = (one[2] + share * (two[2] - one[2])) / NEAR_M
            count += 1
    return count


@compiled
def _run(p: Floats, q: Floats, line: float) -> tuple[float, float]:
    """Ends of a convex polygon's part on p = line; the same edge gives the same end to both its triangles."""
    low, high = math.inf, -math.inf
    for k in range(len(p)):
        a, b = k, (k + 1) % len(p)
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
def _cast_triangles(corners: Floats, planes: Floats, owners: Ints, rays: Rays, hits: Hits) -> None:
    """Draw the nearest triangles; `planes` n · point = 1 are NaN where they hold the origin."""
    inverse, inside, steps = hits.inverse, hits.inside, rays.steps
    latest = np.full(inverse.shape, -1, dtype=np.int16)  # the last object drawn there
    outline_p, outline_q = np.empty(4), np.empty(4)
    for t in range(corners.shape[0]):
        owner, plane = owners[t], planes[t]
        count = _outline(corners[t], outline_p, outline_q)
        if math.isnan(plane[0]) or count == 0:
            continue
        p, q = outline_p[:count], outline_q[:count]
        for i in range(_first(rays.lines, p.min()), _first(rays.lines, p.max())):
            low, high = _run(p, q, rays.lines[i])
            first, end = _first(steps, low / rays.stretch[i]), _first(steps, high / rays.stretch[i])
            start, slope = plane[0] + plane[1] * rays.lines[i], plane[2] * rays.stretch[i]
            for j in range(first, end):
                value = np.float32(start + slope * steps[j])
                if value > inverse[i, j]:
                    inverse[i, j] = value
                    hits.triangle[i, j] = t
            if owner >= 0 and end > first:
                inside[owner, 0], inside[owner, 1] = min(inside[owner, 0], first), min(inside[owner, 1], i)
                inside[owner, 2], inside[owner, 3] = max(inside[owner, 2], end - 1), max(inside[owner, 3], i)
                for j in range(first, end):
                    if latest[i, j] != owner:
                        latest[i, j] = owner
                        hits.silhouette[owner] += 1


@compiled
def cast_shadow(flat: Floats, rays: Rays, triangle: NDArray[np.int32]) -> Bools:
    """Mark the rays (L×R, without stretch) that end on the ground where T×3×3 triangles in its plane lie."""
    shadow = np.zeros(triangle.shape, dtype=np.bool_)
    outline_p, outline_q = np.empty(4), np.empty(4)
    for t in range(flat.shape[0]):
        count = _outline(flat[t], outline_p, outline_q)
        if count == 0:
            continue
        p, q = outline_p[:count], outline_q[:count]
        for i in range(_first(rays.lines, p.min()), _first(rays.lines, p.max())):
            low, high = _run(p, q, rays.lines[i])
            for j in range(_first(rays.steps, low), _first(rays.steps, high)):
                shadow[i, j] = triangle[i, j] == GROUND
    return shadow
