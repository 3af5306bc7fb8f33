"""Masks of map cells that 2D boxes cover."""

import torch
from torch import Tensor


def box_mask(boxes_px: Tensor, stride: int, height: int, width: int, *, unclipped_masks: bool = False) -> Tensor:
    """Cells of 2D boxes, both corners rounded down to cells and the last one left out: B×height×width, 0 or 1.

    With quirk Q9 negative borders count from the map's far side, as negative array indices do, so boxes that leave
    the image on the left or top mostly vanish. `boxes_px` is B×K×4 in input pixels, zeros in empty slots.
    """
    low, high = (torch.trunc(corner / stride) for corner in (boxes_px[..., :2], boxes_px[..., 2:]))
    return _cover(low, high, height, width, wrap=unclipped_masks)


def centre_mask(
    boxes_px: Tensor,
    stride: int,
    height: int,
    width: int,
    object_count: Tensor,
    *,
    unclipped_masks: bool = False,
) -> Tensor:
    """Squares of the Gaussian radius around the centres of 2D boxes, as `box_mask` gives them.

    With quirk Q9 the slots of filtered objects, among the first `object_count` (B), mark cell (0, 0).
    """
    boxes = boxes_px / stride
    size = boxes[..., 2:] - boxes[..., :2]
    centre = torch.floor((boxes[..., :2] + boxes[..., 2:]) / 2)
    radius = torch.floor(gaussian_radius(size[..., 1], size[..., 0])).clamp(min=0)[..., None]
    valid = (size > 0).all(-1)
    if unclipped_masks:
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
    squares = (
        around**2 - 4 * area * (1 - overlap) / (1 + overlap),
        4 * around**2 - 16 * (1 - overlap) * area,
        (2 * overlap * around) ** 2 - 16 * overlap * (overlap - 1) * area,
    )
    roots = torch.stack(squares).clamp(min=0).sqrt()
    return ((torch.stack((around, 2 * around, -2 * overlap * around)) + roots) / 2).amin(0)


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
