"""Batch normalisation by fixed statistics, folded into the convolution before it."""

from copy import deepcopy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

M = TypeVar("M", bound=nn.Module)


def fold_bn(model: M) -> M:
    """Copy `model` for evaluation alone: the same numbers up to rounding, one pass less over every map.

    A normalisation that is registered right behind a convolution must also run right behind it, as in the detector.
    """
    copied = deepcopy(model).eval()
    for parent in copied.modules():
        for (name, first), (after, second) in pairwise(list(parent.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, after, nn.Identity())
    return copied
