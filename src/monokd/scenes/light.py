"""Weather and hour, and the table that all textures are read from."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from monokd.typing import Floats32

Colour = tuple[float, float, float]
TABLE = 256  # the shader's masks (& 255) count on it


class Light(NamedTuple):
    """Sun and sky.

    Attributes:
        sun: unit direction towards the sun, camera axes (y negative).
        strength: sunlight against skylight, 0 (overcast) to 1.
        exposure: gain of the whole picture.
        sky: RGB of the zenith.
        horizon: RGB of the horizon and of the haze.
        haze_per_m: how fast things fade with distance.
        pattern: where the noise table starts.
    """

    sun: tuple[float, float, float]
    strength: float
    exposure: float
    sky: Colour
    horizon: Colour
    haze_per_m: float
    pattern: int


def sample_light(rng: np.random.Generator) -> Light:
    """Weather and hour."""
    up, around = rng.uniform(0.45, 1.1), rng.uniform(-math.pi, math.pi)
    overcast = rng.random() < 0.35
    blue = 0.25 if overcast else rng.uniform(0.6, 1.0)
    return Light(
        sun=(math.cos(up) * math.sin(around), -math.sin(up), math.cos(up) * math.cos(around)),
        strength=0.12 if overcast else rng.uniform(0.45, 0.8),
        exposure=min(max(rng.normal(1.0, 0.12), 0.75), 1.3),
        sky=(190 - 90 * blue, 200 - 50 * blue, 210 + 15 * blue),
        horizon=(222.0, 226.0, 230.0),
        haze_per_m=rng.uniform(0.0008, 0.003),
        pattern=int(rng.integers(1 << 16)),
    )


@lru_cache(maxsize=1)
def noise_table() -> Floats32:
    """Tiling noise of four octaves, 256×256, about −1 to 1."""
    rng = np.random.default_rng(20120616)
    total = np.zeros((TABLE, TABLE), dtype=np.float32)
    for cell, weight in ((32, 0.35), (8, 0.3), (2, 0.3), (1, 0.35)):
        knots = rng.uniform(-1.0, 1.0, (TABLE // cell, TABLE // cell)).astype(np.float32)
        around = np.pad(knots, 1, mode="wrap")
        size = TABLE + 2 * cell
        total += weight * cv2.resize(around, (size, size), interpolation=cv2.INTER_LINEAR)[cell:-cell, cell:-cell]
    return total
