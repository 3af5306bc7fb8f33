"""Completion: planes come out as planes, borders stay sharp, nothing below the scan's top stays empty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.depth.completion import complete
from monokd.depth.projection import project_scan
from tests.depth.worlds import F32, F64, SHAPE, camera, points_at, sweep, wall

IMAGE = np.full((*SHAPE, 3), 90, np.uint8)


def _ground(rays: F64) -> F64:
    """Level ground 1.7 m below the scanner."""
    return np.where(rays[:, 2] < -0.01, 1.7 / np.maximum(-rays[:, 2], 1e-9), np.inf)


def _two_walls(rays: F64) -> F64:
    """Left of the middle a wall at 6 m, right of it one at 25 m."""
    return np.where(rays[:, 1] > 0, wall(6.0)(rays), wall(25.0)(rays))


def _mixed_share(dense_m: F32) -> float:
    return float(((dense_m > 6.3) & (dense_m < 24)).mean())


@pytest.mark.parametrize("rings", [True, False])
@settings(max_examples=10, deadline=None)
@given(distance_m=st.floats(3, 70))
def test_a_wall_comes_out_at_its_distance(rings: bool, distance_m: float) -> None:
    sparse = project_scan(sweep(wall(distance_m)), camera(), SHAPE, rings=rings)
    dense_m = complete(sparse, IMAGE)
    np.testing.assert_allclose(dense_m[dense_m > 0], distance_m, rtol=1e-4)


@settings(max_examples=10, deadline=None)
@given(height_m=st.floats(1.2, 2.5))
def test_level_ground_comes_out_as_a_plane(height_m: float) -> None:
    """Depth is height · f / (v − horizon) at a pixel's middle, also on the rows below the lowest ring."""

    def ground(rays: F64) -> F64:
        return _ground(rays) * height_m / 1.7

    dense_m = complete(project_scan(sweep(ground, rings=48), camera(), SHAPE), IMAGE)
    rows = np.arange(75, SHAPE[0])
    expected_m = height_m * 200 / (rows + 0.5 - 50)
    share = np.abs(dense_m[rows] / expected_m[:, None] - 1)
    assert np.median(share) < 0.02
    assert share.max() < 0.06


def test_a_border_between_two_walls_stays_sharp() -> None:
    """No pixel lies between the walls when borders are never mixed, next to none by default; the border is in place."""
    scan = sweep(_two_walls)
    sparse = project_scan(scan, camera(), SHAPE)
    sharp_m = complete(sparse, IMAGE, doubt=0.0)
    assert _mixed_share(sharp_m) == 0
    assert np.all(sharp_m[30:, :98] < 7)
    assert np.all(sharp_m[30:, 103:] > 24)
    assert _mixed_share(complete(sparse, IMAGE)) < 0.005


def test_colour_moves_the_border_to_where_the_image_has_it() -> None:
    """Wall above, board below; between two rings only the image says where the board ends."""
    pixels = [(u + 0.5, v + 0.5, 50.0 if v < 60 else 3.0) for v in (31, 43, 55, 67, 79, 91) for u in range(198, 0, -2)]
    sparse = project_scan(points_at(pixels, camera()), camera(), SHAPE)
    image = np.full((*SHAPE, 3), 200, np.uint8)
    for edge in (58, 64):
        image[:] = 200
        image[edge:] = 20
        dense_m = complete(sparse, image)[:, 10:190]
        assert np.all(dense_m[31:edge] > 49.9)
        assert np.all(dense_m[edge:91] < 3.1)


@pytest.mark.parametrize("rings", [True, False])
def test_full_from_the_highest_return_to_the_lower_edge_and_empty_above(rings: bool) -> None:
    """Sky policy: two rows above the highest return everything is 0, below nothing is; what is measured stays."""
    calibration = camera((0.0, -0.08, -0.27))
    sparse = project_scan(sweep(_ground), calibration, SHAPE, rings=rings)
    dense_m = complete(sparse, IMAGE)
    np.testing.assert_array_equal(dense_m[sparse.depth_m > 0], sparse.depth_m[sparse.depth_m > 0])
    top = int(np.argmax((sparse.depth_m > 0).any(axis=1)))
    assert top > 10
    assert np.all(dense_m[top:] > 0)
    assert np.all(dense_m[: top - 2] == 0)


def test_what_stands_out_against_the_sky_does_not_grow_into_it() -> None:
    """A post before the sky between far walls: above it, what the laser passed over takes the far depth."""

    def post(rays: F64) -> F64:
        azimuth, elevation = np.arctan2(rays[:, 1], rays[:, 0]), np.arcsin(rays[:, 2])
        near = (np.abs(azimuth) < 0.1) & (elevation < 0)
        sky = (np.abs(azimuth) < 0.1) & (elevation >= 0)
        return np.where(near, wall(5.0)(rays), np.where(sky, np.inf, wall(40.0)(rays)))

    dense_m = complete(project_scan(sweep(post, rings=40), camera(), SHAPE), IMAGE)
    assert np.all(dense_m[55:80, 90:110] < 5.1)
    assert np.all(dense_m[28:40, 90:110] > 39)


def test_a_dark_hole_above_a_near_body_takes_its_depth() -> None:
    """Rings over a car's windows return nothing: the hole is the car, not a ramp to the wall behind."""

    def car(rays: F64) -> F64:
        elevation = np.degrees(np.arcsin(rays[:, 2]))
        body, glass = elevation < -8, (elevation >= -8) & (elevation < -1)
        return np.where(body, wall(4.0)(rays), np.where(glass, np.inf, wall(30.0)(rays)))

    dense_m = complete(project_scan(sweep(car, rings=52), camera(), SHAPE), IMAGE)
    assert np.all(dense_m[60:75, 40:160] < 4.5)


def test_one_return_is_enough() -> None:
    """No crash and no division by nothing with the least possible scan."""
    sparse = project_scan(points_at([(20.5, 30.5, 7.0)], camera()), camera(), SHAPE)
    np.testing.assert_allclose(complete(sparse, IMAGE)[30:], 7.0, rtol=1e-6)
