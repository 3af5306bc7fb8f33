"""The rank-correlation term of MonoSKD: as published (a Pearson correlation), and with true ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from monokd.distill.maps import to_coarsest
from monokd.distill.ranks import pooled, smooth_rank, soft_rank
from monokd.losses.replicas import Replicas

PUBLISHED_STRENGTH = 1.0
TRUE_RANK_STRENGTH = 1 / 64


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
            in standard deviations (default 1/64).
    """
    if strength is None:
        strength = PUBLISHED_STRENGTH if rank == "teacher" else TRUE_RANK_STRENGTH
    replicas = replicas or Replicas()
    total = student[0].new_zeros((), dtype=torch.float32)
    for s, t in zip(to_coarsest(student), to_coarsest(teacher), strict=True):
        a, b = s.float().flatten(1), t.detach().float().flatten(1)
        if rank == "both":
            a, b = smooth_rank(a, strength), smooth_rank(b, strength)
        else:
            b = published_rank(b, strength)
        total = total + 1 - correlation(a, b, replicas)
    return total


def published_rank(values: Tensor, strength: float) -> Tensor:
    """Up to an affine map with positive slope, the L2 soft rank of every row: the values themselves where it is affine.

    A correlation over several rows sees the rows' means, which soft ranks remove, so they are removed.
    """
    if bool(pooled(values, strength)):
        return values - values.mean(1, keepdim=True)
    return soft_rank(values, strength)


def correlation(a: Tensor, b: Tensor, replicas: Replicas) -> Tensor:
    """Pearson's correlation of all elements of two B×N blocks over all processes; `b` without gradient."""
    size = a.numel() * replicas.count
    a = a - replicas.sum(a.sum()) / size
    b = b - replicas.sum(b.sum()) / size
    moments = replicas.sum(torch.stack([(a * b).sum(), (a * a).sum(), (b * b).sum()]))
    return moments[0] / (moments[1].sqrt() * moments[2].sqrt())
