"""Review fusion of backbone levels, coarse to fine (Review-KD, Chen et al. 2021)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FusionStep(nn.Module):
    """One level: project, mix with the coarser level's residual by attention, and project back.

    The residual handed on has `middle` channels; the coarsest level has nothing to `fuse` with.
    """

    def __init__(self, channels: int, middle: int, *, fuse: bool) -> None:
        super().__init__()
        into = nn.Conv2d(channels, middle, 1, bias=False)
        back = nn.Conv2d(middle, channels, 3, padding=1, bias=False)
        self.conv1 = nn.Sequential(into, nn.BatchNorm2d(middle))
        self.conv2 = nn.Sequential(back, nn.BatchNorm2d(channels))
        self.att_conv = nn.Sequential(nn.Conv2d(2 * middle, 2, 1), nn.Sigmoid()) if fuse else None
        for convolution in (into, back):
            nn.init.kaiming_uniform_(convolution.weight, a=1)

    def forward(self, level: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the fused level (B×C×h×w) and the residual for the next finer one (B×middle×h×w)."""
        x = self.conv1(level)
        if self.att_conv is not None and residual is not None:
            y = F.interpolate(residual, x.shape[-2:], mode="nearest")
            attention = self.att_conv(torch.cat([x, y], 1))
            x = x * attention[:, :1] + y * attention[:, 1:]
        return self.conv2(x), x


class ReviewFusion(nn.ModuleList):
    """Fusion of levels given finest first; step 0 is the coarsest, as in published checkpoints (`rgb_fs.N.*`)."""

    def __init__(self, channels: Sequence[int], middle: int) -> None:
        super().__init__(FusionStep(c, middle, fuse=i > 0) for i, c in enumerate(reversed(channels)))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return the fused levels, finest first."""
        fused: list[Tensor] = []
        residual: Tensor | None = None
        for step, level in zip(self, reversed(levels), strict=True):
            out, residual = step(level, residual)
            fused.insert(0, out)
        return fused
