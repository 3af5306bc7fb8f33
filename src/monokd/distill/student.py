"""Training the student: parameters in, weights and history out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from monokd.distill.loss import DistillationLoss
from monokd.errors import say
from monokd.losses.detection import detection_terms
from monokd.losses.means import ALONE, Processes, Terms, merged, over_processes
from monokd.models.checkpoint import load_detector
from monokd.models.detector import Detector
from monokd.models.fold_bn import fold_bn
from monokd.models.outputs import DetectorOutput
from monokd.params import Params
from monokd.quirks import Quirks
from monokd.roles import labelled_frames, unlabelled_frames
from monokd.samples.batch import Batch
from monokd.training.data import TEACHER_SEES, input_settings, mixed_set, training_set
from monokd.training.stage import Stage, trained_further
from monokd.training.steps import DetectionStep, in_turn, targets_of, trained_rois
from monokd.typing import Modality

IMAGE: tuple[Modality, ...] = ("image",)
BOTH: tuple[Modality, ...] = ("image", TEACHER_SEES)


class DistillationStep(DetectionStep):
    """Detection terms of the student and distillation terms between it and a frozen teacher.

    The teacher follows the student to devices and types, but is neither trained nor saved. `processes` share the batch,
    `chunk` those of a chunk, whose own the distillation terms are (quirk Q5). Of the quirks, Q3 (the teacher on batch
    statistics that drift) and Q11 count.
    """

    teacher: Detector

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
        frozen = (teacher.train() if quirks.teacher_train_mode else fold_bn(teacher)).requires_grad_(False)
        self.__dict__["teacher"] = frozen  # not registered as a part of this module

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def networks(self) -> tuple[nn.Module, ...]:
        """Return the student's step and the teacher."""
        return (self, self.teacher)

    def forward(self, chunks: Sequence[Batch]) -> dict[str, Tensor]:
        """Return named terms, scalars, detection first."""
        pairs = [self._terms(chunk) for chunk in in_turn(chunks, self.detector, self.teacher, self.distillation)]
        terms = over_processes(merged([own for own, _ in pairs]), self.processes)
        each = [over_processes(distillation, self.chunk) for _, distillation in pairs]
        return terms | {name: torch.stack([chunk[name] for chunk in each]).mean() for name in each[0]}

    def _terms(self, batch: Batch) -> tuple[Terms, Terms]:
        """Return detection and distillation terms of one chunk.

        The teacher goes first: what it holds on its way is gone before the student's graph is made.
        """
        rois, camera = trained_rois(batch), (batch.P2, batch.coord_range_px)
        whole = self.distillation.whole_heads
        cells = None if whole else batch.box_cells
        with torch.no_grad():
            target: DetectorOutput = self.teacher(
                batch.input(TEACHER_SEES), *camera, rois, box_cells=cells, heatmap=whole
            )
        output = self.detector(batch.input("image"), *camera, rois, box_cells=cells)
        targets = targets_of(batch)
        terms = detection_terms(output, targets, nan_without_depth=self.nan_without_depth)
        return terms, self.distillation(output, target, targets, self.chunk)


def train_student(params: Params, *, teacher: Path, baseline: Path, out: Path, history: Path) -> None:
    """Train the student from the baseline's weights, by labels, a teacher and frames without labels.

    Raises:
        DataError: data missing or broken, start weights that do not fit, or a loss that is not finite.
    """
    stage = Stage("distill", params, out, history)
    quirks, processes = stage.quirks, stage.processes
    detector, info = load_detector(baseline, "image")
    step = DetectionStep(detector, modality="image", quirks=quirks, processes=processes)
    weights: dict[str, float] = {}
    starts, modalities, depth_scaled_twice = [baseline], IMAGE, info.depth_scaled_twice
    if wanted := params.term_weights():
        frozen, teacher_info = load_detector(teacher, TEACHER_SEES)
        starts, modalities, depth_scaled_twice = [baseline, teacher], BOTH, teacher_info.depth_scaled_twice
        channels = detector.channels
        distillation = DistillationLoss(wanted, fused_channels=channels, backbone_channels=channels, quirks=quirks)
        step = DistillationStep(detector, frozen, distillation, quirks=quirks, processes=processes, chunk=stage.chunk)
        weights = {term: wanted[term] for term in distillation.terms}
    elif params.loss != "none":
        say(f"distill: every term of loss {params.loss} is off")
    inputs = input_settings(params, depth_scaled_twice=depth_scaled_twice, modalities=modalities)
    labelled = training_set(params, stage.settings, labelled_frames(params), inputs)
    source, unlabelled = unlabelled_frames(params)
    frames = mixed_set(params, labelled, source, unlabelled) if unlabelled else labelled
    own = trained_further(info, params)
    stage.train(step, frames, own, unlabelled=len(unlabelled), starts=starts, weights=weights)
