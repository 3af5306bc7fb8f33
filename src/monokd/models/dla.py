"""DLA-34, the backbone (Yu et al., Deep Layer Aggregation, CVPR 2018, figure 3 and table 1).

Attribute names spell the published checkpoints' keys, so that a state dict needs no translation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DLA34_CHANNELS = (16, 32, 64, 128, 256, 512)


def scaled_channels(channels: int, width: float) -> int:
    """Multiply `channels` by `width` and round to a multiple of 8, at least 8."""
    return max(8, round(channels * width / 8) * 8)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions, `stride` in the first, with a residual that the caller may supply."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """B×C×H×W → B×C'×H/s×W/s."""
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        result: Tensor = self.relu(inner + (x if residual is None else residual))
        return result


class Root(nn.Module):
    """The aggregation node: concatenation of all children, 1×1 convolution, normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, children: Sequence[Tensor]) -> Tensor:
        """Maps of one size → B×C'×H×W."""
        return F.relu(self.bn(self.conv(torch.cat(tuple(children), 1))), inplace=True)


class Tree(nn.Module):
    """A hierarchical aggregation of `levels` levels.

    Args:
        levels: 1 joins two blocks in a root; more nest trees.
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the first block and of the pooled shortcut.
        level_root: whether the pooled input joins the root.
        root_channels: channels that meet in the root; 0 means the two blocks' alone.
    """

    def __init__(
        self,
        levels: int,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        level_root: bool = False,
        root_channels: int = 0,
    ) -> None:
        super().__init__()
        root_channels = root_channels or 2 * out_channels
        root_channels += in_channels if level_root else 0
        self.levels, self.level_root = levels, level_root
        self.tree1: Tree | BasicBlock
        self.tree2: Tree | BasicBlock
        if levels == 1:
            self.tree1 = BasicBlock(in_channels, out_channels, stride)
            self.tree2 = BasicBlock(out_channels, out_channels)
            self.root = Root(root_channels, out_channels)
        else:
            self.tree1 = Tree(levels - 1, in_channels, out_channels, stride)
            self.tree2 = Tree(levels - 1, out_channels, out_channels, root_channels=root_channels + out_channels)
        self.downsample = nn.MaxPool2d(stride, stride) if stride > 1 else None
        self.project = _projection(in_channels, out_channels) if in_channels != out_channels else None
        if levels > 1 and self.project is not None:
            # A nested tree makes its own shortcut, so this one only keeps its place in the published layout.
            self.project.requires_grad_(False)

    def forward(self, x: Tensor, children: Sequence[Tensor] = ()) -> Tensor:
        """B×C×H×W → B×C'×H/s×W/s; `children` are earlier nodes that join the root."""
        bottom = x if self.downsample is None else self.downsample(x)
        nodes = [*children, bottom] if self.level_root else [*children]
        if self.levels > 1:
            first = self.tree1(x)
            result: Tensor = self.tree2(first, children=[*nodes, first])
            return result
        first = self.tree1(x, bottom if self.project is None else self.project(bottom))
        result = self.root([self.tree2(first), first, *nodes])
        return result


class DLA34(nn.Module):
    """The backbone: maps of strides 1, 2, 4, 8, 16, 32.

    Args:
        channels: of the six levels.
        classes: outputs of the classifier `fc`, which no detector uses; it keeps its place in the layout.
    """

    def __init__(self, channels: Sequence[int] = DLA34_CHANNELS, classes: int = 1000) -> None:
        super().__init__()
        c = tuple(channels)
        self.channels = c
        self.base_layer = _conv_norm_relu(3, c[0], kernel=7)
        self.level0 = _conv_norm_relu(c[0], c[0])
        self.level1 = _conv_norm_relu(c[0], c[1], stride=2)
        self.level2 = Tree(1, c[1], c[2], stride=2)
        self.level3 = Tree(2, c[2], c[3], stride=2, level_root=True)
        self.level4 = Tree(2, c[3], c[4], stride=2, level_root=True)
        self.level5 = Tree(1, c[4], c[5], stride=2, level_root=True)
        self.fc = nn.Conv2d(c[5], classes, 1)
        self.apply(initialise)
        self.fc.requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """B×3×H×W → six maps, finest first."""
        maps = [self.level0(self.base_layer(image))]
        for level in (self.level1, self.level2, self.level3, self.level4, self.level5):
            maps.append(level(maps[-1]))
        return tuple(maps)


def initialise(module: nn.Module) -> None:
    """Draw a convolution's weights from normal(0, √(2/n)), n = kernel area × output channels; leave other modules."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))


def _conv_norm_relu(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def _projection(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
