"""The detector: DLA-34, DLAUp, heads on the stride-4 map, heads on regions (DID-M3D, Peng et al., ECCV 2022).

One network serves as teacher (depth images) and as student (colour images). Its state dict is the published layout.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from monokd.models.dla import DLA34, DLA34_CHANNELS, scaled_channels
from monokd.models.heads import cell_head, map_head, maps_at, pooled_head
from monokd.models.neck import DLAUp
from monokd.models.outputs import DetectorOutput, RoiOutput, Rois
from monokd.models.rebuilt import rebuilding
from monokd.models.roi import roi_align
from monokd.samples.constants import CELLS, HEADING_BINS, MEAN_SIZES_M, STRIDE


class Detector(nn.Module):
    """Monocular 3D detector.

    Args:
        backbone: image → maps of strides 1 to 32.
        neck: maps of strides 4 to 32 → fused maps of the same strides.
        features: channels of the stride-4 fused map.
        hidden: channels inside every head.
        mean_sizes_m: C×3 class means of height, width, length.
        top_k: regions per frame where none are given.
        anisotropic_decode: True maps feature boxes to the image by separate scales of x and y, as published; False by
            the one scale that the input was resized with (quirk Q7).
        clamped_heights: True scales the visual depth by the ratio of the predicted box's heights on the input and in
            the image, each at least 1 px, as published; False by the scale of input to image, which that ratio is for
            larger boxes (quirk Q17).
    """

    def __init__(
        self,
        backbone: DLA34,
        neck: DLAUp,
        *,
        features: int,
        hidden: int,
        mean_sizes_m: NDArray[np.float64] = MEAN_SIZES_M,
        top_k: int = 50,
        anisotropic_decode: bool = True,
        clamped_heights: bool = True,
    ) -> None:
        super().__init__()
        classes = len(mean_sizes_m)
        self.classes, self.top_k = classes, top_k
        self.anisotropic_decode, self.clamped_heights = anisotropic_decode, clamped_heights
        self.mean_size: Tensor
        self.register_buffer("mean_size", torch.tensor(mean_sizes_m, dtype=torch.float32))
        self.backbone, self.feat_up = backbone, neck
        self.heatmap = map_head(features, hidden, classes, bias=-2.19)
        self.offset_2d = map_head(features, hidden, 2)
        self.size_2d = map_head(features, hidden, 2)
        region = features + 2 + classes
        self.offset_3d = pooled_head(region, hidden, 2)
        self.size_3d = pooled_head(region, hidden, 3)
        self.heading = pooled_head(region, hidden, 2 * HEADING_BINS)
        self.vis_depth = cell_head(region, hidden)
        self.att_depth = cell_head(region, hidden)
        self.vis_depth_uncer = cell_head(region, hidden)
        self.att_depth_uncer = cell_head(region, hidden)

    def forward(
        self,
        image: Tensor,
        P2: Tensor,
        coord_range_px: Tensor,
        rois: Rois | None = None,
        *,
        box_cells: Tensor | None = None,
        heatmap: bool = True,
    ) -> DetectorOutput:
        """Detect.

        Args:
            image: B×3×H×W, H and W multiples of 32.
            P2: B×3×4 projection.
            coord_range_px: B×2×2, corners of the crop in image pixels that the input shows.
            rois: regions to look at, ascending in `frame_index`; None looks at the `top_k` peaks of every frame.
            box_cells: N int64, positions in the flattened B×h×w where 2D boxes are wanted, those of `rois` among them;
                everywhere without.
            heatmap: False leaves the heatmap out (it has no cells then), where `rois` are given and no loss reads it.
        """
        with rebuilding():
            backbone = self.backbone(image)
            fused = self.feat_up(backbone[2:])
        finest = fused[0]
        wanted = heatmap or rois is None
        peaks = self.heatmap(finest) if wanted else finest.new_empty(len(finest), self.classes, 0, 0)
        if box_cells is None:
            offset_2d, size_2d = self.offset_2d(finest), self.size_2d(finest)
        else:
            offset_2d, size_2d = maps_at((self.offset_2d, self.size_2d), finest, box_cells)
        chosen = peak_rois(peaks, self.top_k) if rois is None else rois
        boxes = feature_boxes(offset_2d, size_2d, chosen)
        seen = roi_align(
            finest,
            boxes,
            chosen.frame_index,
            cells=CELLS,
            boxes_per_frame=self.top_k if rois is None else None,
            most=chosen.most,
        )
        roi = self._region_heads(seen, boxes, chosen, P2, coord_range_px, finest.shape[-2:])
        return DetectorOutput(peaks, offset_2d, size_2d, chosen, roi, backbone, fused)

    def _region_heads(
        self, seen: Tensor, boxes: Tensor, rois: Rois, P2: Tensor, coord_range_px: Tensor, map_size: Sequence[int]
    ) -> RoiOutput:
        """M×C×7×7 features in feature boxes → head outputs.

        The visual depth is that of an image as large as the input, and is scaled to the image's size.
        """
        frame = rois.frame_index
        ranges = coord_range_px[frame]
        boxes_px = boxes_to_image(boxes, ranges, map_size, self.anisotropic_decode)
        rays = ray_cells(boxes_px, P2[frame]).to(seen.dtype)
        one_hot = F.one_hot(rois.class_ids, self.classes).to(seen.dtype)[:, :, None, None]
        x = torch.cat((seen, rays, one_hot.expand(-1, -1, CELLS, CELLS)), 1)
        if self.clamped_heights:
            scale = (STRIDE * _height(boxes)).clamp(min=1.0) / _height(boxes_px).clamp(min=1.0)
        else:
            scale = STRIDE / image_scale(ranges.to(boxes.dtype), map_size, self.anisotropic_decode)[:, 1]
        vis, att = (-self.vis_depth(x).squeeze(1)).exp() * scale[:, None, None], self.att_depth(x).squeeze(1)
        vis_u, att_u = self.vis_depth_uncer(x).squeeze(1), self.att_depth_uncer(x).squeeze(1)
        return RoiOutput(
            offset_3d=self.offset_3d(x).flatten(1),
            size_3d=self.size_3d(x).flatten(1),
            heading=self.heading(x).flatten(1),
            vis_depth_m=vis,
            att_depth_m=att,
            ins_depth_m=vis + att,
            vis_log_uncertainty=vis_u,
            att_log_uncertainty=att_u,
            ins_log_uncertainty=torch.stack((vis_u, att_u)).logsumexp(0),
        )


def feature_channels(width: float = 1.0) -> tuple[int, ...]:
    """Channels of the fused maps of strides 4, 8, 16, 32, which are those of the backbone's maps."""
    return tuple(scaled_channels(channels, width) for channels in DLA34_CHANNELS[2:])


def build_detector(width: float = 1.0, *, anisotropic_decode: bool = True, clamped_heights: bool = True) -> Detector:
    """A detector whose channels are the published ones × `width` (multiples of 8, at least 8), freshly initialised."""
    channels = [scaled_channels(c, width) for c in DLA34_CHANNELS]
    return Detector(
        DLA34(channels),
        DLAUp(channels[2:]),
        features=channels[2],
        hidden=scaled_channels(256, width),
        anisotropic_decode=anisotropic_decode,
        clamped_heights=clamped_heights,
    )


def rois_from_targets(
    indices: Tensor, mask_2d: Tensor, class_ids: Tensor, slots: Tensor | None = None, most: int | None = None
) -> Rois:
    """The regions that train, in order of (frame, slot).

    Args:
        indices: B×K.
        mask_2d: B×K bool, slots that train.
        class_ids: B×K.
        slots: M positions of these slots in the flattened B×K; without, a GPU is waited for.
        most: the greatest number of them in one frame; without, a GPU is waited for.
    """
    if slots is None:
        slots = mask_2d.flatten().nonzero()[:, 0]
    return Rois(slots // mask_2d.shape[1], indices.flatten()[slots], class_ids.flatten()[slots], most)


def peak_rois(heatmap: Tensor, top_k: int) -> Rois:
    """The `top_k` highest local maxima of every frame, over all classes, highest first.

    Args:
        heatmap: B×C×h×w logits.
        top_k: regions per frame.
    """
    frames, _, height, width = heatmap.shape
    score = heatmap.detach().sigmoid().clamp(1e-4, 1 - 1e-4)
    peaks = score * (F.max_pool2d(score, 3, 1, 1) == score)
    index = peaks.flatten(1).topk(top_k).indices.flatten()
    frame = torch.arange(frames, device=heatmap.device).repeat_interleave(top_k)
    return Rois(frame, index % (height * width), index // (height * width))


def feature_boxes(offset_2d: Tensor, size_2d: Tensor, rois: Rois) -> Tensor:
    """Predicted 2D boxes of the regions: M×4 left, top, right, bottom in feature pixels.

    Args:
        offset_2d: B×2×h×w.
        size_2d: B×2×h×w width and height.
        rois: M regions.
    """
    peak = peak_points(rois, offset_2d.shape[-1]).to(offset_2d.dtype)
    centre = peak + offset_2d.flatten(2)[rois.frame_index, :, rois.cell]
    half = size_2d.flatten(2)[rois.frame_index, :, rois.cell] / 2
    return torch.cat((centre - half, centre + half), 1)


def peak_points(rois: Rois, width: int) -> Tensor:
    """Peak cells of the regions as M×2 int64 column and row, on a map `width` cells wide."""
    return torch.stack((rois.cell % width, rois.cell // width), 1)


def boxes_to_image(boxes: Tensor, coord_range_px: Tensor, map_size: Sequence[int], anisotropic_decode: bool) -> Tensor:
    """Map M rows of x, y pairs (boxes are two) in feature pixels to image pixels.

    Args:
        boxes: M×2n, n points a row.
        coord_range_px: M×2×2 corners of the crop that the map shows.
        map_size: height, width of the feature map.
        anisotropic_decode: True scales x and y each by crop / map; False inverts the similarity about the crop's centre
            whose one scale is the width's (quirk Q7).
    """
    corner, opposite = coord_range_px.to(boxes.dtype).unbind(1)
    scale = image_scale(coord_range_px.to(boxes.dtype), map_size, anisotropic_decode)
    if not anisotropic_decode:
        top = (corner[:, 1:] + opposite[:, 1:] - scale[:, 1:] * map_size[0]) / 2
        corner = torch.cat((corner[:, :1], top), 1)
    pairs = boxes.shape[1] // 2
    return boxes * scale.repeat(1, pairs) + corner.repeat(1, pairs)


def image_scale(coord_range_px: Tensor, map_size: Sequence[int], anisotropic_decode: bool) -> Tensor:
    """Image pixels a feature pixel in x and y, M×2; arguments as those of `boxes_to_image`."""
    extent = coord_range_px[:, 1] - coord_range_px[:, 0]
    horizontal, vertical = extent[:, :1] / map_size[1], extent[:, 1:] / map_size[0]
    return torch.cat((horizontal, vertical if anisotropic_decode else horizontal), 1)


def ray_cells(boxes_px: Tensor, P2: Tensor) -> Tensor:
    """Camera x and y at z = 1 over the cells of image boxes, corner to corner: M×2×7×7.

    Args:
        boxes_px: M×4 in image pixels.
        P2: M×3×4.
    """
    focal = torch.stack((P2[:, 0, 0], P2[:, 1, 1]), 1).repeat(1, 2)
    centre = P2[:, :2, 2].repeat(1, 2)
    shift = P2[:, :2, 3].repeat(1, 2)
    left, top, right, bottom = ((boxes_px - centre - shift) / focal).unbind(1)
    ramp = torch.linspace(0, 1, CELLS, dtype=boxes_px.dtype, device=boxes_px.device)
    x = left[:, None] + ramp * (right - left)[:, None]
    y = top[:, None] + ramp * (bottom - top)[:, None]
    return torch.stack((x[:, None, :].expand(-1, CELLS, -1), y[:, :, None].expand(-1, -1, CELLS)), 1)


def _height(boxes: Tensor) -> Tensor:
    return boxes[:, 3] - boxes[:, 1]
