"""The z-buffer against scenes solved by hand."""

import numpy as np

from monokd.scenes.layout import Road
from monokd.scenes.rasteriser import Camera, View, rasterise
from monokd.scenes.raycast import GROUND
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


def test_neighbouring_triangles_leave_no_crack() -> None:
    """A fan of slivers over a convex outline covers every row without a gap."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        angles = 2 * np.pi * (np.arange(30) + rng.uniform(-0.4, 0.4, 30)) / 30
        ring = np.stack([3 * np.cos(angles), 2 * np.sin(angles), np.full(30, 9.0)], axis=1)
        centre = np.append(rng.uniform(-1, 1, 2), 9.0)
        fan = np.stack([np.tile(centre, (30, 1)), ring, np.roll(ring, -1, axis=0)], axis=1)
        view = draw(fan)
        rows, columns = np.nonzero(view.triangle >= 0)
        assert len(np.unique(rows)) > 35
        for row in np.unique(rows):
            assert (np.diff(np.sort(columns[rows == row])) == 1).all()


def test_a_slope_moves_the_ground_as_labels_say() -> None:
    """The pixel of a point on the sloping ground has that point's depth."""
    camera = Camera(700.0, 600.0, 170.0, (-0.06, 0.0003, -0.0027), 1242, 375)
    bank, pitch = 0.004, 0.02
    view = draw(camera=camera, road=ROAD._replace(bank=bank, pitch=pitch))
    for x, z in ((3.0, 12.0), (-6.0, 30.0)):
        y = 1.65 + bank * x + pitch * z
        u = 700.0 * (x + 0.06) / (z + 0.0027) + 600.0
        v = 700.0 * (y - 0.0003) / (z + 0.0027) + 170.0
        near, far = view.inverse_depth[int(v) + 1, round(u)], view.inverse_depth[int(v), round(u)]
        assert 1 / near <= z + 0.0027 + 0.05
        assert 1 / far >= z + 0.0027 - 0.05


def test_the_sun_casts_a_shadow_away_from_itself() -> None:
    wall = panel(0.0, 1.15, 10.0, 0.5, 0.5)
    for side in (-1, 1):
        view = draw(wall, sun=(0.6 * side, -0.64, 0.48))
        rows, columns = np.nonzero(view.shadow)
        assert len(columns) > 3
        assert (view.triangle[rows, columns] == GROUND).all()
        assert side * (columns.mean() - 50) < 0
