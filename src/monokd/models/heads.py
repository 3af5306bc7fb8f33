"""Prediction heads on the stride-4 map and on regions of interest.

Attribute positions inside each head spell the published checkpoints' keys.
"""

from __future__ import annotations

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
        if not torch.is_autocast_enabled(x.device.type):
            result: Tensor = last(x)
            return result
        with torch.autocast(x.device.type, enabled=False):
            result = last(x.float())
        return result


def map_head(in_channels: int, hidden: int, outputs: int, bias: float | None = None) -> Head:
    """3×3 convolution, ReLU, 1×1 convolution on a feature map.

    Args:
        in_channels: channels of the map.
        hidden: channels between.
        outputs: channels of the prediction.
        bias: initial bias of the prediction, for heatmaps; None starts regressions at zero with tiny weights.
    """
    last = nn.Conv2d(hidden, outputs, 1)
    if bias is None:
        nn.init.normal_(last.weight, 0.0, 0.001)
    _fill_bias(last, 0.0 if bias is None else bias)
    return Head(nn.Conv2d(in_channels, hidden, 3, 1, 1), nn.ReLU(inplace=True), last)


def pooled_head(in_channels: int, hidden: int, outputs: int) -> Head:
    """Region head of one vector: 3×3 convolution, normalisation, ReLU, mean over cells, 1×1 convolution."""
    return _xavier(
        Head(
            nn.Conv2d(in_channels, hidden, 3, 1, 1),
            RegionNorm(hidden),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(hidden, outputs, 1),
        )
    )


def cell_head(in_channels: int, hidden: int, outputs: int = 1) -> Head:
    """Region head of one map of cells: 3×3 convolution, leaky ReLU, 1×1 convolution."""
    return _xavier(
        Head(nn.Conv2d(in_channels, hidden, 3, 1, 1), nn.LeakyReLU(inplace=True), nn.Conv2d(hidden, outputs, 1))
    )


def _fill_bias(layer: nn.Conv2d, value: float) -> None:
    if layer.bias is not None:
        nn.init.constant_(layer.bias, value)


def _xavier(head: Head) -> Head:
    for module in head:
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
            _fill_bias(module, 0.0)
    return head
