"""Arithmetic whose bits do not depend on the machine.

Only + − × ÷ and the square root are rounded exactly by IEEE 754. The sine of a C library, numpy's vectorised functions
and BLAS differ in the last bit between processors, and one bit is enough to move a pixel. So this package computes its
few angles here, and its compiled code uses the exact operations only (`monokd.compiled` without `fastmath`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def sin_cos(angle_rad: float) -> tuple[float, float]:
    """Sine and cosine by Taylor series after reduction to a quarter turn; error below 1e-14 for |angle| < 100."""
    turns = math.floor(angle_rad / (math.pi / 2) + 0.5)
    x = angle_rad - turns * (math.pi / 2)
    square = x * x
    sine, cosine = 0.0, 0.0
    for k in range(9, -1, -1):
        cosine = 1.0 - square / ((2 * k + 1) * (2 * k + 2)) * cosine
        sine = 1.0 - square / ((2 * k + 2) * (2 * k + 3)) * sine
    sine *= x
    return ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))[turns % 4]


def arctan2(y: float, x: float) -> float:
    """The angle of (x, y) in (−π, π], by Newton steps on `sin_cos`; error below 1e-14."""
    length = math.sqrt(x * x + y * y)
    if length == 0.0:
        return 0.0
    y, x = y / length, x / length
    if x < 0 and abs(y) <= -x:
        away = arctan2(-y, -x)
        return away + math.pi if away <= 0 else away - math.pi
    angle = y if x >= abs(y) else math.copysign(math.pi / 2, y) - math.copysign(x, y * x)
    for _ in range(5):
        sine, cosine = sin_cos(angle)
        angle += y * cosine - x * sine
    return angle


def wrap(angle_rad: float) -> float:
    """The same direction in [−π, π)."""
    return angle_rad - 2 * math.pi * math.floor(angle_rad / (2 * math.pi) + 0.5)


def bell(rng: np.random.Generator, mean: float, deviation: float) -> float:
    """A bell-shaped number: six uniform numbers added, standardised; never further than 4.2 deviations."""
    total = 0.0
    for _ in range(6):
        total += float(rng.random())
    return mean + deviation * (total - 3.0) * math.sqrt(2.0)


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between `low` and `high`."""
    return low + (high - low) * float(rng.random())


def pick(rng: np.random.Generator, weights: tuple[float, ...]) -> int:
    """An index with probability in proportion to its weight."""
    total = 0.0
    for weight in weights:  # not sum(): Python 3.12 made it compensated, which moves the last bit
        total += weight
    level = float(rng.random()) * total
    for index, weight in enumerate(weights):
        level -= weight
        if level < 0:
            return index
    return len(weights) - 1


def product(one: Array, two: Array) -> Array:
    """The product of two small matrices, added up in order (BLAS would choose its own)."""
    total = np.zeros((one.shape[0], two.shape[1]))
    for k in range(one.shape[1]):
        total = total + one[:, k, None] * two[None, k, :]
    return total


def inverse_3x3(matrix: Array) -> Array:
    """The inverse of a 3×3 matrix by cofactors."""
    a, b, c, d, e, f, g, h, i = (float(value) for value in matrix.ravel())
    cofactors = (e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f)
    rest = (d * h - e * g, b * g - a * h, a * e - b * d)
    determinant = a * cofactors[0] + b * cofactors[3] + c * rest[0]
    return np.array([*cofactors, *rest]).reshape(3, 3) / determinant
