"""Foreground feature distillation: the teacher's features inside 2D boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monokd.losses.replicas import Replicas
from monokd.samples.masks import box_mask


def foreground_loss(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    boxes_px: Tensor,
    strides: Sequence[int] = (8, 16, 32),
    replicas: Replicas | None = None,
    *,
    unclipped_masks: bool = False,
) -> Tensor:
    """½(s − t)² averaged over channels and foreground cells, over the batch, summed over levels (MonoDistill 2022).

    Args:
        student: maps B×C×h×w, one a stride.
        teacher: maps of the same shapes.
        boxes_px: B×K×4 in input pixels.
        strides: of the maps.
        replicas: processes that share the batch.
        unclipped_masks: quirk Q9, see `box_mask`.
    """
    replicas = replicas or Replicas()
    total = student[0].new_zeros((), dtype=torch.float32)
    for s, t, stride in zip(student, teacher, strides, strict=True):
        target = t.detach().float()
        inside = box_mask(boxes_px, stride, *s.shape[-2:], unclipped_masks=unclipped_masks)
        mask = inside * (target != 0).any(1)
        cells = 0.5 * ((s.float() - target) ** 2).mean(1) * mask
        mean = replicas.ratio(cells.sum(), mask.sum(), kind=f"box_cells_{stride}")
        total = total + mean / replicas.batch(s.shape[0])
    return total
