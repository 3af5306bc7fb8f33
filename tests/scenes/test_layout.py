"""Objects stand where KITTI's stand, clear of each other, at the two decimals that their labels have."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from monokd.params import Scenes
from monokd.scenes import layout
from monokd.scenes.layout import SIZES_M, Placed, Road, overlap, sample_objects, sample_road
from monokd.scenes.surroundings import sample_clutter

SQUARE = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)])


def sample(seed: int, objects_per_frame: float = 8.0) -> tuple[Road, list[Placed]]:
    rng = np.random.default_rng(seed)
    settings = Scenes(
        train_frames=1, val_frames=1, objects_per_frame=objects_per_frame, min_distance_m=6.0, max_distance_m=50.0
    )
    road = sample_road(rng, settings)
    return road, sample_objects(rng, road, settings)


def test_overlap_of_hand_made_rectangles() -> None:
    diamond = np.array([(math.sqrt(2), 0.0), (0.0, -math.sqrt(2)), (-math.sqrt(2), 0.0), (0.0, math.sqrt(2))])
    assert overlap(SQUARE, SQUARE + 1.9)
    assert not overlap(SQUARE, SQUARE + np.array([2.1, 0.0]))
    # bounding boxes meet, rectangles do not: only the diamond's own axes separate them
    assert not overlap(SQUARE, diamond + 1.8)
    assert overlap(SQUARE, diamond + 1.6)


@pytest.mark.parametrize("seed", range(12))
def test_objects_keep_clear_and_in_range_at_two_decimals(seed: int) -> None:
    road, objects = sample(seed)
    assert objects
    for i, placed in enumerate(objects):
        x, y, z = placed.location_m
        assert 6.0 <= z <= 50.0
        assert placed.footprint()[:, 1].min() > 0.5
        assert abs(y - road.ground_y(x, z)) <= 0.005 + 1e-9
        assert not any(overlap(placed.footprint(), other.footprint()) for other in objects[:i])
        for value in (*placed.size_m, *placed.location_m, placed.rotation_y_rad):
            assert float(f"{value:.2f}") == value


@pytest.mark.parametrize("seed", range(6))
def test_clutter_keeps_clear_of_objects(seed: int) -> None:
    road, objects = sample(seed)
    clutter = sample_clutter(np.random.default_rng(seed), road, objects)
    assert len(clutter) > 4
    for i, solid in enumerate(clutter):
        assert not any(overlap(solid.footprint(), placed.footprint()) for placed in (*objects, *clutter[:i]))


def test_sizes_follow_kitti() -> None:
    cars = np.array([p.size_m for seed in range(80) for p in sample(seed)[1] if p.name == "Car"])
    expected = np.array([mean for mean, _, _, _ in SIZES_M["Car"]])
    spread = np.array([deviation for _, deviation, _, _ in SIZES_M["Car"]])
    assert len(cars) > 200
    np.testing.assert_allclose(cars.mean(axis=0), expected, atol=4 * spread.max() / math.sqrt(len(cars)))
    np.testing.assert_allclose(cars.std(axis=0), spread, rtol=0.25)


def test_more_objects_when_asked() -> None:
    few = sum(len(sample(seed, 3.0)[1]) for seed in range(20))
    many = sum(len(sample(seed, 9.0)[1]) for seed in range(20))
    assert many > 2 * few


def test_nobody_hides_where_hiding_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_HIDDEN_SHARE", 0.0)
    for seed in range(10):
        spans = sorted(placed.span for placed in sample(seed)[1])
        assert all(high <= low + 1e-12 for (_, high), (low, _) in pairwise(spans))
