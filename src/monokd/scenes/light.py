"""Weather and hour, and the table that all textures are read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.scenes.exact import bell, sin_cos, uniform

Array = NDArray[np.float64]
TABLE = 256  # the shader's masks (& 255) count on it


@dataclass(frozen=True, slots=True)
class Light:
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
    sky: tuple[float, float, float]
    horizon: tuple[float, float, float]
    haze_per_m: float
    pattern: int


def sample_light(rng: np.random.Generator) -> Light:
    """Weather and hour."""
    sine_up, cosine_up = sin_cos(uniform(rng, 0.45, 1.1))
    sine, cosine = sin_cos(uniform(rng, -3.1, 3.1))
    overcast = float(rng.random()) < 0.35
    blue = 0.25 if overcast else uniform(rng, 0.6, 1.0)
    return Light(
        sun=(cosine_up * sine, -sine_up, cosine_up * cosine),
        strength=0.12 if overcast else uniform(rng, 0.45, 0.8),
        exposure=min(max(bell(rng, 1.0, 0.12), 0.75), 1.3),
        sky=(190 - 90 * blue, 200 - 50 * blue, 210 + 15 * blue),
        horizon=(222.0, 226.0, 230.0),
        haze_per_m=uniform(rng, 0.0008, 0.003),
        pattern=int(rng.integers(1 << 16)),
    )


def noise_table(rng: np.random.Generator) -> NDArray[np.float32]:
    """Tiling noise of four octaves, 256×256, about −1 to 1."""
    total = np.zeros((TABLE, TABLE))
    for cell, weight in ((32, 0.35), (8, 0.3), (2, 0.3), (1, 0.35)):
        knots = 2.0 * rng.random((TABLE // cell, TABLE // cell)) - 1.0
        total = total + weight * _stretch(_stretch(knots, cell).T, cell).T
    return total.astype(np.float32)


def _stretch(knots: Array, cell: int) -> Array:
    steps = (np.arange(cell) / cell)[None, :, None]
    following = np.concatenate([knots[1:], knots[:1]])
    return (knots[:, None] * (1.0 - steps) + following[:, None] * steps).reshape(-1, knots.shape[1])
