"""A world as flat arrays of triangles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monokd.scenes.layout import NEAREST_CORNER_M, Placed
from monokd.typing import Floats, Ints


class Triangles(NamedTuple):
    """T triangles in rectified camera coordinates.

    Attributes:
        corners_m: T×3×3, corner and coordinate.
        normals: T×3, unit length, either side.
        colours: T×3 RGB, 0 to 255.
        materials: T, index into `palette.MATERIALS`.
        owners: T, index of the labelled object in ascending runs, then −1 for clutter.
        base_y_m: T, y of the bottom of the solid.
    """

    corners_m: Floats
    normals: Floats
    colours: Floats
    materials: Ints
    owners: Ints
    base_y_m: Floats


def assemble(objects: list[Placed], clutter: list[Placed]) -> Triangles:
    """All solids of a world; triangles that reach within `NEAREST_CORNER_M` of the camera's plane are left out."""
    solids = [*objects, *clutter]
    if not solids:
        none, vectors, whole = np.zeros(0), np.zeros((0, 3)), np.zeros(0, dtype=np.int64)
        return Triangles(np.zeros((0, 3, 3)), vectors, vectors, whole, whole, none)
    corners = np.concatenate([solid.in_world(solid.template.corners) for solid in solids])
    counts = [len(solid.template.parts) for solid in solids]
    owners = np.full(len(solids), -1)
    owners[: len(objects)] = np.arange(len(objects))
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    triangles = Triangles(
        corners,
        normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12),
        np.concatenate([solid.look.colours[solid.template.parts] for solid in solids]),
        np.concatenate([solid.look.materials[solid.template.parts] for solid in solids]),
        np.repeat(owners, counts),
        np.repeat([solid.location_m[1] for solid in solids], counts),
    )
    ahead = corners[..., 2].min(axis=1) > NEAREST_CORNER_M
    return Triangles(*(values[ahead] for values in triangles))
