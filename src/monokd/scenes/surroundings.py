"""Background clutter along the road: buildings, walls, hedges, trees, lamps, signs."""

from __future__ import annotations

import numpy as np

from monokd.scenes import meshes
from monokd.scenes.exact import bell, pick, uniform
from monokd.scenes.layout import Placed, Road, meets
from monokd.scenes.palette import clutter_look

FARTHEST_M = 95.0
QUARTER_TURN = 1.5707963267948966


def sample_clutter(rng: np.random.Generator, road: Road, objects: list[Placed], *, amount: float) -> list[Placed]:
    """Solids beside the road, clear of `objects` and each other; `amount` scales how many, 0 gives an empty plain."""
    clutter: list[Placed] = []
    edge = road.kerb_m + road.pavement_m
    for side in (-1.0, 1.0):
        _building_row(rng, road, side, edge, amount, clutter)
    for side in (-1.0, 1.0):
        _street_furniture(rng, road, side, edge, amount, clutter)
    kept: list[Placed] = []
    for solid in clutter:
        blocked = any(meets(solid, placed, 0.25) for placed in objects) or any(meets(solid, other) for other in kept)
        if not blocked:
            kept.append(solid)
    return kept


def _solid(
    road: Road,
    template: meshes.Template,
    look_kind: str,
    rng: np.random.Generator,
    s: float,
    d: float,
    size_m: tuple[float, float, float],
    turn_rad: float = 0.0,
) -> Placed:
    x, z = road.place(s, d)
    location = (x, road.ground_y(x, z) + 0.05, z)
    rotation = road.yaw_rad - QUARTER_TURN + turn_rad
    return Placed("", template, clutter_look(rng, look_kind), size_m, location, rotation)


def _building_row(
    rng: np.random.Generator, road: Road, side: float, edge: float, amount: float, out: list[Placed]
) -> None:
    setback = uniform(rng, 9.0, 18.0) if road.open_land else uniform(rng, 0.3, 6.0)
    s = uniform(rng, 1.0, 12.0)
    while s < FARTHEST_M:
        length, depth = uniform(rng, 7.0, 18.0), uniform(rng, 7.0, 12.0)
        blocked = road.crossing_m > 0 and s - 5.0 < road.crossing_m < s + length + 5.0
        if not blocked and float(rng.random()) < 0.75 * amount:
            kind = ("facade", "house")[pick(rng, (0.55, 0.45))]
            # the shader's storeys are 2.9 m high
            height = 2.9 * (2 + pick(rng, (3, 3, 1))) + uniform(rng, 0.1, 0.5)
            height += 2.5 if kind == "house" else 0.0
            template = meshes.block() if kind == "facade" else meshes.house()
            d = side * (edge + setback + depth / 2 + uniform(rng, 0.0, 2.0))
            out.append(_solid(road, template, kind, rng, s + length / 2, d, (height, depth, length)))
        elif not blocked and float(rng.random()) < 0.6 * amount:
            kind = ("wall", "hedge")[pick(rng, (1, 1))]
            d = side * (edge + 0.3 + uniform(rng, 0.0, 2.0))
            out.append(
                _solid(road, meshes.block(), kind, rng, s + length / 2, d, (uniform(rng, 0.8, 2.2), 0.4, length))
            )
        s += length + uniform(rng, 0.0, 4.0)


def _street_furniture(
    rng: np.random.Generator, road: Road, side: float, edge: float, amount: float, out: list[Placed]
) -> None:
    s = uniform(rng, 4.0, 12.0)
    while s < FARTHEST_M and amount > 0:
        kind = pick(rng, (0.35, 0.15, 0.15, 0.12, 0.11, 0.12))
        near = side * (road.kerb_m + uniform(rng, 0.4, 0.9))
        far = side * (edge + uniform(rng, 0.5, 6.0))
        turn = uniform(rng, -3.1, 3.1)
        blocked = road.crossing_m > 0 and abs(s - road.crossing_m) < 5.0
        if kind <= 2 and not blocked:
            height = (uniform(rng, 4.5, 9.0), uniform(rng, 5.0, 11.0), uniform(rng, 0.8, 1.8))[kind]
            wide = height * (0.75, 0.35, 1.3)[kind]
            out.append(_solid(road, meshes.tree(kind), "tree", rng, s, far, (height, wide, wide), turn))
        elif kind == 3 and not blocked:
            height = uniform(rng, 5.0, 8.0)
            turn = -side * QUARTER_TURN
            out.append(_solid(road, meshes.pole(0), "pole", rng, s, near, (height, 0.18, 1.6), turn))
        elif kind == 4 and not blocked:
            turn = bell(rng, 0.0, 0.2)
            out.append(_solid(road, meshes.pole(1), "sign", rng, s, near, (uniform(rng, 2.2, 3.0), 0.6, 0.09), turn))
        elif not blocked:
            size = (uniform(rng, 0.7, 1.3), uniform(rng, 0.5, 1.0), uniform(rng, 0.5, 1.4))
            out.append(_solid(road, meshes.block(), "bin", rng, s, far, size, turn))
        s += uniform(rng, 3.0, 14.0) / max(amount, 0.05)
