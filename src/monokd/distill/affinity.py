"""Affinity distillation: positions that resemble each other in the teacher shall do so in the student."""

from collections.abc import Sequence

import torch
from torch import Tensor

from monokd.distill.maps import to_coarsest
from monokd.losses.means import ALONE, Mean, Processes


def affinity_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], processes: Processes = ALONE) -> Mean:
    """Mean absolute difference of Gram matrices over positions, over the batch's frames, summed over levels.

    The affinity term of MonoDistill (Chong et al. 2022). Maps are B×C×h×w, finest first; channels may differ.
    """
    pairs = zip(to_coarsest(student), to_coarsest(teacher), strict=True)
    levels = torch.stack([(_gram(s) - _gram(t.detach())).abs().mean() for s, t in pairs])
    return Mean(levels.sum() / processes.count, len(student[0]))


def _gram(maps: Tensor) -> Tensor:
    """B×P×P products of B×C×h×w features over P = h·w positions, in float32: differences of them lose bits."""
    with torch.autocast(maps.device.type, enabled=False):
        features = maps.flatten(2).float()
        return features.transpose(1, 2) @ features
