"""What a camera sees: which triangle each pixel shows, how far it is, and how much of each object is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monokd.scenes.raycast import Rays, cast, shadow
from monokd.typing import Bools, Floats, Floats32, Ints


class Camera(NamedTuple):
    """A pinhole: u = f (x − x0) / (z − z0) + cu. Pixel (0, 0) is a pixel's centre.

    Attributes:
        focal_px: focal length of both axes.
        cu_px, cv_px: principal point.
        centre_m: the optical centre in rectified camera coordinates.
        width_px, height_px: the image.
    """

    focal_px: float
    cu_px: float
    cv_px: float
    centre_m: tuple[float, float, float]
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a camera sees, image H×W, N objects.

    Attributes:
        triangle: H×W, index of the triangle, `raycast.GROUND` or `raycast.SKY`.
        inverse_depth: H×W, 1 / (z − z0) of the surface, 0 for the sky.
        shadow: H×W, whether the sun does not reach the ground.
        silhouette_px: N, pixels that each object alone would cover.
        visible_px: N, pixels that show it.
        extents_px: N×4, left, top, right, bottom of the whole projected object, not clipped.
        inside_px: N×4, the same of the silhouette's pixels inside the image (inverted where there are none).
    """

    triangle: NDArray[np.int32]
    inverse_depth: Floats32
    shadow: Bools
    silhouette_px: Ints
    visible_px: Ints
    extents_px: Floats
    inside_px: Ints


def rasterise(
    camera: Camera,
    corners_m: Floats,
    owners: Ints,
    objects: int,
    *,
    ground: tuple[float, float, float],
    sun: tuple[float, float, float] | None,
) -> View:
    """Draw triangles over a ground plane.

    Args:
        camera: the pinhole.
        corners_m: T×3×3 in rectified camera coordinates, all in front of the camera.
        owners: T, index of the labelled object or −1, objects first and in order.
        objects: their number N.
        ground: the plane y = h + bank·x + pitch·z as (h, bank, pitch).
        sun: direction towards the sun (y negative), or None for an overcast sky without cast shadows.
    """
    rays = Rays(
        (np.arange(camera.height_px, dtype=np.float64) - camera.cv_px) / camera.focal_px,
        (np.arange(camera.width_px, dtype=np.float64) - camera.cu_px) / camera.focal_px,
        np.ones(camera.height_px),
    )
    h, bank, pitch = ground
    x0, y0, z0 = camera.centre_m
    normal = np.array([-pitch, 1.0, -bank])  # axes of the rays: z, y, x
    drop = h + bank * x0 + pitch * z0 - y0
    centred = (corners_m - camera.centre_m)[..., ::-1]
    hits = cast(centred, owners, objects, normal / drop, rays)
    shaded = np.zeros(hits.triangle.shape, dtype=np.bool_)
    if sun is not None:
        fall = np.array(sun[::-1])
        flat = centred - ((centred @ normal - drop) / (fall @ normal))[..., None] * fall
        shaded = shadow(flat, rays, hits.triangle)
    labelled = (hits.triangle >= 0) & (hits.triangle < np.count_nonzero(owners >= 0))
    visible = np.bincount(owners[hits.triangle[labelled]], minlength=objects)
    pixels = centred[..., 2:0:-1] / centred[..., :1] * camera.focal_px + (camera.cu_px, camera.cv_px)
    extents = np.full((objects, 4), (np.inf, np.inf, -np.inf, -np.inf))
    for owner in np.unique(owners[owners >= 0]):
        own = pixels[owners == owner].reshape(-1, 2)
        extents[owner] = *own.min(axis=0), *own.max(axis=0)
    return View(hits.triangle, hits.inverse, shaded, hits.silhouette, visible, extents, hits.inside)
