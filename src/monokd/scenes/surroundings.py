"""Background clutter along the road: buildings, walls, hedges, trees, lamps, signs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain

import numpy as np

from monokd.scenes import meshes
from monokd.scenes.layout import Placed, Road, meets
from monokd.scenes.palette import clutter_look, pick

FARTHEST_M = 95.0
STOREY_M = 2.9


def sample_clutter(rng: np.random.Generator, road: Road, objects: list[Placed], amount: float) -> list[Placed]:
    """Solids beside the road, clear of `objects` and each other; `amount` scales how many, 0 gives an empty plain."""
    kept: list[Placed] = []
    if amount <= 0:
        return kept
    rows = (row(rng, road, side, amount) for row in (_buildings, _furniture) for side in (-1.0, 1.0))
    for solid in chain.from_iterable(rows):
        if not any(meets(solid, placed, 0.25) for placed in objects) and not any(meets(solid, one) for one in kept):
            kept.append(solid)
    return kept


def _solid(
    rng: np.random.Generator,
    road: Road,
    template: meshes.Template,
    kind: str,
    place: tuple[float, float],
    size_m: tuple[float, float, float],
    turn_rad: float = 0.0,
) -> Placed:
    """A solid of height, width, length `size_m` at `place` (s, d), by default with its length along the road."""
    x, z = road.place(*place)
    rotation = road.yaw_rad - math.pi / 2 + turn_rad
    return Placed("", template, clutter_look(rng, kind), size_m, (x, road.ground_y(x, z) + 0.05, z), rotation)


def _buildings(rng: np.random.Generator, road: Road, side: float, amount: float) -> Iterator[Placed]:
    edge = road.kerb_m + road.pavement_m
    setback = rng.uniform(9.0, 18.0) if road.open_land else rng.uniform(0.3, 6.0)
    s = rng.uniform(1.0, 12.0)
    while s < FARTHEST_M:
        length, depth = rng.uniform(7.0, 18.0), rng.uniform(7.0, 12.0)
        blocked = road.crossing_m > 0 and s - 5.0 < road.crossing_m < s + length + 5.0
        middle = s + length / 2
        if not blocked and rng.random() < 0.75 * amount:
            flat = rng.random() < 0.55
            height = STOREY_M * (2 + pick(rng, (3, 3, 1))) + rng.uniform(0.1, 0.5) + (0.0 if flat else 2.5)
            template = meshes.block() if flat else meshes.house()
            d = side * (edge + setback + depth / 2 + rng.uniform(0.0, 2.0))
            yield _solid(rng, road, template, "building", (middle, d), (height, depth, length))
        elif not blocked and rng.random() < 0.6 * amount:
            kind = ("wall", "plant")[int(rng.integers(2))]
            place = middle, side * (edge + 0.3 + rng.uniform(0.0, 2.0))
            yield _solid(rng, road, meshes.block(), kind, place, (rng.uniform(0.8, 2.2), 0.4, length))
        s += length + rng.uniform(0.0, 4.0)


def _furniture(rng: np.random.Generator, road: Road, side: float, amount: float) -> Iterator[Placed]:
    s = rng.uniform(4.0, 12.0)
    while s < FARTHEST_M:
        kind = ("broad", "tall", "bush", "lamp", "sign", "bin")[pick(rng, (0.35, 0.15, 0.15, 0.12, 0.11, 0.12))]
        near = s, side * (road.kerb_m + rng.uniform(0.4, 0.9))
        far = s, side * (road.kerb_m + road.pavement_m + rng.uniform(0.5, 6.0))
        turn = rng.uniform(-math.pi, math.pi)
        if road.crossing_m == 0 or abs(s - road.crossing_m) > 5.0:
            if kind in ("broad", "tall", "bush"):
                low, high, width = {"broad": (4.5, 9.0, 0.75), "tall": (5.0, 11.0, 0.35), "bush": (0.8, 1.8, 1.3)}[kind]
                height = rng.uniform(low, high)
                size = height, width * height, width * height
                yield _solid(rng, road, meshes.tree(kind), "plant", far, size, turn)
            elif kind == "lamp":
                size = rng.uniform(5.0, 8.0), 0.18, 1.6
                yield _solid(rng, road, meshes.lamp(), "pole", near, size, -side * math.pi / 2)
            elif kind == "sign":
                size = rng.uniform(2.2, 3.0), 0.6, 0.09
                yield _solid(rng, road, meshes.sign(), "sign", near, size, rng.normal(0.0, 0.2))
            else:
                size = rng.uniform(0.7, 1.3), rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.4)
                yield _solid(rng, road, meshes.block(), "bin", far, size, turn)
        s += rng.uniform(3.0, 14.0) / max(amount, 0.05)
