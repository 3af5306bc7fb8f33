"""The detection step: what is computed on one batch, as named loss terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from monokd.losses.detection import detection_counts, detection_terms
from monokd.losses.replicas import Replicas
from monokd.models.detector import Detector, rois_from_targets
from monokd.models.outputs import Rois
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


def trained_rois(batch: Batch) -> Rois:
    """The regions of the targets."""
    targets = targets_of(batch)
    return rois_from_targets(targets.indices, targets.mask_2d, targets.class_ids)


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

    def parts(self, batches: Sequence[Batch]) -> list[Batch]:
        """Batches whose gradients accumulate, each with its share in what they count together."""
        if len(batches) == 1:
            return list(batches)
        shares = self.replicas.shares_of([self.counts(batch) for batch in batches])
        return [replace(b, shares=s, accumulated=len(batches)) for b, s in zip(batches, shares, strict=True)]


class DetectionStep(TrainingStep):
    """The detection terms of one detector, teacher or baseline.

    Args:
        detector: what is trained.
        sees: its input.
        nan_without_depth: quirk Q11.
        replicas: the processes that share a batch.
    """

    def __init__(self, detector: Detector, *, sees: Sees, nan_without_depth: bool, replicas: Replicas) -> None:
        super().__init__(replicas)
        self.detector = detector
        self.sees: Sees = sees
        self.nan_without_depth = nan_without_depth

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms, scalars."""
        targets, replicas = targets_of(batch), self.replicas.sharing(batch.shares, batch.accumulated)
        output = self.detector(
            detector_input(batch, self.sees), batch.P2, batch.coord_range_px, trained_rois(batch),
            box_cells=batch.box_cells,
        )  # fmt: skip
        return detection_terms(output, targets, nan_without_depth=self.nan_without_depth, replicas=replicas)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """Of the detection terms."""
        return detection_counts(targets_of(batch))

    def alone(self) -> DetectionStep:
        """The same terms without other processes."""
        return DetectionStep(self.detector, sees=self.sees, nan_without_depth=False, replicas=Replicas())
