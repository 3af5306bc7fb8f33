"""Foreground feature distillation: the teacher's features inside 2D boxes."""

from collections.abc import Sequence

from torch import Tensor

from monokd.losses.means import ALONE, Mean, Processes
from monokd.samples.masks import box_mask


def foreground_loss(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    boxes_px: Tensor,
    strides: Sequence[int] = (8, 16, 32),
    processes: Processes = ALONE,
    *,
    unclipped_masks: bool = False,
) -> tuple[Mean, ...]:
    """½(s − t)² averaged over channels and foreground cells, over the batch's frames, one mean a level.

    The feature term of MonoDistill (Chong et al. 2022). Maps are B×C×h×w, one a stride, boxes B×K×4; cells where the
    teacher is all zero do not count. `unclipped_masks` is quirk Q9, see `box_mask`.
    """
    means = []
    for s, t, stride in zip(student, teacher, strides, strict=True):
        target = t.detach().float()
        inside = box_mask(boxes_px, stride, *s.shape[-2:], unclipped_masks=unclipped_masks)
        mask = inside * (target != 0).any(1)
        cells = 0.5 * ((s.float() - target) ** 2).mean(1) * mask
        means.append(Mean(cells.sum() / (len(s) * processes.count), mask.sum()))
    return tuple(means)
