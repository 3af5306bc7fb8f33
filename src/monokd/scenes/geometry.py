"""A world as flat arrays of triangles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monokd.scenes.layout import Placed
from monokd.scenes.raycast import NEAR_M
from monokd.typing import Floats, Ints


class Triangles(NamedTuple):
    """T triangles in rectified camera coordinates."""

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
