"""DLA-34, the backbone (Yu et al., Deep Layer Aggregation, CVPR 2018, figure 3 and table 1).

Attribute names spell the published checkpoints' keys, so that a state dict needs no translation.
"""

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


class ConvNormReLU(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, 1, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W → B×C'×H×W."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Tree(nn.Module):
    """A hierarchical aggregation: one level joins two blocks in a root, more levels nest trees.

    With `level_root` the pooled input joins the root too; `root_channels` meet there, those of the two blocks alone
    where it is 0.
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
            self.root = ConvNormReLU(root_channels, out_channels, kernel=1)
        else:
            self.tree1 = Tree(levels - 1, in_channels, out_channels, stride)
            self.tree2 = Tree(levels - 1, out_channels, out_channels, root_channels=root_channels + out_channels)
        self.downsample = nn.MaxPool2d(stride, stride) if stride > 1 else None
        self.project = None
        if in_channels != out_channels:
            convolution = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            self.project = nn.Sequential(convolution, nn.BatchNorm2d(out_channels))
            # A nested tree makes its own shortcut; that of the outer one only keeps its place in the published layout.
            self.project.requires_grad_(levels == 1)

    def forward(self, x: Tensor, children: Sequence[Tensor] = ()) -> Tensor:
        """B×C×H×W → B×C'×H/s×W/s; `children` are earlier nodes that join the root."""
        bottom = x if self.downsample is None else self.downsample(x)
        nodes = [*children, bottom] if self.level_root else [*children]
        if self.levels > 1:
            first = self.tree1(x)
            result: Tensor = self.tree2(first, children=[*nodes, first])
            return result
        first = self.tree1(x, bottom if self.project is None else self.project(bottom))
        result = self.root(torch.cat([self.tree2(first), first, *nodes], 1))
        return result


class DLA34(nn.Module):
    """The backbone: maps of strides 1, 2, 4, 8, 16, 32 and of six numbers of channels."""

    def __init__(self, channels: Sequence[int] = DLA34_CHANNELS) -> None:
        super().__init__()
        c = tuple(channels)
        self.base_layer = _conv_norm_relu(3, c[0], kernel=7)
        self.level0 = _conv_norm_relu(c[0], c[0])
        self.level1 = _conv_norm_relu(c[0], c[1], stride=2)
        self.level2 = Tree(1, c[1], c[2], stride=2)
        self.level3 = Tree(2, c[2], c[3], stride=2, level_root=True)
        self.level4 = Tree(2, c[3], c[4], stride=2, level_root=True)
        self.level5 = Tree(1, c[4], c[5], stride=2, level_root=True)
        self.fc = nn.Conv2d(c[5], 1000, 1)  # ImageNet's classifier, which only keeps its place in the layout
        self.apply(initialise)
        self.fc.requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """B×3×H×W → six maps, finest first."""
        maps = [self.level0(self.base_layer(image))]
        for number in range(1, 6):
            maps.append(self.get_submodule(f"level{number}")(maps[-1]))
        return tuple(maps)


def initialise(module: nn.Module) -> None:
    """Draw a convolution's weights from normal(0, √(2/n)), n = kernel area × output channels; leave other modules."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))


def _conv_norm_relu(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
