"""The detection step: what is computed on one batch, as named loss terms."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from monokd.losses.detection import detection_terms
from monokd.losses.replicas import Replicas
from monokd.models.detector import Detector, rois_from_targets
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


def targets_of(batch: Batch) -> Targets:
    """The batch's targets (ValueError without)."""
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
        targets = targets_of(batch)
        rois = rois_from_targets(targets.indices, targets.mask_2d, targets.class_ids)
        output = self.detector(detector_input(batch, self.sees), batch.P2, batch.coord_range_px, rois)
        return detection_terms(output, targets, nan_without_depth=self.nan_without_depth, replicas=self.replicas)
