"""The detector's loss terms: heatmap, 2D and 3D boxes, heading and depth."""

import torch
from torch import Tensor

from monokd.losses.means import Mean, Terms
from monokd.models.geometry import at_peaks
from monokd.models.outputs import DetectorOutput, RoiOutput
from monokd.samples.batch import Targets
from monokd.samples.constants import HEADING_BINS

MARGIN = 1e-4  # probabilities of the heatmap stay this far from 0 and 1


def trained_slots(mask_2d: Tensor, count: int) -> Tensor:
    """Return the flat positions of the `count` true slots of a B×K mask, without waiting for the device."""
    return torch.argsort(mask_2d.flatten().logical_not().to(torch.uint8), stable=True)[:count]


def rows(values: Tensor, slots: Tensor) -> Tensor:
    """Return the M rows of a B×K×… target."""
    return values.flatten(0, 1)[slots]


def mean_l1(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Mean:
    """Mean absolute difference over all elements; with M weights of the M rows, weighted."""
    difference = (prediction.float() - target).abs()
    if weight is None:
        return Mean(difference.sum(), target.numel())
    return Mean((difference.flatten(1).sum(1) * weight).sum(), weight.sum() * difference[:1].numel())


def bin_residual(heading: Tensor, heading_bin: Tensor) -> Tensor:
    """Return M residuals of the given bins from M×24 heading outputs."""
    return heading[:, HEADING_BINS:].gather(1, heading_bin[:, None])[:, 0]


def heading_loss(
    heading: Tensor, heading_bin: Tensor, residual_rad: Tensor, axis_only: Tensor, weight: Tensor
) -> tuple[Mean, Mean]:
    """Cross-entropy over 12 bins plus L1 of the target bin's residual (MultiBin, as in GUPNet) of M objects.

    Where `axis_only`, the heading may be off by half a turn: the bin opposite is as good, with the same residual.
    """
    heading = heading.float()
    opposite = (heading_bin + HEADING_BINS // 2) % HEADING_BINS
    logp = heading[:, :HEADING_BINS].log_softmax(1)
    own, other = (logp.gather(1, b[:, None])[:, 0] for b in (heading_bin, opposite))
    log_likelihood = torch.where(axis_only, torch.logaddexp(own, other), own)
    own_miss, other_miss = ((bin_residual(heading, b) - residual_rad).abs() for b in (heading_bin, opposite))
    residual = torch.where(axis_only, (own_miss + other_miss) / 2, own_miss)
    count = weight.sum()
    return Mean(-(log_likelihood * weight).sum(), count), Mean((residual * weight).sum(), count)


def laplace(depth_m: Tensor, target_m: Tensor, log_uncertainty: Tensor, weight: Tensor, empty: float = 0.0) -> Mean:
    """Laplacian aleatoric uncertainty 1.4142·e^(−u/2)·|d| + u/2, mean over cells (Kendall and Gal 2017, as in GUPNet).

    Cells of weight 0 do not count; `empty` is the value without any.
    """
    u = log_uncertainty.float()
    cells = 1.4142 * torch.exp(-0.5 * u) * (depth_m.float() - target_m).abs() + 0.5 * u
    return Mean((cells.masked_fill(weight == 0, 0.0) * weight).sum(), weight.sum(), empty)


def heatmap_focal(logits: Tensor, target: Tensor, ignored: Tensor | None = None) -> Mean:
    """Focal loss of CornerNet (Law and Deng 2018; α 2, β 4) over the number of peaks; without any, the plain sum.

    Logits and target, in [0, 1] and 1 at peaks, are B×C×h×w; cells that are `ignored` (B×h×w bool) do not count.
    """
    probability = torch.sigmoid(logits.float()).clamp(MARGIN, 1 - MARGIN)
    peak = target == 1
    hit = torch.log(probability) * (1 - probability) ** 2
    miss = torch.log(1 - probability) * probability**2 * (1 - target) ** 4
    cells = torch.where(peak, hit, miss)
    if ignored is not None:
        cells = cells.masked_fill(ignored[:, None], 0.0)
    return Mean(-cells.sum(), peak.sum())


def depth_loss(roi: RoiOutput, targets: Targets, slots: Tensor, *, nan_without_depth: bool) -> tuple[Mean, Mean, Mean]:
    """Visual, attribute and instance depth (DID-M3D 2022) of M regions; the first two over cells with dense depth.

    With quirk Q11 a part without any cell is NaN, as a mean over nothing is, instead of 0.
    """
    empty = float("nan") if nan_without_depth else 0.0
    weight = rows(targets.weight, slots)[:, None, None].expand_as(roi.vis_depth_m)
    vis_m, depth_m = rows(targets.vis_depth_m, slots), rows(targets.depth_m, slots)[:, None, None]
    measured = weight * (vis_m > 0)
    return (
        laplace(roi.vis_depth_m, vis_m, roi.vis_log_uncertainty, measured, empty),
        laplace(roi.att_depth_m, depth_m - vis_m, roi.att_log_uncertainty, measured, empty),
        laplace(roi.ins_depth_m, depth_m, roi.ins_log_uncertainty, weight, empty),
    )


def detection_terms(output: DetectorOutput, targets: Targets, *, nan_without_depth: bool = False) -> Terms:
    """Return all terms of the detection loss, unweighted (GUPNet 2021, DID-M3D 2022).

    They are computed in float32 whatever the precision of the outputs; nothing waits for the device. `output` is that
    of a forward pass at the targets' peaks, so that its M regions are the slots with `mask_2d`.
    """
    rois, roi = output.rois, output.roi
    slots = trained_slots(targets.mask_2d, len(rois.cell))
    offset_2d, size_2d = at_peaks(output.offset_2d, rois), at_peaks(output.size_2d, rois)
    weight = rows(targets.weight, slots)
    heading_bin, residual = rows(targets.heading_bin, slots), rows(targets.heading_residual_rad, slots)
    return {
        "seg": (heatmap_focal(output.heatmap, targets.heatmap, targets.ignore),),
        "offset2d": (mean_l1(offset_2d, rows(targets.offset_2d, slots), weight),),
        "size2d": (mean_l1(size_2d, rows(targets.size_2d, slots), weight),),
        "depth": depth_loss(roi, targets, slots, nan_without_depth=nan_without_depth),
        "offset3d": (mean_l1(roi.offset_3d, rows(targets.offset_3d, slots), weight),),
        "size3d": (mean_l1(roi.size_3d, rows(targets.size_3d, slots), weight),),
        "heading": heading_loss(roi.heading, heading_bin, residual, rows(targets.axis_only, slots), weight),
    }
