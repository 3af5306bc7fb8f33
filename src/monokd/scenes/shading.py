"""Colours: every pixel's surface point gets its texture, light, haze and a little sensor noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.scenes.exact import sin_cos
from monokd.scenes.geometry import Triangles
from monokd.scenes.layout import Placed, Road
from monokd.scenes.light import Light
from monokd.scenes.rasteriser import Camera, View

Array = NDArray[np.float64]
# Compiled code below names palette's materials by number: numba's cache would not notice a change in another file.


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
        camera: the pinhole.
        view: the z-buffer's result.
        triangles: what was drawn.
        objects: the labelled solids, for the dark ground where they stand.
        road: for the ground's texture.
        light: sun and sky.
        noise: from `noise_table`.
        texture: contrast of all textures, 1 natural, 0 none.
        noise_levels: largest sensor noise, grey levels.

    Returns:
        H×W×3 uint8 RGB.
    """
    lit, normals = _lit(triangles, light)
    contact = _contact(camera, view, objects)
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
        light.pattern,
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


def _contact(camera: Camera, view: View, objects: list[Placed]) -> NDArray[np.float32]:
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
    focal, cu = pinhole[0], pinhole[1]
    for i in range(rows.shape[0]):
        x, z, sine, cosine, half_length, half_width = rows[i]
        reach = 0.7 * focal / max(0.5, z - half_length)
        tall = extents[i, 3] - extents[i, 1]
        left, right = max(0.0, extents[i, 0] - reach), min(width - 1.0, extents[i, 2] + reach)
        top, bottom = max(0.0, extents[i, 3] - tall), min(height - 1.0, extents[i, 3] + reach)
        for v in range(int(top), int(bottom) + 1):
            for u in range(int(left), int(right) + 1):
                if triangle[v, u] != -1:
                    continue
                depth = 1.0 / inverse[v, u]
                dx = depth * ((u - cu) / focal) + pinhole[3] - x
                dz = depth + pinhole[5] - z
                p = max(0.0, abs(cosine * dx - sine * dz) - 0.85 * half_length)
                q = max(0.0, abs(sine * dx + cosine * dz) - 0.75 * half_width)
                dark = 0.72 * max(0.0, 1.0 - math.sqrt(p * p + q * q) / min(0.55, 0.2 + half_width))
                contact[v, u] = min(contact[v, u], np.float32(1.0 - dark))


@compiled(inline=True)
def _sample(noise: NDArray[np.float32], x: float, y: float) -> float:
    return float(noise[math.floor(y) & 255, math.floor(x) & 255])


@compiled(inline=True)
def _smooth(noise: NDArray[np.float32], x: float, y: float) -> float:
    """As `_sample`, bilinear between the table's knots."""
    floor_x, floor_y = math.floor(x), math.floor(y)
    i, j, p, q = int(floor_x) & 255, int(floor_y) & 255, x - floor_x, y - floor_y
    k, m = (i + 1) & 255, (j + 1) & 255
    low = float(noise[j, i]) * (1.0 - p) + float(noise[j, k]) * p
    high = float(noise[m, i]) * (1.0 - p) + float(noise[m, k]) * p
    return low * (1.0 - q) + high * q


@compiled(inline=True)
def _fade(distance_px: float) -> float:
    """Strength of a texture whose grain is `distance_px` pixels wide: none below half a pixel, all above two."""
    return min(1.0, max(0.0, (distance_px - 0.5) * 0.6666666666666666))


@compiled(inline=True)
def _band(value: float, half: float, sharpness: float) -> float:
    """1 within `half` of zero, falling to 0 around it with the slope `sharpness`."""
    return min(1.0, max(0.0, 0.5 + (half - abs(value)) * sharpness))


@compiled(inline=True)
def _ground_colour(
    s: float, d: float, grain: float, street: Array, noise: NDArray[np.float32], texture: float
) -> tuple[float, float, float]:
    if grain < 1.8:  # finer than the arithmetic of textures
        return 120.0, 128.0, 110.0
    kerb, pavement, crossing = street[3], street[4], street[5]
    fine = _fade(0.03 * grain) * _sample(noise, d * 33.0, s * 33.0)
    coarse = _fade(0.4 * grain) * _smooth(noise, d * 1.7 + 40.0, s * 1.1)
    soft = min(25.0, 0.7142857142857143 * grain)
    on_crossing = crossing > 0.0 and abs(s - crossing) < 4.0
    if abs(d) < kerb or on_crossing:
        grey = 92.0 + texture * (9.0 * fine + 13.0 * coarse)
        mark = 0.0
        if not on_crossing:
            dash = s * 0.1111111111111111
            if dash - math.floor(dash) < 0.45:
                mark = _band(d, 0.07, soft)
            if street[6] > 0.0:
                mark = max(mark, 0.8 * _band(abs(d) - (kerb - 2.15), 0.06, soft))
            else:
                mark = max(mark, 0.8 * _band(abs(d) - (kerb - 0.25), 0.06, soft))
        thin = min(1.0, 0.2 * grain)
        paint = mark * thin * (0.8 + 0.2 * coarse)
        return grey + paint * 118.0, grey + paint * 118.0, grey + 2.0 + paint * 110.0
    if abs(d) < kerb + pavement:
        edge = _band(abs(d) - kerb - 0.1, 0.1, soft)
        tile = s / 0.6 - math.floor(s / 0.6)
        joint = 14.0 * _fade(0.1 * grain) * (1.0 if tile < 0.06 else 0.0)
        grey = 136.0 + 26.0 * edge + texture * (8.0 * fine + 9.0 * coarse - joint)
        return grey, grey - 2.0, grey - 7.0
    blade = texture * (20.0 * fine + 22.0 * coarse)
    return 92.0 + blade, 112.0 + 1.1 * blade, 58.0 + 0.7 * blade


@compiled(inline=True)
def _sky_colour(
    a: float, b: float, sky: Array, noise: NDArray[np.float32], texture: float, shift: float
) -> tuple[float, float, float]:
    """Ray (a, b, 1) over the horizon: a gradient, clouds, and a line of distant trees."""
    rise = max(0.0, -b)
    skyline = 0.018 + 0.012 * _smooth(noise, a * 30.0 + shift, 11.0) + 0.006 * _smooth(noise, a * 150.0 + shift, 90.0)
    if rise < skyline:
        dim = 1.0 + 0.1 * texture * _sample(noise, a * 700.0, b * 700.0)
        return 132.0 * dim, 146.0 * dim, 140.0 * dim
    k = min(1.0, 3.2 * rise)
    layer = 1.0 / (rise + 0.12)
    cloud = 0.7 * max(0.0, _smooth(noise, a * 6.0 * layer + shift, 5.0 * layer) + 0.15) * min(1.0, 6.0 * rise)
    red = sky[3] + (sky[0] - sky[3]) * k
    green = sky[4] + (sky[1] - sky[4]) * k
    blue = sky[5] + (sky[2] - sky[5]) * k
    return red + (240.0 - red) * cloud, green + (241.0 - green) * cloud, blue + (243.0 - blue) * cloud


@compiled(inline=True)
def _facade(across: float, up: float, upright: bool, grain: float, noise: NDArray[np.float32]) -> float:
    """Rows of windows in rough plaster."""
    column, storey = math.floor(across / 2.6), math.floor(up / 2.9)
    x, y = across / 2.6 - column, up / 2.9 - storey
    if upright and 0.3 < x < 0.72 and 0.32 < y < 0.8:
        return _fade(0.5 * grain) * (-0.62 + 0.18 * _sample(noise, column * 17.0, storey * 29.0))
    rough = 0.10 * _fade(0.08 * grain) * _sample(noise, across * 12.0, up * 12.0)
    return rough + 0.10 * _smooth(noise, across * 1.1, up * 1.1 + 60.0)


@compiled(inline=True)
def _brick(across: float, up: float, grain: float, noise: NDArray[np.float32]) -> float:
    row = up / 0.16
    course = math.floor(row)
    x = across / 0.4 + 0.5 * (course - 2.0 * math.floor(course / 2.0))
    joint = 1.0 if row - course < 0.14 or x - math.floor(x) < 0.07 else 0.0
    return (0.14 * _sample(noise, math.floor(x) * 7.0, course * 13.0) + 0.2 * joint) * _fade(0.1 * grain)


@compiled(inline=True)
def _surface_gain(
    material: int,
    across: float,
    along: float,
    up: float,
    normal_y: float,
    grain: float,
    noise: NDArray[np.float32],
    texture: float,
) -> float:
    """Brightness of a texture at `across` and `up` metres on a face, `along` metres on the third axis."""
    if material == 5:
        return 1.0 + texture * _facade(across, up, abs(normal_y) < 0.3, grain, noise)
    if material == 6:
        return 1.0 + texture * _brick(across, up, grain, noise)
    if material == 8:  # leaves
        x, y = across + 0.6 * along, up + 0.8 * along
        fine = _sample(noise, x * 14.0, y * 14.0) * _fade(0.07 * grain)
        return 1.0 + texture * (0.42 * fine + 0.35 * _smooth(noise, x * 4.1 + 9.0, y * 4.1))
    if material == 9:  # roof tiles
        row = up / 0.3 - math.floor(up / 0.3)
        return 1.0 + texture * (0.12 * _sample(noise, across * 8.0, up * 8.0) - (0.15 if row < 0.15 else 0.0))
    if material in (4, 7):  # cloth, bark
        return 1.0 + 0.14 * texture * _sample(noise, across * 22.0, up * 9.0)
    return 1.0


@compiled(inline=True)
def _solid_colour(
    t: int,
    a: float,
    b: float,
    depth: float,
    pinhole: Array,
    lit: Array,
    normals: Array,
    materials: NDArray[np.int64],
    base_y: Array,
    noise: NDArray[np.float32],
    texture: float,
) -> tuple[float, float, float]:
    """Triangle t at `depth` on the ray (a, b, 1)."""
    x, z = a * depth + pinhole[3], depth + pinhole[5]
    nx, ny, nz = normals[t, 0], normals[t, 1], normals[t, 2]
    up = base_y[t] - (b * depth + pinhole[4])
    across, along = (z, x) if abs(nx) > abs(nz) else (x, z)
    material = materials[t]
    gain = _surface_gain(material, across, along, up, ny, pinhole[0] / depth, noise, texture)
    gain *= 0.72 + 0.28 * min(1.0, max(0.0, up / 0.7))
    red, green, blue = lit[t, 0], lit[t, 1], lit[t, 2]
    if material in (1, 2):
        # a mirror image of sky above and street below, stronger on glass
        towards = 2.0 * (a * nx + b * ny + nz)
        bright = min(1.0, max(0.0, 0.35 - 1.4 * (b - towards * ny) / math.sqrt(a * a + b * b + 1.0)))
        k = 0.42 if material == 2 else 0.16
        red += k * (70.0 + 150.0 * bright - red)
        green += k * (72.0 + 152.0 * bright - green)
        blue += k * (74.0 + 160.0 * bright - blue)
    return red * gain, green * gain, blue * gain


@compiled(inline=True)
def _level(value: float) -> np.uint8:
    return np.uint8(min(255.0, max(0.0, value + 0.5)))


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
    offset: int,
) -> NDArray[np.uint8]:
    height, width = triangle.shape
    image = np.empty((height, width, 3), dtype=np.uint8)
    focal, cu, cv = pinhole[0], pinhole[1], pinhole[2]
    for v in range(height):
        b = (v - cv) / focal
        for u in range(width):
            a, t = (u - cu) / focal, triangle[v, u]
            if t == -2:
                red, green, blue = _sky_colour(a, b, sky, noise, texture, float(offset))
            else:
                near = float(inverse[v, u])
                depth = 1.0 / near
                if t == -1:
                    x, z = a * depth + pinhole[3], depth + pinhole[5]
                    s, d = street[0] * x + street[1] * z, street[1] * x - street[0] * z - street[2]
                    red, green, blue = _ground_colour(s, d, focal * near, street, noise, texture)
                    gain = float(contact[v, u]) * (1.0 - 0.5 * sky[7] * shadow[v, u]) * sky[8]
                else:
                    red, green, blue = _solid_colour(
                        t, a, b, depth, pinhole, lit, normals, materials, base_y, noise, texture
                    )
                    gain = sky[8]
                clear = near / (near + sky[6])
                red = sky[3] + (red * gain - sky[3]) * clear
                green = sky[4] + (green * gain - sky[4]) * clear
                blue = sky[5] + (blue * gain - sky[5]) * clear
            grain = noise_levels * float(noise[(v + offset) & 255, (u * 7 + (v >> 8) * 31 + (offset >> 8)) & 255])
            image[v, u, 0] = _level(red + grain)
            image[v, u, 1] = _level(green + grain)
            image[v, u, 2] = _level(blue + grain)
    return image
