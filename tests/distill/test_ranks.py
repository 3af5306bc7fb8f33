"""Smoothed ranks against their definition, and the regime of the published soft rank."""

from collections.abc import Callable

import pytest
import torch
import torchsort
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monokd.distill.ranks import smooth_rank, soft_rank, soft_rank_is_affine, sums_by_products

FINE = 1 / 64
SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda x: x,
    "rectified": torch.relu,
    "heavy tails": lambda x: x**3,
    "skewed": torch.exp,
}


def maps(seed: int, size: int = 4000) -> Tensor:
    return torch.randn(2, size, generator=torch.Generator().manual_seed(seed))


def by_definition(reference: Tensor, values: Tensor, strength: float) -> Tensor:
    """Pair by pair, with the bins of `reference`: mean over j of S(x_i, x_j), S from the two bins' linear shares."""
    spread, mean = torch.std_mean(reference, 1, keepdim=True)
    place = (values - mean) / (spread * strength) + 8.0 / strength
    bins = torch.arange(int(16 / strength) + 2)
    shares = (1 - (place[:, :, None] - bins).abs()).clamp(min=0)
    below = torch.tril(torch.ones(len(bins), len(bins), dtype=values.dtype), -1) + 0.5 * torch.eye(len(bins))
    return torch.einsum("bik,kl,bjl->bij", shares, below, shares).mean(2) - 0.5


def test_smooth_ranks_and_gradients_follow_the_definition() -> None:
    """Gradients are those of the smoothed ranks, the bins held fixed."""
    values, weight = maps(4, 60).double(), maps(5, 60).double()
    found, expected = (values.clone().requires_grad_() for _ in "ab")
    ranks, defined = smooth_rank(found, 0.25), by_definition(values, expected, 0.25)
    torch.testing.assert_close(ranks, defined)
    gradients = torch.autograd.grad(ranks, found, weight) + torch.autograd.grad(defined, expected, weight)
    torch.testing.assert_close(*gradients)


def test_values_beyond_the_last_bin_share_its_rank_and_are_not_moved() -> None:
    values = maps(6, 700)
    values[0, 0] = 1e3
    values.requires_grad_()
    ranks = smooth_rank(values, 1 / 16)
    (gradient,) = torch.autograd.grad(ranks[0, 0], values)
    assert ranks[0, 0].item() == pytest.approx(0.5, abs=2e-3)
    assert gradient[0, 0].item() == 0


def test_sums_by_products_are_sums_by_cell() -> None:
    """As a GPU computes them; several blocks of values, the last one not full."""
    g = torch.Generator().manual_seed(7)
    cell, weights = torch.randint(0, 257, (3, 5000), generator=g), torch.randn(2, 3, 5000, generator=g)
    expected = torch.zeros(2, 3, 258).scatter_add_(2, cell.expand(2, -1, -1), weights)
    torch.testing.assert_close(sums_by_products(cell, weights, 258), expected, rtol=1e-4, atol=1e-4)


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000), st.floats(0.1, 10))
def test_the_regime_is_recognised(size: int, seed: int, strength: float) -> None:
    """Within the bound, torchsort's ranks are the affine ones: the proof's claim, on random values of any spread."""
    g = torch.Generator().manual_seed(seed)
    values = torch.randn(2, size, dtype=torch.float64, generator=g) * size * strength * torch.rand(1, generator=g)
    centred = values - values.mean(1, keepdim=True)
    if bool(soft_rank_is_affine(centred, strength)):
        sorted_ranks = torchsort.soft_rank(values, regularization_strength=strength)
        torch.testing.assert_close(sorted_ranks, centred / strength + (size + 1) / 2, rtol=1e-9, atol=1e-9 * size)


def test_torchsort_without_its_cuda_extension_ranks_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def answer(values: Tensor, **_: object) -> Tensor:
        calls.append(values)
        if len(calls) == 1:
            raise ImportError("torchsort was built without CUDA")
        return torch.tensor([[1.0, 2.0, 3.0]])

    monkeypatch.setattr(torchsort, "soft_rank", answer)
    assert soft_rank(maps(8, 3), 1.0).tolist() == [[-1.0, 0.0, 1.0]]
    assert calls[1].device.type == "cpu"
