"""Masks of map cells that 2D boxes cover."""

from __future__ import annotations

import torch
from torch import Tensor


def box_mask(boxes_px: Tensor, stride: int, height: int, width: int, *, unclipped_masks: bool = False) -> Tensor:
    """Cells of 2D boxes, both corners rounded down to cells and the last one left out.

    Args:
        boxes_px: B×K×4 left, top, right, bottom in input pixels; zeros in empty slots.
        stride: of the map.
        height: of the map.
        width: of the map.
        unclipped_masks: quirk Q9: negative borders count from the map's far side, as negative array indices do, so
            boxes that leave the image on the left or top mostly vanish.

    Returns:
        B×height×width float32 of 0 and 1.
    """
    low, high = (torch.trunc(corner / stride) for corner in (boxes_px[..., :2], boxes_px[..., 2:]))
    return _cover(low, high, height, width, wrap=unclipped_masks)


def centre_mask(
    boxes_px: Tensor,
    stride: int,
    height: int,
    width: int,
    object_count: Tensor | None = None,
    *,
    unclipped_masks: bool = False,
) -> Tensor:
    """Squares of the Gaussian radius around the centres of 2D boxes.

    Args:
        boxes_px: B×K×4 in input pixels; zeros in slots without an object.
        stride: of the map.
        height: of the map.
        width: of the map.
        object_count: B, slots that the published code visits.
        unclipped_masks: quirk Q9: as in `box_mask`, and slots of filtered objects mark cell (0, 0).

    Returns:
        B×height×width float32 of 0 and 1.
    """
    boxes = boxes_px / stride
    size = boxes[..., 2:] - boxes[..., :2]
    centre = torch.floor((boxes[..., :2] + boxes[..., 2:]) / 2)
    radius = torch.floor(gaussian_radius(size[..., 1], size[..., 0])).clamp(min=0)[..., None]
    valid = (size > 0).all(-1)
    if unclipped_masks and object_count is not None:
        valid = torch.arange(boxes.shape[1], device=boxes.device) < object_count[:, None]
    low = torch.where(valid[..., None], centre - radius, 0.0)
    high = torch.where(valid[..., None], centre + radius + 1, 0.0)
    return _cover(low, high, height, width, wrap=unclipped_masks)


def gaussian_radius(height: Tensor, width: Tensor, overlap: float = 0.7) -> Tensor:
    """Radius from the size of a box, as in CornerNet's published code.

    It is meant as the shift that leaves an overlap of `overlap`: the smallest root of three quadratics. The published
    roots divide by 2 where the formula divides by twice the leading coefficient; masks and heatmaps of the field are
    drawn with it.
    """
    around, area = height + width, height * width
    b3 = -2 * overlap * around
    one_each = (around + _root(around**2 - 4 * area * (1 - overlap) / (1 + overlap))) / 2
    inside = (2 * around + _root(4 * around**2 - 16 * (1 - overlap) * area)) / 2
    outside = (b3 + _root(b3**2 - 16 * overlap * (overlap - 1) * area)) / 2
    return torch.minimum(torch.minimum(one_each, inside), outside)


def _root(square: Tensor) -> Tensor:
    return torch.sqrt(square.clamp(min=0))


def _cover(low: Tensor, high: Tensor, height: int, width: int, *, wrap: bool) -> Tensor:
    """Union over K of half-open cell rectangles; low and high are B×K×2 (x, y)."""
    columns = _between(low[..., 0], high[..., 0], width, wrap=wrap)
    lines = _between(low[..., 1], high[..., 1], height, wrap=wrap)
    return (lines.transpose(1, 2) @ columns > 0).float()


def _between(low: Tensor, high: Tensor, length: int, *, wrap: bool) -> Tensor:
    """B×K×length, 1 where low ≤ cell < high."""
    if wrap:
        low, high = (torch.where(v < 0, v + length, v) for v in (low, high))
    cell = torch.arange(length, device=low.device)
    return ((cell >= low[..., None]) & (cell < high[..., None])).float()
