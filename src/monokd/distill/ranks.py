"""Differentiable ranks: the published soft rank, and true ranks without a sort."""

from __future__ import annotations

import torch
import torchsort
from torch import Tensor

REACH = 8.0
"""Standard deviations from the mean beyond which values share a rank; by Chebyshev at most 1 in 64 lie there."""

SMALLEST = 1e-12
"""Width of a bin where all values are equal."""


def soft_rank_is_affine(centred: Tensor, strength: float) -> Tensor:
    """Whether the L2 soft ranks of all rows are affine: max |x − mean| / strength ≤ n/4 (docs/rank_loss.md).

    Args:
        centred: B×N, less the rows' means; rows that are not finite count as affine, so that the loss is not finite.
        strength: of the regularisation.

    Returns:
        bool scalar on the device of `centred`.
    """
    low, high = torch.aminmax(centred)
    return ~(torch.maximum(high, -low) > strength * centred.shape[1] / 4)


def soft_rank(values: Tensor, strength: float) -> Tensor:
    """L2 soft ranks of every row of B×N values, less their mean (Blondel et al. 2020): sort and isotonic regression.

    On the CPU where torchsort was built without CUDA.
    """
    try:
        ranks: Tensor = torchsort.soft_rank(values, regularization="l2", regularization_strength=strength)
    except ImportError:
        ranks = torchsort.soft_rank(values.cpu(), regularization="l2", regularization_strength=strength).to(values)
    return ranks - (values.shape[1] + 1) / 2


def smooth_rank(values: Tensor, strength: float) -> Tensor:
    """Ranks from −½ to ½ of every row, from a histogram: value i's is the mean over j of S(x_i, x_j).

    Values are spread linearly over the two nearest of evenly spaced bins, `strength` standard deviations apart. S is ½
    for a smaller x_j, −½ for a greater one, 0 for an equal one, and in between for those less than two bins away.
    So ties get their average rank and all ranks sum to 0, exactly, and the gradient is that of the smoothed ranks, the
    empirical density included. O(N) work, no sort.

    Args:
        values: B×N; a row with a value that is not finite gets NaN.
        strength: width of a bin in standard deviations of the row; the smaller, the closer to the true ranks.

    Returns:
        B×N in the type of `values`.
    """
    rows, length = values.shape
    bins = int(2 * REACH / strength) + 2
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
    below = ((histogram.cumsum(1) - 0.5 * histogram) / length - 0.5).flatten()
    lower, upper = below[flat].view(rows, length), below[flat + 1].view(rows, length)
    return lower + share * (upper - lower)
