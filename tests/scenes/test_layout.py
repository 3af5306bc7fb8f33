"""Objects stand where KITTI's stand, clear of each other, at the two decimals that their labels have."""

import math

import numpy as np
import pytest

from monokd.params import Scenes
from monokd.scenes.layout import overlap, sample_objects, sample_road

SQUARE = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)])


def test_overlap_of_hand_made_rectangles() -> None:
    diamond = np.array([(math.sqrt(2), 0.0), (0.0, -math.sqrt(2)), (-math.sqrt(2), 0.0), (0.0, math.sqrt(2))])
    assert overlap(SQUARE, SQUARE + 1.9)
    assert not overlap(SQUARE, SQUARE + np.array([2.1, 0.0]))
    # bounding boxes meet, rectangles do not: only the diamond's own axes separate them
    assert not overlap(SQUARE, diamond + 1.8)
    assert overlap(SQUARE, diamond + 1.6)


@pytest.mark.parametrize("seed", range(12))
def test_objects_keep_clear_and_in_range_at_two_decimals(seed: int) -> None:
    rng, settings = (
        np.random.default_rng(seed),
        Scenes(train_frames=1, val_frames=1, min_distance_m=6.0, max_distance_m=50.0),
    )
    road = sample_road(rng, settings)
    objects = sample_objects(rng, road, settings)
    assert objects
    for i, placed in enumerate(objects):
        x, y, z = placed.location_m
        assert 6.0 <= z <= 50.0
        assert placed.footprint()[:, 1].min() > 0.5
        assert abs(y - road.ground_y(x, z)) <= 0.005 + 1e-9
        assert not any(overlap(placed.footprint(), other.footprint()) for other in objects[:i])
        for value in (*placed.size_m, *placed.location_m, placed.rotation_y_rad):
            assert float(f"{value:.2f}") == value
