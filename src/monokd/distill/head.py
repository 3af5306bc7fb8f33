"""Head distillation: the student's outputs follow the teacher's."""

import torch.nn.functional as F
from torch import Tensor

from monokd.losses.detection import bin_residual, mean_l1, rows, trained_slots
from monokd.losses.means import Mean, Terms
from monokd.models.outputs import DetectorOutput
from monokd.samples.batch import Targets, head_cells
from monokd.samples.constants import HEADING_BINS


def head_terms(
    student: DetectorOutput, teacher: DetectorOutput, targets: Targets, *, unclipped_masks: bool = False
) -> Terms:
    """Return the differences of outputs at the targets' peaks by name (MonoDistill 2022); the head loss is their sum.

    `unclipped_masks` is quirk Q9, see `head_cells`.
    """
    mask = head_cells(targets, unclipped_masks=unclipped_masks)
    s, t = student.roi, teacher.roi
    slots = trained_slots(targets.mask_2d, s.heading.shape[0])

    def regions_l1(name: str) -> Mean:
        return mean_l1(getattr(s, name), getattr(t, name).detach().float())

    return {
        "offset2d": (_masked_l1(student.offset_2d, teacher.offset_2d, mask),),
        "size2d": (_masked_l1(student.size_2d, teacher.size_2d, mask),),
        "offset3d": (regions_l1("offset_3d"),),
        "size3d": (regions_l1("size_3d"),),
        "depth": tuple(map(regions_l1, ("vis_depth_m", "att_depth_m", "ins_depth_m"))),
        "heading": _heading(s.heading, t.heading.detach(), rows(targets.heading_bin, slots)),
    }


def _masked_l1(student: Tensor, teacher: Tensor, mask: Tensor) -> Mean:
    """Mean over the channels of masked cells."""
    difference = student.float() - teacher.detach().float()
    difference = difference.masked_fill(mask[:, None] == 0, 0.0)  # before any other arithmetic: NaN where not computed
    return Mean(difference.abs().sum(), mask.sum() * student.shape[1])


def _heading(student: Tensor, teacher: Tensor, heading_bin: Tensor) -> tuple[Mean, Mean]:
    """Divergence of the bins, mean over M×12 elements, plus L1 of the residual of the target's bin."""
    s, t = student.float(), teacher.float()
    divergence = F.kl_div(s[:, :HEADING_BINS].log_softmax(1), t[:, :HEADING_BINS].softmax(1), reduction="sum")
    residual = mean_l1(bin_residual(s, heading_bin), bin_residual(t, heading_bin))
    return Mean(divergence, heading_bin.numel() * HEADING_BINS), residual
