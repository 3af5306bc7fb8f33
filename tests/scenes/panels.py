"""Walls that face the camera, and a straight level road."""

from __future__ import annotations

import numpy as np

from monokd.scenes.layout import Road, Triangles
from monokd.typing import Floats

ROAD = Road(0.0, 0.0, 4.0, 2.0, 0.0, 0.0, 0.0, False, False)


def panel(x: float, y: float, z: float, half_width: float, half_height: float) -> Floats:
    """Two triangles that face the camera."""
    a, b = (x - half_width, y - half_height, z), (x + half_width, y - half_height, z)
    c, d = (x + half_width, y + half_height, z), (x - half_width, y + half_height, z)
    return np.array([[a, b, c], [a, c, d]])


def triangles(*objects: Floats) -> Triangles:
    """Black matte objects."""
    corners = np.concatenate([np.zeros((0, 3, 3)), *objects])
    flat, owners = np.zeros((len(corners), 3)), np.repeat(np.arange(len(objects)), [len(one) for one in objects])
    return Triangles(corners, flat, flat, np.zeros(len(corners), dtype=np.int64), owners, np.zeros(len(corners)))
