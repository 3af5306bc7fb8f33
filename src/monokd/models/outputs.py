"""What the detector returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(slots=True)
class Rois:
    """M regions of interest, one an object slot or peak.

    Attributes:
        frame_index: M int64, which frame of the batch.
        cell: M int64, peak cell as y·w + x.
        class_ids: M int64.
        most: the greatest number of regions in one frame, None where only the device knows.
    """

    frame_index: Tensor
    cell: Tensor
    class_ids: Tensor
    most: int | None = None


@dataclass(slots=True)
class RoiOutput:
    """Head outputs of M regions; cells are 7×7.

    Attributes:
        offset_3d: M×2, feature pixels.
        size_3d: M×3 height, width, length − class mean, metres.
        heading: M×24, 12 bin logits then 12 residuals in radians.
        vis_depth_m: M×7×7.
        att_depth_m: M×7×7.
        ins_depth_m: M×7×7, their sum.
        vis_log_uncertainty: M×7×7.
        att_log_uncertainty: M×7×7.
        ins_log_uncertainty: M×7×7.
    """

    offset_3d: Tensor
    size_3d: Tensor
    heading: Tensor
    vis_depth_m: Tensor
    att_depth_m: Tensor
    ins_depth_m: Tensor
    vis_log_uncertainty: Tensor
    att_log_uncertainty: Tensor
    ins_log_uncertainty: Tensor


@dataclass(slots=True)
class DetectorOutput:
    """Everything a loss may ask for.

    Attributes:
        heatmap: B×3×h×w logits.
        offset_2d: B×2×h×w, feature pixels; 0 in cells that were not asked for.
        size_2d: B×2×h×w width, height, feature pixels; likewise.
        rois: the regions that the region heads saw, in order of (frame, slot).
        roi: their outputs.
        backbone: backbone maps of strides 1, 2, 4, 8, 16, 32, finest first.
        fused: neck maps of strides 4, 8, 16, 32, finest first.
    """

    heatmap: Tensor
    offset_2d: Tensor
    size_2d: Tensor
    rois: Rois
    roi: RoiOutput
    backbone: tuple[Tensor, ...]
    fused: tuple[Tensor, ...]
