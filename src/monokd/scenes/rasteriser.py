"""What a camera sees: which triangle each pixel shows, how far it is, and how much of each object is seen."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monokd.scenes.layout import Road, Triangles
from monokd.scenes.raycast import Rays, cast, cast_shadow
from monokd.typing import Bools, Floats, Floats32, Ints


class Camera(NamedTuple):
    """A pinhole: u = f (x − x0) / (z − z0) + cu, in rectified camera coordinates. Pixel (0, 0) is a pixel's centre."""

    focal_px: float
    cu_px: float
    cv_px: float
    centre_m: tuple[float, float, float]
    width_px: int
    height_px: int


class View(NamedTuple):
    """What a camera sees, image H×W, N objects; boxes are left, top, right, bottom."""

    triangle: NDArray[np.int32]  # H×W, index of the triangle, `raycast.GROUND` or `raycast.SKY`
    inverse_depth: Floats32  # H×W, 1 / (z − z0) of the surface, 0 for the sky
    shadow: Bools  # H×W, whether the sun does not reach the ground
    silhouette_px: Ints  # N, pixels that each object alone would cover
    visible_px: Ints  # N, pixels in which it is seen
    extents_px: Floats  # N×4, the box of the whole projected object, not clipped
    inside_px: Ints  # N×4, the box of the silhouette's pixels inside the image (inverted where there are none)


def rasterise(
    camera: Camera, triangles: Triangles, objects: int, road: Road, sun: tuple[float, float, float] | None
) -> View:
    """Draw the triangles of N `objects` and of clutter over the ground; without `sun` there are no cast shadows."""
    lines = (np.arange(camera.height_px, dtype=np.float64) - camera.cv_px) / camera.focal_px
    steps = (np.arange(camera.width_px, dtype=np.float64) - camera.cu_px) / camera.focal_px
    rays = Rays(lines, steps, np.ones(camera.height_px))
    (x0, y0, z0), owners = camera.centre_m, triangles.owners
    normal = np.array([-road.pitch, 1.0, -road.bank])  # axes of the rays: z, y, x
    drop = road.ground_y(x0, z0) - y0
    centred = (triangles.corners_m - camera.centre_m)[..., ::-1]
    hits = cast(centred, owners, objects, normal / drop, rays)
    shadow = np.zeros(hits.triangle.shape, dtype=np.bool_)
    if sun is not None:
        fall = np.array(sun[::-1])
        flat = centred - ((centred @ normal - drop) / (fall @ normal))[..., None] * fall
        shadow = cast_shadow(flat, rays, hits.triangle)
    seen = owners[hits.triangle[hits.triangle >= 0]]
    visible = np.bincount(seen[seen >= 0], minlength=objects)
    pixels = centred[..., 2:0:-1] / centred[..., :1] * camera.focal_px + (camera.cu_px, camera.cv_px)
    extents = np.full((objects, 4), (np.inf, np.inf, -np.inf, -np.inf))
    for owner in np.unique(owners[owners >= 0]):
        own = pixels[owners == owner].reshape(-1, 2)
        extents[owner] = *own.min(axis=0), *own.max(axis=0)
    return View(hits.triangle, hits.inverse, shadow, hits.silhouette, visible, extents, hits.inside)
