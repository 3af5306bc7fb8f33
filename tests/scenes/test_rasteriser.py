"""The z-buffer against scenes solved by hand."""

import numpy as np

from monokd.scenes.layout import Road
from monokd.scenes.rasteriser import Camera, View, rasterise
from monokd.typing import Floats
from tests.scenes.panels import ROAD, panel, triangles

CAMERA = Camera(100.0, 50.0, 30.0, (0.0, 0.0, 0.0), 101, 61)
Vector = tuple[float, float, float]


def draw(*objects: Floats, camera: Camera = CAMERA, road: Road = ROAD, sun: Vector | None = None) -> View:
    return rasterise(camera, triangles(*objects), len(objects), road, sun)


def test_a_square_covers_the_pixels_of_its_projection() -> None:
    view = draw(panel(0.0, 0.0, 10.0, 1.05, 0.55))  # 100 px per unit of x/z: u 39.5 to 60.5, v 24.5 to 35.5
    np.testing.assert_allclose(view.extents_px, [[39.5, 24.5, 60.5, 35.5]], atol=1e-9)
    assert view.silhouette_px[0] == view.visible_px[0] == 21 * 11
    shown = view.triangle >= 0
    assert shown[25:36, 40:61].all()
    assert shown.sum() == 21 * 11
    np.testing.assert_allclose(view.inverse_depth[shown], 0.1, rtol=1e-6)


def test_a_nearer_square_hides_half_and_the_silhouette_remains() -> None:
    far = panel(0.0, 0.0, 10.0, 1.05, 0.55)
    near = panel(-0.5, 0.0, 5.0, 0.475, 2.0)  # u 30.5 to 49.5
    for view, first in ((draw(far, near), 0), (draw(near, far), 1)):
        assert view.silhouette_px[first] == 21 * 11
        assert view.visible_px[first] == 11 * 11  # columns 50 to 60
        assert view.visible_px[1 - first] == view.silhouette_px[1 - first]
