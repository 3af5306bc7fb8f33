"""A world as flat arrays of triangles, the form that the rasteriser and the scanner take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.scenes.exact import sin_cos
from monokd.scenes.layout import NEAREST_CORNER_M, Placed, World
from monokd.scenes.palette import LAMP

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Triangles:
    """T triangles in rectified camera coordinates.

    Attributes:
        corners_m: T×3×3, corner and coordinate.
        colours: T×3 RGB, 0 to 255.
        materials: T, see `palette`.
        owners: T, index of the labelled object, −1 for clutter; ascending runs.
        base_y_m: T, y of the bottom of the solid.
    """

    corners_m: Array
    colours: Array
    materials: NDArray[np.int64]
    owners: NDArray[np.int64]
    base_y_m: Array


def solid_corners(placed: Placed) -> Array:
    """The triangles of one solid in camera coordinates, T×3×3 metres."""
    height, width, length = placed.size_m
    sine, cosine = sin_cos(placed.rotation_y_rad)
    local = placed.template.corners
    along, up, across = local[..., 0] * length, local[..., 1] * height, local[..., 2] * width
    x, y, z = placed.location_m
    return np.stack([x + (cosine * along + sine * across), y - up, z + (cosine * across - sine * along)], axis=-1)


def assemble(world: World) -> Triangles:
    """All solids of a world; triangles that reach within `NEAREST_CORNER_M` of the camera's plane are left out."""
    solids = [*enumerate(world.objects), *((-1, solid) for solid in world.clutter)]
    corners, colours, materials, owners, bases = [], [], [], [], []
    for owner, solid in solids:
        points, parts = solid_corners(solid), solid.template.parts
        keep = points[..., 2].min(axis=1) > NEAREST_CORNER_M
        points, parts = points[keep], parts[keep]
        corners.append(points)
        colours.append(solid.look.colours[parts])
        materials.append(solid.look.materials[parts])
        owners.append(np.full(len(points), owner, dtype=np.int64))
        bases.append(np.full(len(points), solid.location_m[1]))
    if not corners:
        none = np.zeros(0)
        return Triangles(np.zeros((0, 3, 3)), np.zeros((0, 3)), none.astype(np.int64), none.astype(np.int64), none)
    return Triangles(
        np.concatenate(corners),
        np.concatenate(colours),
        np.concatenate(materials),
        np.concatenate(owners),
        np.concatenate(bases),
    )


def reflectances(triangles: Triangles) -> Array:
    """Share of the scanner's light that comes back, T, 0 to 1: the brightness of the colour; lamps and plates more."""
    colour = triangles.colours
    brightness = (0.3 * colour[:, 0] + 0.6 * colour[:, 1] + 0.1 * colour[:, 2]) / 255.0
    return np.where(triangles.materials == LAMP, 0.9, 0.05 + 0.6 * brightness)


def box_corners(placed: Placed) -> Array:
    """The eight corners of an object's 3D box in camera coordinates, 8×3 metres, bottom first."""
    bottom = placed.footprint()
    _, y, _ = placed.location_m
    low = np.stack([bottom[:, 0], np.full(4, y), bottom[:, 1]], axis=1)
    high = low - np.array([0.0, placed.size_m[0], 0.0])
    return np.concatenate([low, high])
