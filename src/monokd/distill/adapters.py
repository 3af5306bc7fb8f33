"""Adapters between a student's maps and the distillation terms."""

from __future__ import annotations

from torch import nn


def adapter(channels: int) -> nn.Sequential:
    """conv3×3-ReLU-conv1×1, the same number of channels throughout."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1)
    )
