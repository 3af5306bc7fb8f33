"""What stands where: sampling of a street by KITTI-like statistics.

The constants are statistics of KITTI's 7,481 training frames: sizes by class with their spread, about 70 % of the cars
within 20° of the road's direction, parked rows 2 to 4 m right and 6 to 7 m left of the camera, ground slopes of 0.0125.
Labels have two decimals, so sizes, places and headings are rounded *before* anything is drawn: the label is the truth.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from monokd.kitti.boxes3d import CORNERS
from monokd.params import Scenes
from monokd.scenes import meshes
from monokd.scenes.palette import Look, object_look, pick
from monokd.scenes.raycast import NEAR_M
from monokd.typing import Floats, Ints

CAMERA_HEIGHT_M = 1.65
# height, width, length: mean, deviation, low, high (KITTI's 1st and 99th percentile)
SIZES_M = {
    "Car": ((1.526, 0.13, 1.30, 1.95), (1.629, 0.10, 1.38, 1.87), (3.884, 0.42, 3.00, 4.85)),
    "Pedestrian": ((1.761, 0.11, 1.50, 1.97), (0.660, 0.14, 0.40, 0.96), (0.842, 0.23, 0.35, 1.32)),
    "Cyclist": ((1.737, 0.09, 1.45, 1.96), (0.597, 0.12, 0.40, 0.88), (1.764, 0.17, 1.25, 2.10)),
}
CLASS_SHARES = (0.72, 0.17, 0.11)
CLEARANCE_M = {"Car": 0.35, "Pedestrian": 0.15, "Cyclist": 0.2}
MAX_HIDDEN_SHARE = 0.75  # of an object's width
# rotation_y on a road that runs straight ahead
AWAY, TOWARDS = -math.pi / 2, math.pi / 2


@dataclass(frozen=True, eq=False)
class Placed:
    """A solid in the world."""

    name: str  # KITTI class, or "" for clutter
    template: meshes.Template
    look: Look
    size_m: tuple[float, float, float]  # height, width, length
    location_m: tuple[float, float, float]  # centre of the bottom face, rectified camera coordinates
    rotation_y_rad: float

    def in_world(self, unit: Floats) -> Floats:
        """Points of the unit box (…×3: along, up, across) in camera coordinates, metres."""
        height, width, length = self.size_m
        sine, cosine = math.sin(self.rotation_y_rad), math.cos(self.rotation_y_rad)
        axes = [[cosine * length, 0.0, -sine * length], [0.0, -height, 0.0], [sine * width, 0.0, cosine * width]]
        return np.asarray(unit @ np.array(axes) + self.location_m)

    def footprint(self, margin_m: float = 0.0) -> Floats:
        """Corners of the bottom face, grown by `margin_m`, 4×2 x and z."""
        _, width, length = self.size_m
        return self.in_world(CORNERS[:4] * (1 + 2 * margin_m / length, 0, 1 + 2 * margin_m / width))[:, ::2]

    @cached_property
    def span(self) -> tuple[float, float]:
        """Its left and right end in x / z, seen from above."""
        x, z = self.footprint().T
        return float((x / z).min()), float((x / z).max())


class Road(NamedTuple):
    """A straight road. Along it s, across it d (right positive) from its centre line."""

    yaw_rad: float  # its direction against the camera's z axis, positive to the right
    centre_m: float  # lateral place of the centre line below the camera
    kerb_m: float  # from the centre line to the kerb
    pavement_m: float  # width of the pavement beyond the kerb
    crossing_m: float  # distance of a crossing street's centre, 0 where there is none
    pitch: float  # rise of the ground per metre ahead (down positive, as y)
    bank: float  # the same to the right
    parking: bool  # whether rows of parked cars line it
    open_land: bool  # whether the surroundings are open, so that cars stand anywhere

    def place(self, s_m: float, d_m: float) -> tuple[float, float]:
        """Camera x and z of a place on the road."""
        sine, cosine = math.sin(self.yaw_rad), math.cos(self.yaw_rad)
        across = d_m + self.centre_m
        return s_m * sine + across * cosine, s_m * cosine - across * sine

    def ground_y(self, x: float, z: float) -> float:
        """Height of the ground (y, down) at camera x and z."""
        return CAMERA_HEIGHT_M + self.bank * x + self.pitch * z


class Triangles(NamedTuple):
    """The T triangles of a world, in rectified camera coordinates."""

    corners_m: Floats  # T×3×3, corner and coordinate
    normals: Floats  # T×3, unit length, either side
    colours: Floats  # T×3 RGB, 0 to 255
    materials: Ints  # T, as in `palette`
    owners: Ints  # T, index of the labelled object in ascending runs, then −1 for clutter
    base_y_m: Floats  # T, y of the bottom of the solid


def assemble(objects: list[Placed], clutter: list[Placed]) -> Triangles:
    """All solids of a world; triangles that reach within `NEAR_M` of the camera's plane are left out."""
    solids = [*objects, *clutter]
    corners = np.concatenate([solid.in_world(solid.template.corners) for solid in solids])
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    counts = [len(solid.template.parts) for solid in solids]
    triangles = Triangles(
        corners,
        normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12),
        np.concatenate([solid.look.colours[solid.template.parts] for solid in solids]),
        np.concatenate([solid.look.materials[solid.template.parts] for solid in solids]),
        np.repeat([*range(len(objects)), *[-1] * len(clutter)], counts),
        np.repeat([solid.location_m[1] for solid in solids], counts),
    )
    ahead = corners[..., 2].min(axis=1) > NEAR_M
    return Triangles(*(values[ahead] for values in triangles))


def sample_road(rng: np.random.Generator, settings: Scenes) -> Road:
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


def sample_objects(rng: np.random.Generator, road: Road, settings: Scenes) -> list[Placed]:
    """Cars, pedestrians and cyclists that stand clear of each other and are at least partly in view.

    Their count varies by a third about `settings.objects_per_frame`.
    """
    wanted = max(1, round(rng.normal(settings.objects_per_frame, settings.objects_per_frame / 3)))
    objects: list[Placed] = []
    for _ in range(12 * wanted):
        if len(objects) == wanted:
            break
        candidate = _sample_object(rng, road, settings)
        x, _, z = candidate.location_m
        if (
            abs(x) < 0.85 * z + 0.6
            and candidate.footprint()[:, 1].min() > NEAR_M
            and not any(meets(candidate, other, CLEARANCE_M[candidate.name]) for other in objects)
            and not _too_hidden([*objects, candidate])
        ):
            objects.append(candidate)
    return objects


def _sample_object(rng: np.random.Generator, road: Road, settings: Scenes) -> Placed:
    name = tuple(SIZES_M)[pick(rng, CLASS_SHARES)]
    height, width, length = (
        round(min(max(rng.normal(mean, deviation), low), high), 2) for mean, deviation, low, high in SIZES_M[name]
    )
    u, low_m, high_m = rng.random(), settings.min_distance_m, settings.max_distance_m
    sample_pose, build, variants = {
        "Car": (_car_pose, meshes.car, meshes.CAR_STYLES),
        "Pedestrian": (_pedestrian_pose, meshes.person, meshes.PERSON_POSES),
        "Cyclist": (_cyclist_pose, meshes.cyclist, meshes.CYCLIST_POSES),
    }[name]
    s, d, heading = sample_pose(rng, road, low_m + (high_m - low_m) * u * (0.5 + 0.5 * u))
    x, z = road.place(s, d)
    x, z = round(x, 2), round(min(max(z, low_m), high_m), 2)
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


def meets(one: Placed, two: Placed, margin_m: float = 0.0) -> bool:
    """Whether two solids, one of them grown by `margin_m`, stand on common ground."""
    reach = sum(math.hypot(*placed.size_m[1:]) / 2 for placed in (one, two)) + 2 * margin_m
    near = math.dist(one.location_m[::2], two.location_m[::2]) <= reach  # a quick look first
    return near and overlap(one.footprint(margin_m), two.footprint())


def overlap(one: Floats, two: Floats) -> bool:
    """Whether two rectangles (4×2 corners in order) intersect: no axis along their sides separates them."""
    for axis in (one[1] - one[0], one[2] - one[1], two[1] - two[0], two[2] - two[1]):
        first, second = one @ axis, two @ axis
        if first.max() < second.min() or second.max() < first.min():
            return False
    return True


def _too_hidden(objects: list[Placed]) -> bool:
    """Whether somebody has more than `MAX_HIDDEN_SHARE` of his width hidden by those nearer."""
    low, high = np.array([placed.span for placed in objects]).T
    z = np.array([placed.location_m[2] for placed in objects])
    common = np.minimum.outer(high, high) - np.maximum.outer(low, low)
    hidden = (np.maximum(common, 0.0) * (z < z[:, None])).sum(axis=1)
    return bool((hidden > MAX_HIDDEN_SHARE * (high - low)).any())
