"""The distillation losses of MonoDistill, MonoSKD and MonoASD as sums of their terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from monokd.distill.adapters import adapter
from monokd.distill.affinity import affinity_loss
from monokd.distill.align_select import AlignSelect
from monokd.distill.foreground import foreground_loss
from monokd.distill.fusion import ReviewFusion
from monokd.distill.head import head_cells, head_terms
from monokd.distill.spearman import spearman_loss
from monokd.errors import DataError
from monokd.losses.replicas import Replicas
from monokd.models.outputs import DetectorOutput
from monokd.params import Weights
from monokd.samples.batch import Targets
from monokd.samples.masks import box_mask

STRIDES = (4, 8, 16, 32)

METHODS = {
    "none": Weights(),
    "monodistill": Weights(affinity=1.0, head=1.0, foreground=10.0),
    "monoskd": Weights(affinity=1.0, head=1.0, spearman=1.0),
    "monoasd": Weights(affinity=1.0, head=1.0, align_select=10.0),
}
"""The published weights."""


def method_weights(method: str, *, fused_flags_ignored: bool = False, **replaced: float) -> Weights:
    """The published weights of a method, some of them replaced.

    Args:
        method: `none`, `monodistill`, `monoskd` or `monoasd`.
        fused_flags_ignored: quirk Q12: a method computes all its published terms; a weight of 0 does not switch one
            off, the published weight stands instead.
        replaced: weights in place of the method's, by term.

    Raises:
        DataError: an unknown method.
    """
    if method not in METHODS:
        raise DataError(f"loss: expected one of {', '.join(METHODS)}, found {method}")
    kept = {name: weight for name, weight in replaced.items() if weight != 0.0 or not fused_flags_ignored}
    return Weights(**(METHODS[method].model_dump() | kept))


class DistillationLoss(nn.Module):
    """Distillation terms with their trainable parts; a weight of 0 skips a term's computation.

    Attribute names are those of published checkpoints: `adapt_layer4` to `adapt_layer32`, `rgb_fs`,
    `compute_align_select_loss`. Its parameters train with the student.

    Args:
        weights: of the terms.
        student_channels: of the fused maps, strides 4, 8, 16, 32; the teacher has the same.
        backbone_channels: of the backbone maps, strides 4, 8, 16, 32.
        fusion_channels: residual channels of the review fusion, which only `foreground` uses.
        rank: quirk Q2, see `spearman_loss`.
        strength: see `spearman_loss`.
        unclipped_masks: quirk Q9, see `box_mask` and `centre_mask`.
        running_level_sums: quirk Q14, see `AlignSelect`.
        trainable_teacher_side: quirk Q15, see `AlignSelect`.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        student_channels: Sequence[int],
        backbone_channels: Sequence[int],
        fusion_channels: int = 64,
        rank: Literal["teacher", "both"] = "both",
        strength: float | None = None,
        unclipped_masks: bool = False,
        running_level_sums: bool = False,
        trainable_teacher_side: bool = False,
    ) -> None:
        super().__init__()
        self.weights: dict[str, float] = {name: weight for name, weight in weights if weight != 0.0}
        self.rank, self.strength, self.unclipped_masks = rank, strength, unclipped_masks
        if self._uses_fused:
            for stride, channels in zip(STRIDES, student_channels, strict=True):
                self.add_module(f"adapt_layer{stride}", adapter(channels))
        if "foreground" in self.weights:
            self.rgb_fs = ReviewFusion(backbone_channels, fusion_channels)
        if "align_select" in self.weights:
            self.compute_align_select_loss = AlignSelect(
                student_channels,
                running_level_sums=running_level_sums,
                trainable_teacher_side=trainable_teacher_side,
            )

    @property
    def _uses_fused(self) -> bool:
        return bool(self.weights.keys() - {"head", "foreground"})

    def forward(
        self, student: DetectorOutput, teacher: DetectorOutput, targets: Targets, replicas: Replicas | None = None
    ) -> dict[str, Tensor]:
        """Unweighted terms, scalars by name, in the order of `weights`; `weighted_sum` adds them up.

        Args:
            student: output at the targets' peaks.
            teacher: output at the same peaks; no gradient flows into it.
            targets: B frames.
            replicas: parts that make up the batch; by default this process alone.
        """
        replicas = replicas or Replicas()
        terms: dict[str, Tensor] = {}
        if "head" in self.weights:
            parts = head_terms(student, _frozen(teacher), targets, replicas, unclipped_masks=self.unclipped_masks)
            terms["head"] = torch.stack(list(parts.values())).sum()
        if "foreground" in self.weights:
            terms["foreground"] = self._foreground(student, teacher, targets, replicas)
        if self._uses_fused:
            terms |= self._fused_terms(student, teacher, replicas)
        return {name: terms[name] for name in self.weights}

    def counts(self, targets: Targets) -> dict[str, Tensor]:
        """How many elements of each kind the terms of B frames are means over, as far as the targets tell.

        A cell of `foreground` also needs a teacher that is not all zero there, which no target knows.
        """
        counts = {"head_cells": head_cells(targets, unclipped_masks=self.unclipped_masks).sum()}
        height, width = targets.heatmap.shape[-2:]
        for stride in STRIDES[-3:]:
            size = (height * STRIDES[0] // stride, width * STRIDES[0] // stride)
            inside = box_mask(targets.boxes_px, stride, *size, unclipped_masks=self.unclipped_masks)
            counts[f"box_cells_{stride}"] = inside.sum()
        return counts

    def weighted_sum(self, terms: dict[str, Tensor]) -> Tensor:
        """The loss of the given terms."""
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()

    def _fused_terms(self, student: DetectorOutput, teacher: DetectorOutput, replicas: Replicas) -> dict[str, Tensor]:
        own = [
            self.get_submodule(f"adapt_layer{stride}")(level)
            for stride, level in zip(STRIDES, student.fused, strict=True)
        ]
        their = [_plain(level) for level in teacher.fused]
        terms: dict[str, Tensor] = {}
        if "spearman" in self.weights:
            terms["spearman"] = spearman_loss(own, their, replicas, rank=self.rank, strength=self.strength)
        if "align_select" in self.weights:
            terms["align_select"], own, their = self.compute_align_select_loss(own, their, replicas)
        if "affinity" in self.weights:
            terms["affinity"] = affinity_loss(own, their, replicas)
        return terms

    def _foreground(
        self, student: DetectorOutput, teacher: DetectorOutput, targets: Targets, replicas: Replicas
    ) -> Tensor:
        fused = self.rgb_fs(student.backbone[-len(STRIDES) :])
        coarse = [_plain(level) for level in teacher.backbone[-3:]]
        return foreground_loss(
            fused[-3:],
            coarse,
            targets.boxes_px,
            STRIDES[-3:],
            replicas,
            unclipped_masks=self.unclipped_masks,
        )


def _plain(value: Tensor) -> Tensor:
    """Without gradient, and usable in a graph even if it was made under inference mode."""
    return value.clone() if value.is_inference() else value.detach()


def _frozen(output: DetectorOutput) -> DetectorOutput:
    """The outputs that the head term reads, as `_plain`."""
    roi = replace(output.roi, **{name: _plain(getattr(output.roi, name)) for name in _ROI})
    return replace(output, offset_2d=_plain(output.offset_2d), size_2d=_plain(output.size_2d), roi=roi)


_ROI = ("offset_3d", "size_3d", "heading", "vis_depth_m", "att_depth_m", "ins_depth_m")
