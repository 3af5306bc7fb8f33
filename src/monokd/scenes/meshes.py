"""Solid shapes as triangles.

A template fills the unit box: x along the length (front at +0.5), y up from the ground (0 to 1), z along the width.
Each triangle names a part; the parts get their material and colour when an object is placed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monokd.scenes.exact import sin_cos

Array = NDArray[np.float64]
Point = tuple[float, float, float]

PARTS = (
    "paint",
    "glass",
    "tyre",
    "dark",
    "front_light",
    "rear_light",
    "plate",
    "rim",
    "upper",
    "lower",
    "skin",
    "hair",
)
PAINT, GLASS, TYRE, DARK, FRONT_LIGHT, REAR_LIGHT, PLATE, RIM, UPPER, LOWER, SKIN, HAIR = range(len(PARTS))
CAR_STYLES, PERSON_POSES, CYCLIST_POSES = 5, 4, 3


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """T triangles in the unit box.

    Attributes:
        corners: T×3×3, corner and coordinate.
        parts: T, index into `PARTS`.
    """

    corners: Array
    parts: NDArray[np.int64]


class Builder:
    """Collects triangles in metres of any scale; `finish` fits them to the unit box exactly."""

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

    def loft(self, part: int, sections: list[list[Point]], caps: bool = True) -> None:
        """Join rings of equally many points by quads, and close the ends."""
        for one, two in pairwise(sections):
            for i in range(len(one)):
                j = (i + 1) % len(one)
                self.polygon(part, one[i], one[j], two[j], two[i])
        if caps:
            self.polygon(part, *sections[0])
            self.polygon(part, *sections[-1])

    def limb(self, part: int, start: Point, end: Point, thickness: float, taper: float = 1.0) -> None:
        """Add a hexagonal bar from `start` to `end`, both mostly upright or mostly along x."""
        upright = abs(end[1] - start[1]) >= abs(end[0] - start[0])
        rings = []
        for (x, y, z), radius in ((start, thickness), (end, thickness * taper)):
            ring: list[Point] = []
            for k in range(6):
                sine, cosine = sin_cos(k * 1.0471975511965976)
                a, b = radius * cosine, radius * sine
                ring.append((x + a, y, z + b) if upright else (x, y + a, z + b))
            rings.append(ring)
        self.loft(part, rings)

    def finish(self) -> Template:
        """The triangles, stretched to the unit box."""
        corners = np.array(self.triangles, dtype=np.float64)
        low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        corners = (corners - low) / (high - low)
        corners[..., 0] -= 0.5
        corners[..., 2] -= 0.5
        return Template(corners, np.array(self.parts))


# Car styles: foot and head of the windscreen, head and foot of the rear window, the trunk's height over the belt's.
_CABINS = (
    (0.24, 0.02, -0.27, -0.42, 0.93),  # saloon
    (0.25, 0.04, -0.36, -0.485, 1.0),  # hatchback
    (0.27, 0.07, -0.43, -0.49, 1.0),  # estate
    (0.33, 0.14, -0.42, -0.485, 1.0),  # people carrier
    (0.20, -0.04, -0.22, -0.40, 0.90),  # coupé
)


@cache
def car(style: int) -> Template:
    """A car of one of `CAR_STYLES` body styles."""
    build = Builder()
    front_belt, roof_front, roof_rear, rear_belt, trunk = _CABINS[style]
    belt = 0.60 if style != 3 else 0.56
    _car_body(build, belt, trunk, front_belt)
    _car_cabin(build, belt, front_belt, roof_front, roof_rear, rear_belt)
    for x in (0.31, -0.30):
        _wheel(build, x)
    _car_ends(build, belt * trunk)
    return build.finish()


def _car_body(build: Builder, belt: float, trunk: float, front_belt: float) -> None:
    # x, bottom, shoulder, top, half width at the sill, half width at the shoulder, half width on top
    stations = (
        (-0.497, 0.26, 0.44, belt * trunk - 0.03, 0.43, 0.455, 0.40),
        (-0.475, 0.17, 0.46, belt * trunk, 0.455, 0.475, 0.42),
        (-0.30, 0.13, 0.48, belt, 0.465, 0.485, 0.44),
        (0.00, 0.12, 0.47, belt, 0.465, 0.485, 0.45),
        (front_belt, 0.13, 0.45, belt - 0.01, 0.465, 0.485, 0.44),
        (0.42, 0.16, 0.40, 0.47, 0.455, 0.475, 0.42),
        (0.480, 0.18, 0.36, 0.42, 0.42, 0.44, 0.38),
        (0.497, 0.24, 0.33, 0.37, 0.36, 0.38, 0.33),
    )
    rings: list[list[Point]] = []
    for x, bottom, shoulder, top, sill, side, upper in stations:
        half = [(x, bottom, sill), (x, shoulder, side), (x, top, upper)]
        rings.append([*half, *((a, b, -c) for a, b, c in reversed(half))])
    build.loft(PAINT, rings)


def _car_cabin(
    build: Builder, belt: float, front_belt: float, roof_front: float, roof_rear: float, rear_belt: float
) -> None:
    low, high, eave = 0.445, 0.36, 0.965
    ring_low = [(front_belt, belt - 0.02, low), (rear_belt, belt - 0.02, low)]
    ring_high = [(roof_front, eave, high), (roof_rear, eave, high)]
    crown = [(roof_front - 0.05, 1.0, 0.28), (roof_rear + 0.04, 1.0, 0.28)]
    build.mirrored(GLASS, ring_low[0], ring_low[1], ring_high[1], ring_high[0])
    build.mirrored(PAINT, ring_high[0], ring_high[1], crown[1], crown[0])
    for i in (0, 1):
        left_low, left_high, top = ring_low[i], ring_high[i], crown[i]
        right_low, right_high = (left_low[0], left_low[1], -left_low[2]), (left_high[0], left_high[1], -left_high[2])
        build.polygon(GLASS, left_low, right_low, right_high, left_high)
        build.polygon(PAINT, left_high, right_high, (top[0], top[1], -top[2]), top)
        _pillar(build, left_low, left_high, 0.035 if i == 0 else -0.05)
    build.polygon(PAINT, crown[0], crown[1], (crown[1][0], 1.0, -0.28), (crown[0][0], 1.0, -0.28))
    middle = 0.5 * (roof_front + roof_rear) + 0.03
    build.mirrored(DARK, *_side_strip(middle, 0.018, belt, eave, low, high))


def _pillar(build: Builder, low: Point, high: Point, width: float) -> None:
    out = 0.004
    build.mirrored(
        PAINT,
        (low[0], low[1], low[2] + out),
        (low[0] - width, low[1], low[2] + out),
        (high[0] - width, high[1], high[2] + out),
        (high[0], high[1], high[2] + out),
    )


def _side_strip(x: float, half: float, belt: float, eave: float, low: float, high: float) -> tuple[Point, ...]:
    out = 0.004
    return (
        (x - half, belt, low + out),
        (x + half, belt, low + out),
        (x + half, eave, high + out),
        (x - half, eave, high + out),
    )


def _wheel(build: Builder, x: float) -> None:
    radius_x, radius_y = 0.083, 0.215
    outer: list[Point] = []
    rim: list[Point] = []
    for k in range(12):
        sine, cosine = sin_cos(k * 0.5235987755982988)
        outer.append((x + radius_x * cosine, radius_y + radius_y * sine, 0.495))
        rim.append((x + 0.6 * radius_x * cosine, radius_y + 0.6 * radius_y * sine, 0.5))
    inner = [(a, b, 0.36) for a, b, _ in outer]
    build.mirrored(TYRE, *outer)
    build.mirrored(RIM, *rim)
    for k in range(12):
        build.mirrored(TYRE, outer[k], outer[k - 1], inner[k - 1], inner[k])


def _car_ends(build: Builder, trunk_height: float) -> None:
    rear, top = -0.4995, trunk_height - 0.06
    build.mirrored(REAR_LIGHT, (rear, top - 0.12, 0.27), (rear, top - 0.12, 0.43), (rear, top, 0.42), (rear, top, 0.29))
    build.polygon(PLATE, (rear, 0.36, -0.15), (rear, 0.36, 0.15), (rear, 0.43, 0.15), (rear, 0.43, -0.15))
    build.polygon(DARK, (rear, 0.26, -0.42), (rear, 0.26, 0.42), (rear, 0.31, 0.42), (rear, 0.31, -0.42))
    build.mirrored(FRONT_LIGHT, (0.484, 0.345, 0.27), (0.45, 0.345, 0.462), (0.44, 0.43, 0.45), (0.488, 0.42, 0.27))
    build.polygon(DARK, (0.4995, 0.25, -0.3), (0.4995, 0.25, 0.3), (0.4995, 0.345, 0.26), (0.4995, 0.345, -0.26))
    build.polygon(PLATE, (0.5, 0.27, -0.14), (0.5, 0.27, 0.14), (0.5, 0.32, 0.14), (0.5, 0.32, -0.14))
    build.mirrored(PAINT, (0.19, 0.60, 0.45), (0.19, 0.60, 0.499), (0.16, 0.66, 0.499), (0.16, 0.66, 0.45))


@cache
def person(pose: int) -> Template:
    """A walking or standing person in one of `PERSON_POSES` poses."""
    build = Builder()
    stride = (0.02, 0.14, 0.22, 0.30)[pose]
    for side, sign in ((0.09, 1.0), (-0.09, -1.0)):
        knee: Point = (0.35 * stride * sign + 0.02, 0.48, side)
        foot: Point = (stride * sign, 0.06, side)
        build.limb(LOWER, (0.0, 0.9, side), knee, 0.10, 0.75)
        build.limb(LOWER, knee, foot, 0.075, 0.7)
        _block(build, DARK, (foot[0] - 0.09, 0.0, side - 0.05), (foot[0] + 0.17, 0.09, side + 0.05))
        elbow: Point = (-0.6 * stride * sign, 1.12, 2.55 * side)
        build.limb(UPPER, (0.0, 1.42, 2.3 * side), elbow, 0.06, 0.85)
        build.limb(UPPER, elbow, (elbow[0] + 0.12 - 0.4 * stride * sign, 0.9, 2.5 * side), 0.048, 0.8)
    _torso(build, 0.0)
    _head(build, (0.02, 1.63, 0.0))
    return build.finish()


@cache
def cyclist(pose: int) -> Template:
    """A person on a bicycle, in one of `CYCLIST_POSES` pedal positions."""
    build = Builder()
    for x in (-0.55, 0.55):
        _bicycle_wheel(build, x)
    for start, end in (
        ((-0.55, 0.34, 0.0), (-0.1, 0.34, 0.0)),
        ((-0.1, 0.34, 0.0), (-0.22, 0.86, 0.0)),
        ((-0.1, 0.34, 0.0), (0.40, 0.82, 0.0)),
        ((-0.2, 0.78, 0.0), (0.40, 0.82, 0.0)),
        ((0.55, 0.34, 0.0), (0.40, 1.0, 0.0)),
    ):
        build.limb(PAINT, start, end, 0.028)
    for sign in (1.0, -1.0):
        _cyclist_side(build, sign, (0.0, 0.11, 0.17)[pose])
    _torso(build, 0.28, low=0.9, high=1.42, at=-0.2)
    _head(build, (0.18, 1.60, 0.0))
    return build.finish()


def _cyclist_side(build: Builder, sign: float, pedal: float) -> None:
    side = 0.1 * sign
    foot: Point = (-0.1 + 0.1 * sign, 0.34 - pedal * sign, side)
    knee: Point = (0.16 + 0.05 * sign, 0.72 - 0.5 * pedal * sign, 1.2 * side)
    build.limb(LOWER, (-0.2, 0.92, side), knee, 0.09, 0.75)
    build.limb(LOWER, knee, foot, 0.065, 0.7)
    _block(build, DARK, (foot[0] - 0.08, foot[1] - 0.05, side - 0.04), (foot[0] + 0.15, foot[1] + 0.03, side + 0.04))
    build.limb(UPPER, (0.08, 1.38, 2.1 * side), (0.24, 1.16, 2.7 * side), 0.055, 0.85)
    build.limb(UPPER, (0.24, 1.16, 2.7 * side), (0.42, 1.04, 2.4 * side), 0.045, 0.8)
    _block(build, DARK, (0.40, 1.0, min(0.0, 2.6 * side)), (0.44, 1.04, max(0.0, 2.6 * side)))


def _bicycle_wheel(build: Builder, x: float) -> None:
    for k in range(16):
        (s0, c0), (s1, c1) = sin_cos(k * 0.39269908169872414), sin_cos((k + 1) * 0.39269908169872414)
        for z in (-0.02, 0.02):
            build.polygon(
                TYRE,
                (x + 0.34 * c0, 0.34 + 0.34 * s0, z),
                (x + 0.34 * c1, 0.34 + 0.34 * s1, z),
                (x + 0.28 * c1, 0.34 + 0.28 * s1, z),
                (x + 0.28 * c0, 0.34 + 0.28 * s0, z),
            )


def _torso(build: Builder, lean: float, low: float = 0.86, high: float = 1.46, at: float = 0.0) -> None:
    rings: list[list[Point]] = []
    for level, wide, deep in ((0.0, 0.15, 0.11), (0.3, 0.16, 0.12), (0.8, 0.21, 0.13), (1.0, 0.14, 0.08)):
        y, x = low + level * (high - low), at + lean * level
        ring = []
        for k in range(8):
            sine, cosine = sin_cos(k * 0.7853981633974483 + 0.39269908169872414)
            ring.append((x + deep * cosine, y, wide * sine))
        rings.append(ring)
    build.loft(UPPER, rings)


def _head(build: Builder, centre: Point) -> None:
    x, y, z = centre
    levels = ((-0.17, 0.05), (-0.10, 0.075), (-0.01, 0.095), (0.07, 0.09), (0.13, 0.04))
    for part, chosen in ((SKIN, levels[:3]), (HAIR, levels[2:])):
        rings: list[list[Point]] = []
        for rise, radius in chosen:
            ring = []
            for k in range(6):
                sine, cosine = sin_cos(k * 1.0471975511965976)
                ring.append((x + 1.15 * radius * cosine, y + rise, z + 0.9 * radius * sine))
            rings.append(ring)
        build.loft(part, rings)


def _block(build: Builder, part: int, low: Point, high: Point) -> None:
    rings: list[list[Point]] = [
        [(low[0], y, low[2]), (high[0], y, low[2]), (high[0], y, high[2]), (low[0], y, high[2])]
        for y in (low[1], high[1])
    ]
    build.loft(part, rings)


@cache
def block() -> Template:
    """The unit box itself, for buildings and walls; `paint` sides, `dark` roof."""
    build = Builder()
    for x in (-0.5, 0.5):
        build.polygon(PAINT, (x, 0, -0.5), (x, 0, 0.5), (x, 1, 0.5), (x, 1, -0.5))
    for z in (-0.5, 0.5):
        build.polygon(PAINT, (-0.5, 0, z), (0.5, 0, z), (0.5, 1, z), (-0.5, 1, z))
    build.polygon(DARK, (-0.5, 1, -0.5), (0.5, 1, -0.5), (0.5, 1, 0.5), (-0.5, 1, 0.5))
    return build.finish()


@cache
def house() -> Template:
    """A gabled house: `paint` walls, `dark` roof, the ridge along x."""
    build = Builder()
    eave = 0.68
    for x in (-0.5, 0.5):
        build.polygon(PAINT, (x, 0, -0.5), (x, 0, 0.5), (x, eave, 0.5), (x, 1, 0), (x, eave, -0.5))
    build.mirrored(PAINT, (-0.5, 0, 0.5), (0.5, 0, 0.5), (0.5, eave, 0.5), (-0.5, eave, 0.5))
    build.mirrored(DARK, (-0.5, eave, 0.5), (0.5, eave, 0.5), (0.5, 1, 0), (-0.5, 1, 0))
    return build.finish()


@cache
def tree(kind: int) -> Template:
    """A tree: `dark` trunk and `paint` crown of a few lumps; kind 0 broad, 1 tall, 2 a bare bush."""
    build = Builder()
    if kind < 2:
        build.limb(DARK, (0.0, 0.0, 0.0), (0.0, 2.6, 0.0), 0.16, 0.7)
    lumps = (
        ((0, 3.4, 0, 1.5), (0.8, 2.9, 0.5, 1.0), (-0.8, 3.0, -0.5, 1.1), (0.1, 4.4, -0.2, 1.0), (-0.3, 3.0, 0.9, 0.9)),
        ((0, 2.6, 0, 0.9), (0.1, 3.7, 0.1, 0.85), (-0.1, 4.8, 0, 0.7), (0, 5.7, 0, 0.4)),
        ((0, 0.6, 0, 0.7), (0.6, 0.5, 0.2, 0.55), (-0.6, 0.45, -0.2, 0.55)),
    )[kind]
    for x, y, z, radius in lumps:
        _lump(build, x, y, z, radius)
    return build.finish()


def _lump(build: Builder, x: float, y: float, z: float, radius: float) -> None:
    rings: list[list[Point]] = []
    for row, (rise, wide) in enumerate(((-0.95, 0.25), (-0.55, 0.8), (0.05, 1.0), (0.6, 0.75), (0.95, 0.2))):
        ring = []
        for k in range(8):
            sine, cosine = sin_cos(k * 0.7853981633974483 + row)
            bump = 0.88 + 0.12 * ((k * 7 + row * 5) % 4 - 1.5)
            ring.append((x + bump * radius * wide * cosine, y + radius * rise, z + bump * radius * wide * sine))
        rings.append(ring)
    build.loft(PAINT, rings)


@cache
def pole(kind: int) -> Template:
    """A post: kind 0 a lamp with an arm, 1 a traffic sign (`paint` plate)."""
    build = Builder()
    if kind == 0:
        build.limb(DARK, (0.0, 0.0, 0.0), (0.0, 6.0, 0.0), 0.09, 0.6)
        _block(build, DARK, (-0.05, 5.9, -0.1), (1.6, 6.05, 0.1))
    else:
        build.limb(DARK, (0.0, 0.0, 0.0), (0.0, 2.2, 0.0), 0.04)
        ring: list[Point] = []
        for k in range(8):
            sine, cosine = sin_cos(k * 0.7853981633974483 + 0.39269908169872414)
            ring.append((0.05, 2.3 + 0.35 * sine, 0.35 * cosine))
        build.polygon(PAINT, *ring)
    return build.finish()
