"""Shared arithmetic on feature maps."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def to_coarsest(maps: Sequence[Tensor]) -> list[Tensor]:
    """B×C×h×w maps, each bilinearly resized to the height and width of the last, the coarsest."""
    height, width = maps[-1].shape[-2:]
    return [m if m.shape[-2:] == (height, width) else F.interpolate(m, (height, width), mode="bilinear") for m in maps]
