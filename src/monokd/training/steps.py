"""The detection step: what is computed on one batch, as named loss terms."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from monokd.losses.detection import detection_terms
from monokd.losses.means import ALONE, Processes, Terms, merged, over_processes
from monokd.models.detector import Detector, rois_from_targets
from monokd.models.outputs import Rois
from monokd.quirks import Quirks
from monokd.samples.batch import Batch, Targets
from monokd.typing import Modality


def targets_of(batch: Batch) -> Targets:
    """Return the batch's targets (ValueError without)."""
    if batch.targets is None:
        raise ValueError("training needs targets, but the batch carries none")
    return batch.targets


def trained_rois(batch: Batch) -> Rois:
    """Return the regions of the targets."""
    targets = targets_of(batch)
    return rois_from_targets(targets.indices, targets.mask_2d, targets.class_ids)


class DetectionStep(nn.Module):
    """The detection terms of one detector; calling it maps the chunks of a batch to named loss terms, scalars.

    Each chunk passes through the network by itself, so that batch statistics are its own (quirk Q5); usually there is
    one. Terms are means over the whole batch, which `processes` share. Of the quirks, Q11 counts.
    """

    def __init__(self, detector: Detector, *, modality: Modality, quirks: Quirks, processes: Processes = ALONE) -> None:
        super().__init__()
        self.detector = detector
        self.modality: Modality = modality
        self.nan_without_depth = quirks.nan_without_depth
        self.processes = processes

    def networks(self) -> tuple[nn.Module, ...]:
        """Return all that computes in a step, trained or not."""
        return (self,)

    def forward(self, chunks: Sequence[Batch]) -> dict[str, Tensor]:
        """Return named terms, scalars."""
        terms = [self._detection(chunk) for chunk in in_turn(chunks, self.detector)]
        return over_processes(merged(terms), self.processes)

    def _detection(self, batch: Batch) -> Terms:
        output = self.detector(
            batch.input(self.modality), batch.P2, batch.coord_range_px, trained_rois(batch), box_cells=batch.box_cells
        )
        return detection_terms(output, targets_of(batch), nan_without_depth=self.nan_without_depth)


def in_turn(chunks: Sequence[Batch], *networks: nn.Module) -> Iterator[Batch]:
    """Yield the chunks; the running statistics of `networks` follow the first alone, as those of replica 0 do."""
    yield chunks[0]
    if len(chunks) == 1:
        return
    norms = [m for network in networks for m in network.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield from chunks[1:]
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
