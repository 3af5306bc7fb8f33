"""Plans depend on (seed, epoch, index) alone, and applying them moves image, labels and camera together."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.kitti.calibration import Calibration
from monokd.kitti.objects import Objects, from_rows
from monokd.samples.augment import (
    EIGENVALUES,
    EIGENVECTORS,
    GREY,
    Augmentation,
    Jitter,
    Plan,
    image_map,
    map_channels,
    mirror_objects,
    plan_augmentation,
)  # fmt: skip
from monokd.samples.constants import IMAGE_MEAN, IMAGE_STD
from monokd.samples.targets import observation_angles, project_centres
from monokd.typing import Bytes, Floats32


def _one(left: float, right: float, x: float, heading: float) -> Objects:
    row = [0, 0, heading, left, 100, right, 200, 1.5, 1.6, 3.9, x, 1.5, 20, heading, math.nan]
    return from_rows(("Car",), np.array([row]))


def test_plan_repeats_and_varies() -> None:
    """The same key gives the same plan; any other seed, epoch or index gives another one."""
    keys = list(itertools.product((Augmentation(0), Augmentation(1)), (0, 1, 2), (0, 1, 2)))
    plans = [plan_augmentation(*key) for key in keys]
    assert plans == [plan_augmentation(*key) for key in reversed(keys)][::-1]
    assert len({(plan.jitter, plan.flip) for plan in plans}) == len(keys)


def test_plan_distribution() -> None:
    """Flip and crop at even chances, independent; scale and shift within their bounds and centred."""
    plans = [plan_augmentation(Augmentation(7), epoch, index) for epoch in range(10) for index in range(200)]
    flips = np.array([plan.flip for plan in plans])
    crops = np.array([plan.scale != 1 or plan.shift != (0.0, 0.0) for plan in plans])
    assert abs(flips.mean() - 0.5) < 0.04
    assert abs(crops.mean() - 0.5) < 0.04
    assert abs((flips & crops).mean() - 0.25) < 0.04
    scales = np.array([plan.scale for plan in plans])[crops]
    shifts = np.array([plan.shift for plan in plans])[crops]
    assert (scales.min(), scales.max()) == (0.6, 1.4)
    assert abs(scales.mean() - 1) < 0.04
    assert np.abs(shifts).max() == pytest.approx(0.2)
    assert abs(shifts.std() - 0.097) < 0.006  # N(0, 0.1²) clipped at two deviations
    orders = {plan.jitter.order for plan in plans if plan.jitter}
    assert orders == set(itertools.permutations(range(3)))


def test_settings_do_not_change_each_other() -> None:
    """Without jitter or crops the same frames are mirrored."""
    for index in range(50):
        full = plan_augmentation(Augmentation(), 3, index)
        plain = plan_augmentation(Augmentation(jitter=False), 3, index)
        assert plain == Plan(full.flip, full.scale, full.shift, None)
        assert plan_augmentation(Augmentation(crop=0.0), 3, index) == Plan(flip=full.flip, jitter=full.jitter)
        assert not plan_augmentation(Augmentation(flip=0.0), 3, index).flip


@given(st.floats(0, 600), st.floats(601, 1242), st.floats(-20, 20), st.floats(-math.pi, math.pi))
@settings(deadline=None)
def test_mirrored_camera_sees_mirrored_objects(left: float, right: float, x: float, heading: float) -> None:
    """Projected centres land at W − u, and alpha becomes π − alpha; mirroring twice changes nothing."""
    camera = Calibration(np.array([[720.0, 0, 609, 45], [0, 720, 173, 0.2], [0, 0, 1, 0.003]]), np.eye(3), np.eye(3, 4))
    objects = _one(left, right, x, heading)
    mirrored, flipped = mirror_objects(objects, 1242), camera.flipped(1242)
    u, v = project_centres(objects, camera)[0]
    np.testing.assert_allclose(project_centres(mirrored, flipped)[0], [1242 - u, v], atol=1e-9)
    turn = math.pi - observation_angles(objects, camera)[0] - observation_angles(mirrored, flipped)[0]
    assert abs(math.remainder(turn, 2 * math.pi)) < 1e-6
    again = mirror_objects(mirrored, 1242)
    np.testing.assert_allclose(again.boxes_px, objects.boxes_px, atol=1e-9)
    np.testing.assert_allclose(again.locations_m, objects.locations_m)
    turn = again.rotation_y_rad[0] - heading
    assert abs(math.remainder(turn, 2 * math.pi)) < 1e-12


def _normalised(image: Bytes, jitter: Jitter | None) -> Floats32:
    sent, maps = torch.from_numpy(image)[None], torch.from_numpy(image_map(image, jitter))[None]
    return map_channels(sent, maps)[0].numpy()


@given(
    st.permutations(range(3)),
    st.tuples(*[st.floats(0.6, 1.4)] * 3),
    st.tuples(*[st.floats(-0.3, 0.3)] * 3),
    st.integers(0, 5),
)
@settings(deadline=None)
def test_jitter_step_by_step(
    order: list[int], factors: tuple[float, float, float], lighting: tuple[float, float, float], seed: int
) -> None:
    """One fused map of colours equals the operations done one after another, and normalising at the end."""
    image = np.random.default_rng(seed).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    jitter = Jitter((order[0], order[1], order[2]), factors, lighting)
    slow = image / 255.0
    grey = np.tensordot(GREY, slow, 1)
    for kind in order:
        other = {0: 0.0, 1: grey.mean(), 2: grey}[kind]
        slow = factors[kind] * slow + (1 - factors[kind]) * other
    slow += (EIGENVECTORS @ (EIGENVALUES * lighting))[:, None, None]
    expected = (slow - IMAGE_MEAN[:, None, None]) / IMAGE_STD[:, None, None]
    np.testing.assert_allclose(_normalised(image, jitter), expected, atol=2e-5)
