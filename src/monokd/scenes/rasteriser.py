"""A z-buffer: which triangle each pixel shows, how far it is, and how much of each object is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled

Array = NDArray[np.float64]
GROUND, SKY = -1, -2


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole: u = f (x − x0) / (z − z0) + cu. Pixel (0, 0) is a pixel's centre.

    Attributes:
        focal_px: focal length of both axes.
        cu_px, cv_px: principal point.
        centre_m: the optical centre in rectified camera coordinates.
        width_px, height_px: the image.
    """

    focal_px: float
    cu_px: float
    cv_px: float
    centre_m: tuple[float, float, float]
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a camera sees, image H×W, N objects.

    Attributes:
        triangle: H×W int32, index of the triangle, `GROUND` or `SKY`.
        inverse_depth: H×W float32, 1 / (z − z0) of the surface, 0 for the sky.
        shadow: H×W uint8, 1 where the sun does not reach the ground.
        silhouette_px: N, pixels that each object alone would cover.
        visible_px: N, pixels that show it.
        extents_px: N×4, left, top, right, bottom of the whole projected object, not clipped.
        inside_px: N×4, the same of the silhouette's pixels inside the image (inverted where there are none).
    """

    triangle: NDArray[np.int32]
    inverse_depth: NDArray[np.float32]
    shadow: NDArray[np.uint8]
    silhouette_px: NDArray[np.int64]
    visible_px: NDArray[np.int64]
    extents_px: Array
    inside_px: NDArray[np.int64]


def rasterise(
    camera: Camera,
    corners_m: Array,
    owners: NDArray[np.int64],
    object_count: int,
    *,
    ground: tuple[float, float, float],
    sun: tuple[float, float, float] | None,
) -> View:
    """Draw triangles over a ground plane.

    Args:
        camera: the pinhole.
        corners_m: T×3×3 in rectified camera coordinates, all in front of the camera.
        owners: T, index of the labelled object or −1, objects first and in order.
        object_count: N.
        ground: the plane y = h + bank·x + pitch·z as (h, bank, pitch).
        sun: direction towards the sun (y negative), or None for an overcast sky without cast shadows.
    """
    shape = camera.height_px, camera.width_px
    centred = corners_m - np.array(camera.centre_m)
    h, bank, pitch = ground
    x0, y0, z0 = camera.centre_m
    drop = h + bank * x0 + pitch * z0 - y0
    slopes = np.array([-bank / drop, 1.0 / drop, -pitch / drop])
    inverse, triangle = _ground(shape, camera.focal_px, camera.cu_px, camera.cv_px, slopes)
    silhouette, extents = np.zeros(object_count, dtype=np.int64), _empty_extents(object_count)
    inside = np.tile(np.array([shape[1], shape[0], -1, -1]), (object_count, 1))
    _draw(centred, owners, camera.focal_px, camera.cu_px, camera.cv_px, inverse, triangle, silhouette, extents, inside)
    visible = _visible(triangle, owners, object_count)
    shadow = np.zeros(shape, dtype=np.uint8)
    if sun is not None:
        towards = np.array(sun)
        _cast(centred, towards, drop, bank, pitch, camera.focal_px, camera.cu_px, camera.cv_px, triangle, shadow)
    return View(triangle, inverse, shadow, silhouette, visible, extents, inside)


def _empty_extents(count: int) -> Array:
    extents = np.empty((count, 4))
    extents[:, :2], extents[:, 2:] = math.inf, -math.inf
    return extents


@compiled
def _ground(
    shape: tuple[int, int], focal: float, cu: float, cv: float, slopes: Array
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    height, width = shape
    inverse = np.empty((height, width), dtype=np.float32)
    triangle = np.empty((height, width), dtype=np.int32)
    for v in range(height):
        row = slopes[1] * ((v - cv) / focal) + slopes[2]
        for u in range(width):
            value = row + slopes[0] * ((u - cu) / focal)
            inverse[v, u] = value if value > 0.0 else 0.0
            triangle[v, u] = -1 if value > 0.0 else -2
    return inverse, triangle


@compiled
def _span(us: Array, vs: Array, v: float) -> tuple[float, float]:
    """Left and right end of a triangle in row v; the same edge gives the same end to both its triangles."""
    left, right = math.inf, -math.inf
    for k in range(3):
        a, b = k, (k + 1) % 3
        if vs[a] > vs[b] or (vs[a] == vs[b] and us[a] > us[b]):
            a, b = b, a
        if vs[a] <= v <= vs[b]:
            if vs[a] == vs[b]:
                left, right = min(left, us[a]), max(right, us[b])
            else:
                u = us[a] + (v - vs[a]) * ((us[b] - us[a]) / (vs[b] - vs[a]))
                left, right = min(left, u), max(right, u)
    return left, right


@compiled
def _plane(corners: Array) -> tuple[float, float, float]:
    """Coefficients of 1/z over the ray's (x/z, y/z, 1); NaN where the plane holds the camera."""
    ax, ay, az = corners[1, 0] - corners[0, 0], corners[1, 1] - corners[0, 1], corners[1, 2] - corners[0, 2]
    bx, by, bz = corners[2, 0] - corners[0, 0], corners[2, 1] - corners[0, 1], corners[2, 2] - corners[0, 2]
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    offset = nx * corners[0, 0] + ny * corners[0, 1] + nz * corners[0, 2]
    if abs(offset) < 1e-9:
        return math.nan, math.nan, math.nan
    return nx / offset, ny / offset, nz / offset


@compiled
def _draw(
    corners: Array,
    owners: NDArray[np.int64],
    focal: float,
    cu: float,
    cv: float,
    inverse: NDArray[np.float32],
    triangle: NDArray[np.int32],
    silhouette: NDArray[np.int64],
    extents: Array,
    inside: NDArray[np.int64],
) -> None:
    height, width = inverse.shape
    stamp = np.full((height, width), -1, dtype=np.int16)
    us, vs = np.empty(3), np.empty(3)
    for t in range(corners.shape[0]):
        owner = owners[t]
        for k in range(3):
            us[k] = focal * corners[t, k, 0] / corners[t, k, 2] + cu
            vs[k] = focal * corners[t, k, 1] / corners[t, k, 2] + cv
            if owner >= 0:
                extents[owner, 0], extents[owner, 1] = min(extents[owner, 0], us[k]), min(extents[owner, 1], vs[k])
                extents[owner, 2], extents[owner, 3] = max(extents[owner, 2], us[k]), max(extents[owner, 3], vs[k])
        px, py, pz = _plane(corners[t])
        if math.isnan(px) or max(us[0], us[1], us[2]) < 0.0 or min(us[0], us[1], us[2]) > width - 1:
            continue
        top = math.ceil(max(0.0, min(vs[0], vs[1], vs[2])))
        bottom = math.floor(min(height - 1.0, max(vs[0], vs[1], vs[2])))
        for v in range(top, bottom + 1):
            left, right = _span(us, vs, float(v))
            first, last = math.ceil(max(0.0, left)), math.floor(min(width - 1.0, right))
            row = py * ((v - cv) / focal) + pz
            for u in range(first, last + 1):
                value = np.float32(row + px * ((u - cu) / focal))
                if owner >= 0 and stamp[v, u] != owner:
                    stamp[v, u] = owner
                    silhouette[owner] += 1
                    inside[owner, 0], inside[owner, 1] = min(inside[owner, 0], u), min(inside[owner, 1], v)
                    inside[owner, 2], inside[owner, 3] = max(inside[owner, 2], u), max(inside[owner, 3], v)
                if value > inverse[v, u]:
                    inverse[v, u] = value
                    triangle[v, u] = t


@compiled
def _visible(triangle: NDArray[np.int32], owners: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    visible = np.zeros(count, dtype=np.int64)
    for v in range(triangle.shape[0]):
        for u in range(triangle.shape[1]):
            t = triangle[v, u]
            if t >= 0 and owners[t] >= 0:
                visible[owners[t]] += 1
    return visible


@compiled
def _clip(points: Array, near: float) -> tuple[Array, int]:
    """The part of a triangle (3×3) beyond z = `near`: up to four corners in order, and how many."""
    kept = np.empty((4, 3))
    count = 0
    for k in range(3):
        one, two = points[k], points[(k + 1) % 3]
        if one[2] >= near:
            kept[count] = one
            count += 1
        if (one[2] >= near) != (two[2] >= near):
            part = (near - one[2]) / (two[2] - one[2])
            for axis in range(3):
                kept[count, axis] = one[axis] + part * (two[axis] - one[axis])
            count += 1
    return kept, count


@compiled
def _mark(us: Array, vs: Array, triangle: NDArray[np.int32], shadow: NDArray[np.uint8]) -> None:
    """Mark the ground pixels of one projected triangle."""
    height, width = shadow.shape
    top = math.ceil(max(0.0, min(vs[0], vs[1], vs[2])))
    bottom = math.floor(min(height - 1.0, max(vs[0], vs[1], vs[2])))
    for v in range(top, bottom + 1):
        left, right = _span(us, vs, float(v))
        for u in range(math.ceil(max(0.0, left)), math.floor(min(width - 1.0, right)) + 1):
            if triangle[v, u] == -1:
                shadow[v, u] = 1


@compiled
def _cast(
    corners: Array,
    sun: Array,
    drop: float,
    bank: float,
    pitch: float,
    focal: float,
    cu: float,
    cv: float,
    triangle: NDArray[np.int32],
    shadow: NDArray[np.uint8],
) -> None:
    """Flatten every triangle on the ground along the sun's rays and mark the ground pixels below it."""
    flat, us, vs = np.empty((3, 3)), np.empty(3), np.empty(3)
    fall = sun[1] - bank * sun[0] - pitch * sun[2]
    for t in range(corners.shape[0]):
        for k in range(3):
            x, y, z = corners[t, k, 0], corners[t, k, 1], corners[t, k, 2]
            steps = (y - drop - bank * x - pitch * z) / fall
            flat[k, 0], flat[k, 1], flat[k, 2] = x - steps * sun[0], y - steps * sun[1], z - steps * sun[2]
        kept, count = _clip(flat, 1.0)
        for second in range(1, count - 1):
            for k in range(3):
                corner = 0 if k == 0 else second + k - 1
                us[k] = focal * kept[corner, 0] / kept[corner, 2] + cu
                vs[k] = focal * kept[corner, 1] / kept[corner, 2] + cv
            _mark(us, vs, triangle, shadow)
