"""Weather, and colours: every pixel's surface point gets its texture, light, haze and a little sensor noise."""

import math
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.scenes.layout import Placed, Road, Triangles
from monokd.scenes.palette import BARK, BRICK, CLOTH, FACADE, GLASS, GLOSS, LEAVES, ROOF, Colour
from monokd.scenes.rasteriser import Camera, View
from monokd.scenes.raycast import GROUND, SKY
from monokd.scenes.surroundings import STOREY_M
from monokd.typing import Bytes, Floats32, Ints

SENSOR_NOISE = 3.0  # at most, grey levels
TABLE = 256  # the shader's masks (& 255) count on it


class Light(NamedTuple):
    """Sun and sky."""

    sun: tuple[float, float, float]  # unit direction towards the sun, camera axes (y negative)
    strength: float  # sunlight against skylight, 0 (overcast) to 1
    exposure: float  # gain of the whole picture
    sky: Colour  # of the zenith
    horizon: Colour  # and of the haze
    haze_per_m: float  # how fast things fade with distance
    pattern: int  # where the noise table starts


def sample_light(rng: np.random.Generator) -> Light:
    """Weather and hour."""
    up, around = rng.uniform(0.45, 1.1), rng.uniform(-math.pi, math.pi)
    overcast = rng.random() < 0.35
    blue = 0.25 if overcast else rng.uniform(0.6, 1.0)
    return Light(
        sun=(math.cos(up) * math.sin(around), -math.sin(up), math.cos(up) * math.cos(around)),
        strength=0.12 if overcast else rng.uniform(0.45, 0.8),
        exposure=min(max(rng.normal(1.0, 0.12), 0.75), 1.3),
        sky=(190 - 90 * blue, 200 - 50 * blue, 210 + 15 * blue),
        horizon=(222.0, 226.0, 230.0),
        haze_per_m=rng.uniform(0.0008, 0.003),
        pattern=int(rng.integers(1 << 16)),
    )


@lru_cache(maxsize=1)
def noise_table() -> Floats32:
    """Tiling noise of four octaves, 256×256, about −1 to 1."""
    rng = np.random.default_rng(20120616)
    total = np.zeros((TABLE, TABLE), dtype=np.float32)
    for cell, weight in ((32, 0.35), (8, 0.3), (2, 0.3), (1, 0.35)):
        knots = rng.uniform(-1.0, 1.0, (TABLE // cell, TABLE // cell)).astype(np.float32)
        size = TABLE + 2 * cell
        tiled = cv2.resize(np.pad(knots, 1, mode="wrap"), (size, size), interpolation=cv2.INTER_LINEAR)
        total += weight * tiled[cell:-cell, cell:-cell]
    return total


def shade(camera: Camera, road: Road, light: Light, triangles: Triangles, view: View, objects: list[Placed]) -> Bytes:
    """Colour a view, H×W×3 RGB; the ground is darker in shadows, and under and beside `objects`."""
    brightness = np.where(view.shadow, np.float32(1.0 - 0.5 * light.strength), np.float32(1.0))
    for placed, extents_px in zip(objects, view.extents_px, strict=True):
        _, width, length = placed.size_m
        reach = 0.7 * camera.focal_px / max(0.5, placed.location_m[2] - length / 2)
        ends = np.clip(extents_px + np.array([-reach, 0, reach, reach]), 0, max(brightness.shape)).astype(int)
        turn = math.cos(placed.rotation_y_rad), math.sin(placed.rotation_y_rad)
        _darken(brightness, view, camera, ends, placed.location_m, turn, (length / 2, width / 2))
    facing = (triangles.normals * triangles.corners_m[:, 0]).sum(axis=1, keepdims=True) <= 0
    normals = np.where(facing, triangles.normals, -triangles.normals)
    sunlight = light.strength * np.maximum(normals @ light.sun, 0.0)
    skylight = (1.0 - 0.55 * light.strength) * (0.78 - 0.22 * normals[:, 1])
    lit = triangles._replace(normals=normals, colours=triangles.colours * (sunlight + skylight)[:, None])
    return _colour(camera, road, light, lit, noise_table(), view.triangle, view.inverse_depth, brightness)


@compiled
def _darken(
    brightness: Floats32, view: View, camera: Camera, ends: Ints, location_m: tuple[float, float, float],
    turn: tuple[float, float], halves_m: tuple[float, float],
) -> None:  # fmt: skip
    """Darken the ground around a footprint (its cosine and sine, half length and width) within `ends`."""
    (cosine, sine), (half_length, half_width) = turn, halves_m
    for v in range(ends[1], min(ends[3] + 1, brightness.shape[0])):
        for u in range(ends[0], min(ends[2] + 1, brightness.shape[1])):
            if view.triangle[v, u] == GROUND:
                depth = 1.0 / view.inverse_depth[v, u]
                dx = depth * (u - camera.cu_px) / camera.focal_px + camera.centre_m[0] - location_m[0]
                dz = depth + camera.centre_m[2] - location_m[2]
                p = max(0.0, abs(cosine * dx - sine * dz) - 0.85 * half_length)
                q = max(0.0, abs(sine * dx + cosine * dz) - 0.75 * half_width)
                dark = 0.72 * max(0.0, 1.0 - math.sqrt(p * p + q * q) / min(0.55, 0.2 + half_width))
                brightness[v, u] *= np.float32(1.0 - dark)


@compiled(inline=True)
def _sample(noise: Floats32, x: float, y: float) -> float:
    return float(noise[math.floor(y) & 255, math.floor(x) & 255])


@compiled(inline=True)
def _smooth(noise: Floats32, x: float, y: float) -> float:
    """As `_sample`, bilinear between the table's knots."""
    floor_x, floor_y = math.floor(x), math.floor(y)
    i, j, p, q = int(floor_x) & 255, int(floor_y) & 255, x - floor_x, y - floor_y
    k, m = (i + 1) & 255, (j + 1) & 255
    low = float(noise[j, i]) * (1.0 - p) + float(noise[j, k]) * p
    high = float(noise[m, i]) * (1.0 - p) + float(noise[m, k]) * p
    return low * (1.0 - q) + high * q


@compiled(inline=True)
def _fade(grain_px: float) -> float:
    """Strength of a texture whose grain is `grain_px` pixels wide: none below half a pixel, all above two."""
    return min(1.0, max(0.0, (grain_px - 0.5) / 1.5))


@compiled(inline=True)
def _band(value: float, half: float, sharpness: float) -> float:
    """1 within `half` of zero, falling to 0 around it with the slope `sharpness`."""
    return min(1.0, max(0.0, 0.5 + (half - abs(value)) * sharpness))


@compiled(inline=True)
def _cycle(value: float) -> float:
    """Place within a pattern that repeats every 1, 0 to 1."""
    return value - math.floor(value)


@compiled(inline=True)
def _ground_colour(s: float, d: float, grain: float, road: Road, noise: Floats32) -> Colour:
    """The street `s` metres along and `d` across, where a metre is `grain` pixels wide."""
    if grain < 1.8:  # finer than the arithmetic of textures
        return 120.0, 128.0, 110.0
    fine = _fade(0.03 * grain) * _sample(noise, d * 33.0, s * 33.0)
    coarse = _fade(0.4 * grain) * _smooth(noise, d * 1.7 + 40.0, s * 1.1)
    sharp = min(25.0, grain / 1.4)
    out = abs(d) - road.kerb_m
    on_crossing = road.crossing_m > 0.0 and abs(s - road.crossing_m) < 4.0
    if out < 0.0 or on_crossing:
        grey = 92.0 + 9.0 * fine + 13.0 * coarse
        mark = 0.0
        if not on_crossing:
            mark = 0.8 * _band(out + (2.15 if road.parking else 0.25), 0.06, sharp)
            if _cycle(s / 9.0) < 0.45:
                mark = max(mark, _band(d, 0.07, sharp))
        paint = mark * min(1.0, 0.2 * grain) * (0.8 + 0.2 * coarse)
        return grey + paint * 118.0, grey + paint * 118.0, grey + 2.0 + paint * 110.0
    if out < road.pavement_m:
        joint = 14.0 * _fade(0.1 * grain) if _cycle(s / 0.6) < 0.06 else 0.0
        grey = 136.0 + 26.0 * _band(out - 0.1, 0.1, sharp) + 8.0 * fine + 9.0 * coarse - joint
        return grey, grey - 2.0, grey - 7.0
    blade = 20.0 * fine + 22.0 * coarse
    return 92.0 + blade, 112.0 + 1.1 * blade, 58.0 + 0.7 * blade


@compiled(inline=True)
def _sky_colour(a: float, b: float, light: Light, noise: Floats32) -> Colour:
    """Ray (a, b, 1) over the horizon: a gradient, clouds, and a line of distant trees."""
    rise, shift = max(0.0, -b), float(light.pattern)
    skyline = 0.018 + 0.012 * _smooth(noise, a * 30.0 + shift, 11.0) + 0.006 * _smooth(noise, a * 150.0 + shift, 90.0)
    if rise < skyline:
        dim = 1.0 + 0.1 * _sample(noise, a * 700.0, b * 700.0)
        return 132.0 * dim, 146.0 * dim, 140.0 * dim
    k = min(1.0, 3.2 * rise)
    layer = 1.0 / (rise + 0.12)
    cloud = 0.7 * max(0.0, _smooth(noise, a * 6.0 * layer + shift, 5.0 * layer) + 0.15) * min(1.0, 6.0 * rise)
    return _mix(_mix(light.horizon, light.sky, k), (240.0, 241.0, 243.0), cloud)


@compiled(inline=True)
def _mix(one: Colour, two: Colour, share: float) -> Colour:
    red, green, blue = two[0] - one[0], two[1] - one[1], two[2] - one[2]
    return one[0] + red * share, one[1] + green * share, one[2] + blue * share


@compiled(inline=True)
def _relief(material: int, across: float, up: float, upright: bool, grain: float, noise: Floats32) -> float:  # noqa: PLR0911
    """Contrast of a material's texture at `across` and `up` metres on a face, about −1 to 1."""
    if material == FACADE:  # rows of windows in rough plaster
        x, y = across / 2.6, up / STOREY_M
        if upright and 0.3 < _cycle(x) < 0.72 and 0.32 < _cycle(y) < 0.8:
            return _fade(0.5 * grain) * (-0.62 + 0.18 * _sample(noise, math.floor(x) * 17.0, math.floor(y) * 29.0))
        rough = 0.10 * _fade(0.08 * grain) * _sample(noise, across * 12.0, up * 12.0)
        return rough + 0.10 * _smooth(noise, across * 1.1, up * 1.1 + 60.0)
    if material == BRICK:
        course = math.floor(up / 0.16)
        x = across / 0.4 + 0.5 * (course & 1)
        joint = 0.2 if _cycle(up / 0.16) < 0.14 or _cycle(x) < 0.07 else 0.0
        return (0.14 * _sample(noise, math.floor(x) * 7.0, course * 13.0) + joint) * _fade(0.1 * grain)
    if material == LEAVES:
        fine = _sample(noise, across * 14.0, up * 14.0) * _fade(0.07 * grain)
        return 0.42 * fine + 0.35 * _smooth(noise, across * 4.1 + 9.0, up * 4.1)
    if material == ROOF:
        return 0.12 * _sample(noise, across * 8.0, up * 8.0) - (0.15 if _cycle(up / 0.3) < 0.15 else 0.0)
    if material in (CLOTH, BARK):
        return 0.14 * _sample(noise, across * 22.0, up * 9.0)
    return 0.0


@compiled(inline=True)
def _solid_colour(
    t: int, a: float, b: float, depth: float, camera: Camera, triangles: Triangles, noise: Floats32
) -> Colour:
    """Triangle t at `depth` on the ray (a, b, 1)."""
    x, z = a * depth + camera.centre_m[0], depth + camera.centre_m[2]
    nx, ny, nz = triangles.normals[t, 0], triangles.normals[t, 1], triangles.normals[t, 2]
    up = triangles.base_y_m[t] - (b * depth + camera.centre_m[1])
    across, along = (z, x) if abs(nx) > abs(nz) else (x, z)
    material = triangles.materials[t]
    gain = 0.72 + 0.28 * min(1.0, max(0.0, up / 0.7))
    if material == LEAVES:
        across, up = across + 0.6 * along, up + 0.8 * along
    gain *= 1.0 + _relief(material, across, up, abs(ny) < 0.3, camera.focal_px / depth, noise)
    colour = triangles.colours[t, 0], triangles.colours[t, 1], triangles.colours[t, 2]
    if material in (GLOSS, GLASS):
        # a mirror image of sky above and street below, stronger on glass
        towards = 2.0 * (a * nx + b * ny + nz)
        bright = min(1.0, max(0.0, 0.35 - 1.4 * (b - towards * ny) / math.sqrt(a * a + b * b + 1.0)))
        image = 70.0 + 150.0 * bright, 72.0 + 152.0 * bright, 74.0 + 160.0 * bright
        colour = _mix(colour, image, 0.42 if material == GLASS else 0.16)
    return colour[0] * gain, colour[1] * gain, colour[2] * gain


@compiled
def _colour(
    camera: Camera, road: Road, light: Light, triangles: Triangles, noise: Floats32, triangle: NDArray[np.int32],
    inverse: Floats32, brightness: Floats32,
) -> Bytes:  # fmt: skip
    sine, cosine, offset = math.sin(road.yaw_rad), math.cos(road.yaw_rad), light.pattern
    image = np.empty((*triangle.shape, 3), dtype=np.uint8)
    for v in range(triangle.shape[0]):
        b = (v - camera.cv_px) / camera.focal_px
        for u in range(triangle.shape[1]):
            a, t = (u - camera.cu_px) / camera.focal_px, triangle[v, u]
            if t == SKY:
                colour = _sky_colour(a, b, light, noise)
            else:
                near = float(inverse[v, u])
                depth, gain = 1.0 / near, light.exposure
                if t == GROUND:
                    x, z = a * depth + camera.centre_m[0], depth + camera.centre_m[2]
                    s, d = sine * x + cosine * z, cosine * x - sine * z - road.centre_m
                    colour = _ground_colour(s, d, camera.focal_px * near, road, noise)
                    gain *= float(brightness[v, u])
                else:
                    colour = _solid_colour(t, a, b, depth, camera, triangles, noise)
                bright = colour[0] * gain, colour[1] * gain, colour[2] * gain
                colour = _mix(light.horizon, bright, near / (near + light.haze_per_m))
            grain = SENSOR_NOISE * float(noise[(v + offset) & 255, (u * 7 + (v >> 8) * 31 + (offset >> 8)) & 255])
            for c in range(3):
                image[v, u, c] = np.uint8(min(255.0, max(0.0, colour[c] + grain + 0.5)))
    return image
