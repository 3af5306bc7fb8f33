"""Ranks and their correlation: against scipy, torchsort and the proof's bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchsort
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from monokd.distill import ranks, spearman
from monokd.distill.ranks import binned_rank, pooled, smooth_rank, soft_rank, surely_pooled
from monokd.distill.spearman import correlation, moments, published_correlations, spearman_loss
from monokd.losses.replicas import Replicas
from tests.losses.processes import together

FINE = 1 / 64
SHAPES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "normal": lambda x: x,
    "rectified": torch.relu,
    "heavy tails": lambda x: x**3,
    "skewed": torch.exp,
}


def maps(seed: int, size: int = 4000) -> torch.Tensor:
    return torch.randn(2, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_smooth_ranks_are_ranks(shape: str) -> None:
    """Mean error under two hundredths of the range at worst, ties included; the sum is exact."""
    values = SHAPES[shape](maps(1))
    found = smooth_rank(values, FINE)
    expected = torch.tensor(rankdata(values.numpy(), axis=1) - 0.5) / values.shape[1]
    assert (found - expected).abs().mean().item() < 0.02
    assert found.mean(1).tolist() == pytest.approx([0.5, 0.5], abs=1e-5)


def test_ties_share_their_average_rank() -> None:
    """Half of the values at one point: all of them get 0.25, wherever the bins lie."""
    values = torch.cat([torch.zeros(1, 500), torch.rand(1, 500) + 0.3], 1)
    assert smooth_rank(values, 1 / 64)[0, :500].tolist() == pytest.approx([0.25] * 500, abs=1e-5)


@settings(deadline=None)
@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_smooth_ranks_see_no_scale_and_no_shift(scale: float, shift: float) -> None:
    values = maps(3, 200).double()
    torch.testing.assert_close(smooth_rank(values * scale + shift, 1 / 16), smooth_rank(values, 1 / 16))


def test_smooth_rank_gradients_are_those_of_the_smoothed_ranks() -> None:
    """Against differences of the pairwise definition, the bins held fixed."""
    anchored = maps(4, 30).double()
    weight = maps(5, 30).double()
    leaf = anchored.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((smooth_rank(leaf, 0.5) * weight).sum(), leaf)
    for column in range(5):
        step = torch.zeros_like(anchored)
        step[0, column], step[1, column + 6] = 1.0, -1.0
        ends = [smooth_rank_with_bins_of(anchored, anchored + s * 1e-7 * step, 0.5) for s in (1, -1)]
        slope = ((ends[0] - ends[1]) * weight).sum() / 2e-7
        assert (gradient * step).sum().item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-6)


def smooth_rank_with_bins_of(reference: torch.Tensor, values: torch.Tensor, strength: float) -> torch.Tensor:
    """The definition, pair by pair: mean over j of S(x_i, x_j), S from the two bins' linear shares."""
    spread, mean = torch.std_mean(reference, 1, keepdim=True)
    place = (values - mean) / (spread * strength) + 8.0 / strength
    bins = torch.arange(int(16 / strength) + 2)
    shares = (1 - (place[:, :, None] - bins).abs()).clamp(min=0)
    below = torch.tril(torch.ones(len(bins), len(bins), dtype=values.dtype), -1) + 0.5 * torch.eye(len(bins))
    return torch.einsum("bik,kl,bjl->bij", shares, below, shares).mean(2)


def test_smooth_ranks_follow_the_definition() -> None:
    values = maps(5, 60).double()
    torch.testing.assert_close(smooth_rank(values, 0.25), smooth_rank_with_bins_of(values, values, 0.25))


@pytest.mark.parametrize("shape", SHAPES)
def test_true_rank_loss_is_spearmans(shape: str) -> None:
    """Within 0.01 of scipy on one frame; torchsort at the same strength (docs/rank_loss.md) agrees."""
    student, teacher = SHAPES[shape](maps(6)), SHAPES[shape](maps(6) + maps(7))
    student, teacher = student[:1, :, None, None], teacher[:1, :, None, None]
    found = 1 - spearman_loss([student], [teacher], rank="both", strength=FINE).item()
    a, b = student.flatten(), teacher.flatten()
    assert found == pytest.approx(spearmanr(a, b).statistic, abs=0.01)
    strengths = [FINE * float(x.std()) / len(x) for x in (a, b)]
    ranks = [soft_rank(x[None].double(), s) for x, s in zip((a, b), strengths, strict=True)]
    assert found == pytest.approx(correlation(ranks[0], ranks[1], Replicas()).item(), abs=0.01)


@pytest.mark.parametrize("shape", ["normal", "rectified"])
def test_the_default_strength_is_within_a_hundredth_too(shape: str) -> None:
    """On values as feature maps have them; heavier tails need a finer one."""
    student, teacher = SHAPES[shape](maps(6))[:1], SHAPES[shape](maps(6) + maps(7))[:1]
    found = 1 - spearman_loss([student[:, :, None, None]], [teacher[:, :, None, None]], rank="both").item()
    assert found == pytest.approx(spearmanr(student[0], teacher[0]).statistic, abs=0.01)


def test_true_ranks_teach() -> None:
    """Descent on the loss alone raises scipy's rank correlation of a map with its target from 0 to near 1."""
    student = maps(8, 2000)[:1, :, None, None].clone().requires_grad_()
    teacher = torch.exp(maps(9, 2000))[:1, :, None, None]
    optimiser = torch.optim.Adam([student], lr=0.05)
    for _ in range(100):
        optimiser.zero_grad()
        torch.autograd.backward(spearman_loss([student], [teacher], rank="both"))
        optimiser.step()
    assert spearmanr(student.detach().flatten(), teacher.flatten()).statistic > 0.95


def test_true_rank_loss_sees_no_monotone_map_but_the_published_one_does() -> None:
    student, teacher = maps(10)[:, :, None, None], maps(11)[:, :, None, None]
    bent = torch.exp(2 * teacher)
    both = [spearman_loss([student + teacher], [t], rank="both", strength=FINE).item() for t in (teacher, bent)]
    assert both[0] == pytest.approx(both[1], abs=0.02)
    published = [spearman_loss([student + teacher], [t], rank="teacher").item() for t in (teacher, bent)]
    assert abs(published[0] - published[1]) > 0.1


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000), st.floats(0.1, 10))
def test_the_regime_is_recognised(size: int, seed: int, strength: float) -> None:
    """Within the bound, torchsort's ranks are the affine ones: the proof's claim, on random values of any spread."""
    g = torch.Generator().manual_seed(seed)
    values = torch.randn(2, size, dtype=torch.float64, generator=g) * size * strength * torch.rand(1, generator=g)
    affine = (values - values.mean(1, keepdim=True)) / strength + (size + 1) / 2
    if bool(pooled(values, strength)):
        sorted_ranks = torchsort.soft_rank(values, regularization_strength=strength)
        torch.testing.assert_close(sorted_ranks, affine, rtol=1e-9, atol=1e-9 * size)


@pytest.mark.parametrize(("spread", "expected"), [(1.0, True), (1e4, False)])
def test_outside_the_regime_torchsort_ranks(spread: float, expected: bool) -> None:
    values = maps(12, 100) * spread
    assert bool(pooled(values, 1.0)) == expected
    own = maps(13, 100)
    (found,) = published_correlations([own], [values], 1.0, Replicas())
    sorted_ranks = torchsort.soft_rank(values.double(), regularization_strength=1.0)
    torch.testing.assert_close(found.double(), correlation(own.double(), sorted_ranks, Replicas()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rank", ["teacher", "both"])
def test_loss_and_gradient_match_torchsort(rank: str) -> None:
    """Values in both regimes, gradients in the published one, where torchsort's have the same meaning."""
    student = maps(13, 500).double().requires_grad_()
    teacher = maps(14, 500).double() + student.detach()
    strength = 1.0 if rank == "teacher" else 1e-4
    reference = soft_rank(teacher, strength)
    own = student if rank == "teacher" else soft_rank(student, strength)
    expected = 1 - correlation(own, reference, Replicas())
    found = spearman_loss(
        [student[:, :, None, None]],
        [teacher[:, :, None, None]],
        rank=rank,  # type: ignore[arg-type]
    )
    assert found.item() == pytest.approx(expected.item(), abs=1e-6 if rank == "teacher" else 0.01)
    if rank == "teacher":
        gradients = [torch.autograd.grad(loss, student)[0] for loss in (found, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-8)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 1000), st.floats(0.1, 10))
def test_sums_of_squares_never_promise_too_much(size: int, seed: int, strength: float) -> None:
    g = torch.Generator().manual_seed(seed)
    values = torch.randn(2, size, dtype=torch.float64, generator=g) * size * strength * torch.rand(1, generator=g)
    squares = moments(values, values)[:, 5]
    assert not bool(surely_pooled(squares, size, strength)) or bool(pooled(values, strength))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_ranks_are_those_of_torch(dtype: torch.dtype) -> None:
    """Values and gradients, on normal values, ties, outliers beyond the last bin and a constant row."""
    g = torch.Generator().manual_seed(1)
    values = torch.randn(4, 700, generator=g).to(dtype)
    values[1], values[2, 0], values[3] = torch.relu(values[1]), 1e3, 5.0
    weight = torch.randn(4, 700, generator=g).to(dtype)
    found = []
    for rank in (smooth_rank, binned_rank):
        leaf = values.clone().requires_grad_()
        result = rank(leaf, 1 / 16)
        found.append((result, *torch.autograd.grad((result * weight).sum(), leaf)))
    tolerance = 2e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=tolerance)
    torch.testing.assert_close(found[0][1][:3], found[1][1][:3], rtol=0, atol=tolerance * float(weight.abs().max()))


@pytest.mark.parametrize("within_rows", [False, True])
def test_correlation_gradients_by_gradcheck(within_rows: bool) -> None:
    a, b = (maps(seed, 9).double() for seed in (20, 21))
    a.requires_grad_()
    b.requires_grad_(not within_rows)  # the teacher's side, where rows' means count as constants
    assert torch.autograd.gradcheck(lambda a, b: correlation(a, b, Replicas(), within_rows=within_rows), (a, b))


@pytest.mark.parametrize("within_rows", [False, True])
def test_compiled_correlation_is_that_of_torch(monkeypatch: pytest.MonkeyPatch, within_rows: bool) -> None:
    """As on a GPU, which takes the same path with tensors in place of arrays."""
    found = []
    for _ in range(2):
        a, b = (maps(seed, 300).requires_grad_() for seed in (22, 23))
        value = correlation(a, b, Replicas(), within_rows=within_rows)
        found.append((value, *torch.autograd.grad(value, (a, b))))
        monkeypatch.setattr(spearman, "by_loops", lambda values: False)
    for own, other in zip(*found, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-7)


def test_a_great_common_offset_costs_no_digits() -> None:
    """Sums of squares about 0 would lose them all in single precision."""
    a, b = maps(24, 5000), maps(25, 5000) + maps(24, 5000)
    shifted = correlation(a + 1000, b - 3000, Replicas())
    assert shifted.item() == pytest.approx(correlation(a.double(), b.double(), Replicas()).item(), abs=1e-4)


@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("rank", ["teacher", "both"])
def test_a_value_that_is_not_finite_shows_in_the_loss(monkeypatch: pytest.MonkeyPatch, rank: str, loops: bool) -> None:
    """Training then stops and names this term; bins must not be counted outside their table."""
    if not loops:
        monkeypatch.setattr(spearman, "by_loops", lambda values: False)
        monkeypatch.setattr(ranks, "by_loops", lambda values: False)
    for bad in (float("nan"), float("inf")):
        student, teacher = maps(26, 50)[:, :, None, None], maps(27, 50)[:, :, None, None]
        student[1, 7] = bad
        for pair in ((student, teacher), (teacher, student)):
            loss = spearman_loss([pair[0]], [pair[1]], rank=rank)  # type: ignore[arg-type]
            assert torch.isnan(loss)


@pytest.mark.parametrize("rank", ["teacher", "both"])
def test_a_constant_map_costs_one_and_pulls_nowhere(rank: str) -> None:
    student = torch.zeros(1, 2, 3, 4, requires_grad=True)
    loss = spearman_loss([student], [torch.randn(1, 2, 3, 4)], rank=rank)  # type: ignore[arg-type]
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(1.0)
    assert student.grad is not None
    assert student.grad.abs().sum().item() == 0


@pytest.mark.parametrize("rank", ["teacher", "both"])
def test_two_processes_give_the_loss_and_gradients_of_one(rank: str) -> None:
    whole, shared = (torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(2)).requires_grad_() for _ in "ab")
    teacher = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(3)) + whole.detach()
    expected = spearman_loss([whole], [teacher], rank=rank)  # type: ignore[arg-type]
    torch.autograd.backward(expected)

    def work(process: int, replicas: Replicas) -> torch.Tensor:
        own = slice(2 * process, 2 * process + 2)
        return spearman_loss([shared[own]], [teacher[own]], replicas, rank=rank)  # type: ignore[arg-type]

    found = together(2, work)
    torch.testing.assert_close(found[0], expected)
    torch.autograd.backward(torch.stack(found).mean())
    torch.testing.assert_close(shared.grad, whole.grad)
