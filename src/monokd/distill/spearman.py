"""The rank-correlation term of MonoSKD: as published (a Pearson correlation), and with true ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from monokd.distill.maps import to_coarsest
from monokd.distill.ranks import pooled, smooth_rank, soft_rank
from monokd.losses.replicas import Replicas

PUBLISHED_STRENGTH = 1.0
TRUE_RANK_STRENGTH = 1 / 16
TINY = 1e-20


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
        own, their = ([smooth_rank(rows, strength) for rows in side] for side in (own, their))
    else:
        their = published_ranks(their, strength)
    correlations = [correlation(a, b, replicas) for a, b in zip(own, their, strict=True)]
    return len(own) - torch.stack(correlations).sum()


def published_ranks(levels: Sequence[Tensor], strength: float) -> list[Tensor]:
    """L2 soft ranks of the rows of every level, up to one affine map a level, which a correlation does not see.

    Where the ranks are affine in the values, they are the values less the row's mean: soft ranks of every row have the
    same mean. Only which case holds waits for the device, once for all levels.
    """
    affine = torch.stack([pooled(rows, strength) for rows in levels]).tolist()
    return [
        rows - rows.mean(1, keepdim=True) if is_affine else soft_rank(rows, strength)
        for rows, is_affine in zip(levels, affine, strict=True)
    ]


def correlation(a: Tensor, b: Tensor, replicas: Replicas) -> Tensor:
    """Pearson's correlation of all elements of two B×N blocks over all processes; 0 where one is constant."""
    value: Tensor = _Correlation.apply(a, b, replicas)  # type: ignore[no-untyped-call]
    return value


class _Correlation(torch.autograd.Function):
    """Two passes over the memory forward and one backward, where autograd would take a dozen."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, replicas: Replicas) -> Tensor:
        """See `correlation`."""
        size = a.numel() * replicas.count
        means = replicas.total(torch.stack([a.sum(), b.sum()])) / size
        a, b = a - means[0], b - means[1]
        x, y = a.flatten(), b.flatten()
        with torch.autocast(a.device.type, enabled=False):
            products = torch.stack([x @ y, x @ x, y @ y])
        both, own, their = replicas.total(products).unbind()
        varies = torch.minimum(own, their) > TINY
        own, their = own.clamp(min=TINY), their.clamp(min=TINY)
        scale = varies / (own.sqrt() * their.sqrt())
        value = both * scale
        ctx.count = replicas.count
        ctx.save_for_backward(a, b, scale, value / own, value / their)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Nothing flows through the means: moved together, all elements leave a correlation as it is."""
        a, b, scale, per_a, per_b = ctx.saved_tensors
        g = g * ctx.count
        needs_a, needs_b, _ = ctx.needs_input_grad
        g_a = (b * (g * scale)).addcmul_(a, -g * per_a) if needs_a else None
        g_b = (a * (g * scale)).addcmul_(b, -g * per_b) if needs_b else None
        return g_a, g_b, None
