"""Machine-independent arithmetic agrees with the C library to its last digits."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monokd.scenes.exact import arctan2, bell, inverse_3x3, pick, product, sin_cos, wrap

ANGLES = st.floats(-80.0, 80.0)


@given(ANGLES)
def test_sine_and_cosine(angle: float) -> None:
    sine, cosine = sin_cos(angle)
    assert abs(sine - math.sin(angle)) < 2e-14
    assert abs(cosine - math.cos(angle)) < 2e-14


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_arctan2(y: float, x: float) -> None:
    if math.hypot(x, y) < 1e-3:
        return
    difference = arctan2(y, x) - math.atan2(y, x)
    assert min(abs(difference), abs(abs(difference) - 2 * math.pi)) < 2e-14


@given(ANGLES)
def test_wrap_keeps_the_direction_and_the_range(angle: float) -> None:
    wrapped = wrap(angle)
    assert -math.pi - 1e-12 <= wrapped < math.pi + 1e-12
    assert abs(math.sin(wrapped) - math.sin(angle)) < 1e-12
    assert abs(math.cos(wrapped) - math.cos(angle)) < 1e-12


def test_bell_has_the_asked_mean_and_deviation() -> None:
    rng = np.random.default_rng(3)
    values = np.array([bell(rng, 2.0, 0.5) for _ in range(20_000)])
    assert abs(values.mean() - 2.0) < 0.02
    assert abs(values.std() - 0.5) < 0.01


def test_pick_follows_the_weights_and_never_a_zero() -> None:
    rng = np.random.default_rng(4)
    counts = np.bincount([pick(rng, (1.0, 0.0, 3.0)) for _ in range(8_000)], minlength=3)
    assert counts[1] == 0
    assert abs(counts[2] / 8_000 - 0.75) < 0.02


def test_product_and_inverse() -> None:
    rng = np.random.default_rng(5)
    matrix = rng.standard_normal((3, 3))
    np.testing.assert_allclose(product(matrix, inverse_3x3(matrix)), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(product(matrix, matrix[:, :2]), matrix @ matrix[:, :2], atol=1e-12)
