"""What stands where: sampling of a street by KITTI-like statistics.

The constants are statistics of KITTI's 7,481 training frames: sizes by class with their spread, about 70 % of the cars
within 20° of the road's direction, parked rows 2 to 4 m right and 6 to 7 m left of the camera, ground slopes of 0.0125.
Labels have two decimals, so sizes, places and headings are rounded *before* anything is drawn: the label is the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monokd.scenes import meshes
from monokd.scenes.exact import bell, pick, sin_cos, uniform, wrap
from monokd.scenes.palette import Look, car_look, cyclist_look, person_look

Array = NDArray[np.float64]
HALF_TURN = 3.141592653589793
CAMERA_HEIGHT_M = 1.65
NEAREST_CORNER_M = 0.5

# height, width, length: mean, deviation, low, high (KITTI's 1st and 99th percentile)
SIZES_M = {
    "Car": ((1.526, 0.13, 1.30, 1.95), (1.629, 0.10, 1.38, 1.87), (3.884, 0.42, 3.00, 4.85)),
    "Pedestrian": ((1.761, 0.11, 1.50, 1.97), (0.660, 0.14, 0.40, 0.96), (0.842, 0.23, 0.35, 1.32)),
    "Cyclist": ((1.737, 0.09, 1.45, 1.96), (0.597, 0.12, 0.40, 0.88), (1.764, 0.17, 1.25, 2.10)),
}
CLASSES = tuple(SIZES_M)
CLEARANCE_M = {"Car": 0.35, "Pedestrian": 0.15, "Cyclist": 0.2}


@dataclass(frozen=True, slots=True)
class Placed:
    """A solid in the world.

    Attributes:
        name: KITTI class, or "" for clutter.
        template: its triangles in the unit box.
        look: material, colour and reflectance of its parts.
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

    def footprint(self, margin_m: float = 0.0) -> Array:
        """Corners of the bottom face, grown by `margin_m`, 4×2 x and z."""
        sine, cosine = sin_cos(self.rotation_y_rad)
        _, width, length = self.size_m
        a, b = length / 2 + margin_m, width / 2 + margin_m
        x, _, z = self.location_m
        along = ((a, b), (a, -b), (-a, -b), (-a, b))
        return np.array([(x + cosine * p + sine * q, z - sine * p + cosine * q) for p, q in along])


@dataclass(frozen=True, slots=True)
class Road:
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
        sine, cosine = sin_cos(self.yaw_rad)
        across = d_m + self.centre_m
        return s_m * sine + across * cosine, s_m * cosine - across * sine

    def ground_y(self, x: float, z: float) -> float:
        """Height of the ground (y, down) at camera x and z."""
        return CAMERA_HEIGHT_M + self.bank * x + self.pitch * z


@dataclass(slots=True)
class World:
    """One frame's road and solids: labelled objects and clutter."""

    road: Road
    objects: list[Placed] = field(default_factory=list)
    clutter: list[Placed] = field(default_factory=list)


def sample_road(rng: np.random.Generator, *, pitch_std_rad: float, yaw_std_rad: float) -> Road:
    """A road and its ground."""
    parking = float(rng.random()) < 0.6
    crossing = uniform(rng, 14.0, 45.0) if float(rng.random()) < 0.35 else 0.0
    return Road(
        yaw_rad=bell(rng, 0.0, yaw_std_rad),
        centre_m=-1.75 + bell(rng, 0.0, 0.3),
        kerb_m=5.7 if parking else 3.7,
        pavement_m=uniform(rng, 1.8, 3.5),
        crossing_m=crossing,
        pitch=bell(rng, 0.0, pitch_std_rad),
        bank=bell(rng, 0.0, 0.3 * pitch_std_rad),
        parking=parking,
        open_land=float(rng.random()) < 0.3,
    )


def sample_objects(
    rng: np.random.Generator,
    road: Road,
    *,
    objects_per_frame: float,
    class_shares: tuple[float, float, float],
    min_distance_m: float,
    max_distance_m: float,
    max_hidden_share: float,
) -> list[Placed]:
    """Cars, pedestrians and cyclists that stand clear of each other and are at least partly in view.

    The count varies by a third about `objects_per_frame`; where the street is full there are fewer. `class_shares` are
    weights of Car, Pedestrian, Cyclist. Nobody stands so that more than `max_hidden_share` of his width is hidden.
    """
    wanted = max(1, int(bell(rng, objects_per_frame, objects_per_frame / 3) + 0.5))
    objects: list[Placed] = []
    for _ in range(12 * wanted):
        if len(objects) == wanted:
            break
        name = CLASSES[pick(rng, class_shares)]
        candidate = _sample_object(rng, road, name, min_distance_m, max_distance_m)
        if _in_view(candidate) and _fits(candidate, objects) and _seen(candidate, objects, max_hidden_share):
            objects.append(candidate)
    return objects


def _sample_object(rng: np.random.Generator, road: Road, name: str, low_m: float, high_m: float) -> Placed:
    size = tuple(
        round(min(max(bell(rng, mean, deviation), low), high), 2) for mean, deviation, low, high in SIZES_M[name]
    )
    u = float(rng.random())
    distance = low_m + (high_m - low_m) * u * (0.5 + 0.5 * u)
    s, d, heading = _sample_pose(rng, road, name, distance)
    x, z = road.place(s, d)
    x, z = round(x, 2), round(min(max(z, low_m), high_m), 2)
    rotation = round(wrap(heading + road.yaw_rad), 2)
    if name == "Car":
        template, look = meshes.car(int(rng.integers(meshes.CAR_STYLES))), car_look(rng)
    elif name == "Pedestrian":
        template, look = meshes.person(int(rng.integers(meshes.PERSON_POSES))), person_look(rng)
    else:
        template, look = meshes.cyclist(int(rng.integers(meshes.CYCLIST_POSES))), cyclist_look(rng)
    location = (x, round(road.ground_y(x, z), 2), z)
    return Placed(name, template, look, (size[0], size[1], size[2]), location, rotation)


def _sample_pose(rng: np.random.Generator, road: Road, name: str, s: float) -> tuple[float, float, float]:
    """Along, across and rotation_y on a road that runs straight ahead (−π/2 drives away, +π/2 comes)."""
    away, comes = -HALF_TURN / 2, HALF_TURN / 2
    if name == "Car":
        return _car_pose(rng, road, s)
    side = 1.0 if float(rng.random()) < 0.6 else -1.0
    if name == "Pedestrian":
        if float(rng.random()) < 0.25:
            return s, uniform(rng, -road.kerb_m, road.kerb_m), pick(rng, (1, 1)) * HALF_TURN + bell(rng, 0.0, 0.3)
        d = side * (road.kerb_m + uniform(rng, 0.3, road.pavement_m))
        heading = uniform(rng, -HALF_TURN, HALF_TURN) if float(rng.random()) < 0.3 else (away, comes)[pick(rng, (1, 1))]
        return s, d, heading + bell(rng, 0.0, 0.2)
    if float(rng.random()) < 0.2:
        return s, uniform(rng, -road.kerb_m, road.kerb_m), pick(rng, (1, 1)) * HALF_TURN + bell(rng, 0.0, 0.25)
    d = side * uniform(rng, 2.2, road.kerb_m + 0.8)
    return s, d, (away if side > 0 else comes) + bell(rng, 0.0, 0.12)


def _car_pose(rng: np.random.Generator, road: Road, s: float) -> tuple[float, float, float]:
    away, comes = -HALF_TURN / 2, HALF_TURN / 2
    crossing = 1.0 if road.crossing_m > 0 else 0.12
    land = 1.2 if road.open_land else 0.15
    rows = 1.0 if road.parking else 0.0
    kind = pick(rng, (1.3, 1.0, 1.5 * rows, 1.1 * rows, crossing, land))
    jitter = bell(rng, 0.0, 0.05)
    if kind == 0:
        return s, 1.75 + bell(rng, 0.0, 0.3), away + jitter
    if kind == 1:
        return s, -1.75 + bell(rng, 0.0, 0.3), comes + jitter
    if kind == 2:
        return s, road.kerb_m - 1.05 + bell(rng, 0.0, 0.1), away + jitter
    if kind == 3:
        return s, 1.05 - road.kerb_m + bell(rng, 0.0, 0.1), (comes, away)[pick(rng, (0.6, 0.4))] + jitter
    if kind == 4:
        lane = pick(rng, (1, 1))
        at = road.crossing_m if road.crossing_m > 0 else s
        turn = bell(rng, 0.0, 0.35) if float(rng.random()) < 0.4 else 2 * jitter
        return at + (1.75, -1.75)[lane], uniform(rng, -0.7, 0.7) * at, lane * HALF_TURN + turn
    side = 1.0 if float(rng.random()) < 0.5 else -1.0
    d = side * (road.kerb_m + road.pavement_m + uniform(rng, 1.5, 14.0))
    heading = (away, comes, 0.0, HALF_TURN)[pick(rng, (1, 1, 1, 1))]
    return s, d, uniform(rng, -HALF_TURN, HALF_TURN) if float(rng.random()) < 0.3 else heading + 2 * jitter


def _in_view(candidate: Placed) -> bool:
    corners = candidate.footprint()
    x, _, z = candidate.location_m
    return float(corners[:, 1].min()) > NEAREST_CORNER_M and abs(x) < 0.85 * z + 0.6


def _fits(candidate: Placed, others: list[Placed]) -> bool:
    margin_m = CLEARANCE_M[candidate.name]
    return not any(meets(candidate, other, margin_m) for other in others)


def meets(one: Placed, two: Placed, margin_m: float = 0.0) -> bool:
    """Whether two solids, one of them grown by `margin_m`, stand on common ground."""
    dx, dz = one.location_m[0] - two.location_m[0], one.location_m[2] - two.location_m[2]
    reach = 0.0
    for placed in (one, two):
        _, width, length = placed.size_m
        reach += math.sqrt(width * width + length * length) / 2
    reach += 2.0 * margin_m
    return dx * dx + dz * dz <= reach * reach and overlap(one.footprint(margin_m), two.footprint())


def overlap(one: Array, two: Array) -> bool:
    """Whether two rectangles (4×2 corners in order) intersect: separating axes along their sides."""
    for corners in (one, two):
        for k in (0, 1):
            ax, az = corners[k + 1] - corners[k]
            first, second = one[:, 0] * ax + one[:, 1] * az, two[:, 0] * ax + two[:, 1] * az
            if first.max() < second.min() or second.max() < first.min():
                return False
    return True


def _seen(candidate: Placed, others: list[Placed], limit: float) -> bool:
    """Whether neither the candidate nor those behind it are hidden too far, judged by their horizontal extents."""
    spans = [_span(placed) for placed in (*others, candidate)]
    for z, low, high in spans:
        hidden = 0.0
        for other_z, other_low, other_high in spans:
            if other_z < z:
                hidden += max(0.0, min(high, other_high) - max(low, other_low))
        if hidden > limit * (high - low):
            return False
    return True


def _span(placed: Placed) -> tuple[float, float, float]:
    corners = placed.footprint()
    across = corners[:, 0] / corners[:, 1]
    return placed.location_m[2], float(across.min()), float(across.max())
