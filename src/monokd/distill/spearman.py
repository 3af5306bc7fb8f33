"""The rank-correlation term of MonoSKD: as published (a Pearson correlation), and with true ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from monokd.distill import ranks_cpu
from monokd.distill.maps import to_coarsest
from monokd.distill.ranks import by_loops, pooled, smooth_rank, soft_rank, surely_pooled
from monokd.losses.replicas import Replicas

PUBLISHED_STRENGTH = 1.0
TRUE_RANK_STRENGTH = 1 / 16
TINY = 1e-20

Moments: TypeAlias = Tensor | NDArray[np.float64]


def spearman_loss(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    replicas: Replicas | None = None,
    *,
    rank: Literal["teacher", "both"] = "both",
    strength: float | None = None,
) -> Tensor:
    """1 − correlation of student and teacher features, summed over levels (MonoSKD, Wang et al. 2023).

    Every level is resized to the coarsest and flattened to B×N; the correlation is over the whole block.

    Args:
        student: maps B×C×h×w, finest first.
        teacher: maps of the same shapes.
        replicas: processes that share the batch.
        rank: quirk Q2: `teacher` as published, where the student enters raw and the teacher's soft ranks are affine in
            its values, so that this is Pearson's correlation; `both` for Spearman's.
        strength: of the ranks. With `teacher`: the L2 regularisation strength (published: 1.0). With `both`: resolution
            in standard deviations (default 1/16).
    """
    if strength is None:
        strength = PUBLISHED_STRENGTH if rank == "teacher" else TRUE_RANK_STRENGTH
    replicas = replicas or Replicas()
    own = [level.float().flatten(1) for level in to_coarsest(student)]
    their = [level.float().flatten(1) for level in to_coarsest([t.detach() for t in teacher])]
    if rank == "both":
        ranked = [[smooth_rank(rows, strength) for rows in side] for side in (own, their)]
        correlations = [correlation(a, b, replicas) for a, b in zip(*ranked, strict=True)]
    else:
        correlations = published_correlations(own, their, strength, replicas)
    return len(own) - torch.stack(correlations).sum()


def published_correlations(
    own: Sequence[Tensor], their: Sequence[Tensor], strength: float, replicas: Replicas
) -> list[Tensor]:
    """Correlation of the rows of every level with the L2 soft ranks of the teacher's.

    Where the ranks are affine in the values, these are correlated less their row's mean: soft ranks of every row have
    the same mean. Only which case holds waits for the device, once for all levels.
    """
    found = [moments(a, b) for a, b in zip(own, their, strict=True)]
    affine = in_regime(their, found, strength)
    return [
        correlation(a, b, replicas, within_rows=True, known=known)
        if is_affine
        else correlation(a, soft_rank(b, strength), replicas)
        for a, b, known, is_affine in zip(own, their, found, affine, strict=True)
    ]


def in_regime(levels: Sequence[Tensor], found: Sequence[Moments], strength: float) -> list[bool]:
    """Whether the soft ranks of each level are affine in the values, by the levels' `moments` where they suffice."""
    pairs = zip(levels, found, strict=True)
    surely = [torch.as_tensor(surely_pooled(known[:, 5], rows.shape[1], strength)) for rows, known in pairs]
    answers = torch.stack(surely).tolist()
    return [sure or bool(pooled(rows, strength)) for rows, sure in zip(levels, answers, strict=True)]


def moments(a: Tensor, b: Tensor) -> Moments:
    """Every row's means of a and b, sums of squares and products about them: B×6 float64 (a, b, aa, ab, ba, bb).

    An array where compiled loops compute (small arrays cost less than small tensors), a tensor on the device elsewhere.
    """
    a, b = a.detach(), b.detach()
    if by_loops(a):
        out = np.empty((len(a), 6))
        ranks_cpu.moments(a.contiguous().numpy(), b.contiguous().numpy(), out)
        return out
    means = [x.mean(1) for x in (a, b)]
    x, y = a - means[0][:, None], b - means[1][:, None]
    both = (x * y).sum(1)
    return torch.stack([*means, (x * x).sum(1), both, both, (y * y).sum(1)], 1).double()


def correlation(
    a: Tensor, b: Tensor, replicas: Replicas, *, within_rows: bool = False, known: Moments | None = None
) -> Tensor:
    """Pearson's correlation of all elements of two B×N blocks over all processes; 0 where one is constant.

    Args:
        a: B×N.
        b: B×N.
        replicas: processes that share the batch.
        within_rows: whether every row of b counts less its own mean, instead of the whole block's; these means count as
            constants in the gradient of b.
        known: the blocks' `moments`, if they are at hand.
    """
    known = moments(a, b) if known is None else known
    value: Tensor = _Correlation.apply(a, b, known, replicas, within_rows)  # type: ignore[no-untyped-call]
    return value


class _Correlation(torch.autograd.Function):
    """No pass over the memory forward, once the moments are known, and one backward; only the blocks are kept."""

    @staticmethod
    @np.errstate(invalid="ignore", over="ignore")
    def forward(ctx: Any, a: Tensor, b: Tensor, known: Moments, replicas: Replicas, within_rows: bool) -> Tensor:
        """See `correlation`; arrays and tensors take the same path. NaN where a value is not finite."""
        means = known[:, :2]
        apart = means - _total(replicas, means.sum(0)) / (len(a) * replicas.count)
        if within_rows:
            apart[:, 1] = 0.0
        sums = known[:, 2:].sum(0) + a.shape[1] * (apart.T @ apart).reshape(-1)
        own, both, _, their = _total(replicas, sums)
        varies = (own > TINY) * (their > TINY)
        scale = varies / (own * their).clip(min=TINY**2) ** 0.5
        value = both * scale
        ctx.save_for_backward(a, b)
        ctx.count, ctx.centre, ctx.scale = replicas.count, means - apart, scale
        ctx.pulls = (value / own.clip(min=TINY), value / their.clip(min=TINY))
        return torch.as_tensor(value, dtype=a.dtype, device=a.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Nothing flows through the means: moved together, all elements leave a correlation as it is."""
        a, b = ctx.saved_tensors
        push = (g.double() if isinstance(ctx.centre, Tensor) else g.item()) * ctx.count
        x, y = ctx.centre.T
        needs_a, needs_b, *_ = ctx.needs_input_grad
        g_a = _blend(a, b, -push * ctx.pulls[0], push * ctx.scale, x, y) if needs_a else None
        g_b = _blend(b, a, -push * ctx.pulls[1], push * ctx.scale, y, x) if needs_b else None
        return g_a, g_b, None, None, None


def _total(replicas: Replicas, value: Moments) -> Moments:
    if replicas.count == 1:
        return value
    return replicas.total(value) if isinstance(value, Tensor) else replicas.total(torch.from_numpy(value)).numpy()


def _blend(a: Tensor, b: Tensor, of_a: Any, of_b: Any, x: Moments, y: Moments) -> Tensor:
    """of_a·(a − x) + of_b·(b − y), x and y a number a row."""
    shift = -(of_a * x + of_b * y)
    if isinstance(shift, Tensor):
        return torch.addcmul(shift[:, None].to(a.dtype), a, of_a.to(a.dtype)).addcmul_(b, of_b.to(a.dtype))
    out = torch.empty_like(a, memory_format=torch.contiguous_format)
    ranks_cpu.blend(a.contiguous().numpy(), b.contiguous().numpy(), of_a, of_b, shift, out.numpy())
    return out
