"""Batch normalisation over the global batch, on every device.

torch's own synchronised layer refuses CPU tensors, and loses the property of `RegionNorm` that a batch without regions
passes. On a GPU it is faster than this one, so that there it normalises the maps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from monokd.models.heads import RegionNorm

Total = Callable[[Tensor], Tensor]


class _Sum(torch.autograd.Function):
    """Sum over the processes; every process's input reaches every process's loss, so gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, total: Total) -> Tensor:
        ctx.total = total
        return total(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.total(gradient.contiguous()), None


class GlobalBatchNorm(nn.BatchNorm2d):
    """`BatchNorm2d` with the statistics of all processes; parameters, buffers and names are those of `BatchNorm2d`.

    A process without elements takes part; where no process has any, the running statistics stand in and stay.

    Args:
        like: the layer to take the place of; its parameters and buffers are shared.
        total: sum of a tensor over the processes.
    """

    def __init__(self, like: nn.BatchNorm2d, total: Total) -> None:
        super().__init__(like.num_features, like.eps, like.momentum, like.affine, like.track_running_stats)
        self.weight, self.bias = like.weight, like.bias
        self.running_mean, self.running_var = like.running_mean, like.running_var
        self.num_batches_tracked = like.num_batches_tracked
        self.total = total
        self.train(like.training)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×h×w → the same shape, normalised in float32."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(x)
        mean, variance, count = self._statistics(x.float())
        some = count > 0
        mean = torch.where(some, mean, self.running_mean)
        variance = torch.where(some, variance, self.running_var)
        with torch.no_grad():
            share = some * (self.momentum if self.momentum is not None else 0.1)
            self.running_mean.lerp_(mean.detach(), share)
            self.running_var.lerp_(variance.detach() * count / (count - 1).clamp(min=1), share)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += some
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift[:, None, None], x.float(), scale[:, None, None]).to(x.dtype)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance a channel, and the number of elements, over all processes; two passes, for precision."""
        sums = torch.cat([x.sum((0, 2, 3)), x.new_full((1,), x.numel() / self.num_features)])
        everywhere = _sum(sums, self.total)
        count = everywhere[-1].detach()
        mean = everywhere[:-1] / count.clamp(min=1)
        squares = (x - mean[:, None, None]).square().sum((0, 2, 3))
        return mean, _sum(squares, self.total) / count.clamp(min=1), count


def _sum(value: Tensor, total: Total) -> Tensor:
    result: Tensor = _Sum.apply(value, total)  # type: ignore[no-untyped-call]
    return result


def synchronise(module: nn.Module, total: Total, *, cuda: bool) -> None:
    """Replace every batch normalisation inside `module`, in place; parameters, buffers and their names stay.

    Args:
        module: changed in place; not itself a batch normalisation.
        total: sum of a tensor over the processes.
        cuda: whether it runs on GPUs.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _synchronised(child, total, cuda=cuda))
        else:
            synchronise(child, total, cuda=cuda)


def _synchronised(layer: nn.BatchNorm2d, total: Total, *, cuda: bool) -> nn.Module:
    if not cuda or isinstance(layer, RegionNorm):
        return GlobalBatchNorm(layer, total)
    faster: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(layer)  # type: ignore[no-untyped-call]
    return faster
