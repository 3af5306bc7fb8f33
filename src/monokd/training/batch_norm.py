"""Batch normalisation over the global batch, on every device.

torch's own synchronised layer refuses CPU tensors, and loses the property of `RegionNorm` that a batch without regions
passes. On a GPU it is faster than this one, so that there it normalises the maps.
"""

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
    """`BatchNorm2d` with the statistics of all processes; it shares parameters, buffers and names with `like`.

    A process without elements takes part; where no process has any, the running statistics stand in and stay. `total`
    sums a tensor over the processes.
    """

    def __init__(self, like: nn.BatchNorm2d, total: Total) -> None:
        super().__init__(like.num_features, like.eps, like.momentum)
        self._parameters, self._buffers, self.total = like._parameters, like._buffers, total
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
            share = some * (self.momentum or 0.0)
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
        everywhere = self._sum(sums)
        count = everywhere[-1].detach()
        mean = everywhere[:-1] / count.clamp(min=1)
        squares = (x - mean[:, None, None]).square().sum((0, 2, 3))
        return mean, self._sum(squares) / count.clamp(min=1), count

    def _sum(self, value: Tensor) -> Tensor:
        result: Tensor = _Sum.apply(value, self.total)  # type: ignore[no-untyped-call]
        return result


def synchronise(module: nn.Module, total: Total, *, cuda: bool) -> None:
    """Replace every batch normalisation inside `module`, in place; parameters, buffers and their names stay.

    `total` sums a tensor over the processes; `cuda` says whether the module runs on GPUs.
    """
    for name, child in module.named_children():
        if not isinstance(child, nn.BatchNorm2d):
            synchronise(child, total, cuda=cuda)
        elif cuda and not isinstance(child, RegionNorm):
            faster = nn.SyncBatchNorm.convert_sync_batchnorm(child)  # type: ignore[no-untyped-call]
            setattr(module, name, faster)
        else:
            setattr(module, name, GlobalBatchNorm(child, total))
