"""Solid shapes as triangles.

A template fills the unit box: x along the length (front at +0.5), y up from the ground (0 to 1), z along the width.
Each triangle names a part; the parts get their material and colour when a solid is placed.
"""

import math
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from monokd.typing import Floats, Ints

Point = tuple[float, float, float]
PAINT, GLASS, TYRE, DARK, FRONT_LIGHT, REAR_LIGHT, PLATE, RIM, UPPER, LOWER, SKIN, HAIR = range(12)
PARTS = HAIR + 1


class Template(NamedTuple):
    """T triangles in the unit box: T×3×3 corners and coordinates, T parts such as `PAINT`."""

    corners: Floats
    parts: Ints


def circle(count: int, phase_rad: float = 0.0) -> list[tuple[float, float]]:
    """Cosine and sine of `count` directions around a circle."""
    angles = [phase_rad + 2 * math.pi * k / count for k in range(count)]
    return [(math.cos(angle), math.sin(angle)) for angle in angles]


class Builder:
    """Collects triangles of any scale; `finish` fits them to the unit box exactly."""

    def __init__(self) -> None:
        self.triangles: list[tuple[Point, Point, Point]] = []
        self.parts: list[int] = []

    def polygon(self, part: int, *points: Point) -> None:
        """Add a convex polygon as a fan."""
        for second, third in pairwise(points[1:]):
            self.triangles.append((points[0], second, third))
            self.parts.append(part)

    def mirrored(self, part: int, *points: Point) -> None:
        """Add a convex polygon and its mirror image across z = 0."""
        self.polygon(part, *points)
        self.polygon(part, *((x, y, -z) for x, y, z in points))

    def loft(self, part: int, rings: list[list[Point]]) -> None:
        """Join rings of equally many points by quads, and close the ends."""
        for one, two in pairwise(rings):
            for i in range(len(one)):
                self.polygon(part, one[i - 1], one[i], two[i], two[i - 1])
        self.polygon(part, *rings[0])
        self.polygon(part, *rings[-1])

    def stack(self, part: int, centre: Point, levels: list[Point], count: int, twist_rad: float = 0.0) -> None:
        """Loft level ellipses around an upright axis; each of `levels` is its height above `centre`, x and z radius."""
        x, y, z = centre
        turns = [circle(count, row * twist_rad) for row in range(len(levels))]
        rings = zip(levels, turns, strict=True)
        self.loft(part, [[(x + a * c, y + up, z + b * s) for c, s in turn] for (up, a, b), turn in rings])

    def limb(self, part: int, start: Point, end: Point, thickness: float, taper: float = 1.0) -> None:
        """Add a hexagonal bar from `start` to `end`, both mostly upright or mostly along x."""
        up, along = (0, 1) if abs(end[1] - start[1]) >= abs(end[0] - start[0]) else (1, 0)
        rings: list[list[Point]] = []
        for (x, y, z), radius in ((start, thickness), (end, thickness * taper)):
            across = [(radius * c, radius * s) for c, s in circle(6)]
            rings.append([(x + along * a, y + up * a, z + b) for a, b in across])
        self.loft(part, rings)

    def box(self, part: int, low: Point, high: Point) -> None:
        """Add a box between two corners."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        self.loft(part, [[(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)] for y in (y0, y1)])

    def finish(self) -> Template:
        """The triangles, stretched to the unit box."""
        corners = np.array(self.triangles, dtype=np.float64)
        low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        return Template((corners - low) / (high - low) - np.array([0.5, 0.0, 0.5]), np.array(self.parts))


# Body styles: foot and head of the windscreen, head and foot of the rear window, height of the boot's lid.
_CABINS = (
    (0.24, 0.02, -0.25, -0.38, 0.63),  # saloon
    (0.25, 0.04, -0.36, -0.485, 0.66),  # hatchback
    (0.27, 0.07, -0.43, -0.49, 0.65),  # estate
    (0.33, 0.14, -0.42, -0.485, 0.64),  # people carrier
    (0.20, -0.04, -0.22, -0.38, 0.60),  # coupé
)
CAR_STYLES, PERSON_POSES, CYCLIST_POSES = len(_CABINS), 4, 3


@cache
def car(style: int) -> Template:
    """A car of one of `CAR_STYLES` body styles: the bonnet low and sloping, the rear high and upright."""
    build = Builder()
    foot, _, _, rear_foot, boot = _CABINS[style]
    # x, bottom, shoulder, top, half width at the sill, half width at the shoulder, half width on top
    stations = (
        (-0.497, 0.26, 0.46, boot - 0.03, 0.43, 0.455, 0.40),
        (-0.470, 0.17, 0.48, boot, 0.455, 0.475, 0.42),
        (rear_foot + 0.1, 0.13, 0.48, 0.61, 0.465, 0.485, 0.44),
        (foot, 0.13, 0.45, 0.56, 0.465, 0.485, 0.44),
        (0.42, 0.16, 0.38, 0.44, 0.455, 0.475, 0.42),
        (0.485, 0.18, 0.34, 0.40, 0.43, 0.45, 0.39),
        (0.497, 0.22, 0.33, 0.38, 0.41, 0.43, 0.37),
    )
    halves = [[(x, low, sill), (x, mid, side), (x, top, upper)] for x, low, mid, top, sill, side, upper in stations]
    build.loft(PAINT, [[*half, *((x, y, -z) for x, y, z in reversed(half))] for half in halves])
    _cabin(build, style)
    for x in (0.31, -0.30):
        outer: list[Point] = [(x + 0.083 * c, 0.215 + 0.215 * s, 0.495) for c, s in circle(12)]
        build.mirrored(TYRE, *outer)
        build.mirrored(RIM, *((x + 0.6 * (a - x), 0.215 + 0.6 * (b - 0.215), 0.5) for a, b, _ in outer))
        for one, two in pairwise([*outer, outer[0]]):
            build.mirrored(TYRE, one, two, (two[0], two[1], 0.36), (one[0], one[1], 0.36))
    _car_ends(build, boot - 0.06)
    return build.finish()


def _cabin(build: Builder, style: int) -> None:
    front_foot, front_head, rear_head, rear_foot, _ = _CABINS[style]
    low, high, belt, eave = 0.445, 0.36, 0.56, 0.965
    feet: list[Point] = [(front_foot, belt - 0.02, low), (rear_foot, belt, low)]
    heads: list[Point] = [(front_head, eave, high), (rear_head, eave, high)]
    crown: list[Point] = [(front_head - 0.05, 1.0, 0.28), (rear_head + 0.04, 1.0, 0.28)]
    build.mirrored(GLASS, feet[0], feet[1], heads[1], heads[0])
    build.mirrored(PAINT, heads[0], heads[1], crown[1], crown[0])

    def pillar(part: int, low: Point, high: Point, width: float) -> None:
        (x0, y0, z0), (x1, y1, z1), out = low, high, 0.004  # over the side windows
        points = (x0, y0, z0 + out), (x0 - width, y0, z0 + out), (x1 - width, y1, z1 + out), (x1, y1, z1 + out)
        build.mirrored(part, *points)

    for foot, head, top, wide in zip(feet, heads, crown, (0.035, -0.05), strict=True):
        build.polygon(GLASS, foot, (foot[0], foot[1], -low), (head[0], head[1], -high), head)
        build.polygon(PAINT, head, (head[0], head[1], -high), (top[0], top[1], -top[2]), top)
        pillar(PAINT, foot, head, wide)
    build.polygon(PAINT, crown[0], crown[1], (crown[1][0], 1.0, -0.28), (crown[0][0], 1.0, -0.28))
    middle = 0.5 * (front_head + rear_head) + 0.05
    pillar(DARK, (middle, belt, low), (middle, eave, high), 0.036)


def _car_ends(build: Builder, lamp: float) -> None:
    rear, front, low = -0.4995, 0.4985, lamp - 0.12
    build.mirrored(REAR_LIGHT, (rear, low, 0.27), (rear, low, 0.43), (rear, lamp, 0.42), (rear, lamp, 0.29))
    build.mirrored(FRONT_LIGHT, (front, 0.30, 0.25), (front, 0.30, 0.41), (front, 0.37, 0.39), (front, 0.37, 0.23))
    bumpers = (DARK, rear, 0.26, 0.31, 0.42), (DARK, front, 0.23, 0.285, 0.36)
    plates = (PLATE, rear, 0.36, 0.43, 0.15), (PLATE, 0.5, 0.235, 0.28, 0.14)
    for part, x, bottom, top, half in (bumpers[0], plates[0], bumpers[1], plates[1]):
        build.polygon(part, (x, bottom, -half), (x, bottom, half), (x, top, half), (x, top, -half))
    build.mirrored(PAINT, (0.19, 0.60, 0.45), (0.19, 0.60, 0.499), (0.16, 0.66, 0.499), (0.16, 0.66, 0.45))


@cache
def person(pose: int) -> Template:
    """A standing or walking person in one of `PERSON_POSES` poses."""
    build = Builder()
    stride = (0.02, 0.14, 0.22, 0.30)[pose]
    for side, step in ((0.09, stride), (-0.09, -stride)):
        _leg(build, (0.0, 0.9, side), (0.35 * step + 0.02, 0.48, side), (step, 0.06, side))
        elbow: Point = (-0.6 * step, 1.12, 2.55 * side)
        build.limb(UPPER, (0.0, 1.42, 2.3 * side), elbow, 0.06, 0.85)
        build.limb(UPPER, elbow, (elbow[0] + 0.12 - 0.4 * step, 0.9, 2.5 * side), 0.048, 0.8)
    _trunk(build, 0.0, 0.86, 0.60, lean=0.0)
    return build.finish()


@cache
def cyclist(pose: int) -> Template:
    """A person on a bicycle, in one of `CYCLIST_POSES` pedal positions."""
    build = Builder()
    for x in (-0.55, 0.55):
        for (c0, s0), (c1, s1) in pairwise([*circle(16), (1.0, 0.0)]):
            a, b, c, d = x + 0.34 * c0, 0.34 + 0.34 * s0, x + 0.34 * c1, 0.34 + 0.34 * s1
            inner = (x + 0.28 * c1, 0.34 + 0.28 * s1, 0.02), (x + 0.28 * c0, 0.34 + 0.28 * s0, 0.02)
            build.mirrored(TYRE, (a, b, 0.02), (c, d, 0.02), *inner)
            build.polygon(TYRE, (a, b, 0.02), (c, d, 0.02), (c, d, -0.02), (a, b, -0.02))
    hub, crank, seat, head = (-0.55, 0.34, 0.0), (-0.1, 0.34, 0.0), (-0.22, 0.86, 0.0), (0.40, 0.82, 0.0)
    for start, end in ((hub, crank), (crank, seat), (crank, head), (seat, head), ((0.55, 0.34, 0.0), (0.40, 1.0, 0.0))):
        build.limb(PAINT, start, end, 0.028)
    for side in (0.1, -0.1):
        pedal = (0.0, 0.11, 0.17)[pose] * math.copysign(1.0, side)
        knee = 0.16 + 0.5 * side, 0.72 - 0.5 * pedal, 1.2 * side
        _leg(build, (-0.2, 0.92, side), knee, (side - 0.1, 0.37 - pedal, side))
        build.limb(UPPER, (0.08, 1.38, 2.1 * side), (0.24, 1.16, 2.7 * side), 0.055, 0.85)
        build.limb(UPPER, (0.24, 1.16, 2.7 * side), (0.42, 1.04, 2.4 * side), 0.045, 0.8)
    build.box(DARK, (0.40, 1.0, -0.26), (0.44, 1.04, 0.26))
    _trunk(build, -0.2, 0.9, 0.52, lean=0.28)
    return build.finish()


def _leg(build: Builder, hip: Point, knee: Point, foot: Point) -> None:
    build.limb(LOWER, hip, knee, 0.095, 0.75)
    build.limb(LOWER, knee, foot, 0.07, 0.7)
    x, y, z = foot
    build.box(DARK, (x - 0.09, y - 0.06, z - 0.05), (x + 0.16, y + 0.03, z + 0.05))


def _trunk(build: Builder, x: float, low: float, height: float, *, lean: float) -> None:
    """Torso, head and hair above a hip at (x, low)."""
    levels, turn = ((0.0, 0.15, 0.11), (0.3, 0.16, 0.12), (0.8, 0.21, 0.13), (1.0, 0.14, 0.08)), circle(8, math.pi / 8)
    build.loft(
        UPPER, [[(x + lean * t + deep * c, low + t * height, wide * s) for c, s in turn] for t, wide, deep in levels]
    )
    centre = x + lean + (0.1 if lean else 0.02), low + height + 0.17, 0.0
    build.stack(SKIN, centre, [(-0.17, 0.06, 0.045), (-0.1, 0.086, 0.068), (-0.01, 0.11, 0.086)], 6)
    build.stack(HAIR, centre, [(-0.01, 0.11, 0.086), (0.07, 0.1, 0.08), (0.13, 0.046, 0.036)], 6)


# Lumps of leaves: x, y, z, radius.
_CROWNS = {
    "broad": ((0, 3.4, 0, 1.5), (0.8, 2.9, 0.5, 1.0), (-0.8, 3, -0.5, 1.1), (0.1, 4.4, -0.2, 1.0), (-0.3, 3, 0.9, 0.9)),
    "tall": ((0, 2.6, 0, 0.9), (0.1, 3.7, 0.1, 0.85), (-0.1, 4.8, 0, 0.7), (0, 5.7, 0, 0.4)),
    "bush": ((0, 0.6, 0, 0.7), (0.6, 0.5, 0.2, 0.55), (-0.6, 0.45, -0.2, 0.55)),
}


@cache
def background(shape: str) -> Template:
    """One solid by its name: `PAINT` walls, crowns, plates; `DARK` roofs, trunks, posts; ridges and arms along x."""
    build, origin, eave = Builder(), (0.0, 0.0, 0.0), 0.68
    if shape == "block":
        build.box(PAINT, (-0.5, 0.0, -0.5), (0.5, 1.0, 0.5))
        build.parts[-2:] = DARK, DARK
    elif shape == "house":
        for x in (-0.5, 0.5):
            build.polygon(PAINT, (x, 0, -0.5), (x, 0, 0.5), (x, eave, 0.5), (x, 1, 0), (x, eave, -0.5))
        build.mirrored(PAINT, (-0.5, 0, 0.5), (0.5, 0, 0.5), (0.5, eave, 0.5), (-0.5, eave, 0.5))
        build.mirrored(DARK, (-0.5, eave, 0.5), (0.5, eave, 0.5), (0.5, 1, 0), (-0.5, 1, 0))
    elif shape == "lamp":
        build.limb(DARK, origin, (0.0, 6.0, 0.0), 0.09, 0.6)
        build.box(DARK, (-0.05, 5.9, -0.1), (1.6, 6.05, 0.1))
    elif shape == "sign":
        build.limb(DARK, origin, (0.0, 2.2, 0.0), 0.04)
        build.polygon(PAINT, *((0.05, 2.3 + 0.35 * s, 0.35 * c) for c, s in circle(8, math.pi / 8)))
    else:
        if shape != "bush":
            build.limb(DARK, origin, (0.0, 2.6, 0.0), 0.16, 0.7)
        for x, y, z, r in _CROWNS[shape]:
            lump = ((-0.95, 0.25), (-0.55, 0.8), (0.05, 1.0), (0.6, 0.75), (0.95, 0.2))
            build.stack(PAINT, (x, y, z), [(up * r, wide * r, wide * r) for up, wide in lump], 7, twist_rad=1.0)
    return build.finish()
