"""The rank-correlation term of MonoSKD: as published (a Pearson correlation), and with true ranks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from monokd.distill.maps import to_coarsest
from monokd.distill.ranks import smooth_rank, soft_rank, soft_rank_is_affine
from monokd.losses.means import ALONE, Mean, Processes

PUBLISHED_STRENGTH = 1.0
TRUE_RANK_STRENGTH = 1 / 16
TINY = 1e-20
ROUNDING = 1e-11


def spearman_loss(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    processes: Processes = ALONE,
    *,
    rank_teacher_only: bool = False,
    strength: float = TRUE_RANK_STRENGTH,
) -> Mean:
    """1 − correlation of student and teacher features, summed over levels (MonoSKD, Wang et al. 2023).

    Maps are B×C×h×w, finest first. Every level is resized to the coarsest and flattened to B×N; the correlation is over
    the whole block, those of all processes together, so that the value is the same everywhere.

    It is Spearman's, by true ranks of a resolution of `strength` standard deviations. As published (quirk Q2,
    `rank_teacher_only`) it is Pearson's: the student enters raw, and the teacher's soft ranks at `PUBLISHED_STRENGTH`
    are affine in its values.
    """
    own = [level.float().flatten(1) for level in to_coarsest(student)]
    their = [level.float().flatten(1) for level in to_coarsest([t.detach() for t in teacher])]
    if rank_teacher_only:
        their = published_ranks(their)
    else:
        own, their = ([smooth_rank(rows, strength) for rows in side] for side in (own, their))
    return Mean((1 - correlations(own, their, processes)).sum(), 1)


def published_ranks(levels: Sequence[Tensor]) -> list[Tensor]:
    """Return L2 soft ranks of the rows of every B×N level, less their mean.

    Where they are affine in the values they are those less the row's mean: no sort. Which case holds waits for the
    device, once for all levels.
    """
    centred = [rows - rows.mean(1, keepdim=True) for rows in levels]
    affine = torch.stack([soft_rank_is_affine(rows, PUBLISHED_STRENGTH) for rows in centred]).tolist()
    return [
        closed if is_affine else soft_rank(rows, PUBLISHED_STRENGTH)
        for rows, closed, is_affine in zip(levels, centred, affine, strict=True)
    ]


def correlations(a: Sequence[Tensor], b: Sequence[Tensor], processes: Processes = ALONE) -> Tensor:
    """Correlate all elements of each pair of B×N blocks (Pearson), over all processes by one sum; 0 for a constant.

    Blocks of `b` have mean 0 in every process. The mean over processes of the gradients of `a` is that of the whole
    batch; none reaches `b`. A value is NaN where a number is not finite.
    """
    with torch.no_grad():
        means = torch.stack([x.mean() for x in a])
        centred = [x - m for x, m in zip(a, means, strict=True)]
        flat = [(x.flatten(), y.flatten()) for x, y in zip(centred, b, strict=True)]
        sums = torch.stack([torch.stack([x @ x, x @ y, y @ y]) for x, y in flat])
        values, factors = _over_processes(means.double(), sums.double(), [x.numel() for x in a], processes)
        gradients = [
            torch.addcmul(shift, y, of_y).addcmul_(x, of_x)
            for x, y, (of_x, of_y, shift) in zip(centred, b, factors.to(a[0].dtype), strict=True)
        ]
    slopes = torch.stack([(x * gradient).sum() for x, gradient in zip(a, gradients, strict=True)])
    return values.to(a[0].dtype) + (slopes - slopes.detach())  # the values, with the gradients known already


def _over_processes(means: Tensor, sums: Tensor, sizes: Sequence[int], processes: Processes) -> tuple[Tensor, Tensor]:
    """Return L correlations from L means of a and L×3 sums xx, xy, yy, where x is a less its mean here and y is b.

    Also the L×3 factors of x, y and 1 in the gradient of a.
    """
    n = means.new_tensor(sizes)
    table = torch.stack([n, n * means, n * means**2 + sums[:, 0], sums[:, 1], sums[:, 2]])
    count, total, squares, both, their = processes.sum(table)
    mean = total / count
    own = squares - total * mean
    # What float32 leaves of a constant block is no variation.
    varies = (own > TINY + ROUNDING * total * mean) & (their > TINY)
    scale = varies / (own * their).clamp(min=TINY**2).sqrt()
    values = both * scale
    pull = values / own.clamp(min=TINY)
    return values, processes.count * torch.stack([-pull, scale, pull * (mean - means)], 1)
