"""The detection step: what is computed on one batch, as named loss terms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from monokd.losses.detection import detection_counts, detection_terms
from monokd.losses.replicas import Replicas
from monokd.models.detector import Detector, rois_from_targets
from monokd.models.outputs import Rois
from monokd.samples.batch import Batch, Targets
from monokd.samples.constants import Modality


def targets_of(batch: Batch) -> Targets:
    """The batch's targets (ValueError without)."""
    if batch.targets is None:
        raise ValueError("training needs targets, but the batch carries none")
    return batch.targets


def trained_rois(batch: Batch) -> Rois:
    """The regions of the targets, without waiting for the device."""
    targets, most = targets_of(batch), None if batch.slots is None else batch.most_slots
    return rois_from_targets(targets.indices, targets.mask_2d, targets.class_ids, batch.slots, most)


class TrainingStep(nn.Module):
    """What is computed on one batch; calling it maps a Batch to named loss terms, scalars.

    Args:
        replicas: the processes that share a batch.
    """

    def __init__(self, replicas: Replicas) -> None:
        super().__init__()
        self.replicas = replicas

    def arrange(self, layout: torch.memory_format) -> None:
        """Lay weights and maps out in memory as `layout` says."""
        self.to(memory_format=layout)  # type: ignore[call-overload]

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """How many elements of each kind the terms of `batch` are means over, as `Replicas.ratio` names the kinds."""
        raise NotImplementedError

    def alone(self) -> DetectionStep:
        """The detection terms of the detector that trains, of this process alone."""
        raise NotImplementedError


class DetectionStep(TrainingStep):
    """The detection terms of one detector, teacher or baseline.

    Args:
        detector: what is trained.
        sees: its input.
        nan_without_depth: quirk Q11.
        replicas: the processes that share a batch.
    """

    def __init__(self, detector: Detector, *, sees: Modality, nan_without_depth: bool, replicas: Replicas) -> None:
        super().__init__(replicas)
        self.detector = detector
        self.sees: Modality = sees
        self.nan_without_depth = nan_without_depth

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms, scalars."""
        targets = targets_of(batch)
        output = self.detector(
            batch.input(self.sees), batch.P2, batch.coord_range_px, trained_rois(batch),
            box_cells=batch.box_cells,
        )  # fmt: skip
        return detection_terms(output, targets, nan_without_depth=self.nan_without_depth, replicas=self.replicas)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """Of the detection terms."""
        return detection_counts(targets_of(batch))

    def alone(self) -> DetectionStep:
        """The same terms without other processes."""
        return DetectionStep(self.detector, sees=self.sees, nan_without_depth=False, replicas=Replicas())
