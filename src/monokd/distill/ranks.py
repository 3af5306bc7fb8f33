"""Differentiable ranks: the published soft rank, and true ranks without a sort."""

from typing import Any

import torch
import torch.nn.functional as F
import torchsort
from torch import Tensor
from torch.autograd.function import once_differentiable

REACH = 8.0  # standard deviations beyond which values share a rank; by Chebyshev at most 1 in 64 lie there
SMALLEST = 1e-12  # width of a bin where all values are equal


def soft_rank_is_affine(centred: Tensor, strength: float) -> Tensor:
    """Tell whether the L2 soft ranks of all rows are affine: max |x − mean| / strength ≤ n/4 (docs/rank_loss.md).

    `centred` is B×N, less the rows' means; rows that are not finite count as affine, so that the loss is not finite.
    """
    low, high = torch.aminmax(centred)
    return ~(torch.maximum(high, -low) > strength * centred.shape[1] / 4)


def soft_rank(values: Tensor, strength: float) -> Tensor:
    """Return L2 soft ranks of every row of B×N values, less their mean (Blondel et al. 2020), by sorting.

    On the CPU where torchsort was built without CUDA.
    """
    try:
        ranks: Tensor = torchsort.soft_rank(values, regularization="l2", regularization_strength=strength)
    except ImportError:
        ranks = torchsort.soft_rank(values.cpu(), regularization="l2", regularization_strength=strength).to(values)
    return ranks - ranks.mean()  # (n + 1)/2 but for rounding, which grows with n


def smooth_rank(values: Tensor, strength: float) -> Tensor:
    """Ranks from −½ to ½ of every row of B×N values, from a histogram: value i's is the mean over j of S(x_i, x_j).

    Values are spread linearly over the two nearest of evenly spaced bins, `strength` standard deviations apart. S is ½
    for a smaller x_j, −½ for a greater one, 0 for an equal one, and in between for those less than two bins away.
    So ties get their average rank and all ranks sum to 0, exactly, and the gradient is that of the smoothed ranks, the
    empirical density included. O(N) work, no sort. The smaller `strength`, the closer to the true ranks; a row with a
    value that is not finite gets NaN.
    """
    ranks: Tensor = _SmoothRank.apply(values, strength)  # type: ignore[no-untyped-call]
    return ranks


class _SmoothRank(torch.autograd.Function):
    """By hand, because PyTorch's gradient of a look-up sorts on a GPU where kernels must be deterministic."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        """See `smooth_rank`."""
        bins, length = int(2 * REACH / strength) + 2, values.shape[1]
        centred = values - values.mean(1, keepdim=True)
        spread = torch.linalg.vector_norm(centred, dim=1, keepdim=True) / max(length - 1, 1) ** 0.5
        width = (spread * strength).clamp(min=SMALLEST)
        place = centred / width + REACH / strength
        kept = place.clamp(0.0, bins - 1.001)
        cell = kept.nan_to_num().long()
        share = kept - cell
        # What a value in one bin adds to the ranks of those in another: ½ above, −½ below, 0 in the same.
        k = torch.arange(bins, dtype=torch.float64, device=values.device)
        table = torch.sign(k - k[:, None]) / (2 * length)
        ranks = (_spread(cell, share, torch.ones_like(share), bins) @ table).to(values.dtype)
        lower = ranks.gather(1, cell)
        slope = ranks.gather(1, cell + 1) - lower
        ctx.save_for_backward(cell, share, slope, width, place == kept, table)
        return torch.addcmul(lower, share, slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """Differentiate by the values' own places, and by the histogram that all places make."""
        cell, share, slope, width, inside, table = ctx.saved_tensors
        pull = (_spread(cell, share, g, len(table)) @ table.t()).to(g.dtype)
        of_place = g * slope + pull.gather(1, cell + 1) - pull.gather(1, cell)
        return of_place * inside / width, None


def _spread(cell: Tensor, share: Tensor, weights: Tensor, bins: int) -> Tensor:
    """B×bins float64 sums of B×N weights, each shared between its cell and the next one."""
    both = torch.stack([weights, weights * share])
    if cell.device.type == "cpu":
        sums = both.new_zeros(2, len(cell), bins).scatter_add_(2, cell.expand_as(both), both)
    else:
        sums = sums_by_products(cell, both, bins)
    whole, part = sums.double()[:, :, :-1]
    return F.pad(whole - part, (0, 1)) + F.pad(part, (1, 0))


def sums_by_products(cell: Tensor, weights: Tensor, bins: int) -> Tensor:
    """Sum 2×B×N weights by cell to 2×B×bins, by products of one-hot matrices: in one order, whatever the device does.

    A GPU's other ways are sums in no fixed order, or a sort.
    """
    rows, length = cell.shape
    high, low = -(-bins // 16), torch.arange(16, device=cell.device)
    missing = -length % 4096  # blocks, so that the products of a row are many
    cell, weights = (F.pad(x, (0, missing)).reshape(*x.shape[:-1], -1, 4096) for x in (cell, weights))
    of_high = (cell[..., None, :] // 16 == torch.arange(high, device=cell.device)[:, None]).to(weights.dtype)
    of_low = (cell[..., None] % 16 == low).to(weights.dtype)
    sums = of_high @ (weights[..., None] * of_low)
    return sums.sum(2).view(2, rows, high * 16)[..., :bins]
