"""Colours: every pixel's surface point gets its texture, light, haze and a little sensor noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.scenes.exact import bell, compiled, sin_cos, uniform
from monokd.scenes.geometry import Triangles
from monokd.scenes.layout import Placed, Road
from monokd.scenes.rasteriser import Camera, View

Array = NDArray[np.float64]
TABLE = 256


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
    """

    sun: tuple[float, float, float]
    strength: float
    exposure: float
    sky: tuple[float, float, float]
    horizon: tuple[float, float, float]
    haze_per_m: float


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


def shade(
    camera: Camera,
    view: View,
    triangles: Triangles,
    objects: list[Placed],
    road: Road,
    light: Light,
    noise: NDArray[np.float32],
    *,
    texture: float,
    noise_levels: float,
) -> NDArray[np.uint8]:
    """Colour a view.

    Args:
        camera, view, triangles, objects, road: what was drawn.
        light: sun and sky.
        noise: from `noise_table`.
        texture: contrast of all textures, 1 natural, 0 none.
        noise_levels: largest sensor noise, grey levels.

    Returns:
        H×W×3 uint8 RGB.
    """
    lit, normals = _lit(triangles, light)
    contact = _contact(camera, view, objects, road)
    sine, cosine = sin_cos(road.yaw_rad)
    street = np.array([sine, cosine, road.centre_m, road.kerb_m, road.pavement_m, road.crossing_m, float(road.parking)])
    sky = np.array([*light.sky, *light.horizon, light.haze_per_m, light.strength, light.exposure])
    return _colour(
        view.triangle,
        view.inverse_depth,
        view.shadow,
        contact,
        lit,
        normals,
        triangles.materials,
        triangles.base_y_m,
        np.array([camera.focal_px, camera.cu_px, camera.cv_px, *camera.centre_m]),
        street,
        sky,
        noise,
        texture,
        noise_levels,
    )


def _lit(triangles: Triangles, light: Light) -> tuple[Array, Array]:
    """Flat-shaded colours and unit normals towards the camera, T×3 each."""
    corners = triangles.corners_m
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normals = np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )
    x, y, z = normals[:, 0], normals[:, 1], normals[:, 2]
    length = np.sqrt(x * x + y * y + z * z)
    facing = x * corners[:, 0, 0] + y * corners[:, 0, 1] + z * corners[:, 0, 2]
    normals = normals * (np.where(facing > 0, -1.0, 1.0) / np.maximum(length, 1e-12))[:, None]
    towards = normals[:, 0] * light.sun[0] + normals[:, 1] * light.sun[1] + normals[:, 2] * light.sun[2]
    ambient = 1.0 - 0.55 * light.strength
    skylight = 0.78 - 0.22 * normals[:, 1]
    gain = ambient * skylight + light.strength * np.maximum(towards, 0.0)
    return triangles.colours * gain[:, None], normals


def _contact(camera: Camera, view: View, objects: list[Placed], road: Road) -> NDArray[np.float32]:
    """Brightness of the ground under and beside the objects, H×W, 1 in the open."""
    contact = np.ones(view.triangle.shape, dtype=np.float32)
    rows = np.empty((len(objects), 6))
    for i, placed in enumerate(objects):
        sine, cosine = sin_cos(placed.rotation_y_rad)
        x, _, z = placed.location_m
        rows[i] = x, z, sine, cosine, placed.size_m[2] / 2, placed.size_m[1] / 2
    pinhole = np.array([camera.focal_px, camera.cu_px, camera.cv_px, *camera.centre_m])
    _darken(contact, view.triangle, view.inverse_depth, rows, pinhole, view.extents_px)
    return contact


@compiled
def _darken(
    contact: NDArray[np.float32],
    triangle: NDArray[np.int32],
    inverse: NDArray[np.float32],
    rows: Array,
    pinhole: Array,
    extents: Array,
) -> None:
    height, width = contact.shape
    focal, cu, cv = pinhole[0], pinhole[1], pinhole[2]
    for i in range(rows.shape[0]):
        x, z, sine, cosine, half_length, half_width = rows[i]
        wide, tall = extents[i, 2] - extents[i, 0], extents[i, 3] - extents[i, 1]
        left, right = max(0.0, extents[i, 0] - 0.4 * wide), min(width - 1.0, extents[i, 2] + 0.4 * wide)
        top, bottom = max(0.0, extents[i, 1] + 0.4 * tall), min(height - 1.0, extents[i, 3] + 0.3 * tall)
        for v in range(int(top), int(bottom) + 1):
            for u in range(int(left), int(right) + 1):
                if triangle[v, u] != -1:
                    continue
                depth = 1.0 / inverse[v, u]
                dx = depth * ((u - cu) / focal) + pinhole[3] - x
                dz = depth + pinhole[5] - z
                out = max(abs(cosine * dx - sine * dz) - half_length, abs(sine * dx + cosine * dz) - half_width)
                dark = 0.72 if out < -0.1 else 0.72 * max(0.0, 1.0 - (out + 0.1) / 0.5)
                contact[v, u] = min(contact[v, u], np.float32(1.0 - dark))


@compiled
def _sample(noise: NDArray[np.float32], x: float, y: float) -> float:
    return float(noise[int(math.floor(y)) & 255, int(math.floor(x)) & 255])


@compiled
def _fade(distance_px: float) -> float:
    """Strength of a texture whose grain is `distance_px` pixels wide: none below half a pixel, all above two."""
    return min(1.0, max(0.0, (distance_px - 0.5) / 1.5))


@compiled
def _band(value: float, half: float, soft: float) -> float:
    """1 within `half` of zero, falling to 0 over `soft`."""
    return min(1.0, max(0.0, (half + soft - abs(value)) / (2.0 * soft)))


@compiled
def _ground_colour(
    s: float, d: float, depth: float, focal: float, street: Array, noise: NDArray[np.float32], texture: float
) -> tuple[float, float, float]:
    kerb, pavement, crossing = street[3], street[4], street[5]
    grain = focal / depth
    fine = _fade(0.03 * grain) * _sample(noise, d * 33.0, s * 33.0)
    coarse = _fade(0.4 * grain) * _sample(noise, d * 1.7 + 40.0, s * 1.1)
    soft = max(0.02, 0.7 * depth / focal)
    on_crossing = crossing > 0.0 and abs(s - crossing) < 4.0
    if abs(d) < kerb or on_crossing:
        grey = 92.0 + texture * (9.0 * fine + 13.0 * coarse)
        mark = 0.0
        if not on_crossing:
            along = s / 9.0 - math.floor(s / 9.0)
            if along < 0.45:
                mark = _band(d, 0.07, soft)
            if street[6] > 0.0:
                mark = max(mark, 0.8 * _band(abs(d) - (kerb - 2.15), 0.06, soft))
            else:
                mark = max(mark, 0.8 * _band(abs(d) - (kerb - 0.25), 0.06, soft))
        thin = min(1.0, 0.07 * grain / 0.35)
        paint = mark * thin * (0.8 + 0.2 * coarse)
        return grey + paint * 118.0, grey + paint * 118.0, grey + 2.0 + paint * 110.0
    if abs(d) < kerb + pavement:
        edge = _band(abs(d) - kerb - 0.1, 0.1, soft)
        tile = s / 0.6 - math.floor(s / 0.6)
        joint = 14.0 * _fade(0.6 * grain / 6.0) * (1.0 if tile < 0.06 else 0.0)
        grey = 136.0 + 26.0 * edge + texture * (8.0 * fine + 9.0 * coarse - joint)
        return grey, grey - 2.0, grey - 7.0
    blade = texture * (20.0 * fine + 22.0 * coarse)
    return 92.0 + blade, 112.0 + 1.1 * blade, 58.0 + 0.7 * blade


@compiled
def _sky_colour(a: float, b: float, sky: Array, noise: NDArray[np.float32], texture: float) -> tuple[float, float, float]:
    """Ray (a, b, 1) over the horizon: a gradient, clouds, and a line of distant trees."""
    rise = max(0.0, -b)
    skyline = 0.018 + 0.012 * _sample(noise, a * 60.0 + 7.0, 11.0) + 0.008 * _sample(noise, a * 300.0, 90.0)
    if rise < skyline:
        dim = 1.0 + 0.1 * texture * _sample(noise, a * 700.0, b * 700.0)
        return 132.0 * dim, 146.0 * dim, 140.0 * dim
    k = min(1.0, 3.2 * rise)
    cloud = max(0.0, _sample(noise, a * 40.0 / (rise + 0.3), 30.0 / (rise + 0.3))) * 0.5 * min(1.0, 8.0 * rise)
    red = sky[3] + (sky[0] - sky[3]) * k
    green = sky[4] + (sky[1] - sky[4]) * k
    blue = sky[5] + (sky[2] - sky[5]) * k
    return red + (240.0 - red) * cloud, green + (241.0 - green) * cloud, blue + (243.0 - blue) * cloud


@compiled
def _surface_gain(
    material: int,
    across: float,
    up: float,
    normal_y: float,
    depth: float,
    focal: float,
    noise: NDArray[np.float32],
    texture: float,
) -> float:
    """Brightness of a texture at `across`, `up` metres on a solid."""
    grain = focal / depth
    if material == 5:  # facade: rows of windows in rough plaster
        x, y = across / 2.6 - math.floor(across / 2.6), up / 2.9 - math.floor(up / 2.9)
        rough = 0.10 * texture * _fade(0.08 * grain) * _sample(noise, across * 12.0, up * 12.0)
        stain = 0.10 * texture * _sample(noise, across * 1.1, up * 1.1 + 60.0)
        if 0.3 < x < 0.72 and 0.32 < y < 0.8 and abs(normal_y) < 0.3:
            pane = _sample(noise, math.floor(across / 2.6) * 17.0, math.floor(up / 2.9) * 29.0)
            return 1.0 + _fade(0.5 * grain) * texture * (-0.62 + 0.18 * pane)
        return 1.0 + rough + stain
    if material == 6:  # brick
        row = up / 0.16
        course = math.floor(row)
        x = across / 0.4 + 0.5 * (course - 2.0 * math.floor(course / 2.0))
        joint = 1.0 if row - course < 0.14 or x - math.floor(x) < 0.07 else 0.0
        stone = _sample(noise, math.floor(x) * 7.0, course * 13.0)
        return 1.0 + texture * (0.14 * stone + 0.2 * joint) * _fade(0.1 * grain)
    if material == 8:  # leaves
        fine = _sample(noise, across * 14.0, up * 14.0) * _fade(0.07 * grain)
        return 1.0 + texture * (0.42 * fine + 0.30 * _sample(noise, across * 3.1 + 9.0, up * 3.1))
    if material == 9:  # roof tiles
        row = up / 0.3 - math.floor(up / 0.3)
        return 1.0 + texture * (0.12 * _sample(noise, across * 8.0, up * 8.0) - (0.15 if row < 0.15 else 0.0))
    if material in (4, 7):  # cloth, bark
        return 1.0 + 0.14 * texture * _sample(noise, across * 22.0, up * 9.0)
    return 1.0


@compiled
def _colour(
    triangle: NDArray[np.int32],
    inverse: NDArray[np.float32],
    shadow: NDArray[np.uint8],
    contact: NDArray[np.float32],
    lit: Array,
    normals: Array,
    materials: NDArray[np.int64],
    base_y: Array,
    pinhole: Array,
    street: Array,
    sky: Array,
    noise: NDArray[np.float32],
    texture: float,
    noise_levels: float,
) -> NDArray[np.uint8]:
    height, width = triangle.shape
    image = np.empty((height, width, 3), dtype=np.uint8)
    focal, cu, cv, x0, y0, z0 = pinhole
    haze, sun, exposure = sky[6], sky[7], sky[8]
    for v in range(height):
        b = (v - cv) / focal
        for u in range(width):
            a = (u - cu) / focal
            t = triangle[v, u]
            if t == -2:
                red, green, blue = _sky_colour(a, b, sky, noise, texture)
            else:
                depth = 1.0 / float(inverse[v, u])
                x, y, z = a * depth + x0, b * depth + y0, depth + z0
                if t == -1:
                    s = street[0] * x + street[1] * z
                    d = street[1] * x - street[0] * z - street[2]
                    if depth < 400.0:
                        red, green, blue = _ground_colour(s, d, depth, focal, street, noise, texture)
                    else:
                        red, green, blue = 120.0, 128.0, 110.0
                    gain = float(contact[v, u]) * (1.0 - 0.5 * sun * shadow[v, u])
                else:
                    red, green, blue = lit[t, 0], lit[t, 1], lit[t, 2]
                    up = base_y[t] - y
                    across = z if abs(normals[t, 0]) > abs(normals[t, 2]) else x
                    material = materials[t]
                    gain = _surface_gain(material, across, up, normals[t, 1], depth, focal, noise, texture)
                    gain *= 0.72 + 0.28 * min(1.0, max(0.0, up / 0.7))
                    if material == 1 or material == 2:
                        # a mirror image of sky above and street below, stronger on glass
                        nx, ny, nz = normals[t, 0], normals[t, 1], normals[t, 2]
                        towards = 2.0 * (a * nx + b * ny + nz)
                        length = math.sqrt(a * a + b * b + 1.0)
                        sky_share = min(1.0, max(0.0, 0.35 - 1.4 * (b - towards * ny) / length))
                        k = 0.42 if material == 2 else 0.16
                        red += k * (70.0 + 150.0 * sky_share - red)
                        green += k * (72.0 + 152.0 * sky_share - green)
                        blue += k * (74.0 + 160.0 * sky_share - blue)
                fog = 1.0 - 1.0 / (1.0 + haze * depth)
                red = red * gain * exposure + (sky[3] - red * gain * exposure) * fog
                green = green * gain * exposure + (sky[4] - green * gain * exposure) * fog
                blue = blue * gain * exposure + (sky[5] - blue * gain * exposure) * fog
            grain = noise_levels * _sample(noise, u * 1.0 + 3.0 * (v >> 8), v * 1.0 + 31.0 * (u >> 8))
            image[v, u, 0] = np.uint8(min(255.0, max(0.0, red + grain + 0.5)))
            image[v, u, 1] = np.uint8(min(255.0, max(0.0, green + grain + 0.5)))
            image[v, u, 2] = np.uint8(min(255.0, max(0.0, blue + grain + 0.5)))
    return image
