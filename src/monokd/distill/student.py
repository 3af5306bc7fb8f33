"""Training the student: its step with a frozen teacher, composed: parameters in, weights and history out."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from monokd.distill.methods import METHODS, DistillationLoss, method_weights
from monokd.losses.detection import detection_counts, detection_terms
from monokd.losses.replicas import Replicas
from monokd.models.checkpoint import load_detector, save_detector
from monokd.models.detector import Detector, feature_channels
from monokd.models.folded import folded
from monokd.models.outputs import DetectorOutput, Rois
from monokd.params import Params
from monokd.samples.batch import Batch
from monokd.training.devices import start
from monokd.training.stage import DEPTH, loss_replicas, train_stage
from monokd.training.steps import DetectionStep, TrainingStep, targets_of, trained_rois


class DistillationStep(TrainingStep):
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
        super().__init__(replicas)
        self.student = student
        self.distillation = distillation
        self._unregistered = ((teacher if teacher_train_mode else folded(teacher)).requires_grad_(False),)
        self.teacher_train_mode = teacher_train_mode
        self.nan_without_depth = nan_without_depth

    @property
    def teacher(self) -> Detector:
        """The frozen teacher."""
        return self._unregistered[0]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms, scalars, detection first."""
        targets, replicas = targets_of(batch), self.replicas
        rois = trained_rois(batch)
        taught = self._taught(batch, rois) if self.distillation.weights else None
        output: DetectorOutput = self.student(
            batch.input("image"), batch.P2, batch.coord_range_px, rois, box_cells=batch.box_cells
        )
        terms = detection_terms(output, targets, nan_without_depth=self.nan_without_depth, replicas=replicas)
        if taught is None:
            return terms
        taught_terms: dict[str, Tensor] = self.distillation(output, taught, targets, replicas)
        return terms | taught_terms

    def _taught(self, batch: Batch, rois: Rois) -> DetectorOutput:
        """The teacher's output, less what no term reads; made first, so that the student's graph never lies beside
        what the teacher holds on its way.
        """
        self.teacher.train(self.teacher_train_mode)
        with _frozen():
            output: DetectorOutput = self.teacher(
                batch.input("depth"), batch.P2, batch.coord_range_px, rois, box_cells=batch.box_cells,
                heatmap=False,
            )  # fmt: skip
        return replace(output, backbone=output.backbone[-3:])

    def arrange(self, layout: torch.memory_format) -> None:
        """The teacher's too."""
        super().arrange(layout)
        self.teacher.to(memory_format=layout)  # type: ignore[call-overload]

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """Of the detection and the distillation terms."""
        targets = targets_of(batch)
        return detection_counts(targets) | self.distillation.counts(targets)

    def alone(self) -> DetectionStep:
        """The student's detection terms."""
        return DetectionStep(self.student, sees="image", nan_without_depth=False, replicas=Replicas())


def _frozen() -> AbstractContextManager[None]:
    """Without graph or version counters; inside a compiled step, where these cost nothing, only without graph."""
    return torch.no_grad() if torch.compiler.is_compiling() else torch.inference_mode()


def train_student(
    params: Params, *, teacher: Path, baseline: Path, out: Path, history: Path, depth: Path = DEPTH
) -> None:
    """Train the student from the baseline's weights with the distillation terms of `losses.L`.

    Args:
        params: the whole tree.
        teacher: its safetensors file.
        baseline: its safetensors file.
        out: the student's safetensors file.
        history: the CSV file.
        depth: the folder of dense depth PNGs.

    Raises:
        DataError: data missing or broken, start weights that do not fit, or a loss that is not finite.
    """
    profile, quirks = params.active, params.resolved_quirks()
    fabric = start(accelerator=profile.machine.accelerator, precision=profile.machine.precision, seed=params.seed)
    student, info = load_detector(baseline, "rgb")
    weights = method_weights(
        params.loss if params.loss in METHODS else "none",
        fused_flags_ignored=quirks.fused_flags_ignored,
        **params.loss_weights.model_dump(),
    )
    distillation = DistillationLoss(
        weights,
        student_channels=feature_channels(info.width),
        backbone_channels=feature_channels(info.width),
        rank="teacher" if quirks.rank_teacher_only else "both",
        unclipped_masks=quirks.unclipped_masks,
        running_level_sums=quirks.running_level_sums,
        trainable_teacher_side=quirks.trainable_teacher_side,
    )
    step = DistillationStep(
        student,
        load_detector(teacher, "depth")[0].to(fabric.device),
        distillation,
        teacher_train_mode=quirks.teacher_train_mode,
        nan_without_depth=quirks.nan_without_depth,
        replicas=loss_replicas(fabric, quirks),
    )
    state = train_stage(
        params, "student", profile.student, step, fabric=fabric, distillation=distillation.weights, history=history,
        depth=depth, starts=(teacher, baseline),
    )  # fmt: skip
    if fabric.is_global_zero:
        data = params.active.data  # what it computes stays as the baseline's file says
        info = replace(info, classes=data.classes, height_px=data.height_px, width_px=data.width_px)
        save_detector(student, out, info)
        shutil.rmtree(state)
