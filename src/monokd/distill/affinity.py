"""Affinity distillation: positions that resemble each other in the teacher shall do so in the student."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monokd.distill.maps import to_coarsest
from monokd.losses.replicas import Replicas


def affinity_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], replicas: Replicas | None = None) -> Tensor:
    """Mean absolute difference of Gram matrices over positions, over the batch, summed over levels.

    The affinity term of MonoDistill (Chong et al. 2022).

    Args:
        student: maps B×C×h×w, finest first.
        teacher: maps of the same positions; channels may differ.
        replicas: processes that share the batch.
    """
    replicas = replicas or Replicas()
    total = student[0].new_zeros((), dtype=torch.float32)
    for s, t in zip(to_coarsest(student), to_coarsest(teacher), strict=True):
        difference = _gram(s) - _gram(t.detach())
        total = total + difference.abs().mean() / replicas.batch(s.shape[0])
    return total


def _gram(maps: Tensor) -> Tensor:
    """B×P×P products of B×C×h×w features over P = h·w positions, in float32: differences of them lose bits."""
    with torch.autocast(maps.device.type, enabled=False):
        features = maps.flatten(2).float()
        return features.transpose(1, 2) @ features
