"""Differentiable ranks: the published soft rank, and true ranks without a sort."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchsort
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from monokd.distill import ranks_cpu

REACH = 8.0
"""Standard deviations from the mean beyond which values share a rank; by Chebyshev at most 1 in 64 lie there."""

SMALLEST = 1e-12
"""Width of a bin where all values are equal."""


def by_loops(values: Tensor) -> bool:
    """Whether compiled loops compute on `values`: on the CPU, unless torch compiles the whole step."""
    return (
        values.device.type == "cpu"
        and values.dtype in (torch.float32, torch.float64)
        and not torch.compiler.is_compiling()
    )


def surely_pooled(squares: Tensor | NDArray[np.float64], length: int, strength: float) -> Tensor | np.bool:
    """Whether sums of squares alone show that `pooled` holds: no value deviates by more than their root.

    Args:
        squares: B sums of squares about the rows' means.
        length: of the rows.
        strength: of the regularisation.

    Returns:
        bool scalar, a tensor for a tensor.
    """
    return (squares <= (strength * length / 4) ** 2).all()


def pooled(values: Tensor, strength: float) -> Tensor:
    """Whether the L2 soft rank of every row is affine: max |x − mean| / strength ≤ n/4 (docs/rank_loss.md).

    Args:
        values: B×N; rows that are not finite count as affine, so that the loss is not finite either.
        strength: of the regularisation.

    Returns:
        bool scalar on the device of `values`, in O(B·N).
    """
    rows = values.detach()
    low, high = torch.aminmax(rows, dim=1)
    mean = rows.mean(1)
    return ~(torch.maximum(high - mean, mean - low) > strength * rows.shape[1] / 4).any()


def soft_rank(values: Tensor, strength: float) -> Tensor:
    """L2 soft ranks 1 to N of every row of B×N values (Blondel et al. 2020): a sort and isotonic regression."""
    ranks: Tensor = torchsort.soft_rank(values, regularization="l2", regularization_strength=strength)
    return ranks


def smooth_rank(values: Tensor, strength: float) -> Tensor:
    """Ranks in [0, 1] of every row, from a histogram: value i's rank is the mean over j of S(x_i, x_j).

    Values are spread linearly over the two nearest of evenly spaced bins, `strength` standard deviations apart. S is 1
    for a smaller x_j, 0 for a greater one, ½ for an equal one, and in between for those less than two bins away.
    So ties get their average rank and all ranks sum to N/2, exactly, and the gradient is that of the smoothed
    ranks, the empirical density included. O(N) work, no sort.

    Args:
        values: B×N; a row with a value that is not finite gets NaN.
        strength: width of a bin in standard deviations of the row; the smaller, the closer to the true ranks.

    Returns:
        B×N in the type of `values`.
    """
    if by_loops(values):
        ranks: Tensor = _LoopRanks.apply(values, strength)  # type: ignore[no-untyped-call]
        return ranks
    return binned_rank(values, strength)


def binned_rank(values: Tensor, strength: float) -> Tensor:
    """`smooth_rank` in torch's own operations, on any device."""
    rows, length = values.shape
    bins = _bins(strength)
    spread, mean = torch.std_mean(values.detach(), dim=1, keepdim=True)
    width = (spread * strength).clamp(min=SMALLEST)
    place = ((values - mean) / width + REACH / strength).clamp(0.0, bins - 1.001)
    left = place.detach().nan_to_num().floor()
    share = place - left
    cell = left.long() + bins * torch.arange(rows, device=values.device)[:, None]
    flat = cell.flatten()
    counts = values.new_zeros(rows * bins)
    counts = counts.index_add(0, flat, (1 - share).flatten()).index_add(0, flat + 1, share.flatten())
    histogram = counts.view(rows, bins)
    below = ((histogram.cumsum(1) - 0.5 * histogram) / length).flatten()
    lower, upper = below[flat].view(rows, length), below[flat + 1].view(rows, length)
    return lower + share * (upper - lower)


def _bins(strength: float) -> int:
    return int(2 * REACH / strength) + 2


class _LoopRanks(torch.autograd.Function):
    """Keeps the values and a table of bins; places are computed again where they are needed."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        """See `smooth_rank`."""
        values = values.contiguous()
        means, spreads = (values.new_empty(len(values), dtype=torch.float64) for _ in range(2))
        below = values.new_empty(len(values), _bins(strength), dtype=torch.float64)
        ranks, rows = torch.empty_like(values), values.numpy()
        ranks_cpu.spreads(rows, means.numpy(), spreads.numpy())
        widths = (spreads * strength).clamp(min=SMALLEST)
        ctx.middle = REACH / strength
        ranks_cpu.rank_rows(rows, means.numpy(), widths.numpy(), ctx.middle, below.numpy(), ranks.numpy())
        ctx.save_for_backward(values, means, widths, below)
        return ranks

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """Through the values' own places and through the histogram that all places make."""
        values, *summary = ctx.saved_tensors
        means, widths, below = (x.numpy() for x in summary)
        out = torch.empty_like(values)
        g_rows = g.contiguous().numpy()
        ranks_cpu.rank_gradients(g_rows, values.numpy(), means, widths, ctx.middle, below, out.numpy())
        return out, None
