"""RoIAlign (He et al., Mask R-CNN, ICCV 2017, section 3) as two matrix products.

The mean of bilinear samples on a grid is separable: cell (i, j) of a region is Σ_y Σ_x V[i, y]·F[y, x]·U[j, x], where V
and U hold the averaged interpolation weights of each axis. So the operator needs no loop over samples, its
backward pass is two more products, and it is deterministic on every device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

CANDIDATES = 6  # a pixel's two-pixel support holds at most four adaptive samples; one more each side for rounding


def roi_align(features: Tensor, boxes: Tensor, boxes_per_frame: Sequence[int], *, cells: int = 7) -> Tensor:
    """Average bilinear samples of B×C×h×w features in P×P `cells` over each box: M×C×P×P.

    Boxes are M×4 left, top, right, bottom in feature pixels, frame after frame; `boxes_per_frame` are B numbers that
    sum to M. A cell has as many samples an axis as it is pixels long, rounded up. The first pixel's centre is at 0, and
    boxes are widened to at least one pixel (the operator's older convention). Gradients reach `features` only.
    """
    height, width = features.shape[-2:]
    with torch.no_grad():
        left, top, right, bottom = boxes.unbind(1)
        y_weights, x_weights = (
            _axis_weights(*axis, cells).to(features.dtype).split_with_sizes(list(boxes_per_frame))
            for axis in ((top, bottom, height), (left, right, width))
        )
    return torch.cat([_resample(*frame) for frame in zip(features.unbind(), y_weights, x_weights, strict=True)])


def _resample(features: Tensor, y_weights: Tensor, x_weights: Tensor) -> Tensor:
    """C×h×w map, K×P×h and K×P×w weights → K×C×P×P."""
    channels, height, width = features.shape
    boxes, cells = y_weights.shape[:2]
    columns = features.reshape(-1, width) @ x_weights.reshape(-1, width).T
    columns = columns.view(channels, height, boxes, cells).permute(2, 1, 0, 3)
    rows = y_weights @ columns.reshape(boxes, height, channels * cells)
    return rows.view(boxes, cells, channels, cells).transpose(1, 2)


def _axis_weights(start: Tensor, stop: Tensor, length: int, cells: int) -> Tensor:
    """Averaged interpolation weights of one axis, M×P×L, at a cost that does not depend on how large a box is.

    Samples further than one pixel outside the map count as zero; nearer ones take the edge's value.
    """
    start, stop = start[:, None, None], stop[:, None, None]
    cell = (stop - start).clamp(min=1.0) / cells
    count = cell.ceil()
    step = cell / count
    pixel = torch.arange(length, dtype=start.dtype, device=start.device)
    origin = start + cell * torch.arange(cells, dtype=start.dtype, device=start.device)[:, None]
    first = (((pixel - 1 - origin) / step - 0.5).ceil() - 1).clamp(min=0.0)
    total = torch.zeros((), dtype=start.dtype, device=start.device)
    for candidate in range(CANDIDATES):
        sample = first + candidate
        position = origin + (sample + 0.5) * step
        counts = (sample < count) & (position >= -1) & (position <= length)
        weight = (1 - (position.clamp(0, length - 1) - pixel).abs()).clamp(min=0.0)
        total = total + weight.masked_fill(~counts, 0.0)
    return total / count
