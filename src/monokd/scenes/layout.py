"""What stands where: sampling of a street by KITTI-like statistics.

The constants are statistics of KITTI's 7,481 training frames: sizes by class with their spread, about 70 % of the cars
within 20° of the road's direction, parked rows 2 to 4 m right and 6 to 7 m left of the camera, ground slopes of 0.0125.
Labels have two decimals, so sizes, places and headings are rounded *before* anything is drawn: the label is the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from monokd.scenes import meshes
from monokd.scenes.palette import Look, object_look, pick
from monokd.scenes.settings import SceneSettings
from monokd.typing import Floats

CAMERA_HEIGHT_M = 1.65
NEAREST_CORNER_M = 0.5
# height, width, length: mean, deviation, low, high (KITTI's 1st and 99th percentile)
SIZES_M = {
    "Car": ((1.526, 0.13, 1.30, 1.95), (1.629, 0.10, 1.38, 1.87), (3.884, 0.42, 3.00, 4.85)),
    "Pedestrian": ((1.761, 0.11, 1.50, 1.97), (0.660, 0.14, 0.40, 0.96), (0.842, 0.23, 0.35, 1.32)),
    "Cyclist": ((1.737, 0.09, 1.45, 1.96), (0.597, 0.12, 0.40, 0.88), (1.764, 0.17, 1.25, 2.10)),
}
CLEARANCE_M = {"Car": 0.35, "Pedestrian": 0.15, "Cyclist": 0.2}
# rotation_y on a road that runs straight ahead
AWAY, TOWARDS = -math.pi / 2, math.pi / 2


@dataclass(frozen=True, eq=False)
class Placed:
    """A solid in the world.

    Attributes:
        name: KITTI class, or "" for clutter.
        template: its triangles in the unit box.
        look: material and colour of its parts.
        size_m: height, width, length.
        location_m: centre of the bottom face, rectified camera coordinates.
        rotation_y_rad: heading about the camera's y axis.
    """

    name: str
    template: meshes.Template
    look: Look
    size_m: tuple[float, float, float]
    location_m: tuple[float, float, float]
    rotation_y_rad: float

    def in_world(self, unit: Floats) -> Floats:
        """Points of the unit box (…×3: along, up, across) in camera coordinates, metres."""
        height, width, length = self.size_m
        sine, cosine = math.sin(self.rotation_y_rad), math.cos(self.rotation_y_rad)
        turn = np.array(
            [[cosine * length, 0.0, -sine * length], [0.0, -height, 0.0], [sine * width, 0.0, cosine * width]]
        )
        moved: Floats = unit @ turn + self.location_m
        return moved

    def footprint(self, margin_m: float = 0.0) -> Floats:
        """Corners of the bottom face, grown by `margin_m`, 4×2 x and z."""
        _, width, length = self.size_m
        a, b = 0.5 + margin_m / length, 0.5 + margin_m / width
        return self.in_world(np.array([(a, 0, b), (a, 0, -b), (-a, 0, -b), (-a, 0, b)]))[:, ::2]

    @cached_property
    def span(self) -> tuple[float, float]:
        """Its left and right end in x / z, seen from above."""
        x, z = self.footprint().T
        return float((x / z).min()), float((x / z).max())


class Road(NamedTuple):
    """A straight road. Along it s, across it d (right positive) from its centre line.

    Attributes:
        yaw_rad: its direction against the camera's z axis, positive to the right.
        centre_m: lateral place of the centre line below the camera.
        kerb_m: from the centre line to the kerb.
        pavement_m: width of the pavement beyond the kerb.
        crossing_m: distance of a crossing street's centre, 0 where there is none.
        pitch: rise of the ground per metre ahead (down positive, as y).
        bank: the same to the right.
        parking: whether rows of parked cars line it.
        open_land: whether the surroundings are open, so that cars stand anywhere.
    """

    yaw_rad: float
    centre_m: float
    kerb_m: float
    pavement_m: float
    crossing_m: float
    pitch: float
    bank: float
    parking: bool
    open_land: bool

    def place(self, s_m: float, d_m: float) -> tuple[float, float]:
        """Camera x and z of a place on the road."""
        sine, cosine = math.sin(self.yaw_rad), math.cos(self.yaw_rad)
        across = d_m + self.centre_m
        return s_m * sine + across * cosine, s_m * cosine - across * sine

    def ground_y(self, x: float, z: float) -> float:
        """Height of the ground (y, down) at camera x and z."""
        return CAMERA_HEIGHT_M + self.bank * x + self.pitch * z


def sample_road(rng: np.random.Generator, settings: SceneSettings) -> Road:
    """A road and its ground."""
    parking = bool(rng.random() < 0.6)
    return Road(
        yaw_rad=rng.normal(0.0, 0.05),
        centre_m=rng.normal(-1.75, 0.3),
        kerb_m=5.7 if parking else 3.7,
        pavement_m=rng.uniform(1.8, 3.5),
        crossing_m=rng.uniform(14.0, 45.0) if rng.random() < 0.35 else 0.0,
        pitch=rng.normal(0.0, settings.pitch_std_rad),
        bank=rng.normal(0.0, 0.3 * settings.pitch_std_rad),
        parking=parking,
        open_land=bool(rng.random() < 0.3),
    )


def sample_objects(rng: np.random.Generator, road: Road, settings: SceneSettings) -> list[Placed]:
    """Cars, pedestrians and cyclists that stand clear of each other and are at least partly in view.

    Their count varies by a third about `settings.objects_per_frame`.
    """
    wanted = max(1, round(rng.normal(settings.objects_per_frame, settings.objects_per_frame / 3)))
    objects: list[Placed] = []
    for _ in range(12 * wanted):
        if len(objects) == wanted:
            break
        candidate = _sample_object(rng, road, settings)
        margin_m = CLEARANCE_M[candidate.name]
        if (
            _in_view(candidate)
            and not any(meets(candidate, other, margin_m) for other in objects)
            and _seen([*objects, candidate], settings.max_hidden_share)
        ):
            objects.append(candidate)
    return objects


def _sample_object(rng: np.random.Generator, road: Road, settings: SceneSettings) -> Placed:
    name = tuple(SIZES_M)[pick(rng, settings.class_shares)]
    height, width, length = (
        round(min(max(rng.normal(mean, deviation), low), high), 2) for mean, deviation, low, high in SIZES_M[name]
    )
    u, low_m, high_m = rng.random(), settings.min_distance_m, settings.max_distance_m
    sample_pose = {"Car": _car_pose, "Pedestrian": _pedestrian_pose, "Cyclist": _cyclist_pose}[name]
    s, d, heading = sample_pose(rng, road, low_m + (high_m - low_m) * u * (0.5 + 0.5 * u))
    x, z = road.place(s, d)
    x, z = round(x, 2), round(min(max(z, low_m), high_m), 2)
    build, variants = {
        "Car": (meshes.car, meshes.CAR_STYLES),
        "Pedestrian": (meshes.person, meshes.PERSON_POSES),
        "Cyclist": (meshes.cyclist, meshes.CYCLIST_POSES),
    }[name]
    template = build(int(rng.integers(variants)))
    rotation = round(math.remainder(heading + road.yaw_rad, 2 * math.pi), 2)
    location = x, round(road.ground_y(x, z), 2), z
    return Placed(name, template, object_look(rng, name), (height, width, length), location, rotation)


def _either(rng: np.random.Generator, first: float, second: float, share: float = 0.5) -> float:
    return first if rng.random() < share else second


def _pedestrian_pose(rng: np.random.Generator, road: Road, s: float) -> tuple[float, float, float]:
    """Along, across and heading: on the pavement, or crossing the road."""
    if rng.random() < 0.25:
        return s, rng.uniform(-road.kerb_m, road.kerb_m), _either(rng, 0.0, math.pi) + rng.normal(0.0, 0.3)
    d = _either(rng, 1.0, -1.0, 0.6) * (road.kerb_m + rng.uniform(0.3, road.pavement_m))
    heading = rng.uniform(-math.pi, math.pi) if rng.random() < 0.3 else _either(rng, AWAY, TOWARDS)
    return s, d, heading + rng.normal(0.0, 0.2)


def _cyclist_pose(rng: np.random.Generator, road: Road, s: float) -> tuple[float, float, float]:
    """Along, across and heading: near the kerb with the traffic, or crossing the road."""
    if rng.random() < 0.2:
        return s, rng.uniform(-road.kerb_m, road.kerb_m), _either(rng, 0.0, math.pi) + rng.normal(0.0, 0.25)
    d = _either(rng, 1.0, -1.0, 0.6) * rng.uniform(2.2, road.kerb_m + 0.8)
    return s, d, (AWAY if d > 0 else TOWARDS) + rng.normal(0.0, 0.12)


def _car_pose(rng: np.random.Generator, road: Road, s: float) -> tuple[float, float, float]:
    """Along, across and heading: in a lane, parked, on a crossing street, or on the land beside the road."""
    parked = 1.0 if road.parking else 0.0
    crossing, land = 1.0 if road.crossing_m > 0 else 0.12, 1.2 if road.open_land else 0.15
    kind = pick(rng, (1.3, 1.0, 1.5 * parked, 1.1 * parked, crossing, land))
    jitter = rng.normal(0.0, 0.05)
    if kind < 2:
        return s, rng.normal((1.75, -1.75)[kind], 0.3), (AWAY, TOWARDS)[kind] + jitter
    if kind < 4:
        side, heading = (1.0, AWAY) if kind == 2 else (-1.0, _either(rng, TOWARDS, AWAY, 0.6))
        return s, side * (road.kerb_m - 1.05) + rng.normal(0.0, 0.1), heading + jitter
    if kind == 4:
        offset, heading = (1.75, 0.0) if rng.random() < 0.5 else (-1.75, math.pi)
        at = road.crossing_m or s
        turn = rng.normal(0.0, 0.35) if rng.random() < 0.4 else 2 * jitter
        return at + offset, rng.uniform(-0.7, 0.7) * at, heading + turn
    d = _either(rng, 1.0, -1.0) * (road.kerb_m + road.pavement_m + rng.uniform(1.5, 14.0))
    square = float(rng.integers(4)) * math.pi / 2 + 2 * jitter
    return s, d, rng.uniform(-math.pi, math.pi) if rng.random() < 0.3 else square


def _in_view(candidate: Placed) -> bool:
    x, _, z = candidate.location_m
    return abs(x) < 0.85 * z + 0.6 and float(candidate.footprint()[:, 1].min()) > NEAREST_CORNER_M


def meets(one: Placed, two: Placed, margin_m: float = 0.0) -> bool:
    """Whether two solids, one of them grown by `margin_m`, stand on common ground."""
    reach = sum(math.hypot(*placed.size_m[1:]) / 2 for placed in (one, two)) + 2 * margin_m
    apart = math.dist(one.location_m[::2], two.location_m[::2])
    return apart <= reach and overlap(one.footprint(margin_m), two.footprint())


def overlap(one: Floats, two: Floats) -> bool:
    """Whether two rectangles (4×2 corners in order) intersect: separating axes along their sides."""
    for axis in (one[1] - one[0], one[2] - one[1], two[1] - two[0], two[2] - two[1]):
        first, second = one @ axis, two @ axis
        if first.max() < second.min() or second.max() < first.min():
            return False
    return True


def _seen(objects: list[Placed], limit: float) -> bool:
    """Whether nobody has more than the share `limit` of his width hidden by those nearer."""
    for placed in objects:
        low, high = placed.span
        nearer = (other.span for other in objects if other.location_m[2] < placed.location_m[2])
        hidden = sum(max(0.0, min(high, right) - max(low, left)) for left, right in nearer)
        if hidden > limit * (high - low):
            return False
    return True
