"""From head outputs to objects in camera coordinates (DID-M3D, Peng et al., ECCV 2022, section 3)."""

import numpy as np
import torch
from torch import Tensor

from monokd.classes import CLASSES
from monokd.kitti.boxes3d import wrap_angle
from monokd.kitti.objects import Objects
from monokd.models.detector import Detector
from monokd.models.geometry import feature_boxes, peak_points
from monokd.models.outputs import DetectorOutput, RoiOutput
from monokd.samples.constants import HEADING_BINS, MEAN_SIZES_M
from monokd.typing import Floats


def decode(
    detector: Detector, output: DetectorOutput, P2: Tensor, coord_range_px: Tensor, *, score_threshold: float = 0.2
) -> list[Objects]:
    """Give the objects of every frame, surest peak first.

    A region is kept where its peak on the heatmap reaches the threshold, no side is negative and every number is
    finite. Its score is peak × depth confidence; truncation and occlusion, which the network does not say, are 0.
    `P2` and `coord_range_px` are those of the batch; the detector says how boxes map to the image.
    """
    frame = output.rois.frame_index.cpu().numpy()
    class_ids = output.rois.class_ids.cpu().numpy()
    cameras = P2.detach().cpu().double().numpy()[frame]
    boxes_px, peaks_px, scores = (_numpy(values) for values in image_geometry(detector, output, coord_range_px))
    depth_m, confidence = (_numpy(values) for values in merged_depth(output.roi))
    sizes_m = _numpy(output.roi.size_3d) + MEAN_SIZES_M[class_ids]
    locations_m = back_project(peaks_px, depth_m, cameras) + sizes_m[:, :1] / 2 * [0.0, 1.0, 0.0]
    alpha_rad = heading_angle(_numpy(output.roi.heading))
    centre_x_px = (boxes_px[:, 0] + boxes_px[:, 2]) / 2
    rotation_y_rad = wrap_angle(alpha_rad + np.arctan2(centre_x_px - cameras[:, 0, 2], cameras[:, 0, 0]))
    zeros = np.zeros(len(frame))
    finite = np.isfinite(np.column_stack((boxes_px, sizes_m, locations_m, rotation_y_rad, confidence))).all(1)
    kept = (scores >= score_threshold) & (sizes_m >= 0).all(1) & finite
    everything = Objects(
        tuple(CLASSES[i] for i in class_ids),
        *(zeros, zeros, alpha_rad, boxes_px, sizes_m, locations_m, rotation_y_rad, scores * confidence),
    )
    return [everything.select(kept & (frame == i)) for i in range(P2.shape[0])]


def image_geometry(detector: Detector, output: DetectorOutput, coord_range_px: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give 2D boxes (M×4) and projected 3D centres (M×2) in image pixels, and heights of the peaks (M)."""
    rois, map_size = output.rois, output.heatmap.shape[-2:]
    boxes = feature_boxes(output.offset_2d, output.size_2d, rois)
    centres = peak_points(rois, map_size[1]).to(boxes.dtype) + output.roi.offset_3d
    both = detector.to_image(torch.cat((boxes, centres), 1), coord_range_px[rois.frame_index], map_size)
    scores = output.heatmap.flatten(2)[rois.frame_index, rois.class_ids, rois.cell].sigmoid().clamp(1e-4, 1 - 1e-4)
    return both[:, :4], both[:, 4:], scores


def merged_depth(roi: RoiOutput) -> tuple[Tensor, Tensor]:
    """Give depth in metres and its confidence (both M) from the 7×7 cells, weighted by p = exp(−e^(u/2))."""
    weight = (-(0.5 * roi.ins_log_uncertainty).exp()).exp().flatten(1)
    total = weight.sum(1)
    return (roi.ins_depth_m.flatten(1) * weight).sum(1) / total, weight.square().sum(1) / total


def heading_angle(heading: Floats) -> Floats:
    """M×24 bin logits and residuals → M observation angles in [−π, π): the likeliest bin's centre + its residual."""
    chosen = heading[:, :HEADING_BINS].argmax(1)
    residual_rad = heading[np.arange(len(heading)), HEADING_BINS + chosen]
    return wrap_angle(chosen * (2 * np.pi / HEADING_BINS) + residual_rad)


def back_project(points_px: Floats, depth_m: Floats, P2: Floats) -> Floats:
    """M×2 pixels at z = `depth_m` → M×3 camera points; P2's shift in depth (mm) is left out, as in targets."""
    focal_px, centre_px, shift = P2[:, [0, 1], [0, 1]], P2[:, :2, 2], P2[:, :2, 3]
    lateral_m = ((points_px - centre_px) * depth_m[:, None] - shift) / focal_px
    return np.column_stack((lateral_m, depth_m))


def _numpy(values: Tensor) -> Floats:
    return values.detach().cpu().double().numpy()
