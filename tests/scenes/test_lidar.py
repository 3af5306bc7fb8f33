"""The scanner against walls and planes solved by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monokd.scenes.lidar import beam_elevations_deg, ray_tables, scan
from monokd.scenes.palette import GLASS, MATTE

Array = NDArray[np.float64]
RAYS = ray_tables(90.0, 0.5)
GROUND = (0.0, 0.0, 1.0, -1.73)  # z = −1.73


def wall(x: float, low: float = -1.73, high: float = 30.0, half: float = 60.0) -> Array:
    a, b, c, d = (x, -half, low), (x, half, low), (x, half, high), (x, -half, high)
    return np.array([[a, b, c], [a, c, d]])


def cast(
    corners: Array,
    *,
    material: int = MATTE,
    shine: float = 0.5,
    seed: int = 1,
    noise: float = 0.0,
    dropout: float = 0.0,
) -> NDArray[np.float32]:
    return scan(
        corners,
        np.full(len(corners), material),
        np.full(len(corners), shine),
        GROUND,
        RAYS,
        seed=seed,
        range_noise_m=noise,
        dropout=dropout,
    )


def test_beams_are_those_of_an_hdl_64() -> None:
    beams = np.array(beam_elevations_deg())
    assert len(beams) == 64
    assert (np.diff(beams) < 0).all()
    assert beams[0] == 2.0
    assert -24.9 < beams[-1] < -24.0


def test_every_ray_ends_on_the_wall_or_the_ground() -> None:
    points = cast(wall(20.0)).astype(float)
    assert len(points) == 64 * len(RAYS[0])
    on_wall = np.abs(points[:, 0] - 20.0) < 1e-3
    on_ground = np.abs(points[:, 2] + 1.73) < 1e-3
    assert (on_wall | on_ground).all()
    assert (points[~on_ground, 2] > -1.73 - 1e-3).all()
    assert on_wall.sum() > 1000
    assert on_ground.sum() > 1000


def test_directions_are_those_of_the_tables() -> None:
    points = cast(wall(20.0)).astype(float)
    azimuth = np.degrees(np.arctan2(points[:, 1], points[:, 0])).reshape(64, -1)
    np.testing.assert_allclose(np.diff(azimuth, axis=1), 0.5, atol=0.02)
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))).reshape(64, -1)
    np.testing.assert_allclose(
        elevation, np.broadcast_to(np.array(beam_elevations_deg())[:, None], elevation.shape), atol=0.03
    )


def test_a_small_triangle_is_met_by_exactly_the_rays_that_cross_it() -> None:
    rng = np.random.default_rng(7)
    across, secants, elevations = RAYS
    b = elevations[:, None] * secants[None, :]
    rays = np.stack([np.ones_like(b), np.broadcast_to(across, b.shape), b], axis=-1)
    for _ in range(40):
        centre = np.array([rng.uniform(4, 30), rng.uniform(-3, 3), rng.uniform(-1.5, 0.5)])
        corners = (centre + rng.uniform(-1.0, 1.0, (3, 3)))[None]
        first, second = corners[0, 1] - corners[0, 0], corners[0, 2] - corners[0, 0]
        # Möller and Trumbore's test for every ray
        p = np.cross(rays, second)
        determinant = p @ first
        u = -(p @ corners[0, 0]) / determinant
        q = np.cross(-corners[0, 0], first)
        v = (rays @ q) / determinant
        distance = (second @ q) / determinant
        expected = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)
        expected &= distance * b > -1.73
        points = cast(corners).astype(float)
        normal = np.cross(first, second) / np.linalg.norm(np.cross(first, second))
        on_plane = np.abs((points[:, :3] - corners[0, 0]) @ normal) < 2e-3
        above = points[:, 2] > -1.73 + 2e-3
        assert abs(int((on_plane & above).sum()) - int((expected & (distance * b > -1.728)).sum())) <= 1


def test_range_noise_has_the_asked_deviation_along_the_ray() -> None:
    still, noisy = cast(wall(20.0)).astype(float), cast(wall(20.0), noise=0.02).astype(float)
    difference = np.linalg.norm(noisy[:, :3], axis=1) - np.linalg.norm(still[:, :3], axis=1)
    assert abs(difference.std() - 0.02) < 0.001
    assert abs(difference.mean()) < 0.001


def test_glass_and_dark_distant_things_lose_returns() -> None:
    def count(x: float, material: int, shine: float) -> int:
        points = cast(wall(x), material=material, shine=shine, dropout=1.0)
        return int((np.abs(points[:, 0] - x) < 0.01).sum())

    assert count(20.0, GLASS, 0.5) < 0.4 * count(20.0, MATTE, 0.5)
    assert count(60.0, MATTE, 0.05) < 0.7 * count(60.0, MATTE, 0.5)


def test_nothing_returns_from_beyond_the_range() -> None:
    points = cast(wall(90.0))
    assert np.linalg.norm(points[:, :3], axis=1).max() <= 80.001


def test_a_seed_fixes_the_scan() -> None:
    first, again, other = (cast(wall(20.0), seed=seed, noise=0.02, dropout=1.0) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
