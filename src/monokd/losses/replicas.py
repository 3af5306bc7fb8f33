"""Normalising over the whole batch of a step, so that N processes, or N accumulated batches, give what one would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


def _own(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True, slots=True)
class Replicas:
    """The parts that make up the batch of one optimiser step: processes, and batches whose gradients accumulate.

    A part's term is its own sum over the count in the whole batch, times the number of parts: the mean of gradients
    over processes (which distributed data-parallel training takes) and over accumulated batches is then the gradient of
    the whole batch, and the mean of the terms is the whole batch's term. The default is one process, or the published
    per-replica normaliser (Q5).

    Attributes:
        count: number of processes.
        total: sum of a tensor without gradient over the processes; leaves its argument as it is.
        shares: for each kind of counted element (`objects`, `peaks`, …) the number in this batch, over all processes,
            as a share of that in all accumulated batches, times their number; None where nothing accumulates.
        accumulated: number of accumulated batches.
    """

    count: int = 1
    total: Callable[[Tensor], Tensor] = _own
    shares: Mapping[str, Tensor] | None = None
    accumulated: int = 1

    def ratio(self, summed: Tensor, size: Tensor | int, empty: float = 0.0, *, kind: str = "objects") -> Tensor:
        """This part's share of (sum) / (size) over all parts.

        Args:
            summed: scalar sum over this part's elements.
            size: how many elements this part summed.
            empty: the value where no process has an element (`nan` for a plain mean).
            kind: what the elements are, or belong to: `size` is a multiple of its count.
        """
        if isinstance(size, int):
            size = torch.full((), float(size), device=summed.device)  # `torch.tensor` waits for the device
        everywhere = self.total(size.detach().to(summed.dtype))
        mean = summed * self.count / everywhere.clamp(min=1)
        if self.shares is not None:
            mean = mean * self.shares[kind]
        return mean if empty == 0 else mean.masked_fill(everywhere <= 0, empty)

    def batch(self, frames: int) -> int:
        """Frames in the whole batch; every part has the same number."""
        return frames * self.count * self.accumulated

    def sharing(self, shares: Mapping[str, Tensor] | None, accumulated: int) -> Replicas:
        """The same processes, for one of `accumulated` batches."""
        return self if shares is None else replace(self, shares=shares, accumulated=accumulated)

    def shares_of(self, counts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        """`shares` of every accumulated batch.

        Args:
            counts: for each batch the number of elements of each kind in this process, scalars.
        """
        names = list(counts[0])
        table = torch.stack([torch.stack([one[name].double() for name in names]) for one in counts])
        everywhere = self.total(table)
        # As in `ratio` none counts as one: the heatmap's background has a loss without any peak too.
        shares = everywhere.clamp(min=1) * len(counts) / everywhere.sum(0).clamp(min=1)
        return [dict(zip(names, row.float().unbind(), strict=True)) for row in shares]
