"""From the feature map to the image and to camera rays."""

from collections.abc import Sequence

import torch
from torch import Tensor

from monokd.models.outputs import Rois
from monokd.samples.constants import CELLS


def peak_points(rois: Rois, width: int) -> Tensor:
    """Give the peak cells of regions as M×2 int64 column and row, on a map `width` cells wide."""
    return torch.stack((rois.cell % width, rois.cell // width), 1)


def at_peaks(maps: Tensor, rois: Rois) -> Tensor:
    """Give M×C values of B×C×h×w maps at the peak cells of M regions."""
    return maps.flatten(2)[rois.frame_index, :, rois.cell]


def feature_boxes(offset_2d: Tensor, size_2d: Tensor, rois: Rois) -> Tensor:
    """Give the predicted 2D boxes of regions: M×4 left, top, right, bottom in feature pixels."""
    peak = peak_points(rois, offset_2d.shape[-1]).to(offset_2d.dtype)
    centre, half = peak + at_peaks(offset_2d, rois), at_peaks(size_2d, rois) / 2
    return torch.cat((centre - half, centre + half), 1)


def points_to_image(
    points: Tensor, coord_range_px: Tensor, map_size: Sequence[int], *, anisotropic_decode: bool
) -> Tensor:
    """Map M×2n rows of x, y pairs in feature pixels to image pixels; a box is a row of two pairs.

    `coord_range_px` are M×2×2 corners of the crop that a map of height, width `map_size` shows. Published (quirk Q7),
    x and y are each scaled by crop / map; corrected, this inverts the similarity about the crop's centre that made the
    input, whose one scale is the width's.
    """
    corner, opposite = coord_range_px.to(points.dtype).unbind(1)
    scale = image_scale(coord_range_px.to(points.dtype), map_size, anisotropic_decode=anisotropic_decode)
    if not anisotropic_decode:
        top = (corner[:, 1:] + opposite[:, 1:] - scale[:, 1:] * map_size[0]) / 2
        corner = torch.cat((corner[:, :1], top), 1)
    pairs = points.shape[1] // 2
    return points * scale.repeat(1, pairs) + corner.repeat(1, pairs)


def image_scale(coord_range_px: Tensor, map_size: Sequence[int], *, anisotropic_decode: bool) -> Tensor:
    """Give image pixels a feature pixel in x and y, M×2; arguments as those of `points_to_image`."""
    extent = coord_range_px[:, 1] - coord_range_px[:, 0]
    horizontal, vertical = extent[:, :1] / map_size[1], extent[:, 1:] / map_size[0]
    return torch.cat((horizontal, vertical if anisotropic_decode else horizontal), 1)


def ray_cells(boxes_px: Tensor, P2: Tensor) -> Tensor:
    """Give camera x and y (P2: M×3×4) at z = 1 over the cells of M×4 image boxes, corner to corner: M×2×7×7."""
    focal = torch.stack((P2[:, 0, 0], P2[:, 1, 1]), 1).repeat(1, 2)
    centre = P2[:, :2, 2].repeat(1, 2)
    shift = P2[:, :2, 3].repeat(1, 2)
    left, top, right, bottom = ((boxes_px - centre - shift) / focal).unbind(1)
    ramp = torch.linspace(0, 1, CELLS, dtype=boxes_px.dtype, device=boxes_px.device)
    x = left[:, None] + ramp * (right - left)[:, None]
    y = top[:, None] + ramp * (bottom - top)[:, None]
    return torch.stack((x[:, None, :].expand(-1, CELLS, -1), y[:, :, None].expand(-1, -1, CELLS)), 1)
