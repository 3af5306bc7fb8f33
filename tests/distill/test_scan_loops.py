"""The vectors of the compiled scan: their arithmetic, number for number."""

from __future__ import annotations

import numpy as np
import pytest
from numba.core.errors import TypingError
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.distill.scan_loops import LANES, exp2, load, splat, store, total

Floats = NDArray[np.float32]


@compiled
def powers(x: Floats, out: Floats) -> None:
    for i in range(0, x.shape[0], LANES):
        store(out, i, exp2(load(x, i)))


@compiled
def combined(a: Floats, b: Floats, factor: np.float32, out: Floats) -> np.float32:
    result = load(a, 3) * load(b, 0) + load(b, 0) * factor + splat(np.float32(0.5))
    store(out, 1, result)
    number: np.float32 = total(result)
    return number


def test_powers_of_two() -> None:
    """To two units in the last place, whole powers exactly, and smallest normal numbers instead of 0."""
    x = np.concatenate((np.linspace(-126, 0, 16 * 4096), -np.arange(32), np.full(16, -1e30))).astype(np.float32)
    found = np.empty_like(x)
    powers(x, found)
    np.testing.assert_allclose(found, np.exp2(np.maximum(x.astype(np.float64), -126)), rtol=2.5e-7)
    np.testing.assert_array_equal(found[-48:-16], np.exp2(-np.arange(32)))


def test_nan_stays() -> None:
    """A loss that is no number has to be seen at the step that made it."""
    x = np.where(np.arange(LANES) == 3, np.nan, -1.0).astype(np.float32)
    found = np.empty_like(x)
    powers(x, found)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(x))


@pytest.mark.parametrize("array", [np.zeros(64), np.zeros(64, np.float32)[::2], np.zeros((4, 16), np.float32)])
def test_other_arrays_do_not_compile(array: Floats) -> None:
    """Their memory would be read as what it is not."""
    with pytest.raises(TypingError):
        powers(array, np.zeros(64, np.float32))


def test_sums_products_and_places() -> None:
    """Vectors start at any place of an array, and touch the numbers of that place alone."""
    a, b = np.arange(LANES + 3, dtype=np.float32), np.linspace(-1, 1, LANES, dtype=np.float32)
    out = np.full(LANES + 2, 7, np.float32)
    expected = a[3:] * b + 2 * b + 0.5
    np.testing.assert_allclose(combined(a, b, np.float32(2.0), out), expected.sum(), rtol=1e-5)
    np.testing.assert_allclose(out[1:-1], expected, rtol=1e-5, atol=1e-6)
    assert out[0] == out[-1] == 7
