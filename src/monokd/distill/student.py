"""Training the student: its step with a frozen teacher, composed: parameters in, weights and history out."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from monokd.distill.loss import DistillationLoss
from monokd.losses.detection import detection_terms
from monokd.losses.means import ALONE, Processes, over_processes
from monokd.models.checkpoint import load_detector, save_detector
from monokd.models.detector import Detector, feature_channels
from monokd.models.folded import folded
from monokd.models.outputs import DetectorOutput, Rois
from monokd.params import Params
from monokd.samples.batch import Batch
from monokd.training.devices import start
from monokd.training.stage import DEPTH, loss_replicas, train_stage
from monokd.training.steps import DetectionStep, TrainingStep, detector_input, targets_of, trained_rois


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
        replicas: Processes,
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
        targets = targets_of(batch)
        rois = trained_rois(batch)
        taught = self._taught(batch, rois) if self.distillation.terms else None
        output: DetectorOutput = self.student(
            batch.image, batch.P2, batch.coord_range_px, rois, box_cells=batch.box_cells
        )
        terms = detection_terms(output, targets, nan_without_depth=self.nan_without_depth)
        if taught is not None:
            terms |= self.distillation(output, taught, targets, self.replicas)
        return over_processes(terms, self.replicas)

    def _taught(self, batch: Batch, rois: Rois) -> DetectorOutput:
        """The teacher's output, less what no term reads; made first, so that the student's graph never lies beside
        what the teacher holds on its way.
        """
        self.teacher.train(self.teacher_train_mode)
        with _frozen():
            output: DetectorOutput = self.teacher(
                detector_input(batch, "depth"), batch.P2, batch.coord_range_px, rois, box_cells=batch.box_cells,
                heatmap=False,
            )  # fmt: skip
        return replace(output, backbone=output.backbone[-3:])

    def arrange(self, layout: torch.memory_format) -> None:
        """The teacher's too."""
        super().arrange(layout)
        self.teacher.to(memory_format=layout)  # type: ignore[call-overload]

    def alone(self) -> DetectionStep:
        """The student's detection terms."""
        return DetectionStep(self.student, sees="image", nan_without_depth=False, replicas=ALONE)


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
    weights = {name: weight for name, weight in params.loss_weights if weight}
    channels = feature_channels(info.width)
    distillation = DistillationLoss(weights, fused_channels=channels, backbone_channels=channels, quirks=quirks)
    step = DistillationStep(
        student,
        load_detector(teacher, "depth")[0].to(fabric.device),
        distillation,
        teacher_train_mode=quirks.teacher_train_mode,
        nan_without_depth=quirks.nan_without_depth,
        replicas=loss_replicas(fabric, quirks),
    )
    ordered = {name: weights[name] for name in distillation.terms}
    state = train_stage(
        params, "student", profile.student, step, fabric=fabric, distillation=ordered, history=history, depth=depth,
        starts=(teacher, baseline),
    )  # fmt: skip
    if fabric.is_global_zero:
        data = params.active.data  # what it computes stays as the baseline's file says
        info = replace(info, classes=data.classes, height_px=data.height_px, width_px=data.width_px)
        save_detector(student, out, info)
        shutil.rmtree(state)
