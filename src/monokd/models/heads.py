"""Prediction heads on the stride-4 map and on regions of interest.

Attribute positions inside each head spell the published checkpoints' keys.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RegionNorm(nn.BatchNorm2d):
    """Batch normalisation that lets an empty batch of regions pass, so that a step without objects still trains."""

    def forward(self, x: Tensor) -> Tensor:
        """M×C×P×P → the same shape."""
        if x.shape[0] > 0:
            return super().forward(x)
        mean, variance = self.running_mean, self.running_var
        return F.batch_norm(x, mean, variance, self.weight, self.bias, training=False, eps=self.eps)


class Head(nn.Sequential):
    """A head whose last layer runs in single precision under autocast.

    Its outputs are pixels, metres and logarithms, which 8 bits of mantissa would blur by several per cent.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any input of the first layer → the last layer's output, never of lower precision than the weights."""
        *hidden, last = self
        for layer in hidden:
            x = layer(x)
        return self._exact(last, x)

    @staticmethod
    def _exact(last: nn.Module, x: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            result: Tensor = last(x)
            return result
        with torch.autocast(x.device.type, enabled=False):
            result = last(x.float())
        return result


class MapHead(Head):
    """3×3 convolution, ReLU, 1×1 convolution, on a whole map or at some of its cells."""

    def at(self, windows: Tensor) -> Tensor:
        """N×C×3×3 neighbourhoods of cells → N×outputs."""
        weight, bias = self.get_parameter("0.weight"), self.get_parameter("0.bias")
        hidden = F.relu(F.linear(windows.flatten(1), weight.flatten(1), bias))
        return self._exact(self[2], hidden[:, :, None, None]).flatten(1)


def maps_at(heads: Sequence[MapHead], features: Tensor, cells: Tensor) -> list[Tensor]:
    """Compute B×outputs×h×w maps of heads at some cells only, in time proportional to their number; NaN elsewhere.

    `cells` are N int64, different positions in the flattened B×h×w of B×C×h×w features.
    """
    frames, _, height, width = features.shape
    windows = _windows(features, cells)
    maps = []
    for head in heads:
        values = head.at(windows)
        empty = values.new_full((frames * height * width, values.shape[1]), torch.nan)
        maps.append(empty.index_copy(0, cells, values).view(frames, height, width, -1).permute(0, 3, 1, 2))
    return maps


def _windows(features: Tensor, cells: Tensor) -> Tensor:
    """N×C×3×3 neighbourhoods of cells of B×C×h×w features, 0 beyond the border."""
    height, width = features.shape[-2:]
    step = torch.arange(-1, 2, device=cells.device)
    frame, y, x = cells // (height * width), cells // width % height, cells % width
    rows, columns = y[:, None, None] + step[:, None], x[:, None, None] + step
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    found = features[frame[:, None, None], :, rows, columns] * inside[..., None]
    return found.permute(0, 3, 1, 2)


def map_head(in_channels: int, hidden: int, outputs: int) -> MapHead:
    """Build a head on a feature map, with torch's own start."""
    first, last = nn.Conv2d(in_channels, hidden, 3, 1, 1), nn.Conv2d(hidden, outputs, 1)
    return MapHead(first, nn.ReLU(inplace=True), last)


def pooled_head(in_channels: int, hidden: int, outputs: int) -> Head:
    """Build a region head of one vector: 3×3 convolution, normalisation, ReLU, mean over cells, 1×1 convolution."""
    return Head(
        nn.Conv2d(in_channels, hidden, 3, 1, 1),
        RegionNorm(hidden),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(hidden, outputs, 1),
    )


def cell_head(in_channels: int, hidden: int, outputs: int = 1) -> Head:
    """Build a region head of one map of cells: 3×3 convolution, leaky ReLU, 1×1 convolution."""
    return Head(nn.Conv2d(in_channels, hidden, 3, 1, 1), nn.LeakyReLU(inplace=True), nn.Conv2d(hidden, outputs, 1))
