"""Normalising over the global batch, so that N processes give the losses and gradients of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def _own(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True, slots=True)
class Replicas:
    """The processes that share a batch; the default is one process, or the published per-replica normaliser (Q5).

    A process's term is its own sum over the global count, times the number of processes: the mean of gradients that
    distributed data-parallel training takes then is the gradient over the global batch, and the mean of the terms is
    the global term.

    Attributes:
        count: number of processes.
        total: sum of a tensor without gradient over the processes.
    """

    count: int = 1
    total: Callable[[Tensor], Tensor] = _own

    def ratio(self, summed: Tensor, size: Tensor | int, empty: float = 0.0) -> Tensor:
        """This process's share of (global sum) / (global size).

        Args:
            summed: scalar sum over this process's elements.
            size: how many elements this process summed.
            empty: the value where no process has an element (`nan` for a plain mean).
        """
        if isinstance(size, int):
            size = torch.tensor(float(size), device=summed.device)
        everywhere = self.total(size.detach().to(summed.dtype))
        mean = summed * self.count / everywhere.clamp(min=1)
        return mean + torch.where(everywhere > 0, 0.0, empty)

    def batch(self, frames: int) -> int:
        """Frames in the global batch; every process has the same number."""
        return frames * self.count

    def sum(self, value: Tensor) -> Tensor:
        """Global sum of `value` whose gradient is this process's own, times the number of processes."""
        everywhere = self.total(value.detach())
        own = value * self.count
        return own + (everywhere - own.detach()) if self.count > 1 else value
