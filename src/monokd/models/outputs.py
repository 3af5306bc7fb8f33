"""What the detector returns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(slots=True)
class Rois:
    """M regions of interest, each an object slot of the targets or a peak of the heatmap."""

    frame_index: Tensor  # M int64, ascending: which frame of the batch
    cell: Tensor  # M int64, peak cell as y·w + x
    class_ids: Tensor  # M int64


@dataclass(slots=True)
class RoiOutput:
    """Head outputs of M regions; cells are 7×7."""

    offset_3d: Tensor  # M×2, feature pixels
    size_3d: Tensor  # M×3 height, width, length − class mean, metres
    heading: Tensor  # M×24, 12 bin logits then 12 residuals in radians
    vis_depth_m: Tensor  # M×7×7
    att_depth_m: Tensor  # M×7×7
    ins_depth_m: Tensor  # M×7×7, their sum
    vis_log_uncertainty: Tensor  # M×7×7
    att_log_uncertainty: Tensor  # M×7×7
    ins_log_uncertainty: Tensor  # M×7×7


@dataclass(slots=True)
class DetectorOutput:
    """Everything a loss may ask for.

    `offset_2d` and `size_2d` are computed in the cells that the step asked for (`box_cells` of `Detector.forward`) and
    are NaN in all others, so that a loss on other cells fails at once. A loss on the whole maps runs the detector with
    `box_cells=None`; one on some cells picks them before any arithmetic, because 0 × NaN is NaN.
    """

    heatmap: Tensor  # B×3×h×w logits
    offset_2d: Tensor  # B×2×h×w, peak cell to box centre, feature pixels
    size_2d: Tensor  # B×2×h×w width, height, feature pixels
    rois: Rois  # the regions that the region heads saw, in order of (frame, slot)
    roi: RoiOutput  # their outputs
    backbone: tuple[Tensor, ...]  # backbone maps of strides 1, 2, 4, 8, 16, 32, finest first
    fused: tuple[Tensor, ...]  # neck maps of strides 4, 8, 16, 32, finest first
