"""The rank-correlation term of MonoSKD: as published (a Pearson correlation), and with true ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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

    Every level is resized to the coarsest and flattened to B×N; the correlation is over the whole block, those of all
    processes together, so that the value is the same everywhere.

    Args:
        student: maps B×C×h×w, finest first.
        teacher: maps of the same shapes.
        processes: those that share the batch.
        rank_teacher_only: quirk Q2: as published, the student enters raw and the teacher's soft ranks at
            `PUBLISHED_STRENGTH` are affine in its values, so that this is Pearson's correlation; else Spearman's.
        strength: of true ranks: their resolution in standard deviations.
    """
    own = [level.float().flatten(1) for level in to_coarsest(student)]
    their = [level.float().flatten(1) for level in to_coarsest([t.detach() for t in teacher])]
    if rank_teacher_only:
        their = published_ranks(their)
    else:
        own, their = ([smooth_rank(rows, strength) for rows in side] for side in (own, their))
    return Mean(len(own) - torch.stack(correlations(own, their, processes)).sum(), 1)


def published_ranks(levels: Sequence[Tensor]) -> list[Tensor]:
    """L2 soft ranks of the rows of every B×N level, up to a constant.

    Where they are affine in the values they are those less the row's mean: no sort. Which case holds waits for the
    device, once for all levels.
    """
    centred = [rows - rows.mean(1, keepdim=True) for rows in levels]
    affine = torch.stack([soft_rank_is_affine(rows, PUBLISHED_STRENGTH) for rows in centred]).tolist()
    return [
        closed if is_affine else soft_rank(rows, PUBLISHED_STRENGTH)
        for rows, closed, is_affine in zip(levels, centred, affine, strict=True)
    ]


def correlations(a: Sequence[Tensor], b: Sequence[Tensor], processes: Processes = ALONE) -> list[Tensor]:
    """Pearson's correlation of all elements of each pair of blocks, over all processes by one sum; 0 for a constant.

    The mean over processes of the gradients of `a` is that of the whole batch; none reaches `b`.

    Args:
        a: blocks B×N.
        b: blocks of the same shapes.
        processes: those that share the batch.
    """
    with torch.no_grad():
        pairs = [_Pair(x, y) for x, y in zip(a, b, strict=True)]
        sums = processes.sum(torch.stack([pair.sums for pair in pairs]))
        known = [pair.correlation(of_pair, processes.count) for pair, of_pair in zip(pairs, sums, strict=True)]
    return [_Known.apply(x, value, gradient) for x, (value, gradient) in zip(a, known, strict=True)]  # type: ignore[no-untyped-call]


class _Pair:
    """Two blocks less their means here, and the sums that processes add up (float64)."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.means = torch.stack([a.mean(), b.mean()]).double()
        self.x, self.y = a - a.mean(), b - b.mean()
        x, y = self.x.flatten(), self.y.flatten()
        within = torch.stack([x @ x, x @ y, y @ y]).double()
        m, n = self.means, a.numel()
        between = n * torch.stack([m[0] * m[0], m[0] * m[1], m[1] * m[1]])
        self.sums = torch.cat([m.new_full((1,), n), n * m, within + between])

    def correlation(self, sums: Tensor, processes: int) -> tuple[Tensor, Tensor]:
        """The value, NaN where a number is not finite, and its gradient for the first block."""
        count, total, squares = sums[0], sums[1:3], sums[3:]
        mean = total / count
        own, both, their = (squares - total[[0, 0, 1]] * mean[[0, 1, 1]]).unbind()
        # What float32 leaves of a constant block is no variation.
        varies = (torch.stack([own, their]) > TINY + ROUNDING * total * mean).all()
        scale = varies / (own * their).clamp(min=TINY**2).sqrt()
        value = both * scale
        pull = value / own.clamp(min=TINY)
        # d value / d a = scale·(b − mean) − pull·(a − mean); the blocks here are less their own means.
        apart = self.means - mean
        shift = scale * apart[1] - pull * apart[0]
        of_a, of_b, shift = ((processes * c).to(self.x.dtype) for c in (-pull, scale, shift))
        return value.to(self.x.dtype), (self.x * of_a).addcmul_(self.y, of_b).add_(shift)


class _Known(torch.autograd.Function):
    """A scalar whose gradient is known already."""

    @staticmethod
    def forward(ctx: Any, _: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return g * gradient, None, None
