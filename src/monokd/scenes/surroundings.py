"""Background clutter along the road: buildings, walls, hedges, trees, lamps, signs."""

import math
from collections.abc import Iterator

import numpy as np

from monokd.scenes import meshes
from monokd.scenes.layout import Placed, Road, meets
from monokd.scenes.palette import clutter_look, pick

FARTHEST_M = 95.0
STOREY_M = 2.9
FURNITURE = {"broad": 0.35, "tall": 0.15, "bush": 0.15, "lamp": 0.12, "sign": 0.11, "bin": 0.12}  # and their shares
TREES = {"broad": (4.5, 9.0, 0.75), "tall": (5.0, 11.0, 0.35), "bush": (0.8, 1.8, 1.3)}  # height from, to; width


def sample_clutter(rng: np.random.Generator, road: Road, objects: list[Placed]) -> list[Placed]:
    """Solids beside the road, clear of `objects` and each other."""
    kept: list[Placed] = []
    for row in (_buildings, _furniture):
        for side in (-1.0, 1.0):
            for solid in row(rng, road, side):
                if not (any(meets(solid, placed, 0.25) for placed in objects) or any(meets(solid, o) for o in kept)):
                    kept.append(solid)
    return kept


def _solid(
    rng: np.random.Generator, road: Road, shape: str, look: str, place: tuple[float, float],
    size_m: tuple[float, float, float], turn_rad: float = 0.0,
) -> Placed:  # fmt: skip
    """A solid of height, width, length `size_m` at `place` (s, d), by default with its length along the road."""
    x, z = road.place(*place)
    location = x, road.ground_y(x, z) + 0.05, z
    rotation = road.yaw_rad - math.pi / 2 + turn_rad
    return Placed("", meshes.background(shape), clutter_look(rng, look), size_m, location, rotation)


def _buildings(rng: np.random.Generator, road: Road, side: float) -> Iterator[Placed]:
    edge = road.kerb_m + road.pavement_m
    setback = rng.uniform(9.0, 18.0) if road.open_land else rng.uniform(0.3, 6.0)
    s = rng.uniform(1.0, 12.0)
    while s < FARTHEST_M:
        length, depth = rng.uniform(7.0, 18.0), rng.uniform(7.0, 12.0)
        blocked = road.crossing_m > 0 and s - 5.0 < road.crossing_m < s + length + 5.0
        middle = s + length / 2
        if not blocked and rng.random() < 0.75:
            flat = rng.random() < 0.55
            height = STOREY_M * (2 + pick(rng, (3, 3, 1))) + rng.uniform(0.1, 0.5) + (0.0 if flat else 2.5)
            d = side * (edge + setback + depth / 2 + rng.uniform(0.0, 2.0))
            yield _solid(rng, road, "block" if flat else "house", "building", (middle, d), (height, depth, length))
        elif not blocked and rng.random() < 0.6:
            kind = ("wall", "plant")[int(rng.integers(2))]
            place = middle, side * (edge + 0.3 + rng.uniform(0.0, 2.0))
            yield _solid(rng, road, "block", kind, place, (rng.uniform(0.8, 2.2), 0.4, length))
        s += length + rng.uniform(0.0, 4.0)


def _furniture(rng: np.random.Generator, road: Road, side: float) -> Iterator[Placed]:
    s = rng.uniform(4.0, 12.0)
    while s < FARTHEST_M:
        kind = tuple(FURNITURE)[pick(rng, tuple(FURNITURE.values()))]
        near = s, side * (road.kerb_m + rng.uniform(0.4, 0.9))
        far = s, side * (road.kerb_m + road.pavement_m + rng.uniform(0.5, 6.0))
        turn = rng.uniform(-math.pi, math.pi)
        if road.crossing_m == 0 or abs(s - road.crossing_m) > 5.0:
            if kind in TREES:
                low, high, width = TREES[kind]
                height = rng.uniform(low, high)
                yield _solid(rng, road, kind, "plant", far, (height, width * height, width * height), turn)
            elif kind == "lamp":
                yield _solid(rng, road, "lamp", "grey", near, (rng.uniform(5.0, 8.0), 0.18, 1.6), -side * math.pi / 2)
            elif kind == "sign":
                yield _solid(rng, road, "sign", "sign", near, (rng.uniform(2.2, 3.0), 0.6, 0.09), rng.normal(0.0, 0.2))
            else:
                size = rng.uniform(0.7, 1.3), rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.4)
                yield _solid(rng, road, "block", "grey", far, size, turn)
        s += rng.uniform(3.0, 14.0)
