"""The detector's loss terms: heatmap, 2D and 3D boxes, heading and depth."""

from __future__ import annotations

import torch
from torch import Tensor

from monokd.losses.focal import heatmap_focal
from monokd.losses.means import Mean, Terms
from monokd.models.outputs import DetectorOutput, RoiOutput
from monokd.samples.batch import Targets

HEADING_BINS = 12


def trained_slots(mask_2d: Tensor, count: int) -> Tensor:
    """Return the flat positions of the object slots that train, in the order of (frame, slot).

    It does not wait for the device.

    Args:
        mask_2d: B×K bool with `count` true entries.
        count: M, known from the shape of the detector's output.

    Returns:
        M int64, positions in the flattened B×K.
    """
    return torch.argsort(mask_2d.flatten().logical_not().to(torch.uint8), stable=True)[:count]


def rows(values: Tensor, slots: Tensor) -> Tensor:
    """Return the M rows of a B×K×… target."""
    return values.flatten(0, 1)[slots]


def at_cells(maps: Tensor, frame_index: Tensor, cell: Tensor) -> Tensor:
    """Return M×C values of B×C×h×w maps at the cells y·w + x of M regions."""
    return maps.flatten(2)[frame_index, :, cell]


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
    """Cross-entropy over 12 bins plus L1 of the target bin's residual (MultiBin, as in GUPNet).

    Args:
        heading: M×24, 12 logits then 12 residuals.
        heading_bin: M int64.
        residual_rad: M.
        axis_only: M bool, the heading may be off by half a turn: the bin opposite is as good, with the same residual.
        weight: M.
    """
    heading = heading.float()
    opposite = (heading_bin + HEADING_BINS // 2) % HEADING_BINS
    logp = heading[:, :HEADING_BINS].log_softmax(1)
    own, other = (logp.gather(1, b[:, None])[:, 0] for b in (heading_bin, opposite))
    log_likelihood = torch.where(axis_only, torch.logaddexp(own, other), own)
    miss, turned = ((bin_residual(heading, b) - residual_rad).abs() for b in (heading_bin, opposite))
    residual = torch.where(axis_only, (miss + turned) / 2, miss)
    count = weight.sum()
    return Mean(-(log_likelihood * weight).sum(), count), Mean((residual * weight).sum(), count)


def laplace(depth_m: Tensor, target_m: Tensor, log_uncertainty: Tensor, weight: Tensor, empty: float = 0.0) -> Mean:
    """Laplacian aleatoric uncertainty 1.4142·e^(−u/2)·|d| + u/2, mean over cells (Kendall and Gal 2017, as in GUPNet).

    Args:
        depth_m: M×7×7.
        target_m: M×7×7 or M×1×1.
        log_uncertainty: M×7×7.
        weight: M×7×7, 0 for cells that do not count.
        empty: value without any cell.
    """
    u = log_uncertainty.float()
    cells = 1.4142 * torch.exp(-0.5 * u) * (depth_m.float() - target_m).abs() + 0.5 * u
    return Mean((cells.masked_fill(weight == 0, 0.0) * weight).sum(), weight.sum(), empty)


def depth_loss(roi: RoiOutput, targets: Targets, slots: Tensor, *, nan_without_depth: bool) -> tuple[Mean, Mean, Mean]:
    """Visual, attribute and instance depth (DID-M3D 2022); the first two over valid depth cells.

    Args:
        roi: M regions.
        targets: B frames.
        slots: M flat slots.
        nan_without_depth: quirk Q11: a part without any cell is NaN, as a mean over nothing is, instead of 0.
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

    They are computed in float32 whatever the precision of the outputs; nothing waits for the device.

    Args:
        output: of a forward pass at the targets' peaks, so that its M regions are the slots with `mask_2d`.
        targets: B frames.
        nan_without_depth: quirk Q11, see `depth_loss`.

    Returns:
        `seg`, `offset2d`, `size2d`, `depth`, `offset3d`, `size3d`, `heading`.
    """
    rois, roi = output.rois, output.roi
    slots = trained_slots(targets.mask_2d, rois.cell.shape[0])
    offset_2d = at_cells(output.offset_2d, rois.frame_index, rois.cell)
    size_2d = at_cells(output.size_2d, rois.frame_index, rois.cell)
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
