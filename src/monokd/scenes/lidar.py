"""A 64-beam scanner: one ray per beam and column, cast from the scanner's own place in the world."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.scenes.exact import sin_cos
from monokd.scenes.palette import LOST_RETURNS

Array = NDArray[np.float64]
DEGREE = 0.017453292519943295
MIN_RANGE_M, MAX_RANGE_M = 2.0, 80.0
GROUND_REFLECTANCE, GROUND_LOSS = 0.30, 0.03


def beam_elevations_deg() -> tuple[float, ...]:
    """The HDL-64E's 64 beams from +2° down: 32 at steps of 1/3°, 32 at steps of 1/2°, to −24.3°."""
    return tuple([2.0 - k / 3 for k in range(32)] + [-8.83 - k / 2 for k in range(32)])


def ray_tables(sector_deg: float, step_deg: float) -> tuple[Array, Array, Array]:
    """Tangent of every column's azimuth (left positive, ascending), its secant, tangent of every beam's elevation."""
    count = int(sector_deg / step_deg)
    azimuths = [sin_cos((k - (count - 1) / 2) * step_deg * DEGREE) for k in range(count)]
    beams = [sin_cos(angle * DEGREE) for angle in beam_elevations_deg()]
    return (
        np.array([sine / cosine for sine, cosine in azimuths]),
        np.array([1.0 / cosine for _, cosine in azimuths]),
        np.array([sine / cosine for sine, cosine in beams]),
    )


def scan(
    corners_m: Array,
    materials: NDArray[np.int64],
    reflectances: Array,
    ground: tuple[float, float, float, float],
    rays: tuple[Array, Array, Array],
    *,
    seed: int,
    range_noise_m: float,
    dropout: float,
) -> NDArray[np.float32]:
    """Scan triangles over a ground plane.

    A ray returns with a probability that falls with range, with grazing incidence on dark surfaces, and on glass.

    Args:
        corners_m: T×3×3 in scanner coordinates (x ahead, y left, z up), all ahead of the scanner.
        materials: T, see `palette`.
        reflectances: T, 0 to 1.
        ground: the plane g0·x + g1·y + g2·z = g3 in scanner coordinates.
        rays: from `ray_tables`.
        seed: of noise and drop-out.
        range_noise_m: standard deviation.
        dropout: scales the share of lost returns, 0 keeps all.

    Returns:
        N×4 float32: x, y, z rounded to millimetres, reflectance rounded to hundredths, beam after beam.
    """
    across, secants, elevations = rays
    inverse, hit = _cast(corners_m, np.array(ground), across, secants, elevations)
    lost = np.array(LOST_RETURNS)
    points = _returns(
        inverse,
        hit,
        corners_m,
        materials,
        reflectances,
        np.array(ground),
        across,
        secants,
        elevations,
        lost,
        np.uint64(seed),
        range_noise_m,
        dropout,
    )
    return points.astype(np.float32)


@compiled
def _lower_bound(table: Array, value: float) -> int:
    low, high = 0, table.shape[0]
    while low < high:
        middle = (low + high) // 2
        if table[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _nearest_in_plan(corners: Array) -> float:
    """Squared distance from the scanner's axis to the triangle seen from above (the axis is not inside it)."""
    best = math.inf
    for k in range(3):
        ax, ay = corners[k, 0], corners[k, 1]
        dx, dy = corners[(k + 1) % 3, 0] - ax, corners[(k + 1) % 3, 1] - ay
        square = dx * dx + dy * dy
        part = 0.0 if square == 0.0 else min(1.0, max(0.0, -(ax * dx + ay * dy) / square))
        x, y = ax + part * dx, ay + part * dy
        best = min(best, x * x + y * y)
    return best


@compiled
def _normal(corners: Array) -> tuple[float, float, float]:
    ax, ay, az = corners[1, 0] - corners[0, 0], corners[1, 1] - corners[0, 1], corners[1, 2] - corners[0, 2]
    bx, by, bz = corners[2, 0] - corners[0, 0], corners[2, 1] - corners[0, 1], corners[2, 2] - corners[0, 2]
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@compiled
def _bounds(corners: Array, across: Array, elevations: Array) -> tuple[int, int, int, int]:
    """First and last + 1 column and beam that may meet a triangle."""
    low, high, bottom, top, far = math.inf, -math.inf, math.inf, -math.inf, 0.0
    for k in range(3):
        x, y, z = corners[k, 0], corners[k, 1], corners[k, 2]
        low, high = min(low, y / x), max(high, y / x)
        bottom, top, far = min(bottom, z), max(top, z), max(far, x * x + y * y)
    near, far = math.sqrt(_nearest_in_plan(corners)) * 0.9999, math.sqrt(far) * 1.0001
    highest = top / near if top > 0.0 else top / far
    lowest = bottom / near if bottom < 0.0 else bottom / far
    beams = elevations.shape[0]
    first, last = 0, beams
    while first < beams and elevations[first] > highest:
        first += 1
    while last > first and elevations[last - 1] < lowest:
        last -= 1
    return _lower_bound(across, low), _lower_bound(across, high), first, last


@compiled
def _cast_triangle(
    t: int,
    corners: Array,
    across: Array,
    secants: Array,
    elevations: Array,
    inverse: Array,
    hit: NDArray[np.int32],
) -> None:
    """Keep the rays that meet triangle t before anything else: inside by the signs of the edges' volumes."""
    edges = np.empty((3, 3))
    for k in range(3):
        x, y, z = corners[k, 0], corners[k, 1], corners[k, 2]
        px, py, pz = corners[(k + 1) % 3, 0], corners[(k + 1) % 3, 1], corners[(k + 1) % 3, 2]
        edges[k, 0], edges[k, 1], edges[k, 2] = y * pz - z * py, z * px - x * pz, x * py - y * px
    nx, ny, nz = _normal(corners)
    offset = nx * corners[0, 0] + ny * corners[0, 1] + nz * corners[0, 2]
    if abs(offset) < 1e-12:
        return
    left, right, first, last = _bounds(corners, across, elevations)
    for j in range(left, right):
        for i in range(first, last):
            b = elevations[i] * secants[j]
            e0 = edges[0, 0] + edges[0, 1] * across[j] + edges[0, 2] * b
            e1 = edges[1, 0] + edges[1, 1] * across[j] + edges[1, 2] * b
            e2 = edges[2, 0] + edges[2, 1] * across[j] + edges[2, 2] * b
            if (e0 >= 0 and e1 >= 0 and e2 >= 0) or (e0 <= 0 and e1 <= 0 and e2 <= 0):
                value = (nx + ny * across[j] + nz * b) / offset
                if value > inverse[i, j]:
                    inverse[i, j], hit[i, j] = value, t


@compiled
def _cast(
    corners: Array, ground: Array, across: Array, secants: Array, elevations: Array
) -> tuple[Array, NDArray[np.int32]]:
    """Reciprocal of the x at which each ray (1, across, elevation·secant) ends, and on which triangle (−1 ground)."""
    beams, columns = elevations.shape[0], across.shape[0]
    inverse = np.empty((beams, columns))
    hit = np.full((beams, columns), -1, dtype=np.int32)
    for i in range(beams):
        for j in range(columns):
            value = (ground[0] + ground[1] * across[j] + ground[2] * elevations[i] * secants[j]) / ground[3]
            inverse[i, j] = max(0.0, value)
    for t in range(corners.shape[0]):
        _cast_triangle(t, corners[t], across, secants, elevations, inverse, hit)
    return inverse, hit


@compiled
def _hash(value: np.uint64) -> np.uint64:
    """The mixing step of SplitMix64 (Steele, Lea, Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def _facing(normal_x: float, normal_y: float, normal_z: float, a: float, b: float) -> float:
    """Cosine of the angle between a surface's normal and the ray (1, a, b)."""
    square = (normal_x * normal_x + normal_y * normal_y + normal_z * normal_z) * (1.0 + a * a + b * b)
    return abs(normal_x + normal_y * a + normal_z * b) / max(math.sqrt(square), 1e-12)


@compiled
def _kept(distance: float, reflectance: float, facing: float, loss: float, dropout: float) -> float:
    """Probability that a ray returns: the signal falls with the squared range, and fades out below a threshold."""
    signal = reflectance * (0.15 + 0.85 * facing) * (40.0 / distance) * (40.0 / distance)
    return (1.0 - dropout * loss) * (1.0 - dropout * max(0.0, 1.0 - signal / 0.06))


@compiled
def _normal_number(code: np.uint64) -> float:
    """A bell-shaped number of deviation 1 from the four quarters of a hash."""
    total = 0.0
    for k in range(4):
        total += float((code >> np.uint64(16 * k)) & np.uint64(65535)) / 65536.0
    return (total - 2.0) * 1.7320508075688772


@compiled
def _returns(
    inverse: Array,
    hit: NDArray[np.int32],
    corners: Array,
    materials: NDArray[np.int64],
    reflectances: Array,
    ground: Array,
    across: Array,
    secants: Array,
    elevations: Array,
    lost: Array,
    seed: np.uint64,
    range_noise: float,
    dropout: float,
) -> Array:
    beams, columns = inverse.shape
    points = np.empty((beams * columns, 4))
    count = 0
    for i in range(beams):
        for j in range(columns):
            a, b, t = across[j], elevations[i] * secants[j], hit[i, j]
            length = math.sqrt(1.0 + a * a + b * b)
            distance = length / inverse[i, j] if inverse[i, j] > 0.0 else math.inf
            if distance > MAX_RANGE_M or distance < MIN_RANGE_M:
                continue
            nx, ny, nz = ground[0], ground[1], ground[2]
            reflectance, loss = GROUND_REFLECTANCE, GROUND_LOSS
            if t >= 0:
                nx, ny, nz = _normal(corners[t])
                reflectance, loss = reflectances[t], lost[materials[t]]
            facing = _facing(nx, ny, nz, a, b)
            code = _hash(seed + np.uint64(i * columns + j) * np.uint64(0x9E3779B97F4A7C15))
            extra = _hash(code + np.uint64(0x9E3779B97F4A7C15))
            if float(extra >> np.uint64(40)) / 16777216.0 >= _kept(distance, reflectance, facing, loss, dropout):
                continue
            x = (distance + range_noise * _normal_number(code)) / length
            shine = reflectance * (0.4 + 0.6 * facing) + 0.06 * (float(extra & np.uint64(65535)) / 65536.0 - 0.5)
            points[count, 0] = math.floor(x * 1000.0 + 0.5) / 1000.0
            points[count, 1] = math.floor(x * a * 1000.0 + 0.5) / 1000.0
            points[count, 2] = math.floor(x * b * 1000.0 + 0.5) / 1000.0
            points[count, 3] = math.floor(min(0.99, max(0.0, shine)) * 100.0 + 0.5) / 100.0
            count += 1
    return points[:count]
