"""DLAUp, the neck: iterative deep aggregation from stride 32 up to stride 4 (Yu et al., CVPR 2018, section 3.2).

Attribute names spell the published checkpoints' keys.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monokd.models.dla import ConvNormReLU


class Upsample(nn.Module):
    """Learned upsampling of each channel by an even factor, a transposed convolution; starts as bilinear.

    With `shuffled` it is a depthwise convolution whose factor² outputs a channel become pixels, for devices where a
    transposed one is slow: the same weights, the same result up to rounding.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor, self.shuffled = factor, False
        ramp = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
        self.weight = nn.Parameter((ramp[:, None] * ramp).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W → B×C×fH×fW."""
        channels, factor = len(self.weight), self.factor
        if not self.shuffled:
            return F.conv_transpose2d(x, self.weight, stride=factor, padding=factor // 2, groups=channels)
        # Output pixel f·q + r sees input pixel q + k − 1, k < 3, through tap f·(1 − k) + r + f/2 of the weight.
        taps = F.pad(self.weight, [factor // 2] * 4).view(channels, 3, factor, 3, factor).flip(1, 3)
        kernel = taps.permute(0, 2, 4, 1, 3).reshape(-1, 1, 3, 3)
        return F.pixel_shuffle(F.conv2d(x, kernel, padding=1, groups=channels), factor)


class IterativeUp(nn.Module):
    """Brings every map but the first to the first one's size and channels, each joined with its finer neighbour."""

    def __init__(self, in_channels: Sequence[int], out_channels: int, factors: Sequence[int]) -> None:
        super().__init__()
        for i in range(1, len(in_channels)):
            self.add_module(f"proj_{i}", ConvNormReLU(in_channels[i], out_channels))
            self.add_module(f"up_{i}", Upsample(out_channels, factors[i]))
            self.add_module(f"node_{i}", ConvNormReLU(2 * out_channels, out_channels))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, finest first → as many maps, all of the first one's size."""
        results = [maps[0]]
        for i in range(1, len(maps)):
            right = self.get_submodule(f"up_{i}")(self.get_submodule(f"proj_{i}")(maps[i]))
            results.append(self.get_submodule(f"node_{i}")(torch.cat((results[-1], right), 1)))
        return results


class DLAUp(nn.Module):
    """The neck: maps of strides 4, 8, 16, 32 → fused maps of the same strides and channels."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        current, strides = list(channels), [2**i for i in range(len(channels))]
        for step in range(len(channels) - 1):
            left = len(channels) - step - 2
            factors = [stride // strides[left] for stride in strides[left:]]
            self.add_module(f"ida_{step}", IterativeUp(current[left:], current[left], factors))
            current[left + 1 :] = [current[left]] * (step + 1)
            strides[left + 1 :] = [strides[left]] * (step + 1)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """B×C_i×H_i×W_i, finest first → fused maps, finest first; the coarsest is handed on as it is."""
        current, fused = list(maps), [maps[-1]]
        for step in range(len(maps) - 1):
            left = len(current) - step - 2
            current[left:] = self.get_submodule(f"ida_{step}")(current[left:])
            fused.append(current[-1])
        return tuple(reversed(fused))
