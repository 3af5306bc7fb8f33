"""The distillation terms of MonoDistill, MonoSKD and MonoASD, and the modules that train with them."""

from collections.abc import Collection, Sequence
from typing import Literal

from torch import Tensor, nn

from monokd.distill.affinity import affinity_loss
from monokd.distill.align_select import AlignSelect
from monokd.distill.foreground import foreground_loss
from monokd.distill.fusion import ReviewFusion
from monokd.distill.head import head_terms
from monokd.distill.spearman import spearman_loss
from monokd.losses.means import ALONE, Processes, Terms
from monokd.models.outputs import DetectorOutput
from monokd.quirks import Quirks
from monokd.samples.batch import Targets
from monokd.typing import Term

TERMS: dict[Term, Literal["backbone", "fused", "heads", "whole heads"]] = {
    "foreground": "backbone",
    "affinity": "fused",
    "head": "heads",
    "spearman": "fused",
    "align_select": "fused",
}
"""All terms, in the order in which they enter the history of the task weights (quirk Q1), and what each compares.

`heads` are outputs for the labels, `whole heads` also the heat maps, and the other maps of heads in every cell.
"""

STRIDES = (4, 8, 16, 32)


class DistillationLoss(nn.Module):
    """The distillation terms between a student and a frozen teacher, with their trainable modules.

    Terms on maps compare the four adapted fused maps with the teacher's (MonoSKD, MonoASD). With `foreground` among
    them they compare three adapted maps of the student's fused backbone, strides 8 to 32, with the teacher's backbone
    (MonoDistill). Attribute names are those of published checkpoints: `adapt_layer4` to `adapt_layer32`, `rgb_fs`,
    `compute_align_select_loss`.

    Channels are those of the fused maps, which the teacher has too, and of the backbone maps of strides 4, 8, 16, 32.
    Of the quirks, Q2, Q9, Q14 and Q15 count. An unknown term is a ValueError.
    """

    def __init__(
        self, terms: Collection[str], *, fused_channels: Sequence[int], backbone_channels: Sequence[int], quirks: Quirks
    ) -> None:
        super().__init__()
        if unknown := set(terms) - set(TERMS):
            raise ValueError(f"distillation terms: expected some of {', '.join(TERMS)}, found {sorted(unknown)}")
        self.terms, self.quirks = tuple(name for name in TERMS if name in terms), quirks
        compared = {TERMS[name] for name in self.terms}
        self.whole_heads = "whole heads" in compared
        self.strides: Sequence[int] = ()
        channels: Sequence[int] = ()
        if "foreground" in terms:
            self.strides, channels = STRIDES[1:], backbone_channels[1:]
            self.rgb_fs = ReviewFusion(channels, middle=channels[-1])
        elif "fused" in compared:
            self.strides, channels = STRIDES, fused_channels
        for stride, width in zip(self.strides, channels, strict=True):
            first, last = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 1)
            self.add_module(f"adapt_layer{stride}", nn.Sequential(first, nn.ReLU(inplace=True), last))
        if "align_select" in terms:
            side, sums = quirks.trainable_teacher_side, quirks.running_level_sums
            self.compute_align_select_loss = AlignSelect(channels, running_level_sums=sums, trainable_teacher_side=side)

    def forward(
        self, student: DetectorOutput, teacher: DetectorOutput, targets: Targets, processes: Processes = ALONE
    ) -> Terms:
        """Return the unweighted terms by name, in the order of `TERMS`.

        Student and teacher are outputs at the targets' peaks; no gradient flows into the teacher's.
        """
        unclipped = self.quirks.unclipped_masks
        terms: Terms = {}
        own, their = self._maps(student, teacher)
        if "foreground" in self.terms:
            terms["foreground"] = foreground_loss(
                own, their, targets.boxes_px, self.strides, processes, unclipped_masks=unclipped
            )
        if "head" in self.terms:
            outputs = head_terms(student, teacher, targets, unclipped_masks=unclipped)
            terms["head"] = tuple(mean for means in outputs.values() for mean in means)
        if "spearman" in self.terms:
            teacher_only = self.quirks.rank_teacher_only
            terms["spearman"] = (spearman_loss(own, their, processes, rank_teacher_only=teacher_only),)
        if "align_select" in self.terms:
            mean, own, their = self.compute_align_select_loss(own, their, processes)
            terms["align_select"] = (mean,)
        if "affinity" in self.terms:  # on the maps that align-and-select hands on, where it is computed
            terms["affinity"] = (affinity_loss(own, their, processes),)
        return {name: terms[name] for name in self.terms}

    def _maps(self, student: DetectorOutput, teacher: DetectorOutput) -> tuple[list[Tensor], list[Tensor]]:
        """The adapted maps of the student and those of the teacher that they are compared with."""
        count = len(self.strides)
        if "foreground" in self.terms:
            own, their = self.rgb_fs(student.backbone[-count:]), teacher.backbone[-count:]
        else:
            own, their = student.fused[:count], teacher.fused[:count]
        adapters = [self.get_submodule(f"adapt_layer{stride}") for stride in self.strides]
        return [adapt(level) for adapt, level in zip(adapters, own, strict=True)], list(their)
