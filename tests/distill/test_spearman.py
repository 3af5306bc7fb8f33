"""The rank-correlation term: against scipy and torchsort, and on values that are no good."""

from typing import Any

import pytest
import torch
import torchsort
from scipy.stats import spearmanr
from torch import Tensor

from monokd.distill.ranks import soft_rank
from monokd.distill.spearman import correlations, published_ranks, spearman_loss
from tests.distill.test_ranks import FINE, SHAPES, maps

BOTH = pytest.mark.parametrize("published", [True, False])


def loss_of(student: Tensor, teacher: Tensor, **options: Any) -> Tensor:
    """The loss of one level of B×N values."""
    return spearman_loss([student[:, :, None, None]], [teacher[:, :, None, None]], **options).here()


def correlation(a: Tensor, b: Tensor) -> Tensor:
    return correlations([a], [b - b.mean(1, keepdim=True)])[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_true_rank_loss_is_spearmans(shape: str) -> None:
    """Within 0.01 of scipy on one frame, as torchsort at the same strength (docs/rank_loss.md).

    With the default strength too on values as feature maps have them; heavier tails need a finer one.
    """
    student, teacher = SHAPES[shape](maps(6))[:1], SHAPES[shape](maps(6) + maps(7))[:1]
    expected = pytest.approx(spearmanr(student[0], teacher[0]).statistic, abs=0.01)
    assert 1 - loss_of(student, teacher, strength=FINE).item() == expected
    ranks = [soft_rank(x.double(), FINE * float(x.std()) / x.numel()) for x in (student, teacher)]
    assert correlation(*ranks).item() == expected
    assert shape not in ("normal", "rectified") or 1 - loss_of(student, teacher).item() == expected


@pytest.mark.parametrize("spread", [1.0, 1e4])
def test_published_ranks_are_torchsorts_up_to_a_shift(spread: float) -> None:
    """In closed form within the regime, by torchsort outside."""
    values = maps(12, 100).double() * spread
    (found,) = published_ranks([values])
    expected = torchsort.soft_rank(values, regularization_strength=1.0)
    torch.testing.assert_close(found - found.mean(), expected - expected.mean(), rtol=1e-9, atol=1e-9)


def test_a_great_common_offset_costs_no_digits() -> None:
    """Sums of squares about 0 would lose them all in single precision."""
    a, b = maps(24, 5000), maps(25, 5000) + maps(24, 5000)
    expected = correlation(a.double(), b.double()).item()
    assert correlation(a + 1000, b).item() == pytest.approx(expected, abs=1e-4)


@BOTH
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_shows_in_the_loss(published: bool, bad: float) -> None:
    """Training then stops and names this term; bins must not be counted outside their table."""
    student, teacher = maps(26, 50), maps(27, 50)
    student[1, 7] = bad
    for pair in ((student, teacher), (teacher, student)):
        assert torch.isnan(loss_of(*pair, rank_teacher_only=published))


@BOTH
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_constant_map_costs_one_and_pulls_nowhere(published: bool, value: float) -> None:
    student = torch.full((2, 1000), value, requires_grad=True)
    loss = loss_of(student, maps(28, 1000), rank_teacher_only=published)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(1.0)
    assert student.grad is not None
    assert student.grad.abs().sum().item() == 0
