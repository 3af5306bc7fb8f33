"""Steps: what is computed on one batch, as named loss terms."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from monokd.distill.methods import DistillationLoss
from monokd.losses.detection import detection_terms
from monokd.losses.replicas import Replicas
from monokd.models.detector import Detector, rois_from_targets
from monokd.models.outputs import DetectorOutput
from monokd.samples.batch import Batch, Targets

Sees = Literal["image", "depth"]


def detector_input(batch: Batch, sees: Sees) -> Tensor:
    """B×3×H×W: the normalised image, or the teacher's depth map.

    Raises:
        ValueError: the batch carries no depth.
    """
    if sees == "image":
        return batch.image
    if batch.depth is None:
        raise ValueError("this detector sees depth, but the batch carries none")
    return batch.depth


def _targets(batch: Batch) -> Targets:
    if batch.targets is None:
        raise ValueError("training needs targets, but the batch carries none")
    return batch.targets


class DetectionStep(nn.Module):
    """The detection terms of one detector, teacher or baseline.

    Args:
        detector: what is trained.
        sees: its input.
        nan_without_depth: quirk Q11.
        replicas: the processes that share a batch.
    """

    def __init__(self, detector: Detector, *, sees: Sees, nan_without_depth: bool, replicas: Replicas) -> None:
        super().__init__()
        self.detector = detector
        self.sees: Sees = sees
        self.nan_without_depth, self.replicas = nan_without_depth, replicas

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms, scalars."""
        targets = _targets(batch)
        rois = rois_from_targets(targets.indices, targets.mask_2d, targets.class_ids)
        output = self.detector(detector_input(batch, self.sees), batch.P2, batch.coord_range_px, rois)
        return detection_terms(output, targets, nan_without_depth=self.nan_without_depth, replicas=self.replicas)


class DistillationStep(nn.Module):
    """Detection terms of the student and distillation terms between it and a frozen teacher.

    Args:
        student: what is trained.
        teacher: what it learns from; not part of this module's parameters or state.
        distillation: the terms, with their adapters.
        teacher_train_mode: quirk Q3, the teacher on batch statistics that drift.
        nan_without_depth: quirk Q11.
        replicas: the processes that share a batch.
    """

    def __init__(
        self,
        student: Detector,
        teacher: Detector,
        distillation: DistillationLoss,
        *,
        teacher_train_mode: bool,
        nan_without_depth: bool,
        replicas: Replicas,
    ) -> None:
        super().__init__()
        self.student = student
        self.distillation = distillation
        teacher.requires_grad_(False)
        self._unregistered = (teacher,)
        self.teacher_train_mode = teacher_train_mode
        self.nan_without_depth, self.replicas = nan_without_depth, replicas

    @property
    def teacher(self) -> Detector:
        """The frozen teacher."""
        return self._unregistered[0]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms, scalars, detection first."""
        targets = _targets(batch)
        rois = rois_from_targets(targets.indices, targets.mask_2d, targets.class_ids)
        output: DetectorOutput = self.student(batch.image, batch.P2, batch.coord_range_px, rois)
        terms = detection_terms(output, targets, nan_without_depth=self.nan_without_depth, replicas=self.replicas)
        if not self.distillation.weights:
            return terms
        self.teacher.train(self.teacher_train_mode)
        with torch.no_grad():
            taught = self.teacher(detector_input(batch, "depth"), batch.P2, batch.coord_range_px, rois)
        taught_terms: dict[str, Tensor] = self.distillation(output, taught, targets)
        return terms | taught_terms
