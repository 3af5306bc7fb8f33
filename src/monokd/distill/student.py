"""Training the student and its control: parameters in, weights and history out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from monokd.distill.loss import DistillationLoss
from monokd.errors import say
from monokd.losses.detection import detection_terms
from monokd.losses.means import ALONE, Processes, Terms, joined, over_processes
from monokd.models.checkpoint import load_detector, save_detector
from monokd.models.detector import Detector
from monokd.models.fold_bn import fold_bn
from monokd.models.outputs import DetectorOutput, Rois
from monokd.params import Params
from monokd.quirks import Quirks
from monokd.roles import labelled_frames, unlabelled_frames
from monokd.samples.batch import Batch
from monokd.training.data import input_settings, mixed_set, training_set
from monokd.training.devices import all_processes
from monokd.training.stage import Stage
from monokd.training.steps import DetectionStep, in_turn, targets_of, trained_rois
from monokd.typing import Modality


class DistillationStep(DetectionStep):
    """Detection terms of the student and distillation terms between it and a frozen teacher.

    Args:
        student: what is trained.
        teacher: what it learns from; not part of this module's parameters or state.
        distillation: the terms, with their adapters.
        quirks: Q3 (the teacher on batch statistics that drift) and Q11 count.
        processes: that share the batch.
        chunk: that share a chunk, whose own the distillation terms are (quirk Q5).
    """

    def __init__(
        self,
        student: Detector,
        teacher: Detector,
        distillation: DistillationLoss,
        *,
        quirks: Quirks,
        processes: Processes = ALONE,
        chunk: Processes | None = None,
    ) -> None:
        super().__init__(student, modality="image", quirks=quirks, processes=processes)
        self.distillation = distillation
        self.chunk = chunk or processes
        self.teacher_train_mode = quirks.teacher_train_mode
        self._unregistered = ((teacher if quirks.teacher_train_mode else fold_bn(teacher)).requires_grad_(False),)

    @property
    def teacher(self) -> Detector:
        """The frozen teacher."""
        return self._unregistered[0]

    def forward(self, chunks: Sequence[Batch]) -> dict[str, Tensor]:
        """Return named terms, scalars, detection first."""
        pairs = [self._terms(chunk) for chunk in in_turn(chunks, self.detector, self.teacher, self.distillation)]
        detection, taught = [own for own, _ in pairs], [term for _, term in pairs]
        if len(chunks) == 1 and self.chunk is self.processes:
            return over_processes(detection[0] | taught[0], self.processes)
        terms = over_processes(joined(detection), self.processes)
        each = [over_processes(chunk, self.chunk) for chunk in taught]
        return terms | {name: torch.stack([chunk[name] for chunk in each]).mean() for name in each[0]}

    def _terms(self, batch: Batch) -> tuple[Terms, Terms]:
        """Return detection and distillation terms of one chunk.

        The teacher goes first: what it holds on its way is gone before the student's graph is made.
        """
        rois, targets = trained_rois(batch), targets_of(batch)
        taught = self._taught(batch, rois)
        output = self.detector(batch.input("image"), batch.P2, batch.coord_range_px, rois, box_cells=batch.box_cells)
        terms = detection_terms(output, targets, nan_without_depth=self.nan_without_depth)
        return terms, self.distillation(output, taught, targets, self.chunk)

    def _taught(self, batch: Batch, rois: Rois) -> DetectorOutput:
        self.teacher.train(self.teacher_train_mode)
        with _frozen():
            output: DetectorOutput = self.teacher(
                batch.input("depth"), batch.P2, batch.coord_range_px, rois, box_cells=batch.box_cells, heatmap=False
            )
        return output

    def to_memory_format(self, layout: torch.memory_format) -> None:
        """Lay weights and maps out in memory as `layout` says, the teacher's too."""
        super().to_memory_format(layout)
        self.teacher.to(memory_format=layout)  # type: ignore[call-overload]


def _frozen() -> AbstractContextManager[None]:
    """Without graph or version counters; inside a compiled step, where these cost nothing, only without graph."""
    return torch.no_grad() if torch.compiler.is_compiling() else torch.inference_mode()


def train_student(
    params: Params,
    name: Literal["control", "distill"],
    *,
    baseline: Path,
    out: Path,
    history: Path,
    teacher: Path | None = None,
) -> None:
    """Train the student from the baseline's weights, by labels, a teacher and frames without labels, or its control.

    Args:
        params: the whole tree.
        name: of the stage; the control learns from labels alone.
        baseline: where both start, a safetensors file.
        out: the trained detector's file.
        history: the CSV file.
        teacher: its file, for the student.

    Raises:
        DataError: data missing or broken, start weights that do not fit, or a loss that is not finite.
    """
    stage = Stage.begin(name, params)
    detector, info = load_detector(baseline, "image")
    unlabelled = None if teacher is None else unlabelled_frames(params)
    weights = {} if teacher is None else params.term_weights()
    processes = all_processes(stage.fabric)
    step = DetectionStep(detector, modality="image", quirks=stage.quirks, processes=processes)
    depth_scaled_twice, starts = info.depth_scaled_twice, [baseline]
    if teacher is not None and weights:
        taught, teacher_info = load_detector(teacher, "depth")
        depth_scaled_twice = teacher_info.depth_scaled_twice
        step = DistillationStep(
            detector,
            taught.to(stage.fabric.device),
            _distillation(weights, detector, stage.quirks),
            quirks=stage.quirks,
            processes=processes,
            chunk=processes if stage.chunk.count == processes.count and stage.chunking.chunks == 1 else stage.chunk,
        )
        starts.append(teacher)
    elif teacher is not None and params.loss != "none":
        say(f"{name}: every term of loss {params.loss} is off")
    modalities: tuple[Modality, ...] = ("image", "depth") if isinstance(step, DistillationStep) else ("image",)
    inputs = input_settings(params, depth_scaled_twice=depth_scaled_twice, modalities=modalities)
    labelled = training_set(params, stage.settings, labelled_frames(params), inputs)
    frames = mixed_set(params, labelled, *unlabelled) if unlabelled and unlabelled[1] else labelled
    terms = step.distillation.terms if isinstance(step, DistillationStep) else ()
    counts = len(labelled), len(frames) - len(labelled)
    state = stage.train(step, frames, history=history, counts=counts, starts=starts, terms=terms, weights=weights)
    if stage.fabric.is_global_zero:
        data = params.active.data  # what it computes stays as the baseline's file says
        info = replace(info, classes=data.classes, height_px=data.height_px, width_px=data.width_px)
        save_detector(detector, out, info)
        shutil.rmtree(state)


def _distillation(weights: Mapping[str, float], detector: Detector, quirks: Quirks) -> DistillationLoss:
    channels = detector.channels
    return DistillationLoss(tuple(weights), fused_channels=channels, backbone_channels=channels, quirks=quirks)
