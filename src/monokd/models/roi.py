"""RoIAlign (He et al., Mask R-CNN, ICCV 2017, section 3) as two matrix products.

The mean of bilinear samples on a grid is separable: cell (i, j) of a region is Σ_y Σ_x V[i, y]·F[y, x]·U[j, x], where V
and U hold the averaged interpolation weights of each axis. Both are small and dense, so the operator needs
no loop over regions or samples, its backward pass is two more products, and it is deterministic on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor

CANDIDATES = 6  # a pixel's two-pixel support holds at most four adaptive samples; one more each side for rounding


def roi_align(
    features: Tensor,
    boxes: Tensor,
    frame_index: Tensor,
    *,
    cells: int = 7,
    aligned: bool = False,
    sampling: int | None = None,
    boxes_per_frame: int | None = None,
    most: int | None = None,
) -> Tensor:
    """Average bilinear samples of `features` in a grid of cells over each box.

    Gradients reach `features` only; boxes count as constants, as in the usual operator.

    Args:
        features: B×C×h×w.
        boxes: M×4 left, top, right, bottom in feature pixels.
        frame_index: M int64, ascending: which of the B maps each box reads.
        cells: side P of the grid.
        aligned: True shifts boxes by half a pixel, so that the centre of the first pixel is at 0.5; False is the older
            convention, which also widens boxes to at least one pixel.
        sampling: samples per cell and axis; None means as many as the cell is pixels long, rounded up.
        boxes_per_frame: where every frame has the same number of boxes, that number; no shape then depends on data.
        most: the greatest number of boxes of one frame, where known; otherwise a GPU is waited for.

    Returns:
        M×C×P×P.
    """
    frames, channels, height, width = features.shape
    with torch.no_grad():
        left, top, right, bottom = boxes.unbind(1)
        x_weights = _axis_weights(left, right, width, cells, aligned, sampling).to(features.dtype)
        y_weights = _axis_weights(top, bottom, height, cells, aligned, sampling).to(features.dtype)
    if boxes_per_frame is not None:
        y_weights = y_weights.view(frames, boxes_per_frame, cells, height)
        x_weights = x_weights.view(frames, boxes_per_frame, cells, width)
        return _resample(features, y_weights, x_weights).view(-1, channels, cells, cells)
    slot = _slots(frame_index, frames)
    if most is None:
        most = int(slot.max()) + 1 if slot.numel() else 1
    slots = max(most, 1)
    y_padded = y_weights.new_zeros(frames, slots, cells, height).index_put((frame_index, slot), y_weights)
    x_padded = x_weights.new_zeros(frames, slots, cells, width).index_put((frame_index, slot), x_weights)
    chosen = frame_index * slots + slot
    return _resample(features, y_padded, x_padded).flatten(0, 1).index_select(0, chosen)


def _resample(features: Tensor, y_weights: Tensor, x_weights: Tensor) -> Tensor:
    """B×C×h×w maps, B×K×P×h and B×K×P×w weights → B×K×C×P×P."""
    frames, channels, height, width = features.shape
    slots, cells = y_weights.shape[1:3]
    columns = features.reshape(frames, channels * height, width) @ x_weights.reshape(frames, -1, width).transpose(1, 2)
    columns = columns.view(frames, channels, height, slots, cells).permute(0, 3, 2, 1, 4)
    rows = y_weights @ columns.reshape(frames, slots, height, channels * cells)
    return rows.view(frames, slots, cells, channels, cells).transpose(2, 3)


def _slots(frame_index: Tensor, frames: int) -> Tensor:
    """The rank of every box within its frame, for ascending `frame_index`."""
    numbers = torch.arange(frames, device=frame_index.device)
    first = torch.searchsorted(frame_index, numbers)
    return torch.arange(frame_index.numel(), device=frame_index.device) - first[frame_index]


def _axis_weights(start: Tensor, stop: Tensor, length: int, cells: int, aligned: bool, sampling: int | None) -> Tensor:
    """Averaged interpolation weights of one axis, M×P×L.

    Every pixel looks up the few samples of each cell that fall within one pixel of it, so the cost does not depend on
    how large a box is. Samples further than one pixel outside the map count as zero; nearer ones take the edge's value.
    """
    offset = 0.5 if aligned else 0.0
    start = (start - offset)[:, None, None]
    size = stop[:, None, None] - offset - start
    cell = (size if aligned else size.clamp(min=1.0)) / cells
    count = cell.ceil().clamp(min=0.0) if sampling is None else torch.full_like(cell, float(sampling))
    step = cell / count.clamp(min=1.0)
    pixel = torch.arange(length, dtype=start.dtype, device=start.device)
    origin = start + cell * torch.arange(cells, dtype=start.dtype, device=start.device)[:, None]
    if sampling is None:
        candidates = CANDIDATES
        first = (((pixel - 1 - origin) / step - 0.5).ceil() - 1).clamp(min=0.0)
    else:
        candidates = sampling
        first = torch.zeros_like(origin)
    total = torch.zeros((), dtype=start.dtype, device=start.device)
    for candidate in range(candidates):
        sample = first + candidate
        position = origin + (sample + 0.5) * step
        counts = (sample < count) & (position >= -1) & (position <= length)
        weight = (1 - (position.clamp(0, length - 1) - pixel).abs()).clamp(min=0.0)
        total = total + weight.masked_fill(~counts, 0.0)
    return total / count.clamp(min=1.0)
